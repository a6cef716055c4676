"""What the stale reconcile does about an active search, from how its orchestrations stand. Pure.

A search is owned by one orchestration, its parent, and watched by a child of that, its monitor. Either can be gone (a
new task hub, a purge), have ended without ending the search (a fault of the app), or be stuck (a message that was
lost). Numbers: docs/behaviour.md, N5 and F6; why they are so: docs/decisions/0017-timers.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from shared.domain.search import Search
from shared.domain.states import WATCHED, Phase

SUBMIT_TIME = timedelta(seconds=30)
"""A search younger than this may still be between its row and its orchestration."""
QUIET = timedelta(seconds=600)
"""How long nothing may be heard of a search before it is called stuck or lost, and how long a wake-up has to act."""
MONITOR_GONE = timedelta(seconds=120)
"""How long a watched search may be without a monitor."""
OUTCOME_UNSEEN = timedelta(seconds=60)
"""How long the end that a look saw may go without anybody acting on it: a monitor asks once in 60 s at least."""
FIRST_PAUSE = timedelta(seconds=60)
LONGEST_PAUSE = timedelta(seconds=600)
MOST_REVIVALS = 5
"""Orchestrations that an attempt gets besides its first one before it is called lost."""


class Verdict(StrEnum):
    """What is to be done about a search."""

    LEAVE = "leave"
    START = "start"
    """Its orchestration never began, or nothing is left of it: start it under its own id."""
    REPLACE = "replace"
    """Its orchestration ended without ending the search, or is stuck: give it the next run."""
    WAKE = "wake"
    """Somebody should have acted by now: raise the wake-up for the parent and the monitor."""
    LOST = "lost"
    """Revived in vain too often, and quiet: the search fails."""


class Orchestration(Protocol):
    """What is known of an orchestration; ``shared.clients.orchestrations.OrchestrationView`` is one."""

    @property
    def runtime_status(self) -> str:
        """Durable's own word, lower case."""

    @property
    def has_ended(self) -> bool:
        """Whether it will do nothing more."""

    @property
    def created_at(self) -> datetime:
        """When it was asked for."""

    @property
    def updated_at(self) -> datetime:
        """When it last wrote a checkpoint: it acted on something, be it only a wake-up."""


def decide(search: Search, parent: Orchestration | None, monitor: Orchestration | None, now: datetime) -> Verdict:
    """What to do about one search.

    Args:
        search: its row; one that is not active is left alone.
        parent: the orchestration of its present run; None where there is none.
        monitor: that run's monitor; None where there is none.
    """
    if not search.is_active or now - _began(search) < SUBMIT_TIME:
        return Verdict.LEAVE
    if parent is None:  # a monitor that is left has the id that a new child of this run would need
        return Verdict.START if monitor is None else Verdict.REPLACE
    if parent.has_ended:
        return _next_run(search, parent, _last_heard(search, parent, monitor), now)
    if parent.runtime_status == "pending":
        # Nobody has taken it up. A wake-up would wait with it; and a service that takes up nothing loses no search.
        late = now - parent.created_at >= QUIET
        return Verdict.REPLACE if late and revivals(search) < MOST_REVIVALS else Verdict.LEAVE
    return _living(search, parent, monitor, now)


def _living(search: Search, parent: Orchestration, monitor: Orchestration | None, now: datetime) -> Verdict:
    """Wake what should have acted, and replace what does not act on that either."""
    verdict = Verdict.LEAVE
    for since, patience in _symptoms(search, parent, monitor):
        if now - since >= patience + QUIET:
            again = _next_run(search, parent, since, now)
            return Verdict.WAKE if again is Verdict.LEAVE else again
        if now - since >= patience:
            verdict = Verdict.WAKE
    return verdict


