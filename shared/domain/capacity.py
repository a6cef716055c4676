"""What the nodes' memory holds: shards by their Jobs, bytes by the probe, what is free, and the sum over the cluster.

A node's budget for databases and its headroom are two things: the budget is a share of its memory that the product may
fill, the headroom is what the node's metrics say is free now.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.domain.manifests import LAYOUT
from shared.domain.planner import NodeView, candidates, read_node
from shared.domain.quantities import parse_quantity
from shared.domain.residency import Residency
from shared.domain.snapshot import JobState, read_job
from shared.domain.times import format_time

FILES_ENV = "ELB_FILES"
"""In a warmup Job: a line ``<bytes> <path>`` for each of the shard's files."""
DATABASE_ENV = "ELB_DB"


@dataclass(frozen=True, slots=True)
class Holding:
    """A shard that a node holds or is getting, as its warmup Job says."""

    database: str
    layout: int
    shard: int
    node: str
    bytes: int
    state: JobState


def read_holding(job: Mapping[str, Any]) -> Holding | None:
    """What a warmup Job brings to its node; None for a Job that is being deleted, has failed, or is pinned nowhere.

    The sizes are those that the Job was made with, so that they are known whatever storage has now.
    """
    view = read_job(job)
    if view.deleting or view.state is JobState.FAILED or not view.node:
        return None
    env = _environment(job)
    return Holding(
        database=env.get(DATABASE_ENV) or view.labels.get("db", ""),
        layout=_number(view.annotations.get(LAYOUT)),
        shard=_number(view.labels.get("shard")),
        node=view.node,
        bytes=sum(_number(line.split(" ", 1)[0]) for line in env.get(FILES_ENV, "").splitlines()),
        state=view.state,
    )


def database_of(job: Mapping[str, Any]) -> str:
    """Name of the database that a warmup Job is about; the label is only its name where that is a label's value."""
    return _environment(job).get(DATABASE_ENV) or str((job["metadata"].get("labels") or {}).get("db", ""))


def _environment(job: Mapping[str, Any]) -> dict[str, str]:
    spec = (((job.get("spec") or {}).get("template") or {}).get("spec")) or {}
    return {
        str(env.get("name")): str(env.get("value") or "")
        for container in spec.get("containers") or ()
        for env in container.get("env") or ()
    }


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0


def held_by_node(holdings: Iterable[Holding], residency: Residency, *, besides: str = "") -> dict[str, int]:
    """Bytes of memory of each node that databases hold or are about to.

    Of each database with shards on a node the larger of two numbers counts: its shards as the Jobs have them (one that
    is being loaded will need all of it), and what was measured (shards of an earlier layout are in the way too). What
    is left of a database without Jobs does not count: it is page cache that nobody wants kept, and a measurement may be
    a minute older than the release that emptied it.

    Args:
        besides: a database that does not count: the one that room is looked for.
    """
    planned: Counter[tuple[str, str]] = Counter()
    for holding in holdings:
        planned[holding.node, holding.database] += holding.bytes
    held: Counter[str] = Counter()
    for (node, name), size in planned.items():
        if name != besides:
            held[node] += max(size, residency.of_database(node, name))
    return dict(held)


def planning_views(
    nodes: Iterable[Mapping[str, Any]], holdings: Iterable[Holding], residency: Residency, database: str = ""
) -> list[NodeView]:
    """The nodes with what databases other than this one hold there: what the planner takes."""
    held = held_by_node(holdings, residency, besides=database)
    return [read_node(node, held.get(node["metadata"]["name"], 0)) for node in nodes]


def read_usage(metrics: Mapping[str, Any]) -> tuple[str, int]:
    """Name of the node and bytes of memory in use, of a NodeMetrics (metrics.k8s.io)."""
    memory = str((metrics.get("usage") or {}).get("memory") or "0")
    return str(metrics["metadata"]["name"]), int(parse_quantity(memory))


def node_row(
    node: Mapping[str, Any],
    holdings: Sequence[Holding],
    residency: Residency,
    memory_used: int | None,
) -> dict[str, Any]:
    """The row of ``/api/monitor/aks/nodes``.

    Args:
        holdings: of all nodes.
        memory_used: bytes that the metrics say are in use; None where there are no metrics. Page cache is not in it,
            but for what the kernel counts as active.
    """
    name = node["metadata"]["name"]
    view = read_node(node, held_by_node(holdings, residency).get(name, 0))
    labels, status = node["metadata"].get("labels") or {}, node.get("status") or {}
    measured = residency.nodes.get(name)
    return {
        "name": name,
        "pool": labels.get("kubernetes.azure.com/agentpool") or labels.get("agentpool"),
        "sku": labels.get("node.kubernetes.io/instance-type"),
        "ready": view.ready,
        "schedulable": view.schedulable,
        "holds_databases": view.is_candidate,
        "capacity": _amounts(status.get("capacity")),
        "allocatable": _amounts(status.get("allocatable")),
        "memory_used_bytes": memory_used,
        "headroom_bytes": None if memory_used is None else max(0, view.memory_bytes - memory_used),
        "cache_budget_bytes": view.share_bytes if view.is_candidate else 0,
        "cache_held_bytes": view.held_bytes,
        "cache_free_bytes": view.budget_bytes if view.is_candidate else 0,
        "resident_bytes": measured.resident_bytes if measured else None,
        "measured_at": format_time(measured.at) if measured else None,
        "unmeasured_reason": residency.why_unknown(name) or None,
        "shards": [_held_shard(h, residency) for h in holdings if h.node == name],
    }


def _held_shard(holding: Holding, residency: Residency) -> dict[str, Any]:
    measured = residency.of_shard(holding.node, holding.database, holding.layout, holding.shard)
    return {
        "database": holding.database,
        "shards": holding.layout,
        "shard": holding.shard,
        "state": "warm" if holding.state is JobState.SUCCEEDED else "loading",
        "bytes": holding.bytes,
        "resident_bytes": measured.resident_bytes if measured else None,
    }


def _amounts(amounts: Mapping[str, str] | None) -> dict[str, float]:
    found = amounts or {}
    return {
        "cpus": parse_quantity(found.get("cpu", "0")),
        "memory_bytes": int(parse_quantity(found.get("memory", "0"))),
    }


def cluster_capacity(rows: Sequence[Mapping[str, Any]], nodes: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The cluster as a whole: sums over the nodes that may hold databases.

    A sum with a node that is not known is not known: None.

    Args:
        rows: of `node_row`.
        nodes: the same nodes as the API server has them.
    """
    names = {view.name for view in candidates([read_node(node) for node in nodes])}
    usable = [row for row in rows if row["name"] in names]
    sums = ("cache_budget_bytes", "cache_held_bytes", "cache_free_bytes", "headroom_bytes", "resident_bytes")
    return {
        "nodes": len(rows),
        "nodes_ready": sum(bool(row["ready"]) for row in rows),
        "nodes_for_databases": len(usable),
        "skus": dict(Counter(str(row["sku"] or "unknown") for row in usable)),
        "memory_bytes": sum(row["capacity"]["memory_bytes"] for row in usable),
        **{name: _sum([row[name] for row in usable]) for name in sums},
    }


def _sum(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None
