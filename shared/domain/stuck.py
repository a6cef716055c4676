"""Jobs that will not begin by themselves: a pod that cannot get its image, or that no node can take. Pure.

Kubernetes waits for ever where a person would not; after a while the search says what it waits for and ends. All times
are the cluster's own: our clock may be wrong.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from shared.domain.failures import Failure
from shared.domain.snapshot import ClusterSnapshot, JobState, JobView, PodView

IMAGE_PATIENCE = timedelta(minutes=10)
"""A registry that is down for a moment, or a role that takes its 60-180 s to act, is over by then."""
PLACE_PATIENCE = timedelta(minutes=30)
"""As long as a search waits for capacity (docs/behaviour.md, section N); also for a node that does not answer, which
AKS repairs within that time or not at all."""
CONFIRMATION = timedelta(minutes=1)
"""A place that came free just now may leave nothing behind that tells so: a cancelled search's Jobs are gone at once.
The scheduler gives it away within seconds."""
OVERDUE = timedelta(minutes=5)
"""A pod that should have ended so long ago does not run any more: its node does not answer."""
APP_FINALIZER = "finalizer"
_START_REASONS = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
_IMAGE_REASONS = ("ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull")


def quiet_since(snapshot: ClusterSnapshot) -> datetime | None:
    """Since when nothing of ours has run on the cluster; None while something runs, for then others only queue.

    A finalizer of the command line does not count: it runs for as long as the BLAST Jobs that it waits for do.
    """
    now = snapshot.cluster_time
    working = (pod for pod in snapshot.pods if pod.phase == "Running" and pod.labels.get("app") != APP_FINALIZER)
    if not all(_is_overdue(pod, now, OVERDUE) for pod in working):
        return None
    ends = [job.completed_at for job in snapshot.jobs if job.completed_at]
    ends += [pod.deleting_since for pod in snapshot.pods if pod.deleting_since]
    return max(ends, default=datetime.min.replace(tzinfo=UTC))


def must_be_confirmed(failure: Failure) -> bool:
    """Whether it only counts when it was still so at looks for ``CONFIRMATION``."""
    return failure.code in ("cannot_be_scheduled", "node_lost", "pods_refused") and failure.exit_code is None


def first_stuck(snapshot: ClusterSnapshot, jobs: Iterable[JobView]) -> Failure | None:
    """The first of these Jobs that is given up, and why; None while there is hope for all.

    A Job whose only pod cannot even be removed has lost its node: Kubernetes makes no other until that pod has ended.
    """
    now, quiet = snapshot.cluster_time, quiet_since(snapshot)
    for job in jobs:
        pods = snapshot.pods_of(job)
        failure = stuck_failure(job, pods, now, quiet) if pods else _without_pods(job, snapshot, now, quiet)
        if failure is not None:
            return failure
    return None


def _without_pods(job: JobView, snapshot: ClusterSnapshot, now: datetime, quiet: datetime | None) -> Failure | None:
    if job.state not in (JobState.PENDING, JobState.RUNNING):
        return None
    leaving = snapshot.all_pods_of(job)
    if leaving:
        pod = next((pod for pod in leaving if _is_overdue(pod, now, PLACE_PATIENCE)), None)
        return _left_on_lost_node(job, pod) if pod is not None else None
    if job.active or job.suspended or job.created_at is None or quiet is None:
        return None
    if now - max(job.created_at, quiet) <= PLACE_PATIENCE:
        return None
    message = f"no pod of Job {job.name} was made: a quota of the namespace or an admission rule refuses it"
    return Failure("pods_refused", message, f"kubectl describe job {job.name} says why", job.name, "", None)


def _left_on_lost_node(job: JobView, pod: PodView) -> Failure:
    message = f"node {pod.node} does not answer: pod {pod.name} on it has not ended since {pod.deleting_since}"
    hint = "repair or remove the node, warm the database again, then retry the search"
    return Failure("node_lost", message, hint, job.name, pod.name, None)


def _is_overdue(pod: PodView, now: datetime, patience: timedelta) -> bool:
    return pod.deleting_since is not None and now - pod.deleting_since > patience


def _is_node_gone(message: str) -> bool:
    """Whether every node was refused for the pin alone: one that is there and full says what it lacks."""
    text = message.lower()
    return ("affinity" in text or "selector" in text) and "insufficient" not in text


def stuck_failure(job: JobView, pods: Iterable[PodView], now: datetime, quiet: datetime | None) -> Failure | None:
    """Why a Job is given up, or None while there is hope.

    Args:
        job: a Job that has not ended.
        pods: its pods, newest first; the newest tells.
        now: when the snapshot was taken.
        quiet: of ``quiet_since``: a pod that waits for its turn behind others is not stuck.
    """
    pod = next(iter(pods), None)
    if pod is None or pod.created_at is None or job.state not in (JobState.PENDING, JobState.RUNNING):
        return None
    age, why = now - (pod.scheduled_at or pod.created_at), pod.why_waiting  # it may have queued for a node before
    if age > IMAGE_PATIENCE and why.startswith(_IMAGE_REASONS):
        hint = "check the image's name, the registry, and the role AcrPull of the nodes; then retry the search"
        return Failure(
            "image_pull_failed", f"pod {pod.name} cannot get its image: {why}", hint, job.name, pod.name, None
        )
    if age > IMAGE_PATIENCE and why.startswith(_START_REASONS):
        hint = f"kubectl describe pod {pod.name} says more; mend it, then retry the search"
        message = f"pod {pod.name} cannot start its container: {why}"
        return Failure("container_not_started", message, hint, job.name, pod.name, None)
    if quiet is not None and now - max(pod.created_at, quiet) > PLACE_PATIENCE and pod.unschedulable:
        if _is_node_gone(pod.unschedulable):
            hint = "the node of this shard is gone: warm the database again, then retry the search"
            return Failure("node_lost", f"the node of pod {pod.name} is gone: {why}", hint, job.name, pod.name, None)
        hint = "scale the BLAST node pool, or ask for less memory per Job; then retry the search"
        return Failure("cannot_be_scheduled", f"no node takes pod {pod.name}: {why}", hint, job.name, pod.name, None)
    return None
