"""The two gates of a cluster, and what to tell people about one that has not passed them.

*Workload-ready* is enough to run searches, *warm-ready* to fill memory with databases (docs/kubernetes.md, "Two
gates"). Pure functions of what ARM and the API server said; ``shared/clients/readiness.py`` asks them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from shared.domain.lifecycle import ClusterState, Lifecycle
from shared.domain.schedule import PROBE_INTERVAL, SLOW_PROBE_INTERVAL, probe_interval
from shared.domain.times import parse_time

WARM_PATIENCE = timedelta(minutes=15)
"""How long the missing nodes of a cluster that has begun to work are waited for before the others are warmed."""
READ_AGAIN = 5.0
"""Seconds for which what was read of a cluster that answers is good for everybody in a process."""
_POOL_LABELS = ("kubernetes.azure.com/agentpool", "agentpool")
_WAIT_FOR_NODES = 10.0
_SETTLED = 60.0


@dataclass(frozen=True, slots=True)
class NodeReadiness:
    """One node, as far as the gates go.

    Attributes:
        ready_since: when its condition Ready became true; None while it is not, or where that is not said.
    """

    name: str
    pool: str
    system: bool
    ready: bool
    ready_since: datetime | None = None

    @property
    def counts(self) -> bool:
        """Whether it is a Ready user node."""
        return self.ready and not self.system


@dataclass(frozen=True, slots=True)
class Pool:
    """A node pool as ARM has it (``agentPoolProfiles``)."""

    name: str
    mode: str
    sku: str
    count: int


def read_node_readiness(obj: Mapping[str, Any]) -> NodeReadiness:
    """A node from the API server's JSON."""
    meta, status = obj["metadata"], obj.get("status") or {}
    labels = meta.get("labels") or {}
    condition: Mapping[str, Any] = next((c for c in status.get("conditions") or () if c.get("type") == "Ready"), {})
    ready = condition.get("status") == "True" and not meta.get("deletionTimestamp")
    return NodeReadiness(
        name=meta["name"],
        pool=next((labels[label] for label in _POOL_LABELS if labels.get(label)), ""),
        system=labels.get("kubernetes.azure.com/mode", "").lower() == "system",
        ready=ready,
        ready_since=parse_time(condition.get("lastTransitionTime")) if ready else None,
    )


def read_pools(managed_cluster: Mapping[str, Any]) -> tuple[Pool, ...]:
    """The node pools of a managed cluster's JSON, in its order."""
    profiles = (managed_cluster.get("properties") or {}).get("agentPoolProfiles") or ()
    return tuple(
        Pool(str(p.get("name") or ""), str(p.get("mode") or ""), str(p.get("vmSize") or ""), int(p.get("count") or 0))
        for p in profiles
    )


def expected_nodes(pools: Sequence[Pool]) -> int:
    """How many nodes the user pools are to have together."""
    return sum(pool.count for pool in pools if pool.mode.lower() != "system")


def ready_by_pool(nodes: Sequence[NodeReadiness]) -> dict[str, int]:
    """Pool -> its Ready nodes."""
    return dict(Counter(node.pool for node in nodes if node.ready))


def ready_since(nodes: Sequence[NodeReadiness]) -> datetime | None:
    """Since when there is a Ready user node: the earliest of those that are Ready now."""
    return min((n.ready_since for n in nodes if n.counts and n.ready_since is not None), default=None)


def workload_ready(state: ClusterState, nodes: Sequence[NodeReadiness]) -> bool:
    """Whether searches can run: provisioned, switched on, and at least one Ready user node."""
    return state.workload_possible and any(node.counts for node in nodes)


def warm_ready(
    state: ClusterState, nodes: Sequence[NodeReadiness], expected: int, since: datetime | None, now: datetime
) -> bool:
    """Whether to warm by itself: all expected nodes are Ready, or at least one has been for 15 minutes.

    Args:
        expected: nodes that the user pools are to have.
        since: when the cluster became workload-ready (``ready_since``); None where nobody knows.
    """
    if not workload_ready(state, nodes):
        return False
    if sum(node.counts for node in nodes) >= expected:
        return True
    return since is not None and now - since >= WARM_PATIENCE


_NEXT: Mapping[Lifecycle, tuple[str, float]] = {
    Lifecycle.STOPPED: ("the cluster is stopped; searches wait until somebody starts it", _SETTLED),
    Lifecycle.STARTING: ("the cluster is starting, which takes some minutes; then its nodes come up", _WAIT_FOR_NODES),
    Lifecycle.STOPPING: ("the cluster is stopping; it can be started again when it has stopped", _WAIT_FOR_NODES),
    Lifecycle.PROVISIONING: ("the cluster is being created; it can be used when Azure has finished", 30.0),
    Lifecycle.DELETING: ("the cluster is being deleted; searches need another one", _SETTLED),
    Lifecycle.FAILED: ("Azure's last operation on the cluster failed; see the Azure Portal, then start it", _SETTLED),
    Lifecycle.NOT_FOUND: ("there is no such cluster; create it, or correct its name", 300.0),
    Lifecycle.UNKNOWN: ("Azure does not say how the cluster stands; it is asked again", PROBE_INTERVAL),
}


def what_next(lifecycle: Lifecycle, *, workload: bool = False, warm: bool = False) -> tuple[str, float]:
    """What happens next, and in how many seconds to look again.

    Args:
        workload: whether it is workload-ready.
        warm: whether it is warm-ready.
    """
    if lifecycle is not Lifecycle.RUNNING:
        return _NEXT[lifecycle]
    if not workload:
        return "the cluster runs, but no user node is Ready yet; searches begin with the first one", _WAIT_FOR_NODES
    if not warm:
        minutes = WARM_PATIENCE.total_seconds() / 60
        text = f"searches can run; databases are warmed when all nodes are Ready, or after {minutes:.0f} minutes"
        return text, _WAIT_FOR_NODES
    return "ready", READ_AGAIN


def good_for(lifecycle: Lifecycle, silent_since: datetime | None, now: datetime) -> float:
    """Seconds for which a reading is used again before anybody is asked.

    One that nobody answered gets single probes: every 10 s for 5 minutes, then every 60 s.

    Args:
        silent_since: when a reading first failed, of those since the last success; None for one that succeeded.
    """
    if silent_since is not None:
        return probe_interval(silent_since, now)
    return SLOW_PROBE_INTERVAL if lifecycle is Lifecycle.NOT_FOUND else READ_AGAIN
