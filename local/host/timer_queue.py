"""One heap and one thread for every durable timer, however many there are.

durabletask's in-memory backend starts a sleeping thread per timer, so that 500 waiting monitors are 500 threads. The
engine (engine.py) keeps all its timers here instead. The clock is a parameter, so that tests wait for nothing.
"""

import heapq
import itertools
import logging
import sqlite3
import threading
import time
from collections.abc import Callable

type Clock = Callable[[], float]

# The longest uninterrupted wait, in seconds: a step of the wall clock is noticed after this time at the latest.
_LONGEST_WAIT = 5.0
# A callback that could not be written to the store is tried again after this many seconds.
_RETRY_DELAY = 1.0

_log = logging.getLogger(__name__)


class TimerQueue:
    """Calls each callback once, at or after its due time, in the order of the due times.

    Args:
        clock: returns the present time in seconds since the epoch.
    """

    def __init__(self, clock: Clock = time.time) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._stopped = False
        self._thread: threading.Thread | None = None

    def __len__(self) -> int:
        return len(self._heap)

    def start(self) -> None:
        """Start the one thread that fires."""
        self._thread = threading.Thread(target=self._run, name="durable-timers", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Fire nothing any more and wait for the thread to end."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def schedule(self, due: float, callback: Callable[[], None]) -> None:
        """Call `callback` from the timer thread at `due`, in seconds since the epoch."""
        with self._changed:
            heapq.heappush(self._heap, (due, next(self._order), callback))
            self._changed.notify()

    def fire_next(self) -> bool:
        """Fire the first timer, in this thread, if it is due, and say whether it was: for tests that move the clock."""
        with self._changed:
            if not self._heap or self._heap[0][0] > self._clock():
                return False
            callback = heapq.heappop(self._heap)[2]
        callback()
        return True

    def _take_due(self) -> Callable[[], None] | None:
        """The next callback that is due, waiting for it; None once stopped."""
        with self._changed:
            while not self._stopped:
                wait = self._heap[0][0] - self._clock() if self._heap else _LONGEST_WAIT
                if wait <= 0:
                    return heapq.heappop(self._heap)[2]
                self._changed.wait(min(wait, _LONGEST_WAIT))
            return None

    def _run(self) -> None:
        while (callback := self._take_due()) is not None:
            try:
                callback()
            except sqlite3.Error:
                _log.exception("a durable timer could not be written; it is tried again in %s s", _RETRY_DELAY)
                self.schedule(self._clock() + _RETRY_DELAY, callback)
