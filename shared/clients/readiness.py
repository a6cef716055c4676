"""How ready a cluster is: ARM is asked first, the API server only when ARM says that the cluster runs.

Called by the monitor's page, by auto-warm's gate and by the activities that start and stop. In a process one reading of
a cluster is under way at a time and shared by all who ask, and good for a few seconds; a cluster (or an ARM) that does
not answer gets single probes, so that a dead one costs a bounded number of calls however many ask for it.
"""

from __future__ import annotations

from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from shared.clients.provider import Clients, clients
from shared.clients.single_flight import SingleFlight
from shared.domain.errors import ElbError, NotFoundError, PermanentError
from shared.domain.lifecycle import ClusterState, Lifecycle, lifecycle_of
from shared.domain.readiness import (
    NodeReadiness,
    Pool,
    expected_nodes,
    good_for,
    read_node_readiness,
    read_pools,
    ready_by_pool,
    ready_since,
    warm_ready,
    what_next,
    workload_ready,
)
from shared.domain.search import ClusterRef
from shared.domain.times import format_time

MAX_KEPT = 100
PARALLEL_READINGS = 8
_POOL = ThreadPoolExecutor(PARALLEL_READINGS, thread_name_prefix="readiness")
_NOBODY_KNOWS = ClusterState(Lifecycle.UNKNOWN, "", "")


@dataclass(frozen=True, slots=True)
class Readiness:
    """What one reading found.

    Attributes:
        nodes: as the API server has them; empty unless ARM says that the cluster runs, and when it did not answer.
        workload_ready: the gate of searches.
        warm_ready: the gate of auto-warm.
        reason: why a gate is closed and what happens next; ``ready`` when both are open.
        next_refresh_seconds: when to look again.
        observed_at: when the reading began.
        problem: why something of it is not known; None where all is.
        silent_since: when a reading first failed, of those since the last success.
        refusal: an answer that will not become another one by itself: no such cluster, no permission.
    """

    cluster: ClusterRef
    state: ClusterState
    region: str
    version: str
    pools: tuple[Pool, ...]
    nodes: tuple[NodeReadiness, ...]
    workload_ready: bool
    warm_ready: bool
    reason: str
    next_refresh_seconds: float
    observed_at: datetime
    problem: str | None = None
    silent_since: datetime | None = None
    refusal: PermanentError | None = None

    @property
    def lifecycle(self) -> Lifecycle:
        """Where the cluster is in its life; unknown when ARM did not say."""
        return self.state.lifecycle

    def to_dict(self) -> dict[str, Any]:
        """The row of ``GET /api/monitor/aks``; numbers of nodes only where searches can run."""
        ready = ready_by_pool(self.nodes)
        counted = self.workload_ready
        pools = [
            {
                "name": pool.name,
                "mode": pool.mode.lower(),
                "sku": pool.sku,
                "count": pool.count if counted else None,
                "ready": ready.get(pool.name, 0) if counted else None,
            }
            for pool in self.pools
        ]
        return {
            **self.cluster.to_dict(),
            "lifecycle_state": self.lifecycle.value,
            "workload_ready": self.workload_ready,
            "warm_ready": self.warm_ready,
            "reason": self.reason,
            "next_refresh_seconds": self.next_refresh_seconds,
            "summary": {"region": self.region, "version": self.version, "pools": pools},
            "observed_at": format_time(self.observed_at),
            "stale": self.problem is not None,
            "stale_reason": self.problem,
        }


_FLIGHTS: SingleFlight[Readiness] = SingleFlight()
_KEPT: OrderedDict[str, tuple[Clients, Readiness]] = OrderedDict()
"""The last reading of each cluster, with the clients that it was made with: others see other clusters."""


def read_readiness(cluster: ClusterRef, *, fresh: bool = False) -> Readiness:
    """How ready a cluster is, as read now or a few seconds ago.

    Takes at most about 25 s: one short try at ARM, one at the API server. Raises nothing for what they answer or do
    not: an ARM that does not tell is ``unknown``, never ``stopped``; a silent server is not ready, and it says why.

    Args:
        fresh: whether a reading that succeeded must be repeated, however young; one that failed is not.
    """
    known = last_reading(cluster)
    if known is not None and not (fresh and known.silent_since is None) and _is_good(known):
        return known
    reading, _ = _FLIGHTS.run(cluster.key, lambda: _read(cluster, known))
    return reading


