"""How warm a database is: phases, percent, ETA and state, derived from Jobs, pods and log tails on every read.

The Jobs are the state; nothing is stored. Phases, labels and percentages: docs/kubernetes.md, "Warmup".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from shared.domain.manifests import LAYOUT, SOURCE_VERSION
from shared.domain.snapshot import ClusterSnapshot, JobState, JobView, PodView
from shared.domain.times import format_time

MARKER = "ELB_PHASE "
"""What a machine-readable line of the warmup script begins with; JSON follows."""


class ShardPhase(StrEnum):
    """What one shard is doing."""

    FAILED = "failed"
    TOUCHING_MEMORY = "touching_memory"
    VERIFYING_DB = "verifying_db"
    COPYING_FILES = "copying_files"
    STARTING = "starting"
    WAITING = "waiting"
    COMPLETED = "completed"


LABELS = {
    ShardPhase.WAITING: "Waiting for container",
    ShardPhase.STARTING: "Starting warmup",
    ShardPhase.COPYING_FILES: "Copying files to node disk",
    ShardPhase.VERIFYING_DB: "Verifying local BLAST DB",
    ShardPhase.TOUCHING_MEMORY: "Touching files into RAM",
    ShardPhase.COMPLETED: "Warm on node",
    ShardPhase.FAILED: "Failed",
}
_ACTIVE_ORDER = [phase for phase in ShardPhase if phase is not ShardPhase.COMPLETED]


class Warmth(StrEnum):
    """How warm a database is on a cluster."""

    COLD = "cold"
    LOADING = "loading"
    READY = "ready"
    STALE = "stale"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ShardStatus:
    """One shard of a warmup."""

    shard: int
    phase: ShardPhase
    percent: float
    node: str
    pod: str
    message: str
    last_log: str
    source_version: str


def parse_log(text: str) -> tuple[Mapping[str, Any] | None, str]:
    """The last phase marker of a log tail and its last line for people.

    A shard's phase is that of its *last* marker: an error followed by a success is not a failure.
    """
    marker: Mapping[str, Any] | None = None
    last_line = ""
    for line in text.splitlines():
        if line.startswith(MARKER):
            try:
                parsed = json.loads(line[len(MARKER) :])
            except ValueError:  # a marker cut by the tail's limit: the one before it still holds
                continue
            if isinstance(parsed, dict) and isinstance(parsed.get("phase"), str):
                marker = parsed
        elif line.strip():
            last_line = line.strip()[:500]
    return marker, last_line


def _phase(name: object) -> ShardPhase | None:
    return ShardPhase(name) if isinstance(name, str) and name in set(ShardPhase) else None


def _percent(phase: ShardPhase | None, marker: Mapping[str, Any]) -> float:
    """Percent of one shard. A marker that says ``failed`` has in ``during`` the phase that it happened in."""
    done, total = (n if isinstance(n, int) else 0 for n in (marker.get("done"), marker.get("total")))
    part = min(1.0, max(0.0, done / total)) if total > 0 else 0.0
    match phase:
        case ShardPhase.COPYING_FILES:
            return 70 * part
        case ShardPhase.VERIFYING_DB:
            return 75.0
        case ShardPhase.TOUCHING_MEMORY:
            return 80 + 20 * part
        case ShardPhase.COMPLETED:
            return 100.0
        case ShardPhase.FAILED if (during := _phase(marker.get("during"))) is not ShardPhase.FAILED:
            return _percent(during, marker)
        case _:
            return 0.0


def shard_status(job: JobView, pods: Sequence[PodView], log: str) -> ShardStatus:
    """What one shard is doing.

    Args:
        job: its warmup Job.
        pods: the Job's pods, newest first, without those being deleted; only the newest counts.
        log: the tail of the newest pod's log.
    """
    marker, last_line = parse_log(log)
    reported = _phase(marker["phase"]) if marker else None
    pod = pods[0] if pods else None
    percent = _percent(reported, marker or {})
    if job.state is JobState.SUCCEEDED:
        phase, percent = ShardPhase.COMPLETED, 100.0
    elif job.state is JobState.FAILED:
        phase, percent = ShardPhase.FAILED, min(percent, 99.0)
    elif pod is None or pod.phase == "Pending":
        phase, percent = ShardPhase.WAITING, 0.0
    elif reported is None or reported in (ShardPhase.COMPLETED, ShardPhase.FAILED):
        # The pod said how it ended; that counts only once the Job says it too.
        phase = ShardPhase.TOUCHING_MEMORY if reported is ShardPhase.COMPLETED else ShardPhase.STARTING
        percent = min(percent, 99.0) if reported is ShardPhase.COMPLETED else 0.0
    else:
        phase = reported
    message = str((marker or {}).get("message") or (pod.why_waiting if pod else "") or job.message)
    return ShardStatus(
        shard=int(job.labels.get("shard") or 0),
        phase=phase,
        percent=percent,
        node=(pod.node if pod else "") or job.node,
        pod=pod.name if pod else "",
        message=message,
        last_log=last_line,
        source_version=job.annotations.get(SOURCE_VERSION, ""),
    )


@dataclass(frozen=True, slots=True)
class WarmupStatus:
    """A database's warmth on a cluster."""

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
    }


def warmup_status(
    database: str,
    snapshot: ClusterSnapshot,
    logs: Mapping[str, str],
    ready_nodes: frozenset[str],
    current_version: str | None = None,
) -> WarmupStatus:
    """Derive a database's warmth from a snapshot.

    Args:
        snapshot: the Jobs and pods labelled as warmup of this database.
        logs: pod name -> tail of its log; all shards' logs, not the first few.
        ready_nodes: nodes that exist and are Ready.
        current_version: the source version that storage has now; None when it is not known.
    """
    jobs = sorted(_of_newest_layout(snapshot), key=lambda j: int(j.labels.get("shard") or 0))
    shards = []
    for job in jobs:
        pods = snapshot.pods_of(job)
        shards.append(shard_status(job, pods, logs.get(pods[0].name, "") if pods else ""))
    layout = max((int(j.annotations.get(LAYOUT) or 0) for j in jobs), default=0)
    state, reason = _state(jobs, shards, layout, ready_nodes, current_version)
    starts = [j.started_at for j in jobs if j.started_at]
    ends = [j.completed_at for j in jobs if j.completed_at]
    return WarmupStatus(
        database=database,
        state=state,
        shards=tuple(shards),
        total_jobs=max(layout, len(jobs)),
        started_at=min(starts, default=None),
        finished_at=max(ends) if state is Warmth.READY and ends else None,
        observed_at=snapshot.observed_at,
        layout=layout,
        stale_reason=reason,
    )


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
    ready = len(jobs) >= max(layout, 1) and all(j.state is JobState.SUCCEEDED for j in jobs)
    return (Warmth.READY if ready else Warmth.LOADING), ""
