"""What the provenances of all results have in common; ``activities.publishing`` and ``external_results`` add to it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from shared.domain.search import Search
from shared.domain.times import format_time


def origin(search: Search, at: datetime) -> dict[str, Any]:
    """Whose search it was and when: what the provenance of every result has, whoever began it.

    Args:
        at: when the results were published.
    """
    return {
        "owner": search.owner,
        "job_id": search.job_id,
        "attempt": search.attempt,
        "created_at": format_time(search.created_at),
        "started_at": format_time(search.started_at),
        "published_at": format_time(at),
        "engine": search.engine,
    }
