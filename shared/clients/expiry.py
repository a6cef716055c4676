"""Removes what is kept for a while only of one search: its results and its queries. Twice does no harm."""

from __future__ import annotations

from datetime import datetime

from shared.clients.provider import clients
from shared.domain.history import SYSTEM, Event
from shared.domain.observation import ids_of
from shared.domain.published import RESULTS_EXPIRED, has_expired, without_results
from shared.domain.results import QUERIES_CONTAINER, RESULTS_CONTAINER
from shared.domain.search import Search
from shared.telemetry import log_event


def remove_results(search: Search, now: datetime) -> int:
    """Delete a search's pieces, merged and published results and its queries, then say so in its row and its history.

    The blobs go first: where this is killed in between, the search is found again the next day. Nobody reads them any
    more, for the routes refuse from the moment at which they expire.

    Args:
        search: one whose results have expired, as a list has it; any other one is left alone.

    Returns:
        How many blobs were deleted.

    Raises:
        NotFoundError: the search was deleted meanwhile.
    """
    search = clients().searches.get(search.owner, search.job_id)
    if without_results(search, now) is search or not has_expired(search, now):
        return 0
    blobs = clients().blobs(search.cluster.storage_account)
    deleted = 0
    for container in (RESULTS_CONTAINER, QUERIES_CONTAINER):
        for any_id in sorted(ids_of(search)):
            names = [blob.name for blob in blobs.listing(container, f"{any_id}/")]
            blobs.delete(container, names)
            deleted += len(names)
    expired_at = search.results_expire_at or now  # the same event however often this is done
    clients().events.add(search.job_id, Event(expired_at, RESULTS_EXPIRED, SYSTEM, "", search.attempt))
    clients().searches.update(search.owner, search.job_id, lambda row: without_results(row, now))
    log_event("results_removed", job_id=search.job_id, blobs=deleted)
    return deleted
