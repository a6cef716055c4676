"""Many submits at once: one key is one search, many keys never exceed the ceiling, and everybody gets a turn."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.e2e.crashes.guarded import SMALL, Guarded, created_jobs

MANY = 50
CEILING = 10
SAMPLE_SECONDS = 0.05


@pytest.mark.proves("S2")
def test_many_submits_with_one_key_are_one_search(guarded: Guarded, small_result: bytes) -> None:
    mark = guarded.tripwires.mark()
    with ThreadPoolExecutor(MANY) as pool:
        ids = set(pool.map(lambda _: guarded.submit("one key for all of them", **SMALL), range(MANY)))
    (job_id,) = ids
    assert guarded.wait_end(job_id)["status"] == "completed"
    assert guarded.row(job_id)["run"] == 1
    assert guarded.product.result(job_id) == small_result
    assert len(created_jobs(guarded.tripwires.calls(mark), job_id)) == 4
    listed = [item["job_id"] for item in guarded.product.http.get("/blast/jobs?limit=100").json()["items"]]
    assert listed.count(job_id) == 1
    assert guarded.query_folders() & {call.job_id for call in guarded.tripwires.calls(mark)} == {job_id}


@pytest.mark.proves("S9")
def test_many_submits_keep_below_the_ceiling_and_all_complete(guarded: Guarded, small_result: bytes) -> None:
    with _most_at_once(guarded) as most, ThreadPoolExecutor(MANY) as pool:
        ids = list(pool.map(lambda _: guarded.submit(**SMALL), range(MANY)))
        assert len(set(ids)) == MANY
        for job_id in ids:
            assert guarded.wait_end(job_id, 180)["status"] == "completed", guarded.error(job_id)
    assert 2 <= most[0] <= CEILING
    assert all(guarded.product.result(job_id) == small_result for job_id in ids)


@pytest.mark.proves("S9")
def test_a_few_searches_of_one_owner_do_not_wait_for_all_of_another(guarded: Guarded) -> None:
    stack, ceiling = guarded.product.stack, 3
    stack.restart_host({"ELB_ACTIVE_SEARCHES": str(ceiling)})
    try:
        many = [guarded.submit(**SMALL) for _ in range(15)]
        stack.restart_host({"ELB_DEV_USER": "somebody@else"})
        few = [guarded.submit(**SMALL) for _ in range(3)]
        ends = {job_id: guarded.wait_end(job_id, 120, owner="somebody@else")["completed_at"] for job_id in few}
        theirs = {job_id: guarded.wait_end(job_id, 120)["completed_at"] for job_id in many}
        assert sum(end < max(ends.values()) for end in theirs.values()) < len(many) - ceiling
    finally:
        stack.restart_host({"ELB_ACTIVE_SEARCHES": str(CEILING), "ELB_DEV_USER": "dev@localhost"})


@contextmanager
def _most_at_once(guarded: Guarded) -> Iterator[list[int]]:
    """Sample how many searches have Jobs that have not ended; the most is the one number of the list."""
    most, stop = [0], threading.Event()

    def sample() -> None:
        while not stop.wait(SAMPLE_SECONDS):
            active = [job for job in guarded.all_jobs() if not job["status"].get("completionTime")]
            most[0] = max(most[0], len({job["metadata"]["labels"]["elb-job-id"] for job in active}))

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield most
    finally:
        stop.set()
        sampler.join()
