"""The numbers of ``GET /api/stats``: what is kept of an event, under which keys, and how a window's rows add up.

An entry's key comes from what it is about, never from when it is written: who writes it twice has written it once.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Literal, get_args

from shared.domain.errors import MalformedError
from shared.domain.ids import content_key
from shared.domain.search import Search
from shared.domain.states import WAITING, Phase, Status
from shared.domain.times import format_time, parse_time

CounterName = Literal[
    "kube_calls", "kube_lists", "storage_calls", "looks_taken", "looks_throttled", "refreshes_late", "wake_ups"
]
COUNTER_NAMES: tuple[CounterName, ...] = get_args(CounterName)
ENDS = (Status.COMPLETED, Status.FAILED, Status.CANCELLED)
DEFAULT_WINDOW = "15m"
SHORTEST_WINDOW = timedelta(minutes=1)
LONGEST_WINDOW = timedelta(hours=24)
KEPT = timedelta(days=2)
"""How long entries are kept: the longest window, and a day to spare."""
_WINDOW = re.compile(r"(\d{1,6})([smh])", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3600}


def parse_window(text: str) -> timedelta:
    """How far back to count: a whole number of seconds, minutes or hours (``90s``, ``15m``, ``2h``).

    Raises:
        MalformedError: ``invalid_window``, also for less than a minute and for more than 24 hours.
    """
    found = _WINDOW.fullmatch(text)
    window = timedelta(seconds=int(found[1]) * _UNITS[found[2]]) if found else timedelta()
    if not SHORTEST_WINDOW <= window <= LONGEST_WINDOW:
        raise MalformedError(
            "invalid_window", "window is not a time from 1 minute to 24 hours", "write it as 90s, 15m or 2h"
        )
    return window


class Kind(StrEnum):
    """What an entry is about."""

    SUBMITTED = "submitted"
    REGISTERED = "registered"
    ENDED = "ended"
    COUNTED = "counted"


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that was counted.

    Attributes:
        name: what tells it from all others of its kind and hour.
        at: when it happened; of a ``counted`` one when its counts were taken together.
        status: of the search that ended.
        code: of the error that a failed search ended with.
        counts: of one instance of the app.
    """

    kind: Kind
    name: str
    at: datetime
    status: str = ""
    code: str = ""
    counts: Mapping[CounterName, int] = field(default_factory=dict)

    @property
    def bucket(self) -> str:
        """The hour that it belongs to; hours sort as their text."""
        return hour_of(self.at)

    @property
    def key(self) -> str:
        """Its key in its hour."""
        return f"{self.kind}|{self.name}"

    def to_dict(self) -> dict[str, Any]:
        """As it is stored: every count is a field of its own."""
        stored = {"kind": self.kind.value, "at": format_time(self.at), "status": self.status, "code": self.code}
        return {name: value for name, value in stored.items() if value} | dict(self.counts)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], key: str = "") -> Entry | None:
        """Read a stored entry; None for one that has no kind or time we know.

        Args:
            key: under which it was stored; a name with unusual characters is escaped in it, and stays so.
        """
        at = parse_time(data.get("at"))
        kind = str(data.get("kind", ""))
        if at is None or kind not in set(Kind):
            return None
        counts = {name: int(data[name]) for name in COUNTER_NAMES if name in data}
        name = key.removeprefix(f"{kind}|")
        return cls(Kind(kind), name, at, str(data.get("status", "")), str(data.get("code", "")), counts)


def submitted(job_id: str, at: datetime) -> Entry:
    """A search was submitted; a retry is no submit. Its id is hashed: nothing of a deleted search is left."""
    return Entry(Kind.SUBMITTED, content_key(job_id), at)


def registered(job_id: str, at: datetime) -> Entry:
    """A search that was begun outside was found and has a row now. Its id is hashed as well."""
    return Entry(Kind.REGISTERED, content_key(job_id), at)


def ended(job_id: str, attempt: int, status: str, code: str, at: datetime) -> Entry:
    """An attempt of a search ended; ``code`` is of the error of a failed one."""
    return Entry(Kind.ENDED, content_key(job_id, str(attempt)), at, status, code if status == Status.FAILED else "")