def start_reading(cluster: ClusterRef) -> Future[Readiness]:
    """The same for a caller that will not wait to its end: the reading goes on, and the next caller joins it."""
    known = last_reading(cluster)
    if known is not None and _is_good(known):
        done: Future[Readiness] = Future()
        done.set_result(known)
        return done
    return _FLIGHTS.start(cluster.key, lambda: _read(cluster, known), _POOL)


def unread(cluster: ClusterRef, problem: str) -> Readiness:
    """What to show of a cluster whose reading is late: the last one, marked as such, or that nothing is known."""
    known = last_reading(cluster)
    if known is not None:
        return replace(known, problem=problem)
    return _reading(cluster, _NOBODY_KNOWS, {}, (), clients().now(), problem)


def last_reading(cluster: ClusterRef) -> Readiness | None:
    """The last reading of this process; None when there was none yet."""
    kept = _KEPT.get(cluster.key)
    return kept[1] if kept is not None and kept[0] is clients() else None


def _is_good(known: Readiness) -> bool:
    now = clients().now()
    return abs((now - known.observed_at).total_seconds()) < good_for(known.lifecycle, known.silent_since, now)


def _read(cluster: ClusterRef, known: Readiness | None) -> Readiness:
    began = clients().now()
    reading = _ask(cluster, began)
    if reading.problem is not None:
        since = known.silent_since if known is not None and known.silent_since is not None else began
        wait = good_for(reading.lifecycle, since, clients().now())
        reading = replace(reading, silent_since=since, next_refresh_seconds=max(wait, reading.next_refresh_seconds))
        if not reading.pools and known is not None:  # what it is made of has not changed because nobody tells
            reading = replace(reading, region=known.region, version=known.version, pools=known.pools)
    _KEPT[cluster.key] = clients(), reading
    _KEPT.move_to_end(cluster.key)
    while len(_KEPT) > MAX_KEPT:
        _KEPT.popitem(last=False)
    return reading


def _ask(cluster: ClusterRef, now: datetime) -> Readiness:
    try:
        body = clients().arm.cluster(cluster, patient=False)
    except NotFoundError as error:
        return replace(_reading(cluster, ClusterState(Lifecycle.NOT_FOUND, "", ""), {}, (), now), refusal=error)
    except PermanentError as error:
        return replace(_reading(cluster, _NOBODY_KNOWS, {}, (), now, error.message), refusal=error)
    except ElbError as error:
        return _reading(cluster, _NOBODY_KNOWS, {}, (), now, error.message)
    state = lifecycle_of(body)
    if not state.workload_possible:
        return _reading(cluster, state, body, (), now)
    try:
        nodes = clients().kube(cluster, patient=False).nodes()
    except ElbError as error:
        refusal = error if isinstance(error, PermanentError) else None
        return replace(_reading(cluster, state, body, (), now, error.message), refusal=refusal)
    return _reading(cluster, state, body, tuple(map(read_node_readiness, nodes)), now)


def _reading(
    cluster: ClusterRef,
    state: ClusterState,
    body: dict[str, Any],
    nodes: tuple[NodeReadiness, ...],
    now: datetime,
    problem: str | None = None,
) -> Readiness:
    properties, pools = body.get("properties") or {}, read_pools(body)
    workload = workload_ready(state, nodes)
    warm = warm_ready(state, nodes, expected_nodes(pools), ready_since(nodes), now)
    reason, again = what_next(state.lifecycle, workload=workload, warm=warm)
    if problem is not None and state.workload_possible:
        reason = "Azure says that the cluster runs, but it does not answer; it is asked again"
    return Readiness(
        cluster=cluster,
        state=state,
        region=str(body.get("location") or ""),
        version=str(properties.get("currentKubernetesVersion") or properties.get("kubernetesVersion") or ""),
        pools=pools,
        nodes=nodes,
        workload_ready=workload,
        warm_ready=warm,
        reason=reason,
        next_refresh_seconds=again,
        observed_at=now,
        problem=problem,
    )
