"""Finds the searches that were begun outside the product, on every cluster that it knows and on its own.

Beside it webhooks are delivered, because they have the same interval; neither waits for the other.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import azure.functions as func

from shared.clients.discovery import discover
from shared.clients.known_clusters import known_clusters
from shared.clients.orchestrations import DurableOrchestrations, Orchestrations
from shared.clients.recording import timer_run
from shared.domain.errors import ElbError
from shared.domain.search import ClusterRef
from shared.telemetry import log_event
from triggers.blueprint import timer
from triggers.timers.webhooks import deliver_webhooks

NAME = "discover_external"
PARALLEL_CLUSTERS = 4


@timer("*/30 * * * * *", name=NAME)
def discover_external(timer: func.TimerRequest, client: Any) -> None:  # noqa: ARG001
    """Look for searches that nobody has told the product of, and tell receivers of those that have ended."""
    with ThreadPoolExecutor(1, thread_name_prefix="webhooks") as beside:
        delivering = beside.submit(deliver_webhooks)
        with timer_run(NAME) as result:
            result.update(discover_everywhere(DurableOrchestrations(client)))
    delivering.result()


def discover_everywhere(orchestrations: Orchestrations) -> dict[str, int]:
    """Ask every cluster once; one in trouble does not keep the others from being asked.

    Returns:
        ``clusters``, how many searches were ``found`` on them, and how many clusters ``failed``.
    """

    def ask(cluster: ClusterRef) -> int | None:
        try:
            return discover(cluster, orchestrations)
        except ElbError as error:
            log_event("discovery_failed", cluster=cluster.cluster_name, code=error.code, message=error.message)
            return None

    asked = list(known_clusters().values())
    with ThreadPoolExecutor(PARALLEL_CLUSTERS, thread_name_prefix="discover") as pool:
        found = list(pool.map(ask, asked))
    return {"clusters": len(asked), "found": sum(filter(None, found)), "failed": found.count(None)}
