"""What one shard of a warmup is doing: its phase and percent, from its Job, its newest pod and that pod's log.

Phases, labels and percentages: docs/kubernetes.md, "Warmup".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from shared.domain.manifests import SOURCE_VERSION
from shared.domain.residency import ShardResidency
from shared.domain.snapshot import JobState, JobView, PodView

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


@dataclass(frozen=True, slots=True)
class ShardStatus:
    """One shard of a warmup.

    Attributes:
        residency: what of it is in memory, measured after it was warmed; None where that is not known.
        unmeasured: why it is not known.
    """

    shard: int
    phase: ShardPhase
    percent: float
    node: str
    pod: str
    message: str
    last_log: str
    source_version: str
    residency: ShardResidency | None = None
    unmeasured: str = ""


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
