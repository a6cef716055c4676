"""What the tests of the clients share: searches to store, and work done by many threads at once."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.domain.ids import new_job_id
from shared.domain.search import ClusterRef, Search
from tests.clients.wire import Rule, Wire

T0 = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_numbers = itertools.count(1)
_minutes = itertools.count(10_000_000, 1000)


def fresh(word: str) -> str:
    """A name that no other test uses."""
    return f"{word}-{next(_numbers)}-{os.getpid()}"


def newest_minute() -> int:
    """Minutes after T0: it and the thousand that follow are newer than what any test has made before."""
    return next(_minutes)


def a_cluster(name: str = "") -> ClusterRef:
    """A cluster of a test's own, known to the tables only."""
    return ClusterRef("11111111-1111-4111-8111-111111111111", "group", name or fresh("cluster"), "elblocal")


def a_search(owner: str, *, minute: int = 0, **more: Any) -> Search:
    """A search with an id of its own, begun so many minutes after T0."""
    at = T0 + timedelta(minutes=minute)
    job_id = new_job_id(int(at.timestamp() * 1000), os.urandom(10))
    given = {"program": "blastn", "database": "core_nt", "created_at": at, "cluster": a_cluster("of-nobody")}
    return Search(job_id=job_id, owner=owner, **{**given, **more})


def at_once[T](count: int, work: Callable[[int], T]) -> list[T]:
    """Do the same work in so many threads that all begin at the same moment; their results in order."""
    gate = threading.Barrier(count)

    def begin(number: int) -> T:
        gate.wait(30)
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(begin, range(count)))


def eventually[T](look: Callable[[], T], what: str, seconds: float = 10.0) -> T:
    """The first true value that ``look`` gives; AssertionError when the time passes without one."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.02)
    return found


@contextmanager
def held_at[T](wire: Wire, method: str, path: str, work: Callable[[], T]) -> Iterator[Future[T]]:
    """Begin the work in a thread; its first such request reaches the server only after the block.

    The client is told 503 then, and sends it again by itself.
    """
    gate = threading.Event()
    rule = Rule(method, path, status=503, gate=gate)
    with wire.breaking(rule), ThreadPoolExecutor(1) as pool:
        try:
            working = pool.submit(work)
            eventually(lambda: rule.times == 0, f"{method} {path}")
            yield working
        finally:
            gate.set()
