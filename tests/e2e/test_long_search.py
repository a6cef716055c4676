"""A search whose BLAST runs 90 s completes like any other, also when its host is killed in the middle."""

from __future__ import annotations

from tests.e2e.conftest import SlowSearch
from tests.e2e.product import Product, wait_for


def test_a_search_of_90_seconds_survives_the_death_of_its_host(slow_search: SlowSearch) -> None:
    slow, job_id = slow_search.product, slow_search.job_id
    shown = slow.wait_end(job_id, 150)
    assert (shown["status"], shown["error"]) == ("completed", None)
    running = next(step for step in shown["steps"] if step["name"] == "running")
    assert running["seconds"] >= 89
    assert len(slow.kubectl("get", "jobs", "-l", f"elb-job-id={job_id}", "-o", "name").split()) == 8
    assert slow.result(job_id) == slow.unsharded("-task", "megablast", "-outfmt", "6 std", "-max_target_seqs", "20")


def test_a_lost_call_back_costs_no_more_than_a_poll(product: Product) -> None:
    # The callers' pods are slowed until the host is gone, so that no call-back can arrive.
    product.control("/pace", {"label_selector": "app=blast", "delay_seconds": 3})
    try:
        job_id = product.submit()
        wait_for(lambda: product.detail(job_id)["progress"]["total"] == 8 or None, 30, "all Jobs")
        product.stack.stop_part("host")
        wait_for(lambda: _ended(product, job_id) or None, 60, "the end of all Jobs")
        product.stack.start_part("host")
        shown = product.wait_end(job_id, 30)
    finally:
        product.control("/pace", {"label_selector": "app=blast", "delay_seconds": 0})
    assert (shown["status"], shown["error"]) == ("completed", None)


def _ended(product: Product, job_id: str) -> bool:
    done = product.kubectl(
        "get", "jobs", "-l", f"elb-job-id={job_id}", "-o", "jsonpath={.items[*].status.conditions[*].type}"
    )
    return done.count("Complete") == 8
