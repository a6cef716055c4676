"""Timers: each a singleton, safe to overlap, each run one structured event.

``reconcile_stale_jobs`` finds out what nobody else did: every cluster with active searches is looked at, and a search
whose orchestration never began is started. ``reconcile_auto_warm`` looks at no preferences yet.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import azure.functions as func

from shared.clients.observer import look_at_cluster
from shared.clients.orchestrations import DurableOrchestrations
from shared.clients.provider import clients
from shared.domain.errors import ElbError
from shared.domain.search import Search
from shared.telemetry import log_event
from triggers.blueprint import timer
from triggers.start import revive

EVERY_MINUTE = "0 * * * * *"
SUBMIT_SECONDS = 30.0


@timer(EVERY_MINUTE, name="reconcile_stale_jobs")
def reconcile_stale_jobs(timer: func.TimerRequest, client: Any) -> None:  # noqa: ARG001
    """Look at every cluster with active searches; give searches without an orchestration a new one."""
    began = time.monotonic()
    orchestrations, active, revived, failed = DurableOrchestrations(client), 0, 0, 0
    for cluster in clients().clusters.known():
        try:
            searches = clients().searches.unfinished(cluster.key)
            active += len(searches)
            if searches:
                look_at_cluster(cluster, orchestrations, None)
            revived += sum(_revive(search, orchestrations) for search in searches if _is_quiet(search))
        except ElbError as error:  # one cluster must not keep the others from being looked at
            failed += 1
            log_event("reconcile_failed", cluster=cluster.cluster_name, code=error.code, message=error.message)
    seconds = round(time.monotonic() - began, 3)
    log_event("timer_run", timer="reconcile_stale_jobs", active=active, revived=revived, failed=failed, seconds=seconds)


def _revive(search: Search, orchestrations: DurableOrchestrations) -> bool:
    """Revive one search; its trouble, a storage account that is gone say, must not keep the next from being revived."""
    try:
        return revive(search, orchestrations)
    except ElbError as error:
        log_event("revive_failed", job_id=search.job_id, code=error.code, message=error.message)
        return False


def _is_quiet(search: Search) -> bool:
    """Old enough that its submit is over: a younger one may still be between its row and its orchestration."""
    return (datetime.now(UTC) - search.created_at).total_seconds() > SUBMIT_SECONDS


@timer(EVERY_MINUTE, name="reconcile_auto_warm")
def reconcile_auto_warm(timer: func.TimerRequest, client: Any) -> None:  # noqa: ARG001
    """Nothing to warm by itself yet: preferences come with the warm cache."""
    log_event("timer_run", timer="reconcile_auto_warm", warmed=0, seconds=0.0)
