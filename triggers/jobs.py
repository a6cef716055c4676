"""Searches over HTTP: submit, list, detail, and the call-back of a finishing Job."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import azure.functions as func

from shared.auth import Caller
from shared.clients.counters import count
from shared.clients.given_queries import GivenQuery
from shared.clients.orchestrations import DurableOrchestrations
from shared.clients.provider import clients
from shared.clients.recording import flush_counts, record_submit
from shared.clients.starting import start_orchestration
from shared.domain import functions as names
from shared.domain.callback import token_is_valid
from shared.domain.errors import ForbiddenError, NotFoundError
from shared.domain.history import Event
from shared.domain.rates import Rate
from shared.domain.search import Search
from shared.domain.states import Phase
from shared.responses import Reply, accepted, anonymous, endpoint
from shared.telemetry import log_event
from triggers.blueprint import http
from triggers.freshness import refreshed
from triggers.paging import read_cursor, read_filter, read_limit, write_cursor
from triggers.rates import limit_rate
from triggers.requests import SubmitRequest, read_body
from triggers.submission import Submission
from triggers.views import detail, list_item


@http("api/blast/jobs", "POST", name="blast_jobs_submit", durable=True)
@endpoint
def submit_search(req: func.HttpRequest, caller: Caller, client: Any) -> Reply:
    """Check, write the rows, store the query, start the orchestration: in this order."""
    return submit(req, caller, client, read_body(req, SubmitRequest))


@http("api/blast/submit", "POST", name="blast_submit", durable=True)
@endpoint
def submit_search_alias(req: func.HttpRequest, caller: Caller, client: Any) -> Reply:
    """The alias of the submit."""
    return submit(req, caller, client, read_body(req, SubmitRequest))


def submit(
    req: func.HttpRequest,
    caller: Caller,
    client: Any,
    request: SubmitRequest,
    *,
    cloned_from: str | None = None,
    query: Callable[[], GivenQuery] | None = None,
) -> Reply:
    """Submit a request that was read: from a body, or from another search, whose query ``query`` reads."""
    submission = Submission(caller, request, query)
    idempotency = submission.idempotency(req.headers.get("Idempotency-Key"), cloned_from)
    known = clients().searches.known(caller.owner, idempotency) if idempotency else None
    if known is not None and known.phase is not Phase.PREPARING:
        return accepted({"job_id": known.job_id}, f"/api/blast/jobs/{known.job_id}")
    if known is None:
        limit_rate(caller, Rate.SUBMIT)
    submission.check()
    clients().clusters.remember(submission.cluster)  # first, so that the reconcile looks there whatever happens next
    search, created = clients().searches.create(submission.search(idempotency, cloned_from), idempotency)
    if created or search.phase is Phase.PREPARING:
        # Also for a repeated request: the first one may have died between its row and here.
        submission.check_same_query(search)
        why = f"clone of {cloned_from}" if cloned_from else ""
        clients().events.add(search.job_id, Event(search.created_at, "submitted", caller.owner, why))
        blobs = clients().blobs(search.cluster.storage_account)
        submission.query.store(blobs, str(search.query["blob"]))
        start_orchestration(search, DurableOrchestrations(client))
        record_submit(search)
    log_event("search_submitted", job_id=search.job_id, created=created, cluster=search.cluster.cluster_name)
    return accepted({"job_id": search.job_id}, f"/api/blast/jobs/{search.job_id}")


@http("api/blast/jobs", "GET", name="blast_jobs_list", durable=True)
@endpoint
def list_searches(req: func.HttpRequest, caller: Caller, client: Any) -> Reply:
    """One page of the caller's searches, newest first; operators ask for all with ``?owner=*``."""
    limit, cursor, where = read_limit(req), read_cursor(req), read_filter(req)
    owner = req.params.get("owner")
    if owner is not None and owner != caller.owner and not caller.is_operator:
        raise ForbiddenError("role_missing", "other owners' searches need the role operator", "leave owner out")

    after: str | None = None

    def read() -> list[Search]:
        nonlocal after  # of the page that is shown: read again, it may end elsewhere
        if owner == "*":
            searches, after = clients().searches.page_of_all(limit, cursor, where)
        else:
            searches, after = clients().searches.page(owner or caller.owner, limit, cursor, where)
        return searches

    fresh = refreshed(read(), DurableOrchestrations(client), read)
    return Reply({"items": [list_item(search) for search in fresh], "next_cursor": write_cursor(after)})


@http("api/blast/jobs/{id}", "GET", name="blast_jobs_detail", durable=True)
@endpoint
def show_search(req: func.HttpRequest, caller: Caller, client: Any) -> Reply:
    """One search with its steps, Jobs and options."""
    search = find_own(req, caller)

    def read_again() -> list[Search]:
        try:
            return [clients().searches.get(search.owner, search.job_id)]
        except NotFoundError:  # deleted meanwhile: shown as it was a moment ago
            return [search]

    (shown,) = refreshed([search], DurableOrchestrations(client), read_again)
    return Reply(detail(shown))


def find_own(req: func.HttpRequest, caller: Caller) -> Search:
    """The search of the route's id, if it is the caller's to see; otherwise as if there were none."""
    job_id = str(req.route_params.get("id") or "")
    missing = NotFoundError("job_not_found", "there is no such search", "GET /api/blast/jobs lists yours")
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,100}", job_id, re.ASCII):
        raise missing
    try:
        return clients().searches.find(job_id, None if caller.is_operator else caller.owner)
    except NotFoundError:
        raise missing from None


@http("api/blast/jobs/{id}/notify", "POST", name="blast_jobs_notify", durable=True)
@anonymous
def notify(req: func.HttpRequest, client: Any) -> Reply:
    """A finishing Job calls: write that a look is wanted, then wake the monitor. The call itself proves nothing."""
    job_id = str(req.route_params.get("id") or "")
    if not token_is_valid(clients().settings.callback_secret, job_id, req.headers.get("X-Elb-Token") or ""):
        raise ForbiddenError("wrong_token", "the token is not this search's", "only the search's own Jobs may call")
    search = clients().searches.find(job_id)
    if search.is_terminal:
        return Reply({"woken": False}, 202)
    count("wake_ups")
    clients().clusters.request_wake(search.cluster, clients().now())
    DurableOrchestrations(client).wake(names.monitor_instance(search.job_id, search.run), names.WAKE_EVENT)
    flush_counts()
    return Reply({"woken": True}, 202)
