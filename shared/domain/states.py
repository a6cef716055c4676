"""What a search can be (status, phase, step) and which change may follow which.

The one table of transitions is here; every writer of a row asks ``may_follow``.
"""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """The coarse state; its phases say more."""

    QUEUED = "queued"
    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DELETING = "deleting"
    DELETE_FAILED = "delete_failed"


class Phase(StrEnum):
    """The fine state, in the order in which a search meets them."""

    PREPARING = "preparing"
    WAITING_FOR_CLUSTER = "waiting_for_cluster"
    WAITING_FOR_CAPACITY = "waiting_for_capacity"
    WAITING_FOR_DATABASE = "waiting_for_database"
    WAITING_FOR_WARMUP = "waiting_for_warmup"
    WARMING_UP = "warming_up"
    CONFIGURING = "configuring"
    STAGING_DB = "staging_db"
    SUBMITTING = "submitting"
    CREATING = "creating"
    SUBMITTED = "submitted"
    RUNNING = "running"
    RESULTS_PENDING = "results_pending"
    EXPORTING = "exporting"
    CANCELLING = "cancelling"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DELETING = "deleting"
    DELETE_FAILED = "delete_failed"


class StepName(StrEnum):
    """The steps of the timeline, in display order."""

    PREPARING = "preparing"
    WARMING_UP = "warming_up"
    CONFIGURING = "configuring"
    STAGING_DB = "staging_db"
    SUBMITTING = "submitting"
    RUNNING = "running"
    EXPORTING = "exporting"


class StepStatus(StrEnum):
    """What a step of the timeline can be."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    SKIPPED = "skipped"
    FAILED = "failed"
    CANCELLED = "cancelled"


WAITING = frozenset(
    {Phase.WAITING_FOR_CLUSTER, Phase.WAITING_FOR_CAPACITY, Phase.WAITING_FOR_DATABASE, Phase.WAITING_FOR_WARMUP}
)
TERMINAL = frozenset({Phase.COMPLETED, Phase.FAILED, Phase.CANCELLED})
ON_THE_CLUSTER = frozenset({Phase.CREATING, Phase.SUBMITTED, Phase.RUNNING, Phase.RESULTS_PENDING, Phase.EXPORTING})
"""Phases whose truth is found by looking at the cluster and at the results."""
WATCHED = frozenset({Phase.CREATING, Phase.SUBMITTED, Phase.RUNNING})
"""Phases in which a monitor watches the search's Jobs."""
AT_THE_DATABASE = WATCHED | {Phase.CONFIGURING, Phase.STAGING_DB, Phase.SUBMITTING}
"""Phases in which a search counts on the database as it lies on the nodes: its Jobs read it, or will in a moment."""

STEP_OF_PHASE: dict[Phase, StepName] = {
    Phase.PREPARING: StepName.PREPARING,
    **dict.fromkeys(WAITING, StepName.PREPARING),
    Phase.WARMING_UP: StepName.WARMING_UP,
    Phase.CONFIGURING: StepName.CONFIGURING,
    Phase.STAGING_DB: StepName.STAGING_DB,
    Phase.SUBMITTING: StepName.SUBMITTING,
    Phase.CREATING: StepName.SUBMITTING,
    Phase.SUBMITTED: StepName.RUNNING,
    Phase.RUNNING: StepName.RUNNING,
    Phase.RESULTS_PENDING: StepName.EXPORTING,
    Phase.EXPORTING: StepName.EXPORTING,
}

_FORWARD = [
    Phase.PREPARING,
    Phase.WARMING_UP,
    Phase.CONFIGURING,
    Phase.STAGING_DB,
    Phase.SUBMITTING,
    Phase.CREATING,
    Phase.SUBMITTED,
    Phase.RUNNING,
    Phase.RESULTS_PENDING,
    Phase.EXPORTING,
]
_ENDS = {Phase.COMPLETED, Phase.FAILED, Phase.CANCELLING, Phase.CANCELLED}


def _transitions() -> dict[Phase, frozenset[Phase]]:
    table: dict[Phase, set[Phase]] = {}
    for rank, phase in enumerate(_FORWARD):
        table[phase] = {*_FORWARD[rank:], *(_ENDS - {Phase.COMPLETED})}
    for phase in (Phase.PREPARING, *WAITING):
        table[phase] = {*WAITING, *_FORWARD, *(_ENDS - {Phase.COMPLETED})}
    table[Phase.EXPORTING] |= {Phase.COMPLETED, Phase.RESULTS_PENDING}
    table[Phase.CANCELLING] = {Phase.CANCELLING, Phase.CANCELLED, Phase.COMPLETED}
    for phase in TERMINAL:
        table[phase] = {phase, Phase.DELETING}
    for phase in (Phase.FAILED, Phase.CANCELLED):
        table[phase].add(Phase.PREPARING)
    table[Phase.DELETING] = {Phase.DELETING, Phase.DELETE_FAILED}
    table[Phase.DELETE_FAILED] = {Phase.DELETE_FAILED, Phase.DELETING}
    return {phase: frozenset(after) for phase, after in table.items()}


TRANSITIONS = _transitions()
"""Which phases may follow which. Only the results gate's phase leads to ``completed`` (and a cancel that came while the
results were already published); a retry leads from a failure or a cancel back to the beginning."""


def status_of(phase: Phase) -> Status:
    """The status that a phase belongs to (API contract, "A search")."""
    if phase is Phase.PREPARING:
        return Status.QUEUED
    if phase in WAITING:
        return Status.PENDING
    if phase in TERMINAL or phase in (Phase.DELETING, Phase.DELETE_FAILED):
        return Status(phase.value)
    return Status.RUNNING


def may_follow(before: Phase, after: Phase) -> bool:
    """Whether the table allows the change."""
    return after in TRANSITIONS[before]
