"""Answers about clusters and nodes."""

from __future__ import annotations

from typing import Literal

from shared.domain.lifecycle import Lifecycle
from triggers.contract.base import Shown, Time, maybe
from triggers.contract.databases import Capacity


class Pool(Shown):
    """A node pool; its nodes are only counted while searches can run."""

    name: str
    mode: str
    sku: str
    count: int | None
    ready: int | None


class ClusterSummary(Shown):
    """What a cluster is made of."""

    region: str
    version: str
    """Of Kubernetes."""
    pools: list[Pool]


class ClusterCounts(Shown):
    """What is counted on a cluster where searches can run."""

    nodes_expected: int
    nodes_ready: int
    searches_active: int
    searches_waiting: int


class Cluster(Shown):
    """How ready a cluster is."""

    subscription_id: str
    resource_group: str
    cluster_name: str
    storage_account: str
    lifecycle_state: Lifecycle
    workload_ready: bool
    warm_ready: bool
    reason: str
    next_refresh_seconds: float
    summary: ClusterSummary
    counts: ClusterCounts = maybe()
    observed_at: Time
    stale: bool
    stale_reason: str | None


class ClusterList(Shown):
    """Every cluster that a search was ever submitted to, and the default one."""

    items: list[Cluster]
    next_cursor: None


class Amounts(Shown):
    """What a node has."""

    cpus: float
    memory_bytes: int


class HeldShard(Shown):
    """A shard on a node, or on its way there."""

    database: str
    shards: int
    """The layout: into how many the database is cut."""
    shard: int
    state: Literal["warm", "loading"]
    bytes: int
    resident_bytes: int | None


class Node(Shown):
    """A node: what it has, what is used, what it holds."""

    name: str
    pool: str | None
    sku: str | None
    ready: bool
    schedulable: bool
    holds_databases: bool
    capacity: Amounts
    allocatable: Amounts
    memory_used_bytes: int | None
    headroom_bytes: int | None
    cache_budget_bytes: int
    cache_held_bytes: int
    cache_free_bytes: int
    resident_bytes: int | None
    measured_at: Time | None
    unmeasured_reason: str | None
    shards: list[HeldShard]


class NodeList(Shown):
    """All nodes of a cluster."""

    cluster_name: str
    items: list[Node]
    capacity: Capacity | None
    next_cursor: None
    observed_at: Time
    stale: bool
    stale_reason: str | None