def _symptoms(
    search: Search, parent: Orchestration, monitor: Orchestration | None
) -> Iterable[tuple[datetime, timedelta]]:
    """Since when something has been wrong, and how long it may be so."""
    # A wake-up is a checkpoint of whoever lives, whatever else it waits for: what stays silent is dead. That also goes
    # for one that waits or warms up: the deadline of what it waits for is a timer of the orchestration that is stuck.
    yield max(parent.updated_at, monitor.updated_at if monitor else parent.updated_at), QUIET
    if search.phase not in WATCHED:
        return
    if monitor is None:
        yield max(parent.created_at, search.jobs_created_at or _began(search)), MONITOR_GONE
    elif monitor.has_ended:
        yield monitor.updated_at, MONITOR_GONE
    if search.outcome and search.outcome_at is not None:
        yield max(search.outcome_at, parent.created_at), OUTCOME_UNSEEN


def is_dead_deletion(deletion: Orchestration, removal: Orchestration | None, now: datetime) -> bool:
    """Whether a deletion will do nothing more although it has not ended.

    Nothing asks it before: it takes a step every few seconds, and while it waits for its cluster, however long that may
    be, its child does.

    Args:
        deletion: the orchestration of the search's present deletion.
        removal: its child, which takes the search off its cluster; None where there is none.
    """
    heard = deletion.updated_at if removal is None else max(deletion.updated_at, removal.updated_at)
    return now - heard >= 2 * QUIET


def _next_run(search: Search, parent: Orchestration, since: datetime, now: datetime) -> Verdict:
    """The next run, when it is time for it; or the end of all patience."""
    done = revivals(search)
    if done >= MOST_REVIVALS and not _must_go_on(search):
        return Verdict.LOST if now - since >= QUIET else Verdict.LEAVE
    is_time = done == 0 or now - parent.created_at >= pause_before(done)
    return Verdict.REPLACE if is_time else Verdict.LEAVE


def pause_before(revivals_so_far: int) -> timedelta:
    """How long after the last run began the next one may begin: 60 s, 120 s, 240 s, 480 s, 600 s; the first at once."""
    if revivals_so_far == 0:
        return timedelta()
    return min(FIRST_PAUSE * (1 << min(revivals_so_far - 1, 10)), LONGEST_PAUSE)


def revivals(search: Search) -> int:
    """How many orchestrations the present attempt has been given besides its first one."""
    return search.run - (search.first_run or search.attempt)


def _must_go_on(search: Search) -> bool:
    """Whether the search cannot be called lost: a cancel has to come to its end, and Jobs were seen that go on."""
    seen_at_work = not search.outcome and search.progress.pending + search.progress.running > 0
    return search.phase is Phase.CANCELLING or (search.phase in WATCHED and seen_at_work)


def _last_heard(search: Search, parent: Orchestration, monitor: Orchestration | None) -> datetime:
    """When the search, or its Jobs on the cluster, last gave a sign."""
    signs = [parent.updated_at, monitor.updated_at if monitor is not None else None, search.observed_at]
    return max(sign for sign in signs if sign is not None)


def _began(search: Search) -> datetime:
    """When the present attempt was asked for."""
    retried_at = search.attempt_started_at if search.attempt > 1 else None
    return retried_at or search.created_at


def in_turn(searches: Iterable[Search], begin_with: tuple[str, str] | None) -> list[Search]:
    """The line in which searches are served: oldest first, but before them who was left over at the last turn.

    Args:
        begin_with: ``turn_of`` the first search that was left over; None when none was.

    Returns:
        All of them. Who cannot be served in one turn is so near the beginning of the next that it is served after as
        many turns as it takes to serve everybody once.
    """
    line = sorted(searches, key=turn_of)
    if begin_with is None:
        return line
    return [s for s in line if turn_of(s) >= begin_with] + [s for s in line if turn_of(s) < begin_with]


def turn_of(search: Search) -> tuple[str, str]:
    """A search's place in the line, to be kept as JSON: its age, and its id between two of the same age."""
    return search.created_at.isoformat(timespec="microseconds"), search.job_id
