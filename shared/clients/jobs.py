"""One Job by its name, as the activities that make Jobs ask for it when the name is taken."""

from __future__ import annotations

from shared.clients.kube import Kube
from shared.domain.errors import NotFoundError
from shared.domain.snapshot import JobView, read_job


def find_job(kube: Kube, name: str) -> JobView | None:
    """The Job of that name; None when it is not there, or has gone since it was in the way."""
    try:
        return read_job(kube.get("jobs", name))
    except NotFoundError:
        return None
