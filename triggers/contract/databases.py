"""Answers about databases and their warmth."""

from __future__ import annotations

from typing import Literal

from shared.domain.auto_warm import StorageState
from shared.domain.database_row import Action
from shared.domain.planner import Verdict
from shared.domain.programs import DatabaseType
from shared.domain.release import Outcome
from shared.domain.shard_phases import ShardPhase
from shared.domain.warmth import Warmth
from triggers.contract.base import OpenShown, Problem, Shown, Time, maybe


class WarmthCell(Shown):
    """How warm a database is, in short. An unknown one has only its state."""

    state: Warmth
    progress_pct: float = maybe()
    active_phase: ShardPhase | None = maybe()
    estimated_remaining_seconds: float | None = maybe()
    shards: int | None = maybe()
    source_version: str | None = maybe()
    bytes: int | None = maybe()
    resident_bytes: int | None = maybe()
    """Bytes of it that were measured to be in memory."""
    residency_reason: str | None = maybe()
    """Why that was not measured."""
    reason: str | None = maybe()
    """Why it is stale or has cooled."""


class FitNode(Shown):
    """A node that may hold databases."""

    name: str
    cache_free_bytes: int
    shards: list[int]
    """Those that would go there."""
    bytes: int
    """Their size."""


class FitCell(Shown):
    """Whether a database fits beside what the nodes hold for others."""

    verdict: Verdict
    message: str
    hint: str
    layout: int | None
    nodes_needed: int | None
    shards_advised: int | None
    nodes: list[FitNode]


class Database(Shown):
    """A database in storage or on the cluster. One that is not usable has `error` in place of the numbers."""

    name: str
    storage_state: StorageState
    title: str = maybe()
    type: DatabaseType = maybe()
    sequences: int = maybe()
    letters: int = maybe()
    bytes: int = maybe()
    volumes: int = maybe()
    version: str = maybe()
    shards: list[int] = maybe()
    """The layouts that it is cut into."""
    error: Problem = maybe()
    warmth: WarmthCell
    fit: FitCell | None
    auto_warm: bool | None
    in_use: int
    """Searches that count on it on that cluster."""
    allowed_actions: list[Action]


class DatabaseList(Shown):
    """All databases."""

    cluster_name: str | None
    items: list[Database]
    next_cursor: None
    observed_at: Time
    stale: bool
    stale_reason: str | None


class Residency(Shown):
    """What was measured to be in memory."""

    bytes: int
    resident_bytes: int
    shards_measured: int
    measured_at: Time


class PodStatus(Shown):
    """One shard on its way to its node."""

    shard: int
    phase: ShardPhase
    phase_label: str
    progress_pct: float
    node: str
    pod: str
    message: str
    last_log: str
    bytes: int | None
    resident_bytes: int | None


class WarmupRow(Shown):
    """What a cluster holds of a database, or is loading."""

    database: str
    status: Warmth
    progress_pct: float
    started_at: Time | None
    elapsed_seconds: float | None
    estimated_remaining_seconds: float | None
    active_phase: ShardPhase
    active_phase_label: str
    active_message: str
    active_last_log: str
    phase_counts: dict[ShardPhase, int]
    pod_statuses: list[PodStatus]
    nodes_ready: int
    nodes_active: int
    nodes_failed: int
    total_jobs: int
    shards: int
    source_version: str | None
    residency: Residency | None
    residency_reason: str | None
    stale_reason: str | None
    """Why what lies there is stale or has cooled."""
    observed_at: Time
    stale: bool


class Capacity(Shown):
    """A cluster as a whole; sums over the nodes that may hold databases, null with a node that is not known."""

    nodes: int
    nodes_ready: int
    nodes_for_databases: int
    skus: dict[str, int]
    memory_bytes: int
    cache_budget_bytes: int | None
    cache_held_bytes: int | None
    cache_free_bytes: int | None
    headroom_bytes: int | None
    resident_bytes: int | None
    metrics_reason: str | None
    """Why the nodes' metrics are not known."""


class WarmupStatus(Shown):
    """What a cluster holds."""

    cluster_name: str
    items: list[WarmupRow]
    capacity: Capacity | None
    stale: bool
    stale_reason: str | None


class ActiveWarmups(Shown):
    """What a cluster is loading."""

    cluster_name: str
    items: list[WarmupRow]
    next_cursor: None
    stale: bool
    stale_reason: str | None


class Released(Shown):
    """What a release has removed."""

    status: Outcome
    deleted: list[str]
    errors: list[str]
    instance_id: str


class Incident(Shown):
    """Something that went wrong on the way of a warmup."""

    at: Time
    shard: int | None
    attempt: int
    cause: str
    message: str


class WorkPhase(OpenShown):
    """What the work does now; each kind of work adds what it has to tell."""

    phase: str


class WorkProblem(Problem):
    """Why work failed."""

    log_tail: str = maybe()
    """The last line that a warmup's pod wrote."""


class WorkOutput(OpenShown):
    """How the work ended; each kind of work adds what it did."""

    status: Literal["succeeded", "failed"] | Outcome
    error: WorkProblem = maybe()


class WorkStatus(Shown):
    """How work stands that was answered with 202."""

    instance_id: str
    runtime_status: str
    custom_status: WorkPhase
    output: WorkOutput | None
    """Null until the end. Work that finished with a failure is failed here, whatever `runtime_status` says."""


class WarmupWork(WorkStatus):
    """How a warmup, a release or the preparation of shards stands."""

    incidents: list[Incident]
    """What went wrong, newest first."""


class AutoWarmItem(Shown):
    """A listed database."""

    database: str
    storage_state: StorageState
    skipped_because: str | None
    tries: int
    """Since it was last warm for a while."""
    last_instance_id: str | None
    next_try_at: Time | None


class Preference(Shown):
    """What a cluster is to have warm by itself."""

    databases: list[str]
    enabled: bool


class PreferenceShown(Preference):
    """A cluster's preference, and how each database stands with it."""

    saved: bool
    """False while the default holds because nobody has saved one."""
    items: list[AutoWarmItem]


class PreferenceSaved(Shown):
    """A preference was saved."""

    status: Literal["saved"]
    preference: Preference
