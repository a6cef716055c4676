"""Answers about searches."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from shared.domain.snapshot import JobState
from shared.domain.states import Phase, Status, StepName, StepStatus
from triggers.contract.base import FieldError, OpenShown, Shown, Time, maybe


class JobAccepted(Shown):
    """A search was accepted, or a repeated request met it again."""

    job_id: str
    status_url: str
    """Where to ask how it stands; also in the header `Location`."""


class ChangeAccepted(JobAccepted):
    """A change of a search was accepted: how the search stands."""

    status: Status
    phase: Phase


class Woken(Shown):
    """Whether anybody was woken; nobody is for a search that has ended."""

    woken: bool


class Progress(Shown):
    """The search's Kubernetes Jobs, counted by state."""

    total: int
    pending: int
    running: int
    succeeded: int
    failed: int
    pct: float
    """Percent of the Jobs that succeeded."""


class SearchError(OpenShown):
    """Why a search failed."""

    code: str
    message: str
    hint: str
    details: list[FieldError] = maybe()
    job: str = maybe()
    """The Job that failed first."""
    exit_code: int | None = maybe()
    log_tail: str = maybe()


class Cost(Shown):
    """What the search's Jobs cost, as an estimate."""

    estimate_usd: float | None
    assumptions: str


class SearchItem(Shown):
    """A search, as lists show it."""

    job_id: str
    short_id: str
    """The last 12 digits of `job_id`, for display."""
    aliases: list[str]
    """Other ids by which the search is known; each resolves to it."""
    source: Literal["api", "external"]
    status: Status
    phase: Phase
    waiting_reason: str | None
    """For what it waits, since when, and until when at most."""
    title: str
    program: str
    """Of a search begun outside it may be another one of elastic-blast's, or `unknown`."""
    database: str
    owner: str
    created_at: Time
    started_at: Time | None
    completed_at: Time | None
    observed_at: Time | None
    """When the look at the cluster began from which this is known."""
    stale: bool
    stale_reason: str | None
    progress: Progress
    results_expire_at: Time | None
    error: SearchError | None
    attempt: int
    cloned_from: str | None
    cost: Cost | None


class SearchPage(Shown):
    """Searches, newest first."""

    items: list[SearchItem]
    next_cursor: str | None


class Step(Shown):
    """A step of the timeline."""

    name: StepName
    status: StepStatus
    started_at: Time | None
    completed_at: Time | None
    seconds: float | None
    detail: str


class Job(Shown):
    """A Kubernetes Job of the search."""

    name: str
    shard: int | None
    batch: int | None
    state: JobState
    reason: str | None
    exit_code: int | None


class Kubernetes(Shown):
    """What lies on the cluster."""

    jobs: list[Job]


class Query(Shown):
    """The queries of the search, counted; a search begun outside has what its pods tell."""

    sha256: str = maybe()
    sequences: int = maybe()
    letters: int = maybe()
    batch_len: int = maybe()
    """Letters of query in a batch at most."""


class SearchDetail(SearchItem):
    """A search with its steps, Jobs and options."""

    steps: list[Step]
    kubernetes: Kubernetes
    options: dict[str, Any]
    labels: dict[str, str]
    webhook_url: str | None
    """Who is told when the search has ended, by its host only: the rest of the URL may hold a secret."""
    query: Query


class Event(Shown):
    """Something that happened to a search."""

    at: Time
    kind: str
    who: str
    why: str
    attempt: int


class EventPage(Shown):
    """A search's history, newest first."""

    items: list[Event]
    next_cursor: str | None


class Check(Shown):
    """One check of a submit."""

    id: str
    status: Literal["ok", "warning", "failed", "skipped"]
    message: str
    hint: str
    code: str = maybe()


class Plan(Shown):
    """How the search would be cut; null is what the cluster did not tell."""

    batches: int
    shards: int | None
    jobs: int | None
    fits: bool | None


class Estimate(Shown):
    """What is known of the costs before anything has run."""

    jobs: int | None
    usd: float | None
    """Always null: how long BLAST will run is not known before."""
    assumptions: str


class Validation(Shown):
    """What a submit of the same body would be told."""

    ok: bool
    checks: list[Check] = Field(min_length=1)
    plan: Plan | None
    estimate: Estimate | None
    """Null where the request is wrong, and of the command-line engine, which plans by itself."""
