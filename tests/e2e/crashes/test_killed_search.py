"""The host dies at one point of a search and is started again: the search completes, once."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

import pytest

from local.tripwire.wires import Moment, Tripwire
from tests.e2e.crashes.guarded import Guarded, assert_exactly_one_of_everything, now_plus, wait_killed
from tests.e2e.product import wait_for

_ROW = r"elbsearches\(.*RowKey='s:"
_CLUSTER_ROW = "elbclusters"


@dataclass(frozen=True)
class Point:
    """Where the host dies: at a request of the search.

    Args:
        request: arguments of the tripwire.
        after: arguments of another one that must have been met before.
    """

    request: dict[str, Any]
    after: dict[str, Any] | None = field(default=None)


STORING = {"service": "blob", "method": "PUT", "path": r"/query\.fa"}
POINTS = {
    "after the idempotency and job rows": Point(
        {"service": "table", "method": "POST", "path": r"/\$batch", "moment": Moment.AFTER}
    ),
    "after the query is stored": Point({**STORING, "moment": Moment.AFTER}),
    "after the orchestration starts": Point({"service": "table", "method": "GET", "path": _ROW}, after=STORING),
    "in admission": Point({"service": "arm", "method": "GET"}),
    "in clean-up": Point({"service": "kubernetes", "method": "GET", "path": r"/jobs\?.*app\+in"}),
    "in scripts": Point({"service": "kubernetes", "path": "/configmaps", "moment": Moment.AFTER}),
    "in staging": Point({"service": "blob", "method": "PUT", "path": "/batch_000", "moment": Moment.AFTER}),
    "half-way through the Jobs": Point({"service": "kubernetes", "method": "POST", "path": "/jobs$", "nth": 5}),
    "after the Jobs, before the row says so": Point(
        {"service": "table", "method": "PATCH", "path": _ROW, "body": r'"expected_jobs":\s*8\b'}
    ),
    "after a Job ends, before the look": Point(
        {"service": "table", "method": "PATCH", "path": _CLUSTER_ROW, "body": "wake_requested_at"}
    ),
    "half-way through a merge": Point({"service": "blob", "method": "GET", "path": "/pieces/batch_", "nth": 5}),
    "after the merge, before publishing": Point({"service": "blob", "method": "PUT", "path": r"/results\.tsv"}),
    "after publishing, before completed": Point(
        {"service": "table", "method": "PATCH", "path": _ROW, "body": r'"phase":\s*"completed"'}
    ),
}


@pytest.mark.proves("S2")
@pytest.mark.parametrize("name", POINTS)
def test_a_search_whose_host_is_killed_completes_once(guarded: Guarded, name: str) -> None:
    point, tripwires = POINTS[name], guarded.tripwires
    mark, pid = tripwires.mark(), guarded.host_pid
    after = tripwires.set(Tripwire(None, **point.after)) if point.after else None
    wire = tripwires.set(Tripwire(guarded.kill_host(), after=after, **point.request))
    job_id = guarded.submit()
    wait_killed(guarded, pid, wire)
    guarded.wait_end(job_id)
    assert_exactly_one_of_everything(guarded, job_id, mark)


def test_a_search_whose_host_is_killed_while_its_pods_run_completes_once(guarded: Guarded) -> None:
    mark, pid = guarded.tripwires.mark(), guarded.host_pid
    guarded.pace(6)
    try:
        job_id = guarded.submit()
        wait_for(lambda: guarded.running_pods(job_id) == 8 or None, 30, "eight running pods")
        guarded.product.stack.kill_host()
        wait_killed(guarded, pid)
    finally:
        guarded.pace(0)
    guarded.wait_end(job_id)
    assert_exactly_one_of_everything(guarded, job_id, mark)


@pytest.mark.proves("S6")
def test_a_waiting_search_whose_host_is_killed_waits_on_and_completes_once(guarded: Guarded) -> None:
    mark, pid = guarded.tripwires.mark(), guarded.host_pid
    guarded.arm_says("Stopped")
    try:
        job_id = guarded.submit()
        waiting = guarded.wait_row(job_id, phase="waiting_for_cluster")
        guarded.product.stack.kill_host()
        wait_killed(guarded, pid)
        assert guarded.row(job_id)["phase"] == "waiting_for_cluster"
        assert "stopped" in str(waiting["waiting_reason"])
    finally:
        guarded.arm_says("Running")
    guarded.wait_end(job_id)
    assert_exactly_one_of_everything(guarded, job_id, mark)


@pytest.mark.proves("S9")
def test_a_search_that_waits_for_a_slot_when_the_host_is_killed_waits_on_and_completes_once(guarded: Guarded) -> None:
    stack, mark = guarded.product.stack, guarded.tripwires.mark()
    stack.restart_host({"ELB_ACTIVE_SEARCHES": "1"})
    try:
        guarded.pace(4)
        first = guarded.submit()
        wait_for(lambda: guarded.running_pods(first) == 8 or None, 30, "eight running pods")
        guarded.pace(0)
        pid, second = guarded.host_pid, guarded.submit()
        guarded.wait_row(second, phase="waiting_for_capacity")
        stack.kill_host()
        wait_killed(guarded, pid)
        for job_id in (first, second):
            guarded.wait_end(job_id)
            assert_exactly_one_of_everything(guarded, job_id, mark)
    finally:
        guarded.pace(0)
        stack.restart_host({"ELB_ACTIVE_SEARCHES": "10"})


@pytest.mark.proves("F6")
def test_a_search_that_never_began_and_that_nobody_asks_for_again_is_begun_by_the_timer(guarded: Guarded) -> None:
    mark = guarded.tripwires.mark()
    job_id = _submit_and_die(guarded, "after the query is stored")
    guarded.set_column(job_id, created_at=now_plus(-60))
    guarded.reconcile()
    guarded.wait_end(job_id)
    assert_exactly_one_of_everything(guarded, job_id, mark)


@pytest.mark.proves("S2")
def test_a_search_without_its_query_waits_for_its_caller_to_ask_again(guarded: Guarded) -> None:
    mark, key = guarded.tripwires.mark(), uuid.uuid4().hex
    job_id = _submit_and_die(guarded, "after the idempotency and job rows", key)
    guarded.set_column(job_id, created_at=now_plus(-60))
    looked = guarded.tripwires.set(Tripwire(None, service="blob", path=f"/queries.*comp=list.*{job_id}"))
    guarded.reconcile()
    looked.wait()
    assert guarded.row(job_id)["phase"] == "preparing"
    assert guarded.submit(key) == job_id
    guarded.wait_end(job_id)
    assert_exactly_one_of_everything(guarded, job_id, mark)


@pytest.mark.proves("F6")
def test_a_search_without_its_query_that_nobody_asks_for_again_fails_with_the_reason(guarded: Guarded) -> None:
    job_id = _submit_and_die(guarded, "after the idempotency and job rows")
    guarded.set_column(job_id, created_at=now_plus(-86_400))
    guarded.reconcile()
    assert guarded.wait_end(job_id)["status"] == "failed"
    assert guarded.error(job_id)["code"] == "query_missing"
    assert guarded.jobs(job_id) == []
    guarded.wait_rows(job_id)


def _submit_and_die(guarded: Guarded, name: str, key: str = "") -> str:
    """A submit whose host dies and whose caller goes away; the search's id."""
    pid, scope = guarded.host_pid, guarded.tripwires.next_search()
    wire = guarded.tripwires.set(Tripwire(guarded.kill_host(), **POINTS[name].request))
    guarded.submit_once(key)
    wait_killed(guarded, pid, wire)
    return wait_for(lambda: scope.job_id, 5, "the search's id")
