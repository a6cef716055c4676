"""One at a time for each key in this process: who comes while it is under way waits for the same result."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future

from shared.domain.errors import TransientError


class SingleFlight[T]:
    """Work that is shared by all threads of a process.

    Holds one future for each key under way, and nothing once it has ended.
    """

    def __init__(self) -> None:
        self._under_way: dict[str, Future[T]] = {}
        self._lock = threading.Lock()

    def run(self, key: str, work: Callable[[], T]) -> tuple[T, bool]:
        """Do the work in this thread, or wait for the one that does it.

        Returns:
            The result, and whether this thread did the work.
        """
        future, own = self._enter(key)
        if own:
            self._do(key, work, future)
        return future.result(), own

    def start(self, key: str, work: Callable[[], T], pool: Executor) -> Future[T]:
        """Have the work done in a pool, unless it is under way; its future."""
        future, own = self._enter(key)
        if own:
            try:
                pool.submit(self._do, key, work, future)
            except RuntimeError:  # the pool was shut down
                self._leave(key)
                future.set_exception(TransientError("process_ending", "the app is being restarted", "try again"))
        return future

    def _enter(self, key: str) -> tuple[Future[T], bool]:
        with self._lock:
            known = self._under_way.get(key)
            if known is not None:
                return known, False
            future: Future[T] = Future()
            self._under_way[key] = future
            return future, True

    def _do(self, key: str, work: Callable[[], T], future: Future[T]) -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - whatever it is, everybody who waits gets it
            self._leave(key)
            future.set_exception(error)
            return
        self._leave(key)
        future.set_result(result)

    def _leave(self, key: str) -> None:
        with self._lock:
            del self._under_way[key]
