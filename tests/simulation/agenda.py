"""Virtual time: what is due when. Nothing waits; the clock jumps to the next thing that is due.

The clock of a simulation and the one place that moves it. Things due at the same instant happen in the order in which
they were entered, so that a simulation goes the same way every time.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

START = datetime(2030, 1, 1, tzinfo=UTC)
CROWD = 1_000_000
"""Things that may happen at one instant; more mean that something goes round in circles."""


@dataclass(order=True, slots=True)
class Entry:
    """Something that is due. ``cancel`` takes it off the agenda; of something that recurs, for good."""

    due: datetime
    number: int
    action: Callable[[], object] = field(compare=False)
    cancelled: bool = field(default=False, compare=False)

    def cancel(self) -> None:
        """It will not happen."""
        self.cancelled = True


@dataclass(slots=True)
class Agenda:
    """Everything that is due, and the time. Entries may be made from any thread; one thread runs it."""

    start: datetime = START
    _now: datetime = START
    _entries: list[Entry] = field(default_factory=list)
    _number: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._now = self.start

    def now(self) -> datetime:
        """The present, in UTC: a clock as ``World.clock`` wants it."""
        return self._now

    @property
    def seconds(self) -> float:
        """Seconds since the beginning."""
        return (self._now - self.start).total_seconds()

    def at(self, seconds: float, action: Callable[[], object]) -> Entry:
        """Do something so many seconds after the beginning; at once when that is past."""
        return self._enter(max(self._now, self.start + timedelta(seconds=seconds)), action)

    def after(self, seconds: float, action: Callable[[], object]) -> Entry:
        """Do something so many seconds from now."""
        return self._enter(self._now + timedelta(seconds=seconds), action)

    def every(self, seconds: float, action: Callable[[], object], *, first: float | None = None) -> Entry:
        """Do something again and again.

        Args:
            seconds: from one time to the next.
            first: seconds from now to the first time; as many as between two where it is not given.
        """
        entry = self.after(seconds if first is None else first, lambda: None)

        def act() -> None:
            action()
            if not entry.cancelled:
                self.after(seconds, act_unless_cancelled)

        def act_unless_cancelled() -> None:
            if not entry.cancelled:
                act()

        entry.action = act
        return entry

    def run_until(self, seconds: float, stop: Callable[[], bool] | None = None) -> None:
        """Let everything happen that is due up to this time, or until ``stop`` says so after one of them.

        Args:
            seconds: since the beginning; the clock stands there afterwards, unless it was stopped.
        """
        end = self.start + timedelta(seconds=seconds)
        crowd = 0
        while self._entries and self._entries[0].due <= end:
            with self._lock:
                entry = heapq.heappop(self._entries)
            if entry.cancelled:
                continue
            crowd = crowd + 1 if entry.due == self._now else 0
            assert crowd < CROWD, f"more than {CROWD} things happened at {self.seconds} s"
            self._now = entry.due
            entry.action()
            if stop is not None and stop():
                return
        self._now = max(self._now, end)

    def _enter(self, due: datetime, action: Callable[[], object]) -> Entry:
        with self._lock:
            self._number += 1
            entry = Entry(due, self._number, action)
            heapq.heappush(self._entries, entry)
        return entry
