"""Look at a cluster for one search's monitor: observe and write are one activity.

Whoever finds the cluster's row too old takes the look with one conditional write, and writes every search that it saw;
everybody else reads the search's row.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from shared.clients.observer import look_at_cluster
from shared.clients.orchestrations import DurableOrchestrations
from shared.clients.provider import clients
from shared.domain.errors import ElbError, NotFoundError
from shared.domain.failures import Failure, told_by_log
from shared.domain.masking import mask_secrets
from shared.domain.observation import Outcome, is_uncounted
from shared.domain.schedule import DEFAULT_WINDOW
from shared.domain.search import ClusterRef, Search
from shared.domain.stuck import CONFIRMATION, must_be_confirmed

LOG_LINES = 60
LOG_BYTES = 8_000


def observe_cluster(data: dict[str, Any], client: Any) -> dict[str, Any]:
    """Look for one search, if it is time, and say how it stands.

    Args:
        data: the search's reference, ``follow_up``, whether this is a look after a wake-up, and ``max_age``, how many
            seconds old a look the monitor puts up with.
        client: the Durable client, to wake other monitors.

    Returns:
        ``{"state": "active" | "done" | "missing_jobs" | "failed" | "cancelled" | "ended" | "missing"}``, with
        ``error`` where it failed.
    """
    state, search = _standing(data, None)
    if search is None:
        return state
    look = look_at_cluster(
        search.cluster,
        DurableOrchestrations(client),
        max_age=float(data.get("max_age", DEFAULT_WINDOW)),
        follow_up=bool(data.get("follow_up")),
        asking=search.job_id,
    )
    return _standing(data, look.row.seen_at)[0]


def _standing(data: dict[str, Any], seen_at: datetime | None) -> tuple[dict[str, Any], Search | None]:
    """What the row says: enough for the monitor to end; and the search where it is worth a look.

    Args:
        seen_at: when the last look began that the cluster answered, where that is known.
    """
    try:
        search = clients().searches.get(data["owner"], data["job_id"])
    except NotFoundError:
        return {"state": "missing"}, None
    if search.is_terminal or search.run != data["run"]:  # of another run: its own monitor looks
        return {"state": "ended", "phase": search.phase.value}, None
    if search.cancel_requested_at is not None:
        return {"state": "cancelled"}, None
    if search.outcome == Outcome.FAILED and search.failure is not None:
        failure = Failure.from_dict(search.failure)
        if must_be_confirmed(failure) and not _has_lasted(search, seen_at):
            return {"state": "active"}, search
        tail = _log_tail(search.cluster, failure)
        return {"state": "failed", "error": told_by_log(failure, tail).to_error(tail)}, None
    if search.outcome == Outcome.MISSING_JOBS and is_uncounted(search) and not _has_lasted(search, seen_at):
        return {"state": "active"}, search
    if search.outcome in (Outcome.DONE, Outcome.MISSING_JOBS):
        return {"state": search.outcome}, None
    return {"state": "active"}, search


def _has_lasted(search: Search, seen_at: datetime | None) -> bool:
    """Whether a look saw it long enough after the first one: a cluster that is silent since then confirms nothing."""
    return search.outcome_at is not None and seen_at is not None and seen_at - search.outcome_at >= CONFIRMATION


def _log_tail(cluster: ClusterRef, failure: Failure) -> str:
    """The failing container's last lines; none where nobody can give them any more, for the failure stands without."""
    if not failure.pod:
        return ""
    try:
        tail = clients().kube(cluster).log_tail(failure.pod, LOG_LINES, LOG_BYTES, failure.container)
        return mask_secrets(tail)  # kept with the error, and shown
    except ElbError:  # its node or the whole cluster is gone, or does not answer
        return ""
