"""How warm a database is: percent, ETA and state, derived from Jobs, pods, logs and the residency probe on every read.

The Jobs are the state; nothing is stored. Phases, labels and percentages: docs/kubernetes.md, "Warmup".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from shared.domain.manifests import LAYOUT
from shared.domain.residency import Residency, ShardResidency
from shared.domain.shard_phases import LABELS, ShardPhase, ShardStatus, shard_status
from shared.domain.snapshot import ClusterSnapshot, JobState, JobView
from shared.domain.times import format_time

_ACTIVE_ORDER = [phase for phase in ShardPhase if phase is not ShardPhase.COMPLETED]


class Warmth(StrEnum):
    """How warm a database is on a cluster."""

    COLD = "cold"
    LOADING = "loading"
    READY = "ready"
    COOLED = "cooled"
    STALE = "stale"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class WarmupStatus:
    """A database's warmth on a cluster.

    Attributes:
        total_jobs: shards that there are or will be.
        finished_at: when the last Job ended; None while one has not.
        layout: number of shards of the layout in use.
        stale_reason: why it is stale or has cooled.
    """

    database: str
    state: Warmth
    shards: tuple[ShardStatus, ...]
    total_jobs: int
    started_at: datetime | None
    finished_at: datetime | None
    observed_at: datetime
    layout: int
    stale_reason: str = ""

    @property
    def placed(self) -> dict[int, str]:
        """Shard -> the node that it lies on, or is on its way to: where a new plan leaves it."""
        return {shard.shard: shard.node for shard in self.shards if shard.node}

    @property
    def progress_pct(self) -> float:
        """Mean over the shards, one decimal."""
        return round(sum(s.percent for s in self.shards) / self.total_jobs, 1) if self.total_jobs else 0.0

    @property
    def active_phase(self) -> ShardPhase:
        """The first phase, in the order of the table, that any shard is in."""
        not_made = {ShardPhase.WAITING} if len(self.shards) < self.total_jobs else set()
        present = {s.phase for s in self.shards} | not_made
        return next((p for p in _ACTIVE_ORDER if p in present), ShardPhase.COMPLETED)

    @property
    def elapsed_seconds(self) -> float | None:
        """Seconds since the first Job started, until the last one ended."""
        if self.started_at is None:
            return None
        return round(max(0.0, ((self.finished_at or self.observed_at) - self.started_at).total_seconds()), 1)

    @property
    def estimated_remaining_seconds(self) -> float | None:
        """From the observed rate of progress; None until there is one and after the end."""
        if self.state is not Warmth.LOADING or not self.elapsed_seconds or not 0 < self.progress_pct < 100:
            return None
        return round(self.elapsed_seconds * (100 - self.progress_pct) / self.progress_pct, 1)

    @property
    def measured(self) -> tuple[ShardResidency, ...]:
        """The shards of which it is known what is in memory."""
        return tuple(s.residency for s in self.shards if s.residency and s.residency.resident_bytes is not None)

    def is_of_another_version(self, source_version: str) -> bool:
        """Whether shards lie on the nodes that were made of another version of the database."""
        return any(s.source_version not in ("", source_version) for s in self.shards)

    @property
    def residency(self) -> dict[str, Any] | None:
        """Bytes in memory of the shards that were measured, and the oldest measurement's time; None without any."""
        if not self.measured:
            return None
        return {
            "bytes": sum(m.bytes for m in self.measured),
            "resident_bytes": sum(m.resident_bytes or 0 for m in self.measured),
            "shards_measured": len(self.measured),
            "measured_at": format_time(min(m.at for m in self.measured)),
        }

    @property
    def unmeasured(self) -> str:
        """Why it is not known of every shard what is in memory; empty when it is."""
        return next((s.unmeasured for s in self.shards if s.unmeasured), "")

    def to_dict(self) -> dict[str, Any]:
        """The row of ``/api/monitor/aks/warmup-status``."""
        active = next((s for s in self.shards if s.phase is self.active_phase), None)
        ended = (ShardPhase.COMPLETED, ShardPhase.FAILED)
        counts = {phase.value: sum(s.phase is phase for s in self.shards) for phase in ShardPhase}
        return {
            "database": self.database,
            "status": self.state.value,
            "progress_pct": self.progress_pct,
            "started_at": format_time(self.started_at),
            "elapsed_seconds": self.elapsed_seconds,
            "estimated_remaining_seconds": self.estimated_remaining_seconds,
            "active_phase": self.active_phase.value,
            "active_phase_label": LABELS[self.active_phase],
            "active_message": active.message if active else "",
            "active_last_log": active.last_log if active else "",
            "phase_counts": counts,
            "pod_statuses": [_pod_status(s) for s in self.shards],
            "nodes_ready": len({s.node for s in self.shards if s.phase is ShardPhase.COMPLETED}),
            "nodes_active": len({s.node for s in self.shards if s.phase not in ended}),
            "nodes_failed": len({s.node for s in self.shards if s.phase is ShardPhase.FAILED}),
            "total_jobs": self.total_jobs,
            "shards": self.layout,
            "source_version": next((s.source_version for s in self.shards), None),
            "residency": self.residency,
            "residency_reason": self.unmeasured or None,
            "stale_reason": self.stale_reason or None,
            "observed_at": format_time(self.observed_at),
            "stale": False,
        }


