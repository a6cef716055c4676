"""The stale reconcile: every cluster with active searches is looked at, and every active search is judged.

So a search ends although its monitor died, and has an orchestration again although its host did. The verdicts are
``shared.domain.reconcile``'s, what is done about them is ``triggers.timers.verdicts``'s. A turn begins nothing new
after ``BUDGET_SECONDS``; whom it does not get to comes first at the next turn, on whatever instance of the app.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import azure.functions as func

from shared.clients.observer import look_at_cluster
from shared.clients.orchestrations import DurableOrchestrations, Orchestrations
from shared.clients.provider import clients
from shared.clients.recording import timer_run
from shared.clients.search_payloads import STATE_CONTAINER
from shared.domain.errors import ElbError, NotFoundError
from shared.domain.reconcile import in_turn, turn_of
from shared.domain.search import ClusterRef, Search
from shared.telemetry import log_event
from triggers.blueprint import timer
from triggers.timers.turns import Budget, Clock, serve
from triggers.timers.verdicts import attend_to

NAME = "reconcile_stale_jobs"
BUDGET_SECONDS = 45.0
"""Of the minute until the next turn."""
PARALLEL_CLUSTERS = 4
PARALLEL_SEARCHES = 8
LEFT_OVER_BLOB = f"timers/{NAME}.json"


@timer("0 * * * * *", name=NAME)
def reconcile_stale_jobs(timer: func.TimerRequest, client: Any) -> None:  # noqa: ARG001
    """Find out what became of every active search, and give orchestrations to those that have none."""
    with timer_run(NAME) as result:
        result.update(reconcile(DurableOrchestrations(client)))


def reconcile(
    orchestrations: Orchestrations, clock: Clock = time.monotonic, parallel: int = PARALLEL_SEARCHES
) -> dict[str, int]:
    """One turn.

    Args:
        clock: seconds that only grow, for the budget.
        parallel: how many searches are served at the same time.

    Returns:
        How many ``clusters`` have unfinished searches and how many ``searches`` these are; how many clusters and
        searches were ``left_over`` and ``failed``; and how often each verdict was carried out.

    Raises:
        ElbError: the clusters cannot be listed.
        Exception: what nobody expected of one of them, after all others were served.
    """
    turn = _Turn(orchestrations, Budget(clock() + BUDGET_SECONDS, clock))
    before = _read_left_over()
    clusters = sorted(clients().clusters.known(), key=lambda c: (c.key < before.cluster, c.key))
    left = serve(clusters, turn.read, parallel=PARALLEL_CLUSTERS, budget=turn.budget)
    busy = [cluster for cluster in clusters if turn.searches.get(cluster)]
    line = in_turn([search for cluster in busy for search in turn.searches[cluster]], before.search)
    # A cluster that takes its time to answer holds up no search, nor the other way round.
    with ThreadPoolExecutor(1, thread_name_prefix="looks") as beside:
        looking = beside.submit(serve, busy, turn.look, parallel=PARALLEL_CLUSTERS, budget=turn.budget)
        unserved = serve(line, turn.attend_to, parallel=parallel, budget=turn.budget)
        left += looking.result()
    first = min(left, key=clusters.index).key if left else ""
    after = _LeftOver(first, turn_of(unserved[0]) if unserved else None)
    if after != before:
        _write_left_over(after)
    said = {"clusters": len(busy), "searches": len(line), "left_over": len(left) + len(unserved)}
    return said | turn.counts


@dataclass(slots=True)
class _Turn:
    """What one turn does and counts. One cluster's or one search's trouble keeps no other from being served."""

    orchestrations: Orchestrations
    budget: Budget
    searches: dict[ClusterRef, list[Search]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self, cluster: ClusterRef) -> None:
        """Read a cluster's unfinished searches from their rows."""
        try:
            found = self.searches[cluster] = clients().searches.unfinished_rows(cluster.key)
            log_event("cluster_load", cluster=cluster.cluster_name, unfinished=len(found))
        except ElbError as error:
            self._failed(error, cluster=cluster.cluster_name)

    def look(self, cluster: ClusterRef) -> None:
        """Look at a cluster, where a search of it may be there to be seen."""
        if not any(search.is_active for search in self.searches[cluster]):
            return
        try:
            look_at_cluster(cluster, self.orchestrations)
        except ElbError as error:
            self._failed(error, cluster=cluster.cluster_name)

    def attend_to(self, search: Search) -> None:
        """Judge a search, and do what the verdict asks for."""
        try:
            done = attend_to(search, self.orchestrations)
        except ElbError as error:
            self._failed(error, job_id=search.job_id, cluster=search.cluster.cluster_name)
        else:
            self._count(done)

    def _count(self, what: str) -> None:
        with self.lock:
            self.counts.update([what] if what else [])

    def _failed(self, error: ElbError, **where: Any) -> None:
        self._count("failed")
        log_event("reconcile_failed", code=error.code, message=error.message, **where)


@dataclass(frozen=True, slots=True)
class _LeftOver:
    """With whom the next turn begins: the key of a cluster and the place of a search; nobody when all were served."""

    cluster: str = ""
    search: tuple[str, str] | None = None


def _read_left_over() -> _LeftOver:
    """What the last turn did not get to. Where that cannot be read, the turn begins with the oldest."""
    blobs = clients().blobs(clients().settings.default_storage_account)
    try:
        data = json.loads(blobs.read(STATE_CONTAINER, LEFT_OVER_BLOB))
        at, job_id = data["search"] or ("", "")
        return _LeftOver(str(data["cluster"]), (str(at), str(job_id)) if at else None)
    except NotFoundError:
        return _LeftOver()
    except (ElbError, ValueError, KeyError, TypeError) as error:
        log_event("left_over_not_read", error=type(error).__name__)
        return _LeftOver()


def _write_left_over(left_over: _LeftOver) -> None:
    """Where that fails, some will wait for another turn."""
    blobs = clients().blobs(clients().settings.default_storage_account)
    data = json.dumps({"cluster": left_over.cluster, "search": left_over.search}).encode()
    try:
        blobs.put(STATE_CONTAINER, LEFT_OVER_BLOB, data, "application/json")
    except ElbError as error:
        log_event("left_over_not_written", code=error.code, message=error.message)
