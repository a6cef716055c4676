"""The host dies at one point of a cancel and is started again: the search is cancelled, and nothing of it is left."""

from __future__ import annotations

from typing import Any

import pytest

from local.tripwire.wires import Moment, Tripwire
from tests.e2e.crashes.guarded import Guarded, now_plus, wait_killed
from tests.e2e.product import wait_for

_MARKER = {"service": "table", "method": "PATCH", "path": "elbsearches", "body": '"cancel_requested_at": ?"2'}
_LIST = {"service": "kubernetes", "method": "GET", "path": r"/pods\?.*elb-submit"}
_DELETE = {"service": "kubernetes", "method": "DELETE", "path": "/jobs/"}
POINTS: dict[str, dict[str, Any]] = {
    "after the marker": {**_MARKER, "moment": Moment.AFTER},
    "after the wake": {**_LIST},
    "in the delete, half-way": {**_DELETE, "nth": 5},
    "after the delete, before the verify": {**_LIST, "nth": 2},
    "after the verify, before the row says so": {
        "service": "table",
        "method": "PATCH",
        "path": "elbsearches",
        "body": '"phase": ?"cancelled"',
    },
}


@pytest.mark.proves("X1")
@pytest.mark.usefixtures("slow_pods")
@pytest.mark.parametrize("name", POINTS)
def test_a_cancel_whose_host_is_killed_comes_to_its_end(guarded: Guarded, name: str) -> None:
    job_id = guarded.submit()
    wait_for(lambda: guarded.running_pods(job_id) == 8 or None, 30, "eight running pods")
    pid = guarded.host_pid
    wire = guarded.tripwires.set(Tripwire(guarded.kill_host(), **POINTS[name]))
    guarded.cancel(job_id)
    wait_killed(guarded, pid, wire)
    _assert_cancelled(guarded, job_id)
    events = guarded.product.http.get(f"/blast/jobs/{job_id}/events").json()["items"]
    assert [event["kind"] for event in events] == ["cancelled", "cancel_requested", "submitted"]


@pytest.mark.proves("X1")
@pytest.mark.usefixtures("slow_pods")
def test_a_cancel_that_was_marked_only_comes_to_its_end_when_nobody_asks_again(guarded: Guarded) -> None:
    job_id = guarded.submit()
    wait_for(lambda: guarded.running_pods(job_id) == 8 or None, 30, "eight running pods")
    guarded.set_column(job_id, phase="cancelling", status="running", cancel_requested_at=now_plus(0))
    _assert_cancelled(guarded, job_id)


@pytest.mark.proves("X1", "F6")
def test_a_search_that_never_began_is_cancelled_by_the_timer(guarded: Guarded) -> None:
    pid, scope = guarded.host_pid, guarded.tripwires.next_search()
    storing: dict[str, Any] = {"service": "blob", "method": "PUT", "path": r"/query\.fa", "moment": Moment.AFTER}
    wire = guarded.tripwires.set(Tripwire(guarded.kill_host(), **storing))
    guarded.submit_once()
    wait_killed(guarded, pid, wire)
    job_id = wait_for(lambda: scope.job_id, 5, "the search's id")
    guarded.cancel(job_id)
    guarded.set_column(job_id, created_at=now_plus(-60))
    guarded.reconcile()
    _assert_cancelled(guarded, job_id)


def _assert_cancelled(guarded: Guarded, job_id: str) -> None:
    row = guarded.wait_end(job_id)
    assert (row["status"], row["run"]) == ("cancelled", 1)
    assert (guarded.jobs(job_id), guarded.pods(job_id)) == ([], [])
    guarded.wait_rows(job_id)
    refused = guarded.product.http.get(f"/blast/jobs/{job_id}/results")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "results_not_ready")
    assert guarded.product.detail(job_id)["status"] == "cancelled"
