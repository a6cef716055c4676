"""Warms the databases that clusters are to have warm, from whatever started them, and with no page open.

A turn goes through every known cluster, the default one and those with a preference; what is done for one is
``shared.clients.auto_warming``'s. It begins with no new cluster after ``BUDGET_SECONDS``.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any

import azure.functions as func

from shared.clients.auto_warming import reconcile_cluster
from shared.clients.known_clusters import known_clusters
from shared.clients.orchestrations import DurableOrchestrations, Orchestrations
from shared.clients.provider import clients
from shared.clients.recording import timer_run
from shared.domain.errors import ElbError
from shared.domain.search import ClusterRef
from shared.telemetry import log_event
from triggers.blueprint import timer
from triggers.timers.turns import Budget, Clock, serve

NAME = "reconcile_auto_warm"
BUDGET_SECONDS = 45.0
"""Of the minute until the next turn."""
PARALLEL_CLUSTERS = 4


@timer("0 * * * * *", name=NAME)
def reconcile_auto_warm(timer: func.TimerRequest, client: Any) -> None:  # noqa: ARG001
    """Warm what is to be warm and is not."""
    with timer_run(NAME) as result:
        result.update(reconcile_everywhere(DurableOrchestrations(client)))


def reconcile_everywhere(orchestrations: Orchestrations, clock: Clock = time.monotonic) -> dict[str, int]:
    """One turn; a cluster in trouble keeps no other from being served.

    Args:
        clock: seconds that only grow, for the budget.

    Returns:
        How many ``clusters`` there are, how many of them had ``errors`` or were ``left_over``, and what
        ``reconcile_cluster`` counts.

    Raises:
        ElbError: the clusters cannot be listed.
    """
    counts: Counter[str] = Counter()
    lock = threading.Lock()

    def attend_to(cluster: ClusterRef) -> None:
        try:
            done = reconcile_cluster(cluster, orchestrations)
        except ElbError as error:
            log_event("auto_warm_error", cluster=cluster.cluster_name, code=error.code, message=error.message)
            done = {"errors": 1}
        with lock:
            counts.update(done)

    asked = _clusters()
    left = serve(asked, attend_to, parallel=PARALLEL_CLUSTERS, budget=Budget(clock() + BUDGET_SECONDS, clock))
    return {"clusters": len(asked), "errors": 0, "left_over": len(left), "started": 0} | counts


def _clusters() -> list[ClusterRef]:
    """Those of which anything is known, each once; where a preference was saved, with the storage that it is for.

    Rotated by the minute, so that clusters which take long do not keep the same others waiting at each turn.
    """
    known = known_clusters() | {cluster.key: cluster for cluster in clients().preferences.clusters()}
    line = sorted(known.values(), key=lambda cluster: cluster.key)
    first = int(clients().now().timestamp() // 60) % max(len(line), 1)
    return line[first:] + line[:first]
