"""Work that threads share: done once while it is under way, told to everybody, kept by nobody."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from shared.clients.single_flight import SingleFlight
from shared.domain.errors import TransientError

THREADS = 8
PATIENCE = 10.0
"""Seconds after which something is taken to hang."""


class Work:
    """Something to do that waits until it may end, and knows how often it was begun."""

    def __init__(self, end: Callable[[], int]) -> None:
        self.begun = 0
        self.has_begun = threading.Event()
        self.may_end = threading.Event()
        self._end = end

    def __call__(self) -> int:
        self.begun += 1
        self.has_begun.set()
        assert self.may_end.wait(PATIENCE)
        return self._end()


def broken() -> int:
    """It fails."""
    raise KeyError("of the work")


@pytest.fixture
def flights() -> SingleFlight[int]:
    return SingleFlight()


def entered(flights: SingleFlight[int], monkeypatch: pytest.MonkeyPatch) -> threading.Semaphore:
    """Released once for each thread that has found out whether it does the work."""
    inside, real = threading.Semaphore(0), flights._enter

    def enter(key: str) -> tuple[Future[int], bool]:
        found = real(key)
        inside.release()
        return found

    monkeypatch.setattr(flights, "_enter", enter)
    return inside


def joined(
    flights: SingleFlight[int], work: Work, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> list[Future[tuple[int, bool]]]:
    """All threads ask for the same work, and none of them before another has it under way."""
    inside = entered(flights, monkeypatch)
    asked = [pool.submit(flights.run, "key", work) for _ in range(THREADS)]
    assert all(inside.acquire(timeout=PATIENCE) for _ in asked)
    return asked


class TestRun:
    def test_is_done_once_for_all_who_come_meanwhile(
        self, flights: SingleFlight[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        work = Work(lambda: 7)
        with ThreadPoolExecutor(THREADS) as pool:
            asked = joined(flights, work, pool, monkeypatch)
            work.may_end.set()
            told = [each.result(PATIENCE) for each in asked]
        assert sorted(told) == [(7, False)] * (THREADS - 1) + [(7, True)]
        assert work.begun == 1

    def test_an_error_is_told_to_everybody(self, flights: SingleFlight[int], monkeypatch: pytest.MonkeyPatch) -> None:
        work = Work(broken)
        with ThreadPoolExecutor(THREADS) as pool:
            asked = joined(flights, work, pool, monkeypatch)
            work.may_end.set()
            errors = [each.exception(PATIENCE) for each in asked]
        assert [str(error) for error in errors] == ["'of the work'"] * THREADS
        assert work.begun == 1

    @pytest.mark.parametrize("first", [lambda: 1, broken], ids=["done", "failed"])
    def test_nothing_is_kept(self, flights: SingleFlight[int], first: Callable[[], int]) -> None:
        work = Work(first)
        work.may_end.set()
        for _ in range(2):
            try:
                flights.run("key", work)
            except KeyError:
                assert first is broken
        assert work.begun == 2
        assert flights.run("key", lambda: 2) == (2, True)
        assert not flights._under_way

    def test_another_key_does_not_wait(self, flights: SingleFlight[int]) -> None:
        work = Work(lambda: 1)
        with ThreadPoolExecutor(1) as pool:
            hanging = pool.submit(flights.run, "key", work)
            assert work.has_begun.wait(PATIENCE)
            assert flights.run("other", lambda: 2) == (2, True)
            assert not hanging.done()
            work.may_end.set()
            assert hanging.result(PATIENCE) == (1, True)

    def test_whoever_comes_once_it_is_done_has_it_done_anew(self, flights: SingleFlight[int]) -> None:
        """Who waits is told only after the work has left the books: a second look must not be the first one's."""
        count = 0

        def work() -> int:
            nonlocal count
            count += 1
            return count

        future = flights._enter("key")[0]
        again: list[tuple[int, bool]] = []
        future.add_done_callback(lambda _: again.append(flights.run("key", work)))
        flights._do("key", work, future)
        assert (future.result(), again) == (1, [(2, True)])

    def test_an_interrupt_leaves_nobody_waiting(self, flights: SingleFlight[int]) -> None:
        def interrupted() -> int:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            flights.run("key", interrupted)
        assert flights.run("key", lambda: 1) == (1, True)


class TestStart:
    def test_does_not_wait_and_is_joined(self, flights: SingleFlight[int]) -> None:
        work = Work(lambda: 7)
        with ThreadPoolExecutor(2) as pool, ThreadPoolExecutor(1) as other:
            started = flights.start("key", work, pool)
            assert work.has_begun.wait(PATIENCE)
            assert flights.start("key", work, pool) is started
            running = other.submit(flights.run, "key", work)
            assert not started.done()
            work.may_end.set()
            assert started.result(PATIENCE) == 7
            assert running.result(PATIENCE)[0] == 7

    def test_joins_what_a_thread_does_itself(self, flights: SingleFlight[int]) -> None:
        work = Work(lambda: 7)
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(flights.run, "key", work)
            assert work.has_begun.wait(PATIENCE)
            started = flights.start("key", work, pool)
            work.may_end.set()
            assert (started.result(PATIENCE), running.result(PATIENCE)) == (7, (7, True))
        assert work.begun == 1

    def test_an_error_comes_with_the_future(self, flights: SingleFlight[int]) -> None:
        with ThreadPoolExecutor(1) as pool:
            started = flights.start("key", broken, pool)
            assert isinstance(started.exception(PATIENCE), KeyError)
            assert flights.start("key", lambda: 1, pool).result(PATIENCE) == 1

    def test_a_pool_that_is_shut_down_leaves_nobody_waiting(self, flights: SingleFlight[int]) -> None:
        pool = ThreadPoolExecutor(1)
        pool.shutdown()
        with pytest.raises(TransientError, match="process_ending"):
            flights.start("key", lambda: 1, pool).result(PATIENCE)
        assert flights.run("key", lambda: 2) == (2, True)
