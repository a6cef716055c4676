"""200 searches, each cancelled at a random moment of its life: after some seconds, or at some request of the host."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from local.tripwire.calls import Call
from local.tripwire.wires import Scope, Tripwire, look
from tests.e2e.crashes.guarded import SMALL, Guarded

SEARCHES = 200
AT_ONCE = 14
"""More than there are slots, so that some wait when they are cancelled."""
LONGEST_LIFE = 4.0
"""Seconds until a cancel by the clock."""
LAST_REQUEST = 60
"""Of a search after its submit; a search that makes fewer is cancelled after its end."""
SEED = time.time_ns() % 1_000_000


@pytest.mark.proves("X1")
def test_cancels_at_random_moments_tell_the_truth(guarded: Guarded, small_result: bytes) -> None:
    print(f"seed {SEED}")
    chance, one_by_one = random.Random(SEED), threading.Lock()  # noqa: S311 - moments, not secrets
    left = _watch_what_is_left(guarded)

    def after_seconds(seconds: float) -> Callable[[], str]:
        def search() -> str:
            with one_by_one:
                job_id = guarded.submit(**SMALL)
            time.sleep(seconds)
            return job_id

        return search

    def at_request(number: int) -> Callable[[], str]:
        def search() -> str:
            with one_by_one:
                _cancel_at(guarded, guarded.tripwires.next_search(), number)
                job_id = guarded.submit(**SMALL)
            guarded.wait_end(job_id, 120)
            return job_id

        return search

    searches = [after_seconds(chance.uniform(0, LONGEST_LIFE)) for _ in range(SEARCHES // 2)]
    searches += [at_request(chance.randint(1, LAST_REQUEST)) for _ in range(SEARCHES // 2)]
    chance.shuffle(searches)

    def end(search: Callable[[], str]) -> tuple[str, str]:
        job_id = search()
        guarded.cancel(job_id)
        return job_id, str(guarded.wait_end(job_id, 120)["status"])

    with ThreadPoolExecutor(AT_ONCE) as pool:
        ends = dict(pool.map(end, searches))
    print(Counter(ends.values()))
    assert len(ends) == SEARCHES
    assert set(ends.values()) == {"cancelled", "completed"}
    cancelled = {job_id for job_id, status in ends.items() if status == "cancelled"}
    assert {job_id: left.get(job_id) for job_id in cancelled} == dict.fromkeys(cancelled, 0)
    for job_id in ends:
        guarded.wait_rows(job_id)
        guarded.wait_gone(job_id)
        if job_id in cancelled:
            assert (guarded.jobs(job_id), guarded.pods(job_id)) == ([], [])
            assert guarded.product.http.get(f"/blast/jobs/{job_id}/results").status_code == 409
        else:
            assert guarded.product.result(job_id) == small_result


def _watch_what_is_left(guarded: Guarded) -> dict[str, int]:
    """Count what is on the cluster of a search in the very moment in which its row is about to say cancelled."""
    left: dict[str, int] = {}

    def count(call: Call) -> None:
        if call.job_id is not None:
            left[call.job_id] = len(guarded.jobs(call.job_id)) + len(guarded.pods(call.job_id))

    body = '"phase": ?"cancelled"'
    wire = Tripwire(look(count), service="table", method="PATCH", path="elbsearches", body=body, times=None)
    guarded.tripwires.set(wire)
    return left


def _cancel_at(guarded: Guarded, scope: Scope, number: int) -> None:
    """Cancel a search while the host makes its so-manieth request after the submit, which waits for the cancel."""
    stored = guarded.tripwires.set(Tripwire(None, service="blob", method="PUT", path=r"/query\.fa", scope=scope))

    def cancel(_: Call) -> None:
        if scope.job_id is not None:
            guarded.cancel(scope.job_id)

    guarded.tripwires.set(Tripwire(look(cancel), nth=number, after=stored, scope=scope))
