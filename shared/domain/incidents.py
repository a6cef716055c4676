"""What went wrong on the way of a warmup and was got over, or was not: found by comparing two looks at it.

Each incident becomes one event in the history of the database on its cluster, however often it is seen: a line of a log
has its own time, and what a pod shows is told once per pod.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared.domain.history import MAX_REASON, Event
from shared.domain.snapshot import ClusterSnapshot, JobView, PodView
from shared.domain.times import parse_time

MARKER = "ELB_INCIDENT "
"""What a line of the warmup script about something that went wrong begins with; JSON follows."""
IMAGE_REASONS = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable")
"""Reasons of a container that waits for its image (Kubernetes, pkg/kubelet/images/types.go)."""


@dataclass(frozen=True, slots=True)
class Incident:
    """One thing that went wrong with one shard.

    Attributes:
        attempt: the try of the copy, or the pod of the Job, from 1.
        cause: snake_case code.
        once: whether it is told once per ``message``, whatever its time: the message names the pod.
    """

    at: datetime
    shard: int
    attempt: int
    cause: str
    message: str
    once: bool = False

    def event(self) -> Event:
        """As it stands in the history."""
        return Event(self.at, self.cause, f"shard {self.shard:02d}", self.message[:MAX_REASON], self.attempt)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the look before saw.

    Attributes:
        pods: name of a shard's Job -> uid of the Job and name of its newest pod.
        read: pods whose logs were read to their end.
        lost: nodes that were gone or not ready.
    """

    pods: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    read: Sequence[str] = ()
    lost: Sequence[str] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the durable boundary."""
        return {
            "pods": {job: list(pair) for job, pair in self.pods.items()},
            "read": list(self.read),
            "lost": [*self.lost],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any] | None) -> Seen:
        """Read it; nothing was seen where there is none."""
        data = data or {}
        pods = {str(job): (str(pair[0]), str(pair[1])) for job, pair in (data.get("pods") or {}).items()}
        return cls(pods, tuple(data.get("read") or ()), tuple(data.get("lost") or ()))


def seen_now(before: Seen, snapshot: ClusterSnapshot, read: Iterable[str], ready_nodes: frozenset[str]) -> Seen:
    """What this look saw, for the next one to compare with.

    A Job that has no pod now keeps the one of before: the next pod may come later, after a pause of the Job's.
    """
    jobs = [job for job in snapshot.jobs if not job.deleting]
    kept = {j.name: before.pods[j.name] for j in jobs if j.name in before.pods and before.pods[j.name][0] == j.uid}
    newest = kept | {job.name: (job.uid, pods[0].name) for job in jobs if (pods := snapshot.pods_of(job))}
    present = {pod.name for pod in snapshot.pods}
    lost = sorted({job.node for job in jobs if job.node} - ready_nodes)
    return Seen(newest, sorted(present.intersection(read)), lost)


def incidents(
    before: Seen, snapshot: ClusterSnapshot, logs: Mapping[str, str], ready_nodes: frozenset[str]
) -> list[Incident]:
    """What went wrong since the look before, or still shows; oldest first.

    Args:
        snapshot: Jobs and pods of one database's warmup.
        logs: pod name -> what was read of its log.
    """
    found: list[Incident] = []
    for job in (job for job in snapshot.jobs if not job.deleting):
        pods = snapshot.all_pods_of(job)
        shard = int(job.labels.get("shard") or 0)
        for pod in pods:
            found += _told(shard, logs.get(pod.name, ""))
            found += _of_image(shard, pods, pod)
        found += _of_replaced(shard, before, job, snapshot)
        found += _of_node(shard, before, job, snapshot, ready_nodes)
    return sorted(found, key=lambda i: (i.at, i.shard, i.attempt))


def _told(shard: int, log: str) -> list[Incident]:
    """What the script itself says in its log."""
    found = []
    for line in log.splitlines():
        if not line.startswith(MARKER):
            continue
        try:
            told = json.loads(line[len(MARKER) :])
        except ValueError:  # cut by the limit of what is read
            continue
        at = parse_time(str(told.get("at"))) if isinstance(told, dict) else None
        if at is not None and isinstance(told.get("try"), int):
            found.append(Incident(at, shard, told["try"], str(told.get("cause")), str(told.get("message"))))
    return found


def _of_image(shard: int, pods: Sequence[PodView], pod: PodView) -> list[Incident]:
    waits = next((c for c in pod.containers if c.waiting_reason in IMAGE_REASONS), None)
    if waits is None or pod.created_at is None:
        return []
    message = f"pod {pod.name} waits for its image"
    attempt = sum(other.created_at is not None and other.created_at < pod.created_at for other in pods) + 1
    return [Incident(pod.created_at, shard, attempt, "image_pull_failed", message, once=True)]


def _of_replaced(shard: int, before: Seen, job: JobView, snapshot: ClusterSnapshot) -> list[Incident]:
    """The pod of before is gone or going, and the same Job has another one."""
    uid, name = before.pods.get(job.name, ("", ""))
    pods = snapshot.pods_of(job)
    if not name or uid != job.uid or not pods or pods[0].name == name:
        return []
    old = next((pod for pod in snapshot.pods if pod.name == name), None)
    if old is not None and not old.deleting and not old.disruption:
        return []  # it failed, and says itself why
    at = pods[0].created_at or snapshot.observed_at
    cause = "pod_evicted" if old is not None and old.disruption else "pod_deleted"
    return [
        Incident(at, shard, len(pods), cause, f"pod {name} was taken away; {pods[0].name} took its place", once=True)
    ]


def _of_node(
    shard: int, before: Seen, job: JobView, snapshot: ClusterSnapshot, ready_nodes: frozenset[str]
) -> list[Incident]:
    if not job.node or job.node in ready_nodes or job.node in before.lost:
        return []
    message = f"node {job.node} of Job {job.name} is gone or not ready; the Job was made {job.created_at}"
    return [Incident(snapshot.observed_at, shard, 1, "node_lost", message, once=True)]
