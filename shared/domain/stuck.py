"""Jobs that will not begin by themselves: a pod that cannot get its image, or that no node can take. Pure.

Kubernetes waits for ever where a person would not; after a while the search says what it waits for and ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from shared.domain.failures import Failure
from shared.domain.snapshot import ClusterSnapshot, JobState, JobView, PodView

IMAGE_PATIENCE = timedelta(minutes=10)
"""A registry that is down for a moment, or a role that takes its 60-180 s to act, is over by then."""
PLACE_PATIENCE = timedelta(minutes=30)
"""As long as a search waits for capacity (docs/behaviour.md, section N)."""
_IMAGE_REASONS = ("ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull")


def quiet_since(snapshot: ClusterSnapshot) -> datetime | None:
    """Since when nothing of ours has run on the cluster; None while something runs, for then others only queue."""
    if any(pod.phase == "Running" for pod in snapshot.pods):
        return None
    ends = [job.completed_at for job in snapshot.jobs if job.completed_at]
    return max(ends, default=datetime.min.replace(tzinfo=UTC))


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
    age, why = now - pod.created_at, pod.why_waiting
    if age > IMAGE_PATIENCE and why.startswith(_IMAGE_REASONS):
        hint = "check the image's name, the registry, and the role AcrPull of the nodes; then retry the search"
        return Failure(
            "image_pull_failed", f"pod {pod.name} cannot get its image: {why}", hint, job.name, pod.name, None
        )
    if quiet is not None and now - max(pod.created_at, quiet) > PLACE_PATIENCE and pod.unschedulable:
        if _is_node_gone(pod.unschedulable):
            hint = "the node of this shard is gone: warm the database again, then retry the search"
            return Failure("node_lost", f"the node of pod {pod.name} is gone: {why}", hint, job.name, pod.name, None)
        hint = "scale the BLAST node pool, or ask for less memory per Job; then retry the search"
        return Failure("cannot_be_scheduled", f"no node takes pod {pod.name}: {why}", hint, job.name, pod.name, None)
    return None
