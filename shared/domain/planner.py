"""Which shard goes on which node, and whether a database fits at all: pure arithmetic over nodes and layouts.

The cache budget of a node is half of its memory, less what other warm databases hold there (docs/kubernetes.md).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from shared.domain.errors import PermanentError

CACHE_SHARE = 0.5
"""Part of a node's memory that databases may fill."""
TAINT = ("workload", "blast")
"""Key and value of the taint that the product's pods tolerate (``shared.domain.manifests``)."""
_QUANTITY = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:[eE]([+-]?[0-9]{1,3})|([numkMGTPE]|[KMGTPE]i)?)")
_UNITS: dict[str, Fraction] = {
    "": Fraction(1),
    **{unit: Fraction(1, 1000**power) for power, unit in enumerate("mun", 1)},
    **{unit: Fraction(1000**power) for power, unit in enumerate("kMGTPE", 1)},
    **{f"{unit}i": Fraction(1024**power) for power, unit in enumerate("KMGTPE", 1)},
}


def parse_quantity(text: str) -> float:
    """A Kubernetes quantity as a number: ``8Gi`` -> 8589934592, ``500m`` -> 0.5, ``12e3`` -> 12000.

    Raises:
        ValueError: the text is not a quantity.
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"not a Kubernetes quantity: {text!r}")
    return float(Fraction(match[1]) * Fraction(10) ** int(match[2] or 0) * _UNITS[match[3] or ""])


@dataclass(frozen=True, slots=True)
class NodeView:
    """One node, as far as planning goes."""

    name: str
    memory_bytes: int
    ready: bool
    schedulable: bool
    system: bool
    blast_pool: bool
    held_bytes: int = 0

    @property
    def is_candidate(self) -> bool:
        """Ready, schedulable, and never of a system pool."""
        return self.ready and self.schedulable and not self.system

    @property
    def budget_bytes(self) -> int:
        """Bytes of databases that still fit in the node's share for the cache."""
        return max(0, int(self.memory_bytes * CACHE_SHARE) - self.held_bytes)


@dataclass(frozen=True, slots=True)
class PlannedShard:
    """A shard and the node that will hold it."""

    shard: int
    node: str


