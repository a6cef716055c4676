"""Start the orchestration that owns a search: at its submit, and again when it is gone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from shared.clients.orchestrations import Orchestrations
from shared.clients.provider import clients
from shared.clients.recording import record_end
from shared.clients.starting import start_orchestration
from shared.domain import functions as names
from shared.domain.reconcile import is_dead_deletion
from shared.domain.results import QUERIES_CONTAINER
from shared.domain.search import Search, fail
from shared.domain.states import ON_THE_CLUSTER
from shared.telemetry import log_event

REPEAT_TIME = timedelta(minutes=10)


def start_missing(search: Search, orchestrations: Orchestrations) -> bool:
    """Start the orchestration of an active search that has none, under the id that it was to have.

    Returns:
        Whether it was started: not without a query, and not when somebody was faster.
    """
    # One that is to be cancelled needs no query, but somebody to bring the cancel to its end; nor one that has Jobs.
    needs_query = search.cancel_requested_at is None and search.phase not in ON_THE_CLUSTER
    if needs_query and not _has_query(search):
        return False
    started = start_orchestration(search, orchestrations)
    if started:
        log_event("search_started_again", job_id=search.job_id, run=search.run, phase=search.phase.value)
    return started


def start_next_run(search: Search, orchestrations: Orchestrations) -> bool:
    """Give an active search another orchestration, in place of one that has ended or is stuck.

    The row comes first and is the guard: of several that try, one sets the next run, and whatever is left of the old
    one learns from the row that it is superseded.

    Returns:
        Whether one was started.
    """
    old, next_run = search, search.run + 1

    def change(row: Search) -> Search:
        return replace(row, run=next_run) if row.is_active and row.run == old.run else row

    search = clients().searches.update(search.owner, search.job_id, change)
    if search.run != next_run or not search.is_active:
        return False
    started = start_orchestration(search, orchestrations)
    if started:
        log_event("search_revived", job_id=search.job_id, run=search.run, phase=search.phase.value)
    for instance_of in (names.search_instance, names.monitor_instance):
        orchestrations.terminate(instance_of(old.job_id, old.run))
    return started


def _has_query(search: Search) -> bool:
    """Whether the query was stored. A submit that died before it may still be repeated by its caller, for a while."""
    blobs = clients().blobs(search.cluster.storage_account)
    if blobs.listing(QUERIES_CONTAINER, str(search.query["blob"])):
        return True
    now = clients().now()
    if now - search.created_at > REPEAT_TIME:
        error = {
            "code": "query_missing",
            "message": "the submit was interrupted before the query was stored",
            "hint": "submit the search again, with a new Idempotency-Key",
        }
        record_end(clients().searches.update(search.owner, search.job_id, lambda row: fail(row, error, now)))
    return False


def start_deletion(search: Search, orchestrations: Orchestrations) -> bool:
    """Start the orchestration that deletes a search, unless one is at it.

    A deletion that ended without deleting, or that is stuck, gets a successor: as with a search, the row is the guard.
    All that they do may be done twice.
    """
    old, next_run = search, search.delete_run + 1
    if old.delete_run and _is_at_it(old, orchestrations):
        return False

    def change(row: Search) -> Search:
        return replace(row, delete_run=next_run) if row.delete_run == search.delete_run else row

    search = clients().searches.update(search.owner, search.job_id, change)
    instance = names.deletion_instance(search.job_id, search.delete_run)
    data = {**search.ref, "delete_run": search.delete_run}
    started = orchestrations.start(names.DELETION_ORCHESTRATOR, instance, data)
    if old.delete_run:
        for instance_of in (names.deletion_instance, names.deletion_removal_instance):
            orchestrations.terminate(instance_of(old.job_id, old.delete_run))
    return started


def _is_at_it(search: Search, orchestrations: Orchestrations) -> bool:
    view = orchestrations.find(names.deletion_instance(search.job_id, search.delete_run))
    if view is None or view.has_ended:
        return False
    child = orchestrations.find(names.deletion_removal_instance(search.job_id, search.delete_run))
    return not is_dead_deletion(view, child, clients().now())
