"""What people do to a search: cancel, retry, clone, delete, validate; each true when it says so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.e2e.product import Product, submit_body, wait_for


@pytest.fixture
def slow_pods(product: Product) -> Iterator[None]:
    """BLAST takes 20 s while the test runs."""
    product.control("/pace", {"label_selector": "app=blast", "delay_seconds": 20})
    yield
    product.control("/pace", {"label_selector": "app=blast", "delay_seconds": 0})


def cancel(product: Product, job_id: str, **body: Any) -> httpx.Response:
    return product.http.post(f"/blast/jobs/{job_id}/cancel", json=body)


def objects_of(product: Product, job_id: str) -> list[str]:
    return product.kubectl("get", "jobs,pods", "-l", f"elb-job-id={job_id}", "-o", "name").split()


def kinds(product: Product, job_id: str) -> list[str]:
    events = product.http.get(f"/blast/jobs/{job_id}/events").json()["items"]
    return [event["kind"] for event in reversed(events)]


@pytest.mark.proves("X1")
@pytest.mark.usefixtures("slow_pods")
def test_a_running_search_is_cancelled_when_nothing_of_it_is_left(product: Product) -> None:
    job_id = product.submit()
    wait_for(lambda: len(objects_of(product, job_id)) == 16 or None, 30, "eight Jobs with their pods")
    answer = cancel(product, job_id, reason="wrong database")
    assert (answer.status_code, answer.json()["phase"]) == (202, "cancelling")
    shown = product.wait_end(job_id)
    assert objects_of(product, job_id) == []
    assert (shown["status"], shown["error"]) == ("cancelled", None)
    assert cancel(product, job_id).json()["status"] == "cancelled"
    assert kinds(product, job_id) == ["submitted", "cancel_requested", "cancelled"]
    (event,) = [
        event
        for event in product.http.get(f"/blast/jobs/{job_id}/events").json()["items"]
        if event["kind"] == "cancel_requested"
    ]
    assert (event["who"], event["why"]) == ("dev@localhost", "wrong database")


@pytest.mark.usefixtures("slow_pods")
def test_a_cancelled_search_can_be_tried_again(product: Product) -> None:
    job_id = product.submit()
    wait_for(lambda: objects_of(product, job_id) or None, 30, "Jobs")
    cancel(product, job_id)
    product.wait_end(job_id)
    product.control("/pace", {"label_selector": "app=blast", "delay_seconds": 0})
    assert product.http.post(f"/blast/jobs/{job_id}/retry").status_code == 202
    shown = product.wait_end(job_id)
    assert (shown["status"], shown["attempt"]) == ("completed", 2)
    assert product.result(job_id) == product.unsharded(
        "-task", "megablast", "-max_target_seqs", "20", "-outfmt", "6 std"
    )
    refused = product.http.post(f"/blast/jobs/{job_id}/retry")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "not_retryable")


@pytest.mark.proves("X3")
def test_a_retry_runs_only_what_is_missing(product: Product) -> None:
    product.control("/pace", {"label_selector": "app=blast,shard=02", "delay_seconds": 20})
    try:
        job_id = product.submit()
        wait_for(lambda: product.detail(job_id)["progress"]["succeeded"] == 6 or None, 30, "six of eight results")
        cancel(product, job_id)
        product.wait_end(job_id)
    finally:
        product.control("/pace", {"label_selector": "app=blast,shard=02", "delay_seconds": 0})
    product.http.post(f"/blast/jobs/{job_id}/retry")
    shown = product.wait_end(job_id)
    assert shown["status"] == "completed"
    assert {job["shard"] for job in shown["kubernetes"]["jobs"]} == {2}
    assert shown["progress"]["total"] == 2
    assert product.result(job_id) == product.unsharded(
        "-task", "megablast", "-max_target_seqs", "20", "-outfmt", "6 std"
    )


def test_a_clone_is_a_new_search_with_the_edits(product: Product) -> None:
    first = product.submit(title="first")
    product.wait_end(first)
    edits = {"title": "second", "options": {"task": "blastn", "outfmt": "6 std", "max_target_seqs": 5}}
    answer = product.http.post(f"/blast/jobs/{first}/clone", json=edits)
    assert answer.status_code == 202, answer.text
    shown = product.wait_end(answer.json()["job_id"])
    assert (shown["status"], shown["title"], shown["cloned_from"]) == ("completed", "second", first)
    wanted = product.unsharded("-task", "blastn", "-max_target_seqs", "5", "-outfmt", "6 std")
    assert product.result(shown["job_id"]) == wanted


@pytest.mark.usefixtures("slow_pods")
@pytest.mark.proves("X2")
def test_a_deleted_search_leaves_nothing(product: Product) -> None:
    before = product.everything_kept()
    job_id = product.submit()
    wait_for(lambda: objects_of(product, job_id) or None, 30, "Jobs")
    assert product.http.delete(f"/blast/jobs/{job_id}").status_code == 202
    assert product.http.delete(f"/blast/jobs/{job_id}").status_code == 202
    wait_for(lambda: product.http.get(f"/blast/jobs/{job_id}").status_code == 404 or None, 30, "the end of the row")
    rows, blobs, jobs = product.everything_kept()
    new = [row for row in rows if row not in before[0] and not row.endswith("/slots")]
    assert all(row.startswith("elbstats/") for row in new), "that there was one is counted"
    assert not [row for row in rows if job_id in row], "not which one"
    assert (blobs, jobs) == (before[1], before[2])


def test_validate_makes_every_check_and_starts_nothing(product: Product) -> None:
    before = product.everything_kept()
    good = product.http.post("/blast/jobs/validate", json=submit_body()).json()
    assert good["ok"]
    assert {check["status"] for check in good["checks"]} == {"ok"}
    assert good["plan"] == {"batches": 2, "shards": 4, "jobs": 8, "fits": True}
    bad = product.http.post(
        "/blast/jobs/validate", json=submit_body(database="no_such_db", query_fasta=">a\nAC9T\n", labels={"-": "x"})
    ).json()
    assert not bad["ok"]
    failed = {check["id"]: check["code"] for check in bad["checks"] if check["status"] == "failed"}
    assert failed == {"database": "unknown_database", "query": "invalid_letter", "labels": "invalid_label"}
    assert product.http.post("/blast/jobs/validate", json={"program": 1}).json()["checks"][0]["id"] == "request"
    assert product.everything_kept() == before


def test_a_search_waits_for_a_slot_and_says_so(product: Product) -> None:
    product.stack.restart_host({"ELB_ACTIVE_SEARCHES": "1"})
    product.control("/pace", {"label_selector": "app=blast", "delay_seconds": 6})
    try:
        first = product.submit()
        wait_for(lambda: objects_of(product, first) or None, 30, "Jobs")
        second = product.submit()
        shown = wait_for(
            lambda: shown if (shown := product.detail(second))["status"] == "pending" else None, 20, "waiting"
        )
        assert shown["phase"] == "waiting_for_capacity"
        assert "1 searches are active on elb-local already; since " in shown["waiting_reason"]
        assert objects_of(product, second) == []
        assert product.wait_end(first)["status"] == "completed"
        assert product.wait_end(second, 30)["status"] == "completed"
    finally:
        product.control("/pace", {"label_selector": "app=blast", "delay_seconds": 0})
        product.stack.restart_host({"ELB_ACTIVE_SEARCHES": "10"})
