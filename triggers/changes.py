"""What people do to a search after its submit: cancel, retry, clone, delete. Each leaves an event: who, when, why."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any

import azure.functions as func
from pydantic import Field

from shared.auth import Caller
from shared.clients.given_queries import GivenQuery, query_of_search
from shared.clients.orchestrations import DurableOrchestrations
from shared.clients.provider import clients
from shared.clients.starting import start_orchestration
from shared.domain import functions as names
from shared.domain.errors import ConflictError, InvalidInputError, NotFoundError
from shared.domain.history import Event
from shared.domain.search import Search, enter_phase, request_cancel, retried
from shared.domain.states import Phase
from shared.responses import Reply, accepted, endpoint
from triggers.blueprint import http
from triggers.jobs import find_own, submit
from triggers.paging import read_event_cursor, read_limit, write_cursor
from triggers.requests import Request, SubmitRequest, as_model, read_body, read_object
from triggers.start import start_deletion


class CancelRequest(Request):
    """``POST /api/blast/jobs/{id}/cancel``."""

    reason: str = Field("", max_length=1000)


@http("api/blast/jobs/{id}/cancel", "POST", name="blast_jobs_cancel", durable=True)
@endpoint
def cancel_search(req: func.HttpRequest, caller: Caller, client: Any) -> Reply:
    """Write the marker, then wake whoever waits. Again, or after the end, it changes nothing."""
    request = read_body(req, CancelRequest)
    search = cancel(find_own(req, caller), caller, request.reason, DurableOrchestrations(client))
    return _accepted(search)


def cancel(search: Search, caller: Caller, reason: str, orchestrations: DurableOrchestrations) -> Search:
    """Mark a search as to be cancelled and wake its orchestrations; the marker alone is enough, only later."""
    now = _now()
    if search.is_active and search.cancel_requested_at is None:
        _record(search, caller, "cancel_requested", reason, now)  # first: the marker alone would not say who and why
    search = clients().searches.update(search.owner, search.job_id, lambda row: request_cancel(row, now))
    if search.phase is Phase.CANCELLING:
        orchestrations.wake(names.search_instance(search.job_id, search.run), names.WAKE_EVENT)
        orchestrations.wake(names.monitor_instance(search.job_id, search.run), names.WAKE_EVENT)
        if search.engine == "cli":
            orchestrations.wake(names.cli_submit_instance(search.job_id, search.run), names.WAKE_EVENT)
    return search


@http("api/blast/jobs/{id}/retry", "POST", name="blast_jobs_retry", durable=True)
@endpoint
def retry_search(req: func.HttpRequest, caller: Caller, client: Any) -> Reply:
    """A new attempt of a failed or cancelled search; what an earlier attempt has done is not done again."""
    before = find_own(req, caller)
    _refuse_external(before, "not_retryable", "retried")
    now = _now()
    search = clients().searches.update(before.owner, before.job_id, lambda row: retried(row, now))
    if search.phase is not Phase.PREPARING or search.attempt == 1:
        raise ConflictError(
            "not_retryable",
            f"the search is {search.status}; only a failed or a cancelled one can be retried",
            "clone it to search again with the same queries",
        )
    if search.attempt != before.attempt:
        _record(search, caller, "retried", "", now)
    start_orchestration(search, DurableOrchestrations(client))
    return _accepted(search)


@http("api/blast/jobs/{id}/clone", "POST", name="blast_jobs_clone", durable=True)
@endpoint
def clone_search(req: func.HttpRequest, caller: Caller, client: Any) -> Reply:
    """A new search like this one, with the edits of the body; the queries are copied where it names none."""
    original = find_own(req, caller)
    _refuse_external(original, "not_cloneable", "cloned")
    request = as_model(_body_of(original, caller) | read_object(req), SubmitRequest)
    has_query = request.query_fasta is not None or request.query_blob is not None
    query = None if has_query else partial(_query_of, original)
    return submit(req, caller, client, request, cloned_from=original.job_id, query=query)


def _refuse_external(search: Search, code: str, what: str) -> None:
    """Raises ConflictError for a search whose queries and options only those have who began it."""
    if search.engine == "external":
        raise ConflictError(
            code,
            f"the search was begun outside and cannot be {what}: its queries are not here",
            "begin it again where it was begun, or submit it here with its queries",
        )


def _body_of(search: Search, caller: Caller) -> dict[str, Any]:
    # An operator's clone is the operator's search: whom the original's owner has told is not to be told of it.
    webhook = {"webhook_url": search.webhook_url} if search.webhook_url and search.owner == caller.owner else {}
    return webhook | {
        "program": search.program,
        "database": search.database,
        "title": search.title,
        "labels": dict(search.labels),
        "options": {k: v for k, v in search.options.items() if v is not None},
        "engine": search.engine,
        "batch_len": search.query.get("batch_len"),
        "cluster": search.cluster.to_dict(),
    }


def _query_of(search: Search) -> GivenQuery:
    try:
        blobs = clients().blobs(search.cluster.storage_account)
        return query_of_search(blobs, str(search.query["blob"]), clients().settings)
    except NotFoundError as error:
        raise InvalidInputError(
            "query_not_found", "the queries of the search are gone", "send query_fasta", field="query_fasta"
        ) from error


@http("api/blast/jobs/{id}", "DELETE", name="blast_jobs_delete", durable=True)
@endpoint
def delete_search(req: func.HttpRequest, caller: Caller, client: Any) -> Reply:
    """Cancel it where it is active, then delete its objects, its blobs, and at last its row."""
    search = find_own(req, caller)
    orchestrations = DurableOrchestrations(client)
    now = _now()
    _record(search, caller, "delete_requested", "", now)
    search = cancel(search, caller, "deleted", orchestrations)

    def change(row: Search) -> Search:
        return row if row.is_active else enter_phase(row, Phase.DELETING, now)

    search = clients().searches.update(search.owner, search.job_id, change)
    start_deletion(search, orchestrations)
    return _accepted(search)


def _now() -> datetime:
    """To the millisecond, as it is stored."""
    now = clients().now()
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


@http("api/blast/jobs/{id}/events", "GET", name="blast_jobs_events")
@endpoint
def show_events(req: func.HttpRequest, caller: Caller) -> Reply:
    """What happened to a search, newest first."""
    search = find_own(req, caller)
    events, after = clients().events.page(search.job_id, read_limit(req), read_event_cursor(req))
    return Reply({"items": [event.to_dict() for event in events], "next_cursor": write_cursor(after)})


def _record(search: Search, caller: Caller, kind: str, why: str, at: datetime) -> None:
    clients().events.add(search.job_id, Event(at, kind, caller.owner, why, search.attempt))


def _accepted(search: Search) -> Reply:
    shown = {"job_id": search.job_id, "status": search.status.value, "phase": search.phase.value}
    return accepted(shown, f"/api/blast/jobs/{search.job_id}")
