"""Answers about the service itself."""

from __future__ import annotations

from typing import Any, Literal

from shared.auth import Role
from shared.domain.states import Phase
from triggers.contract.base import Shown, Time, maybe


class Alive(Shown):
    """The process serves requests."""

    status: Literal["ok"]


class Dependency(Shown):
    """What a dependency said."""

    ok: bool
    message: str = maybe()
    hint: str = maybe()
    state: str = maybe()


class Readiness(Shown):
    """Whether every dependency answers in time."""

    ready: bool
    checks: dict[str, Dependency]


class Me(Shown):
    """Who the caller is."""

    owner: str
    name: str
    roles: list[Role]


class EndCounts(Shown):
    """Searches that ended, by status."""

    completed: int
    failed: int
    cancelled: int


class WaitingSearches(Shown):
    """How many searches wait on a cluster in one phase."""

    cluster_name: str
    phase: Phase
    count: int
    reason: str | None
    """Of the one that has waited longest."""


class KubernetesCounts(Shown):
    """Calls of the Kubernetes API."""

    calls: int
    lists: int


class StorageCounts(Shown):
    """Calls of storage."""

    calls: int


class LookCounts(Shown):
    """Looks at clusters."""

    taken: int
    throttled: int
    late: int


class TimerRun(Shown):
    """The last run of a timer."""

    last_run: Time
    seconds: float
    result: dict[str, Any]
    failed: bool


class Stats(Shown):
    """What has been going on, over everybody's searches."""

    window_seconds: int
    submitted: int
    registered: int
    ended: EndCounts
    failures: dict[str, int]
    """By error code."""
    waiting: list[WaitingSearches]
    kubernetes: KubernetesCounts
    storage: StorageCounts
    looks: LookCounts
    wake_ups: int
    timers: dict[str, TimerRun]
