"""Searches as the API shows them."""

from __future__ import annotations

from typing import Any

from shared.clients.provider import clients
from shared.domain.cost import search_cost
from shared.domain.ids import short_id
from shared.domain.search import Search
from shared.domain.times import format_time
from shared.domain.webhook_urls import masked


def list_item(search: Search) -> dict[str, Any]:
    """An item of the list."""
    return {
        "job_id": search.job_id,
        "short_id": short_id(search.job_id),
        "aliases": list(search.aliases),
        "source": search.source,
        "status": search.status.value,
        "phase": search.phase.value,
        "waiting_reason": search.waiting_reason,
        "title": search.title,
        "program": search.program,
        "database": search.database,
        "owner": search.owner,
        "created_at": format_time(search.created_at),
        "started_at": format_time(search.started_at),
        "completed_at": format_time(search.completed_at),
        "observed_at": format_time(search.observed_at),
        "stale": search.stale_reason is not None,
        "stale_reason": search.stale_reason,
        "progress": search.progress.to_dict(),
        "results_expire_at": format_time(search.results_expire_at),
        "error": search.error,
        "attempt": search.attempt,
        "cloned_from": search.cloned_from,
        "cost": _cost(search),
    }


def _cost(search: Search) -> dict[str, Any] | None:
    settings = clients().settings
    return search_cost(search.run_seconds, settings.job_cpus, settings.vcpu_hour_usd)


def detail(search: Search) -> dict[str, Any]:
    """The detail: a list item with steps, Kubernetes Jobs and options."""
    return {
        **list_item(search),
        "steps": [step.to_dict() for step in search.steps],
        "kubernetes": {"jobs": [dict(job) for job in search.jobs]},
        "options": dict(search.options),
        "labels": dict(search.labels),
        "webhook_url": masked(search.webhook_url) if search.webhook_url else None,
        "query": {k: v for k, v in search.query.items() if k != "blob"},
    }
