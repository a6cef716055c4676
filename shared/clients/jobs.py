"""Jobs by their names: find one, and make one whose name says whose it is, once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.clients.kube import Kube
from shared.domain.errors import ConflictError, NotFoundError, PermanentError, TransientError
from shared.domain.snapshot import JobView, read_job


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
