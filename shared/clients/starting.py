"""Starts the orchestration that owns a search: at its submit, when it is found, and again when its own is gone."""

from __future__ import annotations

from shared.clients.orchestrations import Orchestrations
from shared.clients.provider import clients
from shared.domain import functions as names
from shared.domain.search import Search
from shared.domain.times import format_time

WAITS_PER_GENERATION = 7
"""Waits for admission after which an orchestration's history begins anew: it stays below 100 events."""
EXTERNAL_DEADLINE_SECONDS = 30 * 86_400
"""A search begun outside has no deadline of ours; this one only keeps a monitor from running for ever."""


def start_orchestration(search: Search, orchestrations: Orchestrations) -> bool:
    """Start the orchestration of the search's current run; False when it was started before."""
    settings = clients().settings
    external = search.engine == "external"
    data = {
        **search.ref,
        "cluster": search.cluster.to_dict(),
        "database": search.database,
        "created_at": format_time(search.attempt_started_at or search.created_at),
        "engine": search.engine,
        "attempt": search.attempt,
        "parallel": settings.parallel_warm_reuse,
        "warmup_wait_seconds": settings.warmup_wait_seconds,
        "deadline_seconds": EXTERNAL_DEADLINE_SECONDS if external else settings.search_deadline_seconds,
        "results_grace_seconds": settings.results_grace_seconds,
        "waits_per_generation": WAITS_PER_GENERATION,
    }
    return orchestrations.start(names.SEARCH_ORCHESTRATOR, names.search_instance(search.job_id, search.run), data)