def counted(instance: str, number: int, counts: Mapping[CounterName, int], at: datetime) -> Entry:
    """What an instance of the app counted between its last entry and this one, by the entry's number."""
    return Entry(Kind.COUNTED, f"{instance}|{number}", at, counts=counts)


def hour_of(at: datetime) -> str:
    """The hour of a time, in UTC: ``2026-01-02T03``."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H}"


def minute_of(at: datetime) -> datetime:
    """The minute of a time, in UTC."""
    return at.astimezone(UTC).replace(second=0, microsecond=0)


@dataclass(frozen=True, slots=True)
class Numbers:
    """A window's entries, added up.

    Attributes:
        registered: searches begun outside that were found.
        ended: status -> how many attempts, also of those.
        failures: error code -> how many of the failed ones.
        counts: name -> sum over all instances of the app.
    """

    submitted: int
    registered: int
    ended: Mapping[str, int]
    failures: Mapping[str, int]
    counts: Mapping[CounterName, int]


def with_held(stored: Sequence[Entry], held: Iterable[Entry]) -> list[Entry]:
    """What is stored, and what an instance holds besides.

    Args:
        stored: read after ``held`` was. What was written in between is in both, as it was or with more: it counts once.
        held: of ``Counters.held``.
    """
    keys = {entry.key for entry in stored}
    return [*stored, *(entry for entry in held if entry.key not in keys)]


def add_up(entries: Iterable[Entry], since: datetime) -> Numbers:
    """Add up what happened since then.

    A time in the future is counted as well: another instance's clock may be ahead of ours.
    """
    begun: Counter[Kind] = Counter()
    ends: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    counts: Counter[CounterName] = Counter()
    for entry in entries:
        if entry.at < since:
            continue
        if entry.kind in (Kind.SUBMITTED, Kind.REGISTERED):
            begun[entry.kind] += 1
        elif entry.kind is Kind.ENDED:
            ends[entry.status] += 1
            failures.update([entry.code] if entry.code else [])
        else:
            counts.update(entry.counts)
    return Numbers(begun[Kind.SUBMITTED], begun[Kind.REGISTERED], ends, failures, counts)


def waiting_of(cluster_name: str, searches: Iterable[Search]) -> list[dict[str, Any]]:
    """How many of a cluster's searches wait, by phase, each with the reason of the one that has waited longest.

    Nothing in it tells whose searches these are, nor which.
    """
    waiting = [search for search in searches if search.phase in WAITING]
    found = []
    for phase in Phase:
        same = [search for search in waiting if search.phase is phase]
        if same:
            oldest = min(same, key=lambda search: search.waiting_since or search.created_at)
            reason = oldest.waiting_reason
            found.append({"cluster_name": cluster_name, "phase": phase.value, "count": len(same), "reason": reason})
    return found


@dataclass(frozen=True, slots=True)
class TimerRun:
    """What a timer did when it last ran.

    Attributes:
        result: what it has to say of it: counts, as a rule.
        failed: whether it did not come to its end.
    """

    last_run: datetime
    seconds: float
    result: Mapping[str, Any]
    failed: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As the API shows it."""
        return {
            "last_run": format_time(self.last_run),
            "seconds": self.seconds,
            "result": dict(self.result),
            "failed": self.failed,
        }


def answer(
    window: timedelta, numbers: Numbers, waiting: Sequence[Mapping[str, Any]], timers: Mapping[str, TimerRun]
) -> dict[str, Any]:
    """The body of ``GET /api/stats``; what never happened is 0."""
    counts = {name: numbers.counts.get(name, 0) for name in COUNTER_NAMES}
    return {
        "window_seconds": int(window.total_seconds()),
        "submitted": numbers.submitted,
        "registered": numbers.registered,
        "ended": {status.value: numbers.ended.get(status, 0) for status in ENDS},
        "failures": dict(sorted(numbers.failures.items())),
        "waiting": [dict(row) for row in waiting],
        "kubernetes": {"calls": counts["kube_calls"], "lists": counts["kube_lists"]},
        "storage": {"calls": counts["storage_calls"]},
        "looks": {
            "taken": counts["looks_taken"],
            "throttled": counts["looks_throttled"],
            "late": counts["refreshes_late"],
        },
        "wake_ups": counts["wake_ups"],
        "timers": {name: run.to_dict() for name, run in sorted(timers.items())},
    }
