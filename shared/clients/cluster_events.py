"""The event of how a cluster stands, once a turn of the timers that ask Azure anyway: node hours, idle clusters."""

from __future__ import annotations

from collections.abc import Iterable

from shared.domain.lifecycle import ClusterState
from shared.domain.readiness import Pool
from shared.domain.search import ClusterRef
from shared.telemetry import log_event


def tell_state(cluster: ClusterRef, state: ClusterState, pools: Iterable[Pool]) -> None:
    """Write the event ``cluster_state``.

    Args:
        state: where the cluster is in its life, as Azure says.
        pools: its node pools as Azure has them, system pools too: these are the nodes that are paid for. Those of a
            cluster on which nothing can run (stopped, deleted, failed) count as none.
    """
    nodes = sum(pool.count for pool in pools) if state.workload_possible else 0
    log_event("cluster_state", cluster=cluster.cluster_name, lifecycle=state.lifecycle.value, nodes=nodes)
