"""Which old Jobs may be removed before a submit. Pure, so that the guards can be read and tested.

Only finished Jobs, only ours by label, only older than the limit, only of no search that is still active.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from shared.domain.snapshot import JOB_ID_LABEL, ClusterSnapshot, JobState, JobView

APPS = ("blast", "submit", "setup", "finalizer")
AGE_LIMIT = timedelta(minutes=30)


def stale_jobs(snapshot: ClusterSnapshot, active_job_ids: Iterable[str]) -> tuple[JobView, ...]:
    """The Jobs that may go.

    Args:
        snapshot: Jobs and pods labelled with one of ``APPS``.
        active_job_ids: ids of every search that has an active row.
    """
    active = frozenset(active_job_ids)
    return tuple(job for job in snapshot.jobs if _may_go(job, snapshot, active))


def _may_go(job: JobView, snapshot: ClusterSnapshot, active: frozenset[str]) -> bool:
    if job.labels.get("app") not in APPS or job.deleting:
        return False
    if job.created_at is None:  # an unreadable timestamp says nothing about the age
        return False
    if snapshot.cluster_time - job.created_at <= AGE_LIMIT:
        return False
    if job.state not in (JobState.SUCCEEDED, JobState.FAILED):  # between two tries a Job has no active pod either
        return False
    pods = [pod for pod in snapshot.pods if pod.owner_job == job.name]
    if job.active or any(pod.phase in ("Pending", "Running", "Unknown") for pod in pods):
        return False
    ids = {job.labels.get(JOB_ID_LABEL, "")} | {job_id for pod in pods for job_id in pod.job_ids}
    return not ids & active
