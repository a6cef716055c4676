"""Start the orchestration that owns a search: at its submit, and again when it is gone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from shared.clients.orchestrations import Orchestrations
from shared.clients.provider import clients
from shared.domain import functions as names
from shared.domain.results import QUERIES_CONTAINER
from shared.domain.search import Search, fail
from shared.domain.states import Phase
from shared.domain.times import format_time
from shared.telemetry import log_event

REPEAT_TIME = timedelta(minutes=10)


def start_orchestration(search: Search, orchestrations: Orchestrations) -> bool:
    """Start the orchestration of the search's current run; False when it was started before."""
    settings = clients().settings
    data = {
        **search.ref,
        "cluster": search.cluster.to_dict(),
        "database": search.database,
        "created_at": format_time(search.attempt_started_at or search.created_at),
        "engine": search.engine,
        "attempt": search.attempt,
        "parallel": settings.parallel_warm_reuse,
        "warmup_wait_seconds": settings.warmup_wait_seconds,
        "deadline_seconds": settings.search_deadline_seconds,
        "results_grace_seconds": settings.results_grace_seconds,
    }
    return orchestrations.start(names.SEARCH_ORCHESTRATOR, names.search_instance(search.job_id, search.run), data)


def revive(search: Search, orchestrations: Orchestrations) -> bool:
    """Give an unfinished search an orchestration, where its own never began or has ended without ending the search.

    Returns:
        Whether one was started.
    """
    if search.phase is Phase.DELETING:
        return start_deletion(search, orchestrations)
    if not search.is_active:
        return False
    view = orchestrations.find(names.search_instance(search.job_id, search.run))
    if view is not None and not view.has_ended:
        return False
    # One that is to be cancelled needs no query, but somebody to bring the cancel to its end.
    if view is None and search.cancel_requested_at is None and not _has_query(search):
        return False
    if view is not None:
        next_run = search.run + 1

        def change(row: Search) -> Search:
            gone = row.is_active and row.run == search.run
            return replace(row, run=next_run) if gone else row

        search = clients().searches.update(search.owner, search.job_id, change)
        if search.run != next_run:
            return False
    log_event("search_revived", job_id=search.job_id, run=search.run, phase=search.phase.value)
    return start_orchestration(search, orchestrations)


def _has_query(search: Search) -> bool:
    """Whether the query was stored. A submit that died before it may still be repeated by its caller, for a while."""
    blobs = clients().blobs(search.cluster.storage_account)
    if blobs.listing(QUERIES_CONTAINER, str(search.query["blob"])):
        return True
    now = datetime.now(UTC)
    if now - search.created_at > REPEAT_TIME:
        error = {
            "code": "query_missing",
            "message": "the submit was interrupted before the query was stored",
            "hint": "submit the search again, with a new Idempotency-Key",
        }
        clients().searches.update(search.owner, search.job_id, lambda row: fail(row, error, now))
    return False


def start_deletion(search: Search, orchestrations: Orchestrations) -> bool:
    """Start the orchestration that deletes a search, unless one is at it; a deletion that ended gets a successor."""
    view = orchestrations.find(_deletion(search)) if search.delete_run else None
    if view is not None and not view.has_ended:
        return False
    next_run = search.delete_run + 1

    def change(row: Search) -> Search:
        return replace(row, delete_run=next_run) if row.delete_run == search.delete_run else row

    search = clients().searches.update(search.owner, search.job_id, change)
    return orchestrations.start(
        names.DELETION_ORCHESTRATOR, _deletion(search), {**search.ref, "delete_run": search.delete_run}
    )


def _deletion(search: Search) -> str:
    return f"delete-{search.job_id}-{search.delete_run}"