def _pod_status(shard: ShardStatus) -> dict[str, Any]:
    return {
        "shard": shard.shard,
        "phase": shard.phase.value,
        "phase_label": LABELS[shard.phase],
        "progress_pct": round(shard.percent, 1),
        "node": shard.node,
        "pod": shard.pod,
        "message": shard.message,
        "last_log": shard.last_log,
        "bytes": shard.residency.bytes if shard.residency else None,
        "resident_bytes": shard.residency.resident_bytes if shard.residency else None,
    }


def warmup_status(
    database: str,
    snapshot: ClusterSnapshot,
    logs: Mapping[str, str],
    ready_nodes: frozenset[str],
    current_version: str | None = None,
    residency: Residency | None = None,
) -> WarmupStatus:
    """Derive a database's warmth from a snapshot.

    Args:
        snapshot: the Jobs and pods labelled as warmup of this database.
        logs: pod name -> tail of its log; all shards' logs, not the first few.
        ready_nodes: nodes that exist and are Ready.
        current_version: the source version that storage has now; None when it is not known.
        residency: what the probes said; without it nothing is known to have cooled.
    """
    jobs = sorted(_of_newest_layout(snapshot), key=lambda j: int(j.labels.get("shard") or 0))
    shards = []
    for job in jobs:
        pods = snapshot.pods_of(job)
        shard = shard_status(job, pods, logs.get(pods[0].name, "") if pods else "")
        shards.append(_measured(shard, job, database, residency) if residency else shard)
    layout = max((int(j.annotations.get(LAYOUT) or 0) for j in jobs), default=0)
    state, reason = _state(jobs, shards, layout, ready_nodes, current_version)
    starts = [j.started_at for j in jobs if j.started_at]
    ended = all(j.state in (JobState.SUCCEEDED, JobState.FAILED) for j in jobs)
    ends = [j.completed_at for j in jobs if j.completed_at]
    return WarmupStatus(
        database=database,
        state=state,
        shards=tuple(shards),
        total_jobs=max(layout, len(jobs)),
        started_at=min(starts, default=None),
        finished_at=max(ends) if ended and ends else None,
        observed_at=snapshot.observed_at,
        layout=layout,
        stale_reason=reason,
    )


def _measured(shard: ShardStatus, job: JobView, database: str, residency: Residency) -> ShardStatus:
    """The shard with what the probe of its node says of it, if that was measured after it was warmed."""
    if shard.phase is not ShardPhase.COMPLETED:
        return shard
    node = residency.nodes.get(shard.node)
    if node is None:
        return replace(shard, unmeasured=residency.why_unknown(shard.node))
    if job.completed_at is not None and node.at <= job.completed_at:
        return replace(shard, unmeasured=f"node {shard.node} was not measured since the shard was warmed")
    if database not in node.databases:  # somebody has removed the folder
        return replace(shard, residency=ShardResidency(0, 0, missing=1, version="", at=node.at))
    found = residency.of_shard(shard.node, database, int(job.annotations.get(LAYOUT) or 0), shard.shard)
    if found is None or found.version != shard.source_version:
        return replace(shard, unmeasured=f"node {shard.node} has no list of this shard's files")
    if found.resident_bytes is None:
        return replace(shard, unmeasured=f"node {shard.node} could not be measured in time")
    return replace(shard, residency=found)


def _of_newest_layout(snapshot: ClusterSnapshot) -> list[JobView]:
    """The Jobs that count: those of a layout that another one has replaced say nothing about the database's shards."""
    jobs = [j for j in snapshot.jobs if not j.deleting]
    newest = max(jobs, key=lambda j: (j.created_at is not None, j.created_at, j.name), default=None)
    return [j for j in jobs if newest and j.annotations.get(LAYOUT) == newest.annotations.get(LAYOUT)]


def _state(
    jobs: Sequence[JobView],
    shards: Sequence[ShardStatus],
    layout: int,
    ready_nodes: frozenset[str],
    current_version: str | None,
) -> tuple[Warmth, str]:
    if not jobs:
        return Warmth.COLD, ""
    if any(j.state is JobState.FAILED for j in jobs):
        return Warmth.FAILED, ""
    versions = {s.source_version for s in shards}
    if len(versions) > 1:
        return Warmth.STALE, f"shards of {len(versions)} source versions: {', '.join(sorted(versions))}"
    if current_version is not None and versions != {current_version}:
        return Warmth.STALE, f"warm for source version {versions.pop()}, storage has {current_version}"
    gone = sorted({s.node for s in shards if s.node} - ready_nodes)
    if gone:
        return Warmth.STALE, f"node {', '.join(gone)} is gone or not ready"
    if any(j.state is not JobState.SUCCEEDED for j in jobs):
        return Warmth.LOADING, ""
    missing = sorted(set(range(layout)) - {s.shard for s in shards})
    if missing:  # and no Job is at work any more: nothing brings them by itself
        return Warmth.STALE, f"Jobs of shards {', '.join(map(str, missing))} are missing"
    cooled = [s for s in shards if s.residency and s.residency.is_resident is False]
    return (Warmth.COOLED, "; ".join(map(_why_cooled, cooled))) if cooled else (Warmth.READY, "")


def _why_cooled(shard: ShardStatus) -> str:
    measured = shard.residency
    if measured is None or measured.missing:
        return f"files of shard {shard.shard} are gone from the disk of node {shard.node}"
    return f"{measured.resident_bytes} of {measured.bytes} bytes of shard {shard.shard} are in memory of {shard.node}"
