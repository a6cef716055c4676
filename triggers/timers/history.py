"""Forgets, once a day, what is kept for a while only: results, Durable histories, statistics, unused payloads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import azure.functions as func

from shared.clients.orchestrations import DurableOrchestrations, Orchestrations
from shared.clients.provider import clients
from shared.clients.recording import timer_run
from shared.clients.search_payloads import STATE_CONTAINER
from shared.clients.uploads import purge_uploads
from shared.domain.errors import ElbError, NotFoundError
from shared.domain.ids import is_own_id, row_key, time_of_key
from shared.domain.stats import KEPT
from shared.telemetry import log_event
from triggers.blueprint import timer
from triggers.timers.expiry import expire_results

NAME = "purge_history"
PAYLOAD_AGE = timedelta(days=1)
"""Payloads of younger searches are left alone: a search that is being written has its payload before its row."""


@timer("0 10 3 * * *", name=NAME)
def purge_history(timer: func.TimerRequest, client: Any) -> None:  # noqa: ARG001
    """Forget what is old enough; what an error keeps from being forgotten goes the next day."""
    now, orchestrations = clients().now(), DurableOrchestrations(client)
    duties: Mapping[str, Callable[[], int]] = {
        "results": lambda: expire_results(now),
        "histories": lambda: purge_histories(orchestrations, now),
        "stats": lambda: clients().stats.purge(now - KEPT),
        "payloads": lambda: purge_payloads(now),
        "uploads": lambda: purge_uploads(now),
    }
    failure: ElbError | None = None
    with timer_run(NAME) as result:
        for name, duty in duties.items():
            try:
                result[name] = duty()
            except ElbError as error:  # the other duties do not wait for this one
                log_event("purge_failed", duty=name, code=error.code, message=error.message)
                failure = error
        if failure is not None:
            raise failure


def purge_histories(orchestrations: Orchestrations, now: datetime) -> int:
    """Purge the orchestrations of more than ``ELB_HISTORY_DAYS`` ago that have ended; how many.

    Durable cannot be told to leave some out. So the oldest active search of all says how far the purge may go: none of
    its orchestrations was made before it.
    """
    began = [
        search.created_at
        for cluster in clients().clusters.known()
        for search in clients().searches.unfinished(cluster.key)
    ]
    limit = now - timedelta(days=clients().settings.history_days)
    return orchestrations.purge(min([limit, *began]))


def purge_payloads(now: datetime) -> int:
    """Remove the blobs with payloads of searches that are gone, or that were never written; how many."""
    blobs = clients().blobs(clients().settings.default_storage_account)
    names: dict[str, list[str]] = {}
    for blob in blobs.listing(STATE_CONTAINER, ""):
        names.setdefault(blob.name.partition("/")[0], []).append(blob.name)
    gone = [name for job_id, found in names.items() if _is_gone(job_id, now) for name in found]
    blobs.delete(STATE_CONTAINER, gone)
    return len(gone)


def _is_gone(job_id: str, now: datetime) -> bool:
    if not is_own_id(job_id) or now - time_of_key(row_key(job_id, now)) < PAYLOAD_AGE:
        return False
    try:
        clients().searches.find(job_id)
    except NotFoundError:
        return True
    return False
