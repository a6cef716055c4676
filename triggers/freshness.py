"""Before a list or a detail is shown, the clusters of its active searches are looked at, within a time budget.

The look is throttled by the cluster's row (``shared.clients.observer``), so most calls cost one read of it. A look that
fails or takes too long never fails the request: the rows are shown as they are, marked stale with the reason. A cluster
that is known not to answer is asked in the background, and nobody waits for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from shared.clients.counters import count
from shared.clients.observer import Look, start_look
from shared.clients.orchestrations import Orchestrations
from shared.clients.provider import clients
from shared.clients.recording import flush_counts
from shared.domain.errors import ElbError, TransientError
from shared.domain.schedule import ClusterRow, as_of
from shared.domain.search import ClusterRef, Search
from shared.domain.states import ON_THE_CLUSTER
from shared.telemetry import log_event

BUDGET_SECONDS = 1.5
SILENT_BUDGET_SECONDS = 0.05
"""How long a request waits for the probe of a cluster that did not answer the last one."""


def refreshed(
    searches: Sequence[Search], orchestrations: Orchestrations, read_again: Callable[[], Sequence[Search]]
) -> list[Search]:
    """The searches as of a look that is not older than its window.

    Args:
        searches: rows that were just read, with or without payloads.
        read_again: reads the same rows; asked once, and only when a look was taken meanwhile.
    """
    flush_counts()
    on_cluster = {s.cluster.key: s.cluster for s in searches if s.phase in ON_THE_CLUSTER}
    if not on_cluster:
        return list(searches)
    looks = {key: start_look(cluster, orchestrations) for key, cluster in on_cluster.items()}
    end = time.monotonic() + BUDGET_SECONDS
    seen = {key: _result(on_cluster[key], look, end) for key, look in looks.items()}
    if any(look is not None and look.taken for look, _ in seen.values()):
        try:
            searches = read_again()
        except TransientError as error:  # what was read before the look is in hand; it is old by one look
            log_event("page_not_read_again", code=error.code, message=error.message)
            seen = dict.fromkeys(seen, (None, error.message))
    now = clients().now()
    shown = []
    for search in searches:
        look, problem = seen.get(search.cluster.key, (None, None))
        row = look.row if look is not None else ClusterRow()
        shown.append(as_of(search, row, now, problem))
    return shown


def _result(cluster: ClusterRef, look: Future[Look], end: float) -> tuple[Look | None, str | None]:
    """The look, or why there is none that could be waited for."""
    silent = _known_silent(cluster.key)
    budget = SILENT_BUDGET_SECONDS if silent is not None else max(0.0, end - time.monotonic())
    try:
        done = look.result(budget)
    except TimeoutError:
        count("refreshes_late")
        return None, silent or f"no answer of the cluster within {BUDGET_SECONDS:g} s"
    except ElbError as error:
        log_event("refresh_failed", cluster=cluster.cluster_name, code=error.code, message=error.message)
        return None, error.message
    _remember(cluster.key, done.row)
    return done, None


SILENCE_MEMORY = 120.0
"""Seconds: longer than the longest time between two probes."""
MAX_SILENT = 100
_SILENT: dict[str, tuple[str, float]] = {}
"""Clusters that did not answer this process's last look, with the reason, and until when that is remembered."""


def _known_silent(key: str) -> str | None:
    reason, until = _SILENT.get(key, ("", 0.0))
    return reason if time.monotonic() < until else None


def _remember(key: str, row: ClusterRow) -> None:
    if row.unreachable_since is None:
        _SILENT.pop(key, None)
    else:
        now = time.monotonic()
        if len(_SILENT) >= MAX_SILENT:
            for old in [known for known, (_, until) in list(_SILENT.items()) if until <= now]:
                _SILENT.pop(old, None)
        if len(_SILENT) < MAX_SILENT or key in _SILENT:
            _SILENT[key] = row.unreachable_reason, now + SILENCE_MEMORY
