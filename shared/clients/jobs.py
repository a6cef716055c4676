"""Jobs by their names: find one, and make one whose name says whose it is, once; and stop those of a search."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from shared.clients.kube import Kube
from shared.domain.errors import ConflictError, NotFoundError, PermanentError, TransientError
from shared.domain.observation import ids_of
from shared.domain.search import Search
from shared.domain.snapshot import ATTEMPT_LABEL, JOB_ID_LABEL, JobState, JobView, read_job

PARALLEL_JOBS = 20
"""Jobs in flight at once towards the API server."""


def find_job(kube: Kube, name: str) -> JobView | None:
    """The Job of that name; None when it is not there, or has gone since it was in the way."""
    try:
        return read_job(kube.get("jobs", name))
    except NotFoundError:
        return None


def ensure_job(kube: Kube, manifest: Mapping[str, Any], labels: Mapping[str, str]) -> None:
    """Create a Job; one of that name is ours already only with our labels and while it is not being deleted.

    Args:
        manifest: the whole Job.
        labels: those that only our own Job of that name has.

    Raises:
        TransientError: ``job_terminating``, one of before is still going or has just gone.
        PermanentError: ``job_name_taken``, it is somebody else's.
    """
    name = manifest["metadata"]["name"]
    try:
        kube.create("jobs", manifest)
    except ConflictError as error:
        present = find_job(kube, name)
        if present is None or present.deleting:
            raise TransientError("job_terminating", f"Job {name} of before is still going", "try again") from error
        if any(present.labels.get(key) != value for key, value in labels.items()):
            raise PermanentError(
                "job_name_taken", f"a Job {name} of somebody else is there", "remove it or rename it"
            ) from error


def stop_running_jobs(kube: Kube, search: Search) -> int:
    """Remove the Jobs of a search's present attempt that still run; of one that was begun outside only a cancel does.

    Returns:
        How many.
    """
    if search.engine == "external":
        return 0
    if search.engine == "native":
        selector = f"app=blast,{JOB_ID_LABEL}={search.job_id},{ATTEMPT_LABEL}={search.attempt}"
    else:  # the command line does not label attempts, and may use an id of its own
        ids = ",".join(sorted(ids_of(search)))
        selector = f"app in (blast,elb-submit,setup,submit),{JOB_ID_LABEL} in ({ids})"
    jobs = [read_job(job) for job in kube.jobs(selector)]
    running = [job.name for job in jobs if job.state in (JobState.PENDING, JobState.RUNNING)]
    in_parallel([partial(kube.delete, "jobs", name) for name in running])
    return len(running)


def in_parallel(calls: Sequence[Callable[[], None]]) -> None:
    """Run all calls, at most ``PARALLEL_JOBS`` at a time; the first error is raised after all have ended."""
    with ThreadPoolExecutor(PARALLEL_JOBS) as pool:
        futures = [pool.submit(call) for call in calls]
    for future in futures:
        future.result()
