"""When to look again: the monitor's stretching schedule, and how long one look at a cluster is good for.

Numbers: docs/behaviour.md, section N.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.states import Phase

POLLS_PER_GENERATION = 10
"""Polls after which a monitor continues as new, so that its history stays bounded."""
AFTER_WAKE = (0.2, 0.5, 1.0, 2.0, 4.0)
"""Seconds after a wake-up at which to look again: the Job that calls back has not ended yet when it calls."""
FORCED_PERIOD = 1.0
"""Seconds in which at most two looks at one cluster may be forced."""
DEFAULT_WINDOW = 20.0
SHORTEST_WINDOW = 5.0
"""The shortest window that any phase asks for: younger looks are good for everybody."""

_WINDOWS = {Phase.RUNNING: 5.0, Phase.RESULTS_PENDING: 5.0, Phase.EXPORTING: 5.0}


def poll_interval(age: timedelta) -> timedelta:
    """Seconds between two looks, by the age of the search: 10 s, after 5 minutes 30 s, after an hour 60 s."""
    if age < timedelta(minutes=5):
        return timedelta(seconds=10)
    if age < timedelta(hours=1):
        return timedelta(seconds=30)
    return timedelta(seconds=60)


def refresh_min_interval_seconds(phase: Phase) -> float:
    """How old a look may be before a search in this phase asks for a new one."""
    return _WINDOWS.get(phase, DEFAULT_WINDOW)


def window_seconds(phases: Iterable[Phase]) -> float:
    """The window of a cluster: the shortest that any of its active searches asks for."""
    return min((refresh_min_interval_seconds(p) for p in phases), default=DEFAULT_WINDOW)


@dataclass(frozen=True, slots=True)
class ClusterRow:
    """When a cluster was last looked at, the look before that, and when somebody last asked for a look."""

    observed_at: datetime | None = None
    previous_look_at: datetime | None = None
    wake_requested_at: datetime | None = None
    etag: str = ""


def should_look(row: ClusterRow, window: float, now: datetime, *, follow_up: bool = False) -> bool:
    """Whether to take the look.

    Yes when the last one is older than the window. A wake-up that came after the last look, and the follow-up
    looks after a wake-up, do not wait for the window; but at most two looks are taken in a second.

    Args:
        window: seconds that a look is good for.
        follow_up: whether this is one of the looks after a wake-up.
    """
    if row.observed_at is None or (now - row.observed_at).total_seconds() >= window:
        return True
    woken = row.wake_requested_at is not None and row.wake_requested_at > row.observed_at
    if not (woken or follow_up):
        return False
    return row.previous_look_at is None or (now - row.previous_look_at).total_seconds() >= FORCED_PERIOD


@dataclass(frozen=True, slots=True)
class MonitorClock:
    """Where a monitor stands between two looks.

    Attributes:
        polls: looks of this generation.
        after_wake: how many of the quick looks after a wake-up have been made; None when none is due.
    """

    polls: int = 0
    after_wake: int | None = None

    def woken(self) -> MonitorClock:
        """A wake-up came: begin the quick looks anew."""
        return MonitorClock(self.polls, 0)

    def next_delay(self, age: timedelta) -> tuple[timedelta, MonitorClock]:
        """How long to wait for the next look, and the clock after it."""
        if self.after_wake is not None and self.after_wake < len(AFTER_WAKE):
            delay = timedelta(seconds=AFTER_WAKE[self.after_wake])
            return delay, MonitorClock(self.polls + 1, self.after_wake + 1)
        return poll_interval(age), MonitorClock(self.polls + 1, None)
