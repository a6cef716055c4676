"""Each API call of a search fails once, in turn and in each way, and then one keeps failing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from local.tripwire.wires import Action, Moment, Tripwire, answer, reset, silence
from tests.e2e.crashes.guarded import POST_JOB, SMALL, Guarded, created_jobs

AT_ONCE = 5
# Made once in the life of a host, not once a search; they have a test of their own.
_ONCE_A_PROCESS = ("/Tables", "/listClusterUserCredential")
# Of timers that happened to run meanwhile; nobody knows when they do so again.
_OF_TIMERS = "elbstats(PartitionKey='timers'"
WAYS: dict[str, tuple[Callable[[], Action], Moment]] = {
    "too many requests": (lambda: answer(429, retry_after_seconds=1), Moment.BEFORE),
    "server error": (lambda: answer(500), Moment.BEFORE),
    "reset": (reset, Moment.BEFORE),
    "done, and nobody told": (lambda: silence(0.3), Moment.AFTER),
}
NAMES_SERVICE = {
    "kubernetes": {"kube_busy", "kube_unreachable"},
    "blob": {"storage_unavailable"},
    "table": {"state_unavailable"},
    "arm": {"arm_unavailable"},
}


@pytest.fixture(scope="module")
def patterns(guarded_stack: Guarded) -> list[str]:
    """What a search asks for, each pattern once, in order: what two good searches have in common."""
    first, second = _asked(guarded_stack), _asked(guarded_stack)
    return [pattern for pattern in first if pattern in second]


@pytest.mark.parametrize("way", WAYS)
def test_each_call_of_a_search_fails_once(guarded: Guarded, patterns: list[str], small_result: bytes, way: str) -> None:
    assert len(patterns) > 20
    act, moment = WAYS[way]
    mark, one_by_one = guarded.tripwires.mark(), threading.Lock()

    def search(pattern: str) -> tuple[Tripwire, str]:
        with one_by_one:
            scope = guarded.tripwires.next_search() if "{job}" in pattern or "{row}" in pattern else None
            wire = guarded.tripwires.set(Tripwire(act(), pattern=pattern, moment=moment, scope=scope))
            job_id = guarded.submit(**SMALL)
        guarded.wait_end(job_id, 90)
        return wire, job_id

    with ThreadPoolExecutor(AT_ONCE) as pool:
        done = list(pool.map(search, patterns))
    for wire, _ in done:
        wire.wait()  # what a search asks for last may come after its end is seen
    for _, job_id in done:
        _assert_right(guarded, job_id, small_result, mark)
    for job in guarded.all_jobs():  # a search that was never begun for lack of its row has no Jobs either
        assert guarded.row(job["metadata"]["labels"]["elb-job-id"])["status"] != "running"


@pytest.mark.parametrize("way", WAYS)
def test_each_call_of_a_new_host_fails_once(guarded: Guarded, small_result: bytes, way: str) -> None:
    act, moment = WAYS[way]
    mark = guarded.tripwires.mark()
    wires = [
        guarded.tripwires.set(Tripwire(act(), path=path, nth=nth, moment=moment))
        for path, nth in (("/Tables$", 1), ("/Tables$", 3), ("/listClusterUserCredential", 1))
    ]
    guarded.product.stack.restart_host()
    job_id = guarded.submit(**SMALL)
    guarded.wait_end(job_id, 90)
    assert all(wire.has_fired for wire in wires)
    _assert_right(guarded, job_id, small_result, mark)


LASTING: dict[str, tuple[dict[str, Any], set[str]]] = {
    "Jobs not made": ({"pattern": POST_JOB, "nth": 3, "action": answer(500)}, NAMES_SERVICE["kubernetes"]),
    "Jobs refused": ({"pattern": POST_JOB, "nth": 3, "action": answer(422)}, {"kube_refused"}),
    "queries not stored": ({"service": "blob", "path": "batch_000", "action": answer(503)}, NAMES_SERVICE["blob"]),
    "row not written": (
        {"service": "table", "method": "PATCH", "body": '"expected_jobs": ?4', "action": reset()},
        NAMES_SERVICE["table"],
    ),
}


@pytest.mark.proves("S5")
@pytest.mark.usefixtures("slow_pods")
def test_a_call_that_keeps_failing_ends_the_search_with_the_reason_and_leaves_nothing(guarded: Guarded) -> None:
    searches: dict[str, str] = {}
    for name, (wire, _) in LASTING.items():
        scope = guarded.tripwires.next_search()
        guarded.tripwires.set(Tripwire(**wire, times=None, scope=scope))
        searches[name] = guarded.submit(**SMALL)
    for name, job_id in searches.items():
        row, error = guarded.wait_end(job_id, 120), guarded.error(job_id)
        assert (name, row["status"], row["run"]) == (name, "failed", 1)
        assert error["code"] in LASTING[name][1], error
        guarded.wait_rows(job_id)
        assert guarded.blobs(job_id) == []
        guarded.wait_gone(job_id)


def _asked(guarded: Guarded) -> list[str]:
    mark = guarded.tripwires.mark()
    job_id = guarded.submit(**SMALL)
    guarded.wait_end(job_id)
    asked = dict.fromkeys(call.pattern for call in guarded.tripwires.calls(mark))
    return [pattern for pattern in asked if not pattern.endswith(_ONCE_A_PROCESS) and _OF_TIMERS not in pattern]


def _assert_right(guarded: Guarded, job_id: str, wanted: bytes, mark: int) -> None:
    row = guarded.row(job_id)
    assert (row["status"], row["run"]) == ("completed", 1), guarded.error(job_id)
    assert guarded.product.result(job_id) == wanted
    guarded.wait_rows(job_id)
    assert len(guarded.jobs(job_id)) == 4
    assert len(created_jobs(guarded.tripwires.calls(mark), job_id)) == 4
