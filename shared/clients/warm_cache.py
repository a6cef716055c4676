"""A cluster's warm cache, read at once for all databases and nodes, and within a time that a page waits.

One reading is shared by all who ask meanwhile. A cluster that is not ready or does not answer gives a reason in place
of a reading: nothing is then known of its memory, and nothing is called cold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from shared.clients.kube import Kube
from shared.clients.provider import clients
from shared.clients.readiness import read_readiness
from shared.clients.residency import read_residency
from shared.clients.single_flight import SingleFlight
from shared.clients.warmups import read_logs
from shared.domain.capacity import (
    Holding,
    cluster_capacity,
    database_of,
    node_row,
    planning_views,
    read_holding,
    read_usage,
)
from shared.domain.errors import ElbError, TransientError
from shared.domain.manifests import APP_WARMUP
from shared.domain.names import label_value
from shared.domain.planner import NodeView, read_node
from shared.domain.residency import Residency
from shared.domain.search import ClusterRef
from shared.domain.snapshot import ClusterSnapshot, read_snapshot
from shared.domain.warmth import WarmupStatus, warmup_status
from shared.telemetry import log_event

BUDGET_SECONDS = 3.0
"""How long a request waits for a reading; the reading goes on without it."""
PARALLEL_READINGS = 4
_POOL = ThreadPoolExecutor(PARALLEL_READINGS, thread_name_prefix="warm-cache")


@dataclass(frozen=True, slots=True)
class CacheReading:
    """One reading.

    Attributes:
        databases: names of those that have warmup Jobs.
        snapshot: all warmup Jobs and their pods.
        nodes: as the API server has them.
        memory_used: node -> bytes, of the metrics; empty where there are none.
        metrics_reason: why there are none.
    """

    databases: tuple[str, ...]
    snapshot: ClusterSnapshot
    logs: Mapping[str, str]
    nodes: Sequence[Mapping[str, Any]]
    holdings: tuple[Holding, ...]
    residency: Residency
    memory_used: Mapping[str, int]
    metrics_reason: str

    def status(self, database: str, current_version: str | None) -> WarmupStatus:
        """How warm one database is; None as its version is one that storage does not tell."""
        label = label_value(database)
        own = ClusterSnapshot(
            self.snapshot.observed_at,
            tuple(job for job in self.snapshot.jobs if job.labels.get("db") == label),
            tuple(pod for pod in self.snapshot.pods if pod.labels.get("db") == label),
            self.snapshot.server_time,
        )
        ready = frozenset(node.name for node in map(read_node, self.nodes) if node.ready)
        return warmup_status(database, own, self.logs, ready, current_version, self.residency)

    def views(self, database: str) -> list[NodeView]:
        """The nodes with what other databases than this one hold there."""
        return planning_views(self.nodes, self.holdings, self.residency, database)

    def node_rows(self) -> list[dict[str, Any]]:
        """The rows of ``/api/monitor/aks/nodes``, by name."""
        rows = [
            node_row(node, self.holdings, self.residency, self.memory_used.get(node["metadata"]["name"]))
            for node in self.nodes
        ]
        return sorted(rows, key=lambda row: str(row["name"]))

    def capacity(self) -> dict[str, Any]:
        """The cluster as a whole."""
        return cluster_capacity(self.node_rows(), self.nodes) | {"metrics_reason": self.metrics_reason or None}


def read_cache(kube: Kube) -> CacheReading:
    """Read Jobs, pods, logs, nodes, metrics and residency: one list of each.

    Raises:
        TransientError: the cluster did not answer.
    """
    now, selector = clients().now(), f"app={APP_WARMUP}"
    jobs = kube.jobs(selector)
    pods = kube.pods(selector) if jobs else []
    nodes = kube.nodes()
    snapshot = read_snapshot(jobs, pods, now, kube.server_time())
    used, reason = _memory_used(kube)
    return CacheReading(
        databases=tuple(
            sorted({database_of(job) for job in jobs if not job["metadata"].get("deletionTimestamp")} - {""})
        ),
        snapshot=snapshot,
        logs=read_logs(kube, snapshot),
        nodes=nodes,
        holdings=tuple(holding for holding in map(read_holding, jobs) if holding is not None),
        residency=read_residency(kube),
        memory_used=used,
        metrics_reason=reason,
    )


def read_views(kube: Kube, database: str, residency: Residency | None = None) -> list[NodeView]:
    """The nodes with what other databases than this one hold there: what a plan of this one takes.

    Args:
        residency: what the caller has read of it already; None to read it.

    Raises:
        TransientError: the cluster did not answer.
    """
    jobs = kube.jobs(f"app={APP_WARMUP}")
    holdings = [holding for holding in map(read_holding, jobs) if holding is not None]
    return planning_views(kube.nodes(), holdings, read_residency(kube) if residency is None else residency, database)


def _memory_used(kube: Kube) -> tuple[dict[str, int], str]:
    """Bytes in use of each node, or why that is not known: a cluster need not have a metrics server."""
    try:
        return dict(kube.listed("nodemetrics", "", read_usage)), ""
    except ElbError as error:
        log_event("metrics_unknown", code=error.code, message=error.message)
        return {}, f"the nodes' metrics could not be read: {error.message}"


_FLIGHTS: SingleFlight[CacheReading] = SingleFlight()


def look_at_cache(cluster: ClusterRef) -> CacheReading | str:
    """A reading, or why there is none, within ``BUDGET_SECONDS``."""
    try:
        return _FLIGHTS.start(cluster.key, lambda: _read(cluster), _POOL).result(BUDGET_SECONDS)
    except TimeoutError:
        return f"no answer of cluster {cluster.cluster_name} within {BUDGET_SECONDS:g} s"
    except ElbError as error:
        return error.message


def _read(cluster: ClusterRef) -> CacheReading:
    readiness = read_readiness(cluster)
    if not readiness.workload_ready:
        raise TransientError("cluster_not_ready", f"cluster {cluster.cluster_name}: {readiness.reason}")
    return read_cache(clients().kube(cluster, patient=False))
