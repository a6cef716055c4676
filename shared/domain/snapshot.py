"""What one look at a cluster saw: its Jobs and pods as small values, read from the API server's JSON.

The official client's models are not used for looking: 800 Jobs take 299 ms as objects and 7 ms as JSON (measured).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from shared.domain.times import parse_time

JOB_ID_LABEL = "elb-job-id"
JOB_ID_ENV = "BLAST_ELB_JOB_ID"
PROGRAM_ENV = "ELB_BLAST_PROGRAM"
DATABASE_ENV = "ELB_DB"
ATTEMPT_LABEL = "elb-attempt"
"""On the product's own Jobs: the attempt of the search that they belong to."""


class JobState(StrEnum):
    """A Job's state by its conditions, never by its counters of retried pods."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ContainerView:
    """Why a container waits, or how it ended; of one that waits to be started again, how it ended last."""

    name: str
    waiting_reason: str = ""
    waiting_message: str = ""
    terminated_reason: str = ""
    exit_code: int | None = None
    started_at: datetime | None = None
    """Of one that has ended."""
    finished_at: datetime | None = None
    is_init: bool = False


@dataclass(frozen=True, slots=True)
class PodView:
    """One pod."""

    name: str
    phase: str
    node: str
    labels: Mapping[str, str]
    created_at: datetime | None
    deleting: bool
    owner_job: str
    job_ids: frozenset[str]
    containers: tuple[ContainerView, ...]
    unschedulable: str = ""
    scheduled_at: datetime | None = None
    deleting_since: datetime | None = None
    """When its time to end by itself was over; long ago where the kubelet of its node does not answer any more."""
    disruption: str = ""
    """Reason of the condition ``DisruptionTarget``: who took the pod away (Kubernetes, "Pod disruption conditions")."""
    reason: str = ""
    message: str = ""
    program: str = ""
    """What the command line says in the environment that the pod searches with, and in what; empty in other pods."""
    database: str = ""

    @property
    def why_waiting(self) -> str:
        """The reason that this pod does not run yet, for people; empty when it runs or has ended."""
        if self.phase not in ("Pending", "Unknown"):
            return ""
        if self.unschedulable:
            return f"Unschedulable: {self.unschedulable}"
        for container in self.containers:
            if container.waiting_reason and container.waiting_reason != "ContainerCreating":
                return f"{container.waiting_reason}: {container.waiting_message}".rstrip(": ")
        return ""


@dataclass(frozen=True, slots=True)
class JobView:
    """One Job."""

    name: str
    uid: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    created_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    deleting: bool
    active: int
    state: JobState
    reason: str
    message: str
    node: str
    """Node that the Job is pinned to, by required node affinity; empty when it is not pinned."""
    suspended: bool = False


@dataclass(frozen=True, slots=True)
class ClusterSnapshot:
    """Jobs and pods of one cluster, as of one pair of LISTs."""

    observed_at: datetime
    jobs: tuple[JobView, ...]
    pods: tuple[PodView, ...]
    server_time: datetime | None = None

    @property
    def cluster_time(self) -> datetime:
        """The time by the clock that wrote the objects' times: ages are measured against it, not against our own."""
        return self.server_time or self.observed_at

    def pods_of(self, job: JobView) -> tuple[PodView, ...]:
        """The pods that a Job made, newest first; pods being deleted are left out."""
        return self._newest_first(p for p in self.pods if p.owner_job == job.name and not p.deleting)

    def all_pods_of(self, job: JobView) -> tuple[PodView, ...]:
        """The pods of ``pods_of``, then those being deleted: they do nothing any more, but may tell why."""
        leaving = (p for p in self.pods if p.owner_job == job.name and p.deleting)
        return self.pods_of(job) + self._newest_first(leaving)

    @staticmethod
    def _newest_first(pods: Iterable[PodView]) -> tuple[PodView, ...]:
        return tuple(sorted(pods, key=lambda p: (p.created_at is not None, p.created_at, p.name), reverse=True))


