"""Before a list or a detail is shown, the clusters of its active searches are looked at, within a time budget.

The look is throttled by the cluster's row (``shared.clients.observer``), so most calls cost one read. A look that
fails or takes too long never fails the request: the rows are shown as they are, marked stale with the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_futures
from dataclasses import replace

from shared.clients.observer import look_at_cluster
from shared.clients.orchestrations import Orchestrations
from shared.clients.provider import clients
from shared.domain.errors import ElbError, NotFoundError
from shared.domain.observation import Observation
from shared.domain.search import ClusterRef, Search
from shared.domain.states import ON_THE_CLUSTER
from shared.telemetry import log_event

BUDGET_SECONDS = 1.5
PARALLEL_LOOKS = 4
_POOL = ThreadPoolExecutor(PARALLEL_LOOKS, thread_name_prefix="look")


def refreshed(searches: Sequence[Search], orchestrations: Orchestrations) -> list[Search]:
    """The same searches, those on a cluster as of a look that is not older than its window.

    Args:
        searches: rows of a page, with or without payloads; the answer has payloads where a row was read again.
    """
    on_cluster = {s.cluster.key: s.cluster for s in searches if s.phase in ON_THE_CLUSTER}
    if not on_cluster:
        return list(searches)
    looks = {key: _POOL.submit(look_at_cluster, cluster, orchestrations, None) for key, cluster in on_cluster.items()}
    wait_futures(looks.values(), BUDGET_SECONDS)
    problems = {key: _problem(on_cluster[key], look) for key, look in looks.items()}
    return [_again(s, problems[s.cluster.key]) if s.phase in ON_THE_CLUSTER else s for s in searches]


def _problem(cluster: ClusterRef, look: Future[Observation | None]) -> str:
    """Why the look says nothing; empty when it does."""
    if not look.done():
        look.cancel()
        return f"no answer of the cluster within {BUDGET_SECONDS:g} s"
    error = look.exception()
    if error is None:
        return ""
    if not isinstance(error, ElbError):
        raise error
    log_event("refresh_failed", cluster=cluster.cluster_name, code=error.code, message=error.message)
    return error.message


def _again(search: Search, problem: str) -> Search:
    if problem:
        return replace(search, stale_reason=problem)
    try:
        return clients().searches.get(search.owner, search.job_id)
    except NotFoundError:  # deleted meanwhile: shown as it was a moment ago
        return search