@dataclass(frozen=True, slots=True)
class WarmupPlan:
    """A layout and the node of each of its shards."""

    layout: int
    shards: tuple[PlannedShard, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the durable boundary."""
        return {"layout": self.layout, "nodes": [s.node for s in self.shards]}


def read_node(obj: Mapping[str, Any], held_bytes: int = 0) -> NodeView:
    """A node from the API server's JSON.

    Args:
        obj: the Node.
        held_bytes: bytes that other warm databases hold in its memory.
    """
    meta, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
    labels = meta.get("labels") or {}
    ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in status.get("conditions") or ())
    mode = labels.get("kubernetes.azure.com/mode", "").lower()
    memory = (status.get("capacity") or {}).get("memory", "0")
    return NodeView(
        name=meta["name"],
        memory_bytes=int(parse_quantity(memory)),
        ready=ready and not meta.get("deletionTimestamp"),
        schedulable=not spec.get("unschedulable") and all(map(_is_tolerated, spec.get("taints") or ())),
        system=mode == "system",
        blast_pool=labels.get("workload") == "blast",
        held_bytes=held_bytes,
    )


def _is_tolerated(taint: Mapping[str, Any]) -> bool:
    return taint.get("effect") == "PreferNoSchedule" or (taint.get("key"), taint.get("value")) == TAINT


def candidates(nodes: Sequence[NodeView]) -> tuple[NodeView, ...]:
    """The nodes that may hold shards: those of the BLAST pool where there are any, by name."""
    usable = [n for n in nodes if n.is_candidate]
    preferred = [n for n in usable if n.blast_pool] or usable
    return tuple(sorted(preferred, key=lambda n: n.name))


@dataclass(slots=True)
class _Filling:
    node: NodeView
    free: int
    shards: list[int] = field(default_factory=list)


def plan_warmup(
    database: str,
    layouts: Mapping[int, Sequence[int]],
    nodes: Sequence[NodeView],
    placed: Mapping[int, str] | None = None,
) -> WarmupPlan:
    """Choose the layout and place its shards.

    The smallest prepared layout with at least max(nodes, database / budget) shards whose shards fit is taken; where
    no such layout fits, the largest of the others that does. A shard that already lies on a usable node stays there,
    unless the rest would then not fit.

    Args:
        database: its name, for messages.
        layouts: number of shards -> bytes of each shard, in order.
        nodes: all nodes of the cluster.
        placed: shard -> node where it lies today (of the layout in use), if any.

    Raises:
        PermanentError: ``database_not_sharded``, ``no_nodes``, ``cluster_too_small`` or ``node_sku_too_small``, with
            the numbers.
    """
    if not layouts:
        raise PermanentError(
            "database_not_sharded",
            f"database {database} has no prepared shards",
            f"prepare them with POST /api/blast/databases/{database}/shards",
        )
    usable = candidates(nodes)
    if not usable:
        raise PermanentError(
            "no_nodes",
            f"the cluster has no ready user node for database {database}",
            "scale the BLAST node pool up, or wait until its nodes are ready",
        )
    total = max(sum(sizes) for sizes in layouts.values())
    largest_budget = max(n.budget_bytes for n in usable)
    wanted = max(len(usable), -(-total // largest_budget) if largest_budget else len(usable))
    big_enough = sorted(n for n in layouts if n >= wanted)
    too_few = sorted((n for n in layouts if n < wanted), reverse=True)
    for layout in (*big_enough, *too_few):
        plan = _place(layouts[layout], usable, placed or {}) or _place(layouts[layout], usable, {})
        if plan is not None:
            return WarmupPlan(layout, plan)
    raise _does_not_fit(database, layouts, usable, total)


def _place(
    sizes: Sequence[int], nodes: Sequence[NodeView], placed: Mapping[int, str]
) -> tuple[PlannedShard, ...] | None:
    """Shards to nodes: those placed stay; of the others, the largest first, each to the node that holds fewest."""
    fillings = {n.name: _Filling(n, n.budget_bytes) for n in nodes}
    result: dict[int, str] = {}
    for shard, node in placed.items():
        if shard < len(sizes) and node in fillings and fillings[node].free >= sizes[shard]:
            _put(fillings[node], shard, sizes[shard])
            result[shard] = node
    for shard in sorted(set(range(len(sizes))) - set(result), key=lambda s: (-sizes[s], s)):
        size = sizes[shard]
        fitting = [f for f in fillings.values() if f.free >= size]
        if not fitting:
            return None
        best = min(fitting, key=lambda f: (len(f.shards), f.node.name))
        _put(best, shard, size)
        result[shard] = best.node.name
    return tuple(PlannedShard(shard, result[shard]) for shard in range(len(sizes)))


def _put(filling: _Filling, shard: int, size: int) -> None:
    filling.shards.append(shard)
    filling.free -= size


def _does_not_fit(
    database: str, layouts: Mapping[int, Sequence[int]], nodes: Sequence[NodeView], total: int
) -> PermanentError:
    budget = max(n.budget_bytes for n in nodes)
    smallest_shard = min(max(sizes) for sizes in layouts.values())
    have = sum(n.budget_bytes for n in nodes)
    if smallest_shard > budget:
        return PermanentError(
            "node_sku_too_small",
            f"the largest shard of {database} has {smallest_shard} bytes; a node has room for {budget}",
            "prepare more shards, or use nodes with more memory",
        )
    needed = min(_nodes_needed(sizes, nodes, budget) for sizes in layouts.values() if max(sizes) <= budget)
    return PermanentError(
        "cluster_too_small",
        f"database {database} has {total} bytes; the {len(nodes)} nodes have room for {have}",
        f"scale the BLAST node pool to {needed} nodes",
    )


def _nodes_needed(sizes: Sequence[int], nodes: Sequence[NodeView], budget: int) -> int:
    """How many nodes would hold the shards, if those to come have room for ``budget`` bytes. Shards are not cut."""
    largest = max(sizes)
    left = len(sizes) - sum(n.budget_bytes // largest for n in nodes)
    return len(nodes) + max(1, -(-left // (budget // largest)))
