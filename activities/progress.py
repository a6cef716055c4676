"""Write what a search's orchestration did into its row: one pure change, one guarded write."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from shared.clients.observer import certain_end
from shared.clients.provider import clients
from shared.clients.recording import record_end
from shared.domain.history import SYSTEM, Event
from shared.domain.lifecycle import Lifecycle
from shared.domain.search import Search, cancelled, complete, enter_phase, fail, finish_step
from shared.domain.states import Phase, StepName, StepStatus
from shared.domain.times import parse_time
from shared.telemetry import log_event

_SILENT = frozenset({"kube_unreachable", "cluster_not_found"})
"""Codes of a step that found nobody to talk to; Azure may know why."""
_STOPPED = frozenset({Lifecycle.STOPPED, Lifecycle.STOPPING})


def advance_search(data: dict[str, Any]) -> dict[str, Any]:
    """Finish steps, enter a phase, end the search; any of them, once or again.

    Args:
        data: the search's reference, ``at`` (the orchestrator's time), and of ``finish`` (list of ``step``,
            ``detail``, ``skipped``), ``phase``, ``reason``, ``error`` what is to be written.

    Returns:
        ``phase`` as it is now, whether a cancel was asked for, and whether the orchestration that asks is
        ``superseded``: the search has been given another one (a retry, a revival), and nothing was written. Where the
        search has ended and somebody is to be told, ``webhook``.
    """
    at = parse_time(data["at"]) or clients().now()
    expires = at + timedelta(days=clients().settings.results_days)
    error = _explained(data)

    def change(search: Search) -> Search:
        if search.run != data["run"]:
            return search
        for step in () if search.is_terminal else data.get("finish") or ():
            status = StepStatus.SKIPPED if step.get("skipped") else StepStatus.COMPLETED
            search = finish_step(search, StepName(step["step"]), at, step.get("detail", ""), status)
        if error:
            return fail(search, error, at)
        phase = data.get("phase")
        if phase == Phase.COMPLETED:
            return complete(search, at, expires)
        if phase == Phase.CANCELLED:
            return cancelled(search, at)
        if phase:
            return enter_phase(search, Phase(phase), at, data.get("reason"))
        return replace(search, waiting_reason=data["reason"]) if data.get("reason") else search

    search = clients().searches.update(data["owner"], data["job_id"], change)
    if search.run != data["run"]:
        return {"phase": search.phase.value, "cancelled": False, "superseded": True}
    if search.is_terminal or search.phase is Phase.DELETE_FAILED:
        why = str((search.error or {}).get("code") or search.waiting_reason or "")
        clients().events.add(
            search.job_id, Event(search.completed_at or at, search.phase.value, SYSTEM, why, search.attempt)
        )
        record_end(search)
    log_event(
        "search_phase",
        job_id=search.job_id,
        phase=search.phase.value,
        cluster=search.cluster.cluster_name,
        attempt=search.attempt,
        reason=search.waiting_reason,
        error=(search.error or {}).get("code"),
        seconds=round((at - search.created_at).total_seconds(), 3),
    )
    cancelled_by_user = search.cancel_requested_at is not None
    row = {"phase": search.phase.value, "cancelled": cancelled_by_user, "superseded": False}
    return row | {"webhook": True} if search.is_terminal and search.webhook_url else row


def _explained(data: dict[str, Any]) -> dict[str, Any] | None:
    """The error to be written. That of a step that found its cluster silent says what became of the cluster."""
    error: dict[str, Any] | None = data.get("error")
    if not error or error.get("code") not in _SILENT:
        return error
    ended = certain_end(clients().searches.get(data["owner"], data["job_id"]).cluster, _STOPPED)
    return error if ended is None else ended.to_error()