def _conditions(status: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    conditions: Iterable[Mapping[str, Any]] = status.get("conditions") or ()
    return conditions


def read_job(obj: Mapping[str, Any]) -> JobView:
    """A Job from its JSON.

    All conditions are looked through: Kubernetes >= 1.31 puts ``SuccessCriteriaMet`` and ``FailureTarget`` first,
    and neither is an end. A Job that failed has no ``completionTime``: its end is when it got its condition.
    """
    meta, status = obj["metadata"], obj.get("status") or {}
    active = int(status.get("active") or 0)
    state, reason, message = (JobState.RUNNING if active else JobState.PENDING), "", ""
    ended_at = parse_time(status.get("completionTime"))
    for condition in _conditions(status):
        if condition.get("status") != "True":
            continue
        if condition.get("type") == "Failed":
            state, reason, message = JobState.FAILED, condition.get("reason", ""), condition.get("message", "")
            ended_at = ended_at or parse_time(condition.get("lastTransitionTime"))
            break
        if condition.get("type") == "Complete":
            state = JobState.SUCCEEDED
            break
    return JobView(
        name=meta["name"],
        uid=meta.get("uid", ""),
        labels=meta.get("labels") or {},
        annotations=meta.get("annotations") or {},
        created_at=parse_time(meta.get("creationTimestamp")),
        started_at=parse_time(status.get("startTime")),
        completed_at=ended_at,
        deleting=bool(meta.get("deletionTimestamp")),
        active=active,
        state=state,
        reason=reason,
        message=message,
        node=_pinned_node((obj.get("spec") or {}).get("template") or {}),
        suspended=bool((obj.get("spec") or {}).get("suspend")),
    )


def _pinned_node(template: Mapping[str, Any]) -> str:
    affinity = ((template.get("spec") or {}).get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    for term in required.get("nodeSelectorTerms") or ():
        for match in term.get("matchFields") or ():
            if match.get("key") == "metadata.name" and match.get("values"):
                return str(match["values"][0])
    return ""


def read_pod(obj: Mapping[str, Any]) -> PodView:
    """A pod from its JSON."""
    meta, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
    said = [
        (env.get("name"), env["value"])
        for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ()))
        for env in container.get("env") or ()
        if env.get("value")
    ]
    unschedulable = next(
        (
            c.get("message", "")
            for c in _conditions(status)
            if c.get("type") == "PodScheduled" and c.get("status") == "False" and c.get("reason") == "Unschedulable"
        ),
        "",
    )
    true = {c.get("type"): c for c in _conditions(status) if c.get("status") == "True"}
    owners = [o for o in meta.get("ownerReferences") or () if o.get("kind") == "Job"]
    return PodView(
        name=meta["name"],
        phase=status.get("phase", "Unknown"),
        node=spec.get("nodeName", ""),
        labels=meta.get("labels") or {},
        created_at=parse_time(meta.get("creationTimestamp")),
        deleting=bool(meta.get("deletionTimestamp")),
        owner_job=owners[0]["name"] if owners else (meta.get("labels") or {}).get("job-name", ""),
        job_ids=frozenset(value for name, value in said if name == JOB_ID_ENV),
        containers=(
            *(_read_container(c, is_init=True) for c in status.get("initContainerStatuses") or ()),
            *(_read_container(c) for c in status.get("containerStatuses") or ()),
        ),
        unschedulable=unschedulable,
        deleting_since=parse_time(meta.get("deletionTimestamp")),
        scheduled_at=parse_time(true.get("PodScheduled", {}).get("lastTransitionTime")),
        disruption=true.get("DisruptionTarget", {}).get("reason", ""),
        reason=status.get("reason", ""),
        message=status.get("message", ""),
        program=next((value for name, value in said if name == PROGRAM_ENV), ""),
        database=next((value for name, value in said if name == DATABASE_ENV), ""),
    )


def _read_container(obj: Mapping[str, Any], *, is_init: bool = False) -> ContainerView:
    state = obj.get("state") or {}
    waiting = state.get("waiting") or {}
    terminated = state.get("terminated") or ((obj.get("lastState") or {}).get("terminated") if waiting else {}) or {}
    return ContainerView(
        name=obj.get("name", ""),
        waiting_reason=waiting.get("reason", ""),
        waiting_message=waiting.get("message", ""),
        terminated_reason=terminated.get("reason", ""),
        exit_code=terminated.get("exitCode"),
        started_at=parse_time(terminated.get("startedAt")),
        finished_at=parse_time(terminated.get("finishedAt")),
        is_init=is_init,
    )


def read_snapshot(
    jobs: Iterable[Mapping[str, Any]],
    pods: Iterable[Mapping[str, Any]],
    observed_at: datetime,
    server_time: datetime | None = None,
) -> ClusterSnapshot:
    """A snapshot from the items of two LISTs.

    Args:
        observed_at: by the app's clock, when the look began.
        server_time: by the API server's clock, when it answered; None where that is not known.
    """
    return ClusterSnapshot(observed_at, tuple(map(read_job, jobs)), tuple(map(read_pod, pods)), server_time)
