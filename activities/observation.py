"""Look at a cluster for one search's monitor: observe and write are one activity.

Whoever finds the cluster's row older than its window takes the look with one conditional write; everybody else reads
the search's row.
"""

from __future__ import annotations

from typing import Any

from shared.clients.observer import look_at_cluster
from shared.clients.orchestrations import DurableOrchestrations
from shared.clients.provider import clients
from shared.domain.errors import NotFoundError, TransientError
from shared.domain.failures import told_by_log
from shared.domain.observation import Observation, Outcome
from shared.domain.search import ClusterRef, Search

LOG_LINES = 60
LOG_BYTES = 8_000


def observe_cluster(data: dict[str, Any], client: Any) -> dict[str, Any]:
    """Look for one search, if it is time, and say how it stands.

    Args:
        data: the search's reference and ``follow_up``, whether this is a look after a wake-up.
        client: the Durable client, to wake other monitors.

    Returns:
        ``{"state": "active" | "done" | "missing_jobs" | "failed" | "cancelled" | "ended" | "missing"}``, with
        ``error`` where it failed.
    """
    try:
        search = clients().searches.get(data["owner"], data["job_id"])
    except NotFoundError:
        return {"state": "missing"}
    if search.is_terminal or search.run != data["run"]:  # of another run: its own monitor looks
        return {"state": "ended", "phase": search.phase.value}
    if search.cancel_requested_at is not None:
        return {"state": "cancelled"}
    orchestrations = DurableOrchestrations(client)
    seen = look_at_cluster(search.cluster, orchestrations, search, follow_up=bool(data.get("follow_up")))
    if seen is None:
        return _from_row(clients().searches.get(search.owner, search.job_id))
    return _answer(search.cluster, seen)


def _answer(cluster: ClusterRef, seen: Observation) -> dict[str, Any]:
    if seen.outcome is Outcome.FAILED and seen.failure is not None:
        tail = _log_tail(cluster, seen.failure.pod)
        return {"state": "failed", "error": told_by_log(seen.failure, tail).to_error(tail)}
    if seen.outcome in (Outcome.DONE, Outcome.MISSING_JOBS):
        return {"state": seen.outcome.value}
    return {"state": "active"}


def _log_tail(cluster: ClusterRef, pod: str) -> str:
    """The failing pod's last lines; none where its node does not answer any more, for the failure stands without."""
    try:
        return clients().kube(cluster).log_tail(pod, LOG_LINES, LOG_BYTES) if pod else ""
    except TransientError:
        return ""


def _from_row(search: Search) -> dict[str, Any]:
    """What the last look, somebody else's, wrote: enough to see the end, never to invent a failure."""
    if search.is_terminal:
        return {"state": "ended", "phase": search.phase.value}
    if search.expected_jobs is not None and search.expected_jobs <= search.progress.succeeded == search.progress.total:
        return {"state": "done"}
    return {"state": "active"}
