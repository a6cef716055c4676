"""When to look again: the monitor's stretching schedule, and how long one look at a cluster is good for.

Numbers: docs/behaviour.md, section N.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.search import Search
from shared.domain.states import ON_THE_CLUSTER, Phase

POLLS_PER_GENERATION = 8
"""Polls after which a monitor continues as new: its history stays below 100 events even when every poll is woken."""
AFTER_WAKE = (0.2, 0.5, 0.55, 0.75, 0.8, 0.8, 2.0)
"""Seconds between the quick looks after a wake-up: the Job that calls back has not ended yet when it calls. They are as
close together as two looks a second allow (ADR 0018)."""
LONGEST_BURST = 0.5
"""Seconds for which call-backs in quick succession, of Jobs that end together, put off the first quick look."""
WAKE_GRACE = 0.15
"""Seconds after a wake-up in which a look would only find that the Job has not ended yet."""
FORCED_PERIOD = 1.0
"""Seconds in which at most two looks at one cluster may be forced."""
POLL_SLACK = 0.5
"""Seconds by which a look may be younger than a monitor's interval, so that monitors in turn do not add looks."""
DEFAULT_WINDOW = 20.0
SHORTEST_WINDOW = 5.0
"""The shortest window that any phase asks for: younger looks are good for everybody."""
YOUNG_JOBS = timedelta(seconds=30)
"""For so long after their creation Jobs are likely to begin and to end: their search is looked at as a running one."""
PROBE_INTERVAL = 10.0
SLOW_PROBE_INTERVAL = 60.0
PROBE_PATIENCE = timedelta(minutes=5)
"""How long an unreachable cluster is asked every 10 s; then every 60 s."""
STALE_AFTER = timedelta(seconds=30)
"""Age of the last successful look from which what is shown is called stale."""
LATE_WRITER = timedelta(seconds=60)
"""A look that began before a newer one is at most so much older; a larger difference is two hosts' clocks."""

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


def cluster_window(searches: Iterable[Search], now: datetime) -> float:
    """The window of a cluster: the shortest that any of its active searches asks for, in seconds."""
    return min((_window(s, now) for s in searches if s.phase in ON_THE_CLUSTER), default=DEFAULT_WINDOW)


def _window(search: Search, now: datetime) -> float:
    if search.jobs_created_at is not None and abs(now - search.jobs_created_at) < YOUNG_JOBS:
        return SHORTEST_WINDOW
    return refresh_min_interval_seconds(search.phase)


@dataclass(frozen=True, slots=True)
class ClusterRow:
    """What all instances of the app agree on about looking at one cluster.

    Attributes:
        observed_at: when the last look was claimed, whatever came of it.
        previous_look_at: the claim before that.
        wake_requested_at: when somebody last asked for a look that does not wait.
        seen_at: when the last look began that succeeded and whose rows are written.
        unreachable_since: of the first look that failed since then; None while the cluster answers.
    """

    observed_at: datetime | None = None
    previous_look_at: datetime | None = None
    wake_requested_at: datetime | None = None
    seen_at: datetime | None = None
    unreachable_since: datetime | None = None
    unreachable_reason: str = ""
    etag: str = ""


def probe_interval(silent_since: datetime, now: datetime) -> float:
    """Seconds between two questions to a cluster that does not answer: every 10 s for 5 minutes, then every 60 s."""
    return PROBE_INTERVAL if now - silent_since < PROBE_PATIENCE else SLOW_PROBE_INTERVAL


def should_look(row: ClusterRow, window: float, now: datetime, *, follow_up: bool = False) -> bool:
    """Whether to take the look.

    Yes when the last one is older than the window. A wake-up that came after the last look, and the follow-up
    looks after a wake-up, do not wait for the window; but at most two looks are taken in a second. A cluster that
    does not answer gets single probes, whoever asks. A look in the future was made by a host whose clock is ahead:
    beyond the window it says nothing.

    Args:
        window: seconds that a look is good for.
        follow_up: whether this is one of the looks after a wake-up.
    """
    if row.observed_at is None:
        return True
    age = abs((now - row.observed_at).total_seconds())
    if row.unreachable_since is not None:
        return age >= probe_interval(row.unreachable_since, now)
    if age >= window:
        return True
    if not (follow_up or _is_woken(row, now)):
        return False
    return row.previous_look_at is None or abs((now - row.previous_look_at).total_seconds()) >= FORCED_PERIOD


def _is_woken(row: ClusterRow, now: datetime) -> bool:
    if row.wake_requested_at is None or row.observed_at is None or row.wake_requested_at <= row.observed_at:
        return False
    return (now - row.wake_requested_at).total_seconds() >= WAKE_GRACE


def staleness(row: ClusterRow, now: datetime) -> str | None:
    """Why what is known of a cluster's searches is old; None while it is not."""
    if row.unreachable_since is not None:
        return row.unreachable_reason or "the cluster does not answer"
    if row.seen_at is None or row.observed_at is None or row.seen_at >= row.observed_at:
        return None
    if now - row.seen_at <= STALE_AFTER:
        return None
    return f"the last look at the cluster that succeeded was {(now - row.seen_at).total_seconds():.0f} s ago"


def as_of(search: Search, row: ClusterRow, now: datetime, problem: str | None = None) -> Search:
    """A search as it is shown: with the time of the last look that saw it, and why that is old where it is.

    Args:
        row: of the search's cluster.
        problem: why a look that was due could not be waited for.
    """
    if search.phase not in ON_THE_CLUSTER:
        return search
    known = [search.observed_at] if search.observed_at else []
    if row.seen_at is not None and row.seen_at >= (search.jobs_created_at or search.created_at):
        known.append(row.seen_at)
    return search.shown(observed_at=max(known, default=None), stale_reason=problem or staleness(row, now))


@dataclass(frozen=True, slots=True)
class MonitorClock:
    """Where a monitor stands between two looks.

    Attributes:
        polls: looks of this generation.
        after_wake: how many of the quick looks after a wake-up have been made; None when none is due.
        woken_at: when the first wake-up came of those that put off the first quick look.
    """

    polls: int = 0
    after_wake: int | None = None
    woken_at: datetime | None = None

    def woken(self, now: datetime) -> MonitorClock:
        """A wake-up came: begin the quick looks anew, for the Job that called last ends last.

        In a burst of calls the first quick look is put off, but not for ever.
        """
        if self.after_wake != 1 or self.woken_at is None:
            return MonitorClock(self.polls, 0, now)
        if now - self.woken_at >= timedelta(seconds=LONGEST_BURST):
            return MonitorClock(self.polls, 1)
        return MonitorClock(self.polls, 0, self.woken_at)

    @property
    def is_follow_up(self) -> bool:
        """Whether the next look is one of the quick ones; the one at the wake-up itself only reads what is known."""
        return bool(self.after_wake)

    def next_delay(self, age: timedelta) -> tuple[timedelta, MonitorClock]:
        """How long to wait for the next look, and the clock after it."""
        if self.after_wake is not None and self.after_wake < len(AFTER_WAKE):
            delay = timedelta(seconds=AFTER_WAKE[self.after_wake])
            first = self.woken_at if self.after_wake == 0 else None
            return delay, MonitorClock(self.polls + 1, self.after_wake + 1, first)
        return poll_interval(age), MonitorClock(self.polls + 1, None)
