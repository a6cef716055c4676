"""Reads what the Jobs of a search wrote last, from their pods; bounded, and never a burden to a cluster in trouble.

A cluster that is known not to answer is not asked: its probes find out when it is back. At the first call that it does
not answer the rest is left.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime

from shared.clients.kube import Kube
from shared.clients.provider import clients
from shared.domain.callback import callback_token
from shared.domain.errors import ElbError
from shared.domain.search import Search
from shared.domain.search_logs import MOST_BYTES, JobLog, shown_tail, stored_log
from shared.domain.snapshot import ContainerView, PodView, read_pod

PARALLEL_LOGS = 8
MOST_CONTAINERS = 5
"""Containers of a pod that are read at most; the pods of a search have three."""


@dataclass(frozen=True, slots=True)
class Logs:
    """What was read.

    Attributes:
        observed_at: when the cluster was asked, or answered last.
        stale_reason: why it could not be asked; None when all was read.
    """

    items: list[JobLog]
    observed_at: datetime | None
    stale_reason: str | None = None


def read_logs(search: Search, jobs: Sequence[JobLog], lines: int) -> Logs:
    """The last lines of each container of the newest pod of each Job.

    Args:
        jobs: of the search.
        lines: of each container.
    """
    settings = clients().settings
    secrets = (settings.callback_secret, callback_token(settings.callback_secret, search.job_id))
    row = clients().clusters.read(search.cluster)
    reason = row.unreachable_reason or "the cluster does not answer"
    if row.unreachable_since is None:
        try:
            return _Reading(clients().kube(search.cluster, patient=False), search, lines, secrets).of(jobs)
        except ElbError as error:  # shown as it is known, like every other state of a cluster that is silent
            reason = error.message
    items = [stored_log(search, job, "the cluster cannot be asked", secrets) for job in jobs]
    return Logs(items, row.seen_at, reason)


class _Reading:
    """One reading of a cluster."""

    def __init__(self, kube: Kube, search: Search, lines: int, secrets: tuple[str, ...]) -> None:
        self._kube, self._search, self._lines, self._secrets = kube, search, lines, secrets
        self._silent = threading.Event()
        self._reason: str | None = None

    def of(self, jobs: Sequence[JobLog]) -> Logs:
        now = clients().now()
        pods = self._newest_pods({job.job for job in jobs}) if jobs else {}
        wanted = [(job, pod, container) for job in jobs for pod, container in _containers(pods.get(job.job))]
        with ThreadPoolExecutor(PARALLEL_LOGS, thread_name_prefix="logs") as pool:
            items = list(pool.map(lambda each: self._read(*each), wanted))
        return Logs(items, now, self._reason)

    def _newest_pods(self, jobs: set[str]) -> dict[str, PodView]:
        """The newest pod of each Job; the owner counts, not the label by which pods are found."""
        found = [read_pod(pod) for pod in self._kube.pods(f"job-name in ({','.join(sorted(jobs))})")]
        found.sort(key=lambda pod: (pod.created_at is not None, pod.created_at, pod.name))
        return {pod.owner_job: pod for pod in found if pod.owner_job in jobs}

    def _read(self, job: JobLog, pod: PodView | None, container: ContainerView | None) -> JobLog:
        if pod is None:
            return stored_log(self._search, job, "its pods are gone", self._secrets)
        if container is None:
            return stored_log(self._search, replace(job, pod=pod.name), _not_begun(pod), self._secrets)
        job = replace(job, pod=pod.name, container=container.name)
        if container.waiting_reason and container.exit_code is None:
            return replace(job, reason=f"the container has not begun: {container.waiting_reason}")
        text = ""
        if not self._silent.is_set():
            try:
                text = self._kube.log_tail(pod.name, self._lines + 1, MOST_BYTES + 1, container.name)
            except ElbError as error:
                self._reason = error.message
                self._silent.set()
        if self._silent.is_set():
            return stored_log(self._search, job, "the cluster cannot be asked", self._secrets)
        if not text:
            return stored_log(self._search, job, "the container wrote nothing, or its log is gone", self._secrets)
        shown, truncated = shown_tail(text, self._lines, MOST_BYTES, self._secrets)
        return replace(job, source="pod", text=shown, truncated=truncated)


def _containers(pod: PodView | None) -> list[tuple[PodView | None, ContainerView | None]]:
    containers = pod.containers[:MOST_CONTAINERS] if pod else ()
    return [(pod, container) for container in containers] or [(pod, None)]


def _not_begun(pod: PodView) -> str:
    return f"the pod has not begun: {pod.why_waiting or pod.phase}"
