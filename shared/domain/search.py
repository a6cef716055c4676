"""A search: what its row holds, and the pure changes that are made to it.

A change is ``Search -> Search``; the store reads, applies it and writes only the columns that differ, guarded by
the row's ETag, and reads again when somebody else was faster. So a change may be applied more than once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from shared.domain.progress import Progress
from shared.domain.snapshot import JobState
from shared.domain.states import (
    STEP_OF_PHASE,
    TERMINAL,
    WAITING,
    Phase,
    Status,
    StepName,
    StepStatus,
    may_follow,
    status_of,
)
from shared.domain.timeline import Timeline, begin, end_open_steps, finish, new_timeline


@dataclass(frozen=True, slots=True)
class ClusterRef:
    """Which cluster, and whose storage holds its databases and results."""

    subscription_id: str
    resource_group: str
    cluster_name: str
    storage_account: str

    @property
    def key(self) -> str:
        """The cluster's own key (Azure names are case-insensitive): partition and row keys use it."""
        return "|".join((self.subscription_id, self.resource_group, self.cluster_name)).lower()

    def to_dict(self) -> dict[str, str]:
        """Plain data for durable inputs."""
        return {
            "subscription_id": self.subscription_id,
            "resource_group": self.resource_group,
            "cluster_name": self.cluster_name,
            "storage_account": self.storage_account,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ClusterRef:
        """Read plain data; unknown fields are ignored."""
        return cls(
            data.get("subscription_id", ""),
            data.get("resource_group", ""),
            data.get("cluster_name", ""),
            data.get("storage_account", ""),
        )


@dataclass(frozen=True, slots=True)
class Search:
    """One search. Every field has a column or lies in the payload (``shared.clients.search_store``).

    Attributes:
        observed_at: when the look began that last changed the row; ``schedule.as_of`` knows of later looks.
        first_run: the run with which the present attempt began; 0 until the first retry.
        waiting_since: since when it is in the waiting phase that it is in.
        outcome: what the last look saw of the present attempt, where that ends its monitor: ``done``, ``failed`` (then
            ``failure`` says why) or ``missing_jobs``; else empty.
        results_removed_at: when its results were removed, because they are kept for a while only.
        run_seconds: for which the Jobs of the present attempt ran, as far as looks have seen them end.
        seen_digest: of the Jobs that the last look saw, to tell without the payload whether they have changed.
        webhook_url: whom to tell when it has ended; it may hold a secret, and is shown and logged by its host only.
    """

    job_id: str
    owner: str
    program: str
    database: str
    cluster: ClusterRef
    created_at: datetime
    title: str = ""
    source: str = "api"
    phase: Phase = Phase.PREPARING
    waiting_reason: str | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    observed_at: datetime | None = None
    attempt: int = 1
    run: int = 1
    expected_jobs: int | None = None
    jobs_created_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    progress: Progress = field(default_factory=Progress)
    results_expire_at: datetime | None = None
    results_removed_at: datetime | None = None
    attempt_started_at: datetime | None = None
    checked_at: datetime | None = None
    engine: str = "native"
    cloned_from: str | None = None
    idempotency_key: str = ""
    delete_run: int = 0
    first_run: int = 0
    all_succeeded_looks: int = 0
    aliases: tuple[str, ...] = ()
    waiting_since: datetime | None = None
    outcome: str = ""
    outcome_at: datetime | None = None
    seen_digest: str = ""
    run_seconds: int = 0
    webhook_url: str = field(default="", repr=False)
    # payload: what can grow
    options: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    steps: Timeline = field(default_factory=new_timeline)
    error: Mapping[str, Any] | None = None
    jobs: tuple[Mapping[str, Any], ...] = ()
    query: Mapping[str, Any] = field(default_factory=dict)
    plan: Mapping[str, Any] = field(default_factory=dict)
    failure: Mapping[str, Any] | None = None
    # of the row it was read from
    etag: str = ""
    schema: int = 0
    payload_blob: str = ""
    # only shown, never stored
    stale_reason: str | None = None

    @property
    def status(self) -> Status:
        """The coarse status, derived from the phase and never stored apart from it."""
        return status_of(self.phase)

    @property
    def is_terminal(self) -> bool:
        """Whether the search has ended."""
        return self.phase in TERMINAL

    @property
    def is_active(self) -> bool:
        """Whether somebody must still bring the search to its end."""
        return not self.is_terminal and not self.is_being_deleted

    @property
    def is_unfinished(self) -> bool:
        """Whether an orchestration must exist for it: active, or being deleted."""
        return self.is_active or self.phase is Phase.DELETING

    @property
    def is_being_deleted(self) -> bool:
        """Whether a delete was asked for and has not come to its end."""
        return self.phase in (Phase.DELETING, Phase.DELETE_FAILED)

    def shown(self, *, observed_at: datetime | None, stale_reason: str | None) -> Search:
        """The search with what is known of its freshness."""
        return replace(self, observed_at=observed_at, stale_reason=stale_reason)

    @property
    def ref(self) -> dict[str, Any]:
        """What orchestrations and activities carry to find the row: references, never contents."""
        return {"job_id": self.job_id, "owner": self.owner, "run": self.run}


def enter_phase(search: Search, phase: Phase, at: datetime, reason: str | None = None) -> Search:
    """Go to a phase: the steps before its own end, its own begins.

    A change that the transition table does not have (a late writer, a repeated activity) changes nothing.
    """
    if not may_follow(search.phase, phase) or (search.is_terminal and phase is Phase.PREPARING):
        return search  # only ``retried`` leads back to the beginning
    steps = search.steps
    step = STEP_OF_PHASE.get(phase)
    if step is not None:
        for earlier in StepName:
            if earlier is step:
                break
            if any(s.name is earlier and s.status is StepStatus.RUNNING for s in steps):
                steps = finish(steps, earlier, at)
        steps = begin(steps, step, at)
    checked = at if phase in WAITING else search.checked_at
    since = None if phase not in WAITING else (search.waiting_since if search.phase is phase else None) or at
    changed = replace(search, phase=phase, waiting_reason=reason, started_at=search.started_at or at, steps=steps)
    return replace(changed, checked_at=checked, waiting_since=since)


def finish_step(
    search: Search, name: StepName, at: datetime, detail: str = "", status: StepStatus = StepStatus.COMPLETED
) -> Search:
    """End one step with what it did."""
    return replace(search, steps=finish(search.steps, name, at, detail, status))


def request_cancel(search: Search, at: datetime) -> Search:
    """Write the durable cancel marker; a search that has ended, or has it already, stays as it is."""
    if search.is_terminal or search.cancel_requested_at is not None or not may_follow(search.phase, Phase.CANCELLING):
        return search
    return replace(search, phase=Phase.CANCELLING, waiting_reason=None, cancel_requested_at=at)


def cancelled(search: Search, at: datetime) -> Search:
    """Nothing of the search is left on its cluster: it is cancelled. Only from cancelling."""
    if search.phase is not Phase.CANCELLING:
        return search
    steps = end_open_steps(search.steps, at, StepStatus.CANCELLED)
    progress = replace(search.progress, pending=0, running=0)
    jobs = tuple(job for job in search.jobs if job.get("state") not in (JobState.PENDING, JobState.RUNNING))
    ended = replace(search, steps=steps, progress=progress, jobs=jobs)
    return replace(ended, phase=Phase.CANCELLED, waiting_reason=None, completed_at=at)


def retried(search: Search, at: datetime) -> Search:
    """A new attempt of a failed or cancelled search; anything else stays as it is."""
    if search.phase not in (Phase.FAILED, Phase.CANCELLED) or search.delete_run:
        return search
    return replace(
        search,
        phase=Phase.PREPARING,
        attempt=search.attempt + 1,
        attempt_started_at=at,
        run=search.run + 1,
        first_run=search.run + 1,
        waiting_reason=None,
        completed_at=None,
        error=None,
        waiting_since=None,
        outcome="",
        outcome_at=None,
        seen_digest="",
        run_seconds=0,
        failure=None,
        expected_jobs=None,
        jobs_created_at=None,
        cancel_requested_at=None,
        all_succeeded_looks=0,
        progress=Progress(),
        jobs=(),
        steps=begin(new_timeline(), StepName.PREPARING, at),
    )


def complete(search: Search, at: datetime, expires_at: datetime) -> Search:
    """The results were listed, counted, validated and published. Only from the results gate's phase.

    Args:
        expires_at: until when results are kept; those of a search begun outside are not ours to remove.
    """
    if not may_follow(search.phase, Phase.COMPLETED) or search.is_terminal:
        return search
    steps = finish(search.steps, StepName.EXPORTING, at)
    return replace(
        search,
        phase=Phase.COMPLETED,
        waiting_reason=None,
        completed_at=at,
        results_expire_at=None if search.engine == "external" else expires_at,
        steps=end_open_steps(steps, at, StepStatus.COMPLETED),
    )


def fail(search: Search, error: Mapping[str, Any], at: datetime) -> Search:
    """The search ends with this error; a search that has ended stays as it is."""
    if search.is_terminal or not may_follow(search.phase, Phase.FAILED):
        return search
    return replace(
        search,
        phase=Phase.FAILED,
        waiting_reason=None,
        completed_at=at,
        error=dict(error),
        steps=end_open_steps(search.steps, at, StepStatus.FAILED),
    )
