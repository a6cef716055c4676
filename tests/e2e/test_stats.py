"""What the app says of itself after a search: each number has something of it."""

from __future__ import annotations

from typing import Any

from tests.e2e.product import Product, wait_for


def ask(product: Product, window: str = "1h") -> dict[str, Any]:
    """The statistics."""
    answer = product.http.get("/stats", params={"window": window})
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


def test_a_search_is_counted_once_and_so_are_its_calls(product: Product) -> None:
    before = ask(product)
    job_id = product.submit()
    assert product.wait_end(job_id)["status"] == "completed"

    def counted() -> dict[str, Any] | None:
        now = ask(product)
        return now if now["ended"]["completed"] > before["ended"]["completed"] else None

    after = wait_for(counted, 10, "the end in the statistics")
    assert after["submitted"] == before["submitted"] + 1
    assert after["ended"] == {**before["ended"], "completed": before["ended"]["completed"] + 1}
    for kind, name, least in [("kubernetes", "calls", 10), ("kubernetes", "lists", 2), ("storage", "calls", 30)]:
        assert after[kind][name] >= before[kind][name] + least, (kind, name)
    assert after["looks"]["taken"] > before["looks"]["taken"]
    assert after["wake_ups"] >= before["wake_ups"] + 8, "each Job calls back"


def test_timers_tell_what_they_did(product: Product) -> None:
    base = product.stack.api.removesuffix("/api")
    assert product.http.post(f"{base}/admin/functions/reconcile_stale_jobs", json={}).is_success
    run = wait_for(lambda: ask(product)["timers"].get("reconcile_stale_jobs"), 30, "a run of the timer")
    assert run["failed"] is False
    assert run["last_run"].endswith("Z")
    assert run["result"]


def test_a_window_that_is_none(product: Product) -> None:
    answer = product.http.get("/stats", params={"window": "25h"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_window")
