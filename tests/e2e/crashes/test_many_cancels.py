"""200 searches, each cancelled at a random moment of its life."""

from __future__ import annotations

import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from local.tripwire.calls import Call
from local.tripwire.wires import Tripwire, look
from tests.e2e.crashes.guarded import SMALL, Guarded

SEARCHES = 200
AT_ONCE = 16
"""More than there are slots, so that some wait when they are cancelled."""
LONGEST_LIFE = 8.0
"""Seconds: some searches complete before."""
SEED = time.time_ns() % 1_000_000


@pytest.mark.proves("X1")
def test_cancels_at_random_moments_tell_the_truth(guarded: Guarded, small_result: bytes) -> None:
    print(f"seed {SEED}")
    chance = random.Random(SEED)  # noqa: S311 - moments, not secrets
    moments = [chance.uniform(0, LONGEST_LIFE) for _ in range(SEARCHES)]
    left: dict[str, int] = {}

    def count(call: Call) -> None:
        """What is on the cluster in the very moment in which the row is about to say cancelled."""
        if call.job_id is not None:
            left[call.job_id] = len(guarded.jobs(call.job_id)) + len(guarded.pods(call.job_id))

    body = '"phase": ?"cancelled"'
    wire = Tripwire(look(count), service="table", method="PATCH", path="elbsearches", body=body, times=None)
    guarded.tripwires.set(wire)

    def search(moment: float) -> tuple[str, str]:
        job_id = guarded.submit(**SMALL)
        time.sleep(moment)
        guarded.cancel(job_id)
        return job_id, str(guarded.wait_end(job_id, 120)["status"])

    with ThreadPoolExecutor(AT_ONCE) as pool:
        ends = dict(pool.map(search, moments))
    print(Counter(ends.values()))
    assert len(ends) == SEARCHES
    assert set(ends.values()) <= {"cancelled", "completed"}
    cancelled = {job_id for job_id, end in ends.items() if end == "cancelled"}
    assert {job_id: left.get(job_id) for job_id in cancelled} == dict.fromkeys(cancelled, 0)
    for job_id, end in ends.items():
        guarded.wait_rows(job_id)
        guarded.wait_gone(job_id)
        if end == "completed":
            assert guarded.product.result(job_id) == small_result
        else:
            assert (guarded.jobs(job_id), guarded.pods(job_id)) == ([], [])
            assert guarded.product.http.get(f"/blast/jobs/{job_id}/results").status_code == 409
