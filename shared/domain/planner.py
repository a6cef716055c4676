"""Which shard goes on which node, and whether a database fits at all: pure arithmetic over nodes and layouts.

The cache budget of a node is half of its memory, less what other warm databases hold there (docs/kubernetes.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from shared.domain.errors import PermanentError
from shared.domain.quantities import parse_quantity

ALIAS_ROOM = 65_536
"""Bytes for the alias file of a shard, which is no part of a layout's sizes; it has one line for each volume."""
CACHE_SHARE = 0.5
"""Part of a node's memory that databases may fill."""
TAINT = ("workload", "blast")
"""Key and value of the taint that the product's pods tolerate (``shared.domain.manifests``)."""


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
    def share_bytes(self) -> int:
        """Bytes of databases that the node's memory may hold."""
        return int(self.memory_bytes * CACHE_SHARE)

    @property
    def budget_bytes(self) -> int:
        """Bytes of databases that still fit in the node's share for the cache."""
        return max(0, self.share_bytes - self.held_bytes)


@dataclass(frozen=True, slots=True)
class PlannedShard:
    """A shard and the node that will hold it."""

    shard: int
    node: str


@dataclass(frozen=True, slots=True)
class WarmupPlan:
    """A layout, the node of each of its shards, and how many bytes of each may be touched into its node's memory."""

    layout: int
    shards: tuple[PlannedShard, ...]
    touch_limits: tuple[int, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the durable boundary."""
        return {
            "layout": self.layout,
            "nodes": [s.node for s in self.shards],
            "touch_limits": list(self.touch_limits),
        }


class Verdict(StrEnum):
    """Whether a database fits on a cluster."""

    FITS = "fits"
    NOT_SHARDED = "database_not_sharded"
    NO_NODES = "no_nodes"
    CLUSTER_TOO_SMALL = "cluster_too_small"
    NODE_SKU_TOO_SMALL = "node_sku_too_small"


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether a database fits, with the numbers, and what to do when it does not.

    Attributes:
        plan: where its shards would go; None when it does not fit.
        nodes_needed: number of nodes that would do; None where more of the same nodes do not help.
        shards_advised: number of shards to prepare, where that is what is missing.
    """

    verdict: Verdict
    message: str = ""
    hint: str = ""
    plan: WarmupPlan | None = None
    nodes_needed: int | None = None
    shards_advised: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """As the API shows it."""
        return {
            "verdict": self.verdict.value,
            "message": self.message,
            "hint": self.hint,
            "layout": self.plan.layout if self.plan else None,
            "nodes_needed": self.nodes_needed,
            "shards_advised": self.shards_advised,
        }


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
    in_use: int | None = None,
) -> WarmupPlan:
    """Choose the layout and place its shards, as `fit_database` does.

    Raises:
        PermanentError: ``database_not_sharded``, ``no_nodes``, ``cluster_too_small`` or ``node_sku_too_small``, with
            the numbers.
    """
    fit = fit_database(database, layouts, nodes, placed, in_use)
    if fit.plan is None:
        raise PermanentError(fit.verdict.value, fit.message, fit.hint)
    return fit.plan


def fit_database(
    database: str,
    layouts: Mapping[int, Sequence[int]],
    nodes: Sequence[NodeView],
    placed: Mapping[int, str] | None = None,
    in_use: int | None = None,
) -> Fit:
    """Whether a database fits on the nodes, in which layout, and where its shards go.

    The smallest prepared layout with at least max(nodes, database / budget) shards whose shards fit is taken; where
    no such layout fits, the largest of the others that does. The layout in use is taken before all others that are
    large enough, so that a node that was lost or replaced does not bring all shards anew. A shard that already lies on
    a usable node stays there, unless the rest would then not fit.

    Args:
        database: its name, for messages.
        layouts: number of shards -> bytes of each shard, in order.
        nodes: all nodes of the cluster, with what other databases hold there.
        placed: shard -> node where it lies today, if any.
        in_use: the layout that ``placed`` is of; None is taken for any.
    """
    usable = candidates(nodes)
    if not layouts:
        return _not_sharded(database, len(usable))
    if not usable:
        return Fit(
            Verdict.NO_NODES,
            f"the cluster has no ready user node for database {database}",
            "scale the BLAST node pool up, or wait until its nodes are ready",
        )
    total = max(sum(sizes) for sizes in layouts.values())
    largest_budget = max(n.budget_bytes for n in usable)
    wanted = max(len(usable), -(-total // largest_budget) if largest_budget else len(usable))
    big_enough = sorted((n for n in layouts if n >= wanted), key=lambda n: (n != in_use, n))
    too_few = sorted((n for n in layouts if n < wanted), reverse=True)
    for layout in (*big_enough, *too_few):
        stays = (placed or {}) if in_use in (None, layout) else {}
        shards = _place(layouts[layout], usable, stays) or _place(layouts[layout], usable, {})
        if shards is not None:
            return Fit(Verdict.FITS, plan=WarmupPlan(layout, shards, _touch_limits(layouts[layout], shards, usable)))
    return _does_not_fit(database, layouts, usable, total)


def _not_sharded(database: str, nodes: int) -> Fit:
    return Fit(
        Verdict.NOT_SHARDED,
        f"database {database} has no prepared shards",
        f"prepare them with POST /api/blast/databases/{database}/shards",
        shards_advised=max(1, nodes),
    )


def _touch_limits(sizes: Sequence[int], shards: Sequence[PlannedShard], nodes: Sequence[NodeView]) -> tuple[int, ...]:
    """Bytes of each shard that its node has room for, once all other shards of the plan are there."""
    left = {n.name: n.budget_bytes for n in nodes}
    for planned in shards:
        left[planned.node] -= sizes[planned.shard]
    return tuple(left[planned.node] + sizes[planned.shard] + ALIAS_ROOM for planned in shards)


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


def _does_not_fit(database: str, layouts: Mapping[int, Sequence[int]], nodes: Sequence[NodeView], total: int) -> Fit:
    empty = max(n.share_bytes for n in nodes)
    smallest_shard = min(max(sizes) for sizes in layouts.values())
    have = sum(n.budget_bytes for n in nodes)
    held = sum(n.held_bytes for n in nodes)
    if smallest_shard > empty:
        return Fit(
            Verdict.NODE_SKU_TOO_SMALL,
            f"the largest shard of {database} has {smallest_shard} bytes; a node has room for {empty}",
            "prepare more shards, or use nodes with more memory",
            shards_advised=-(-total // empty) if empty else None,
        )
    needed = min(_nodes_needed(sizes, nodes, empty) for sizes in layouts.values() if max(sizes) <= empty)
    return Fit(
        Verdict.CLUSTER_TOO_SMALL,
        f"database {database} has {total} bytes; the {len(nodes)} nodes have room for {have}{_besides(held)}",
        f"scale the BLAST node pool to {needed} nodes" + _or_release(held),
        nodes_needed=needed,
    )


def _besides(held: int) -> str:
    return f" besides the {held} bytes that other databases hold" if held else ""


def _or_release(held: int) -> str:
    return ", or release another database" if held else ""


def _nodes_needed(sizes: Sequence[int], nodes: Sequence[NodeView], budget: int) -> int:
    """How many nodes would hold the shards, if those to come have room for ``budget`` bytes. Shards are not cut."""
    largest = max(sizes)
    left = len(sizes) - sum(n.budget_bytes // largest for n in nodes)
    return len(nodes) + max(1, -(-left // (budget // largest)))
