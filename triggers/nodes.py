"""The nodes of a cluster over HTTP: what each has, what is used, and which shards it holds."""

from __future__ import annotations

import azure.functions as func

from shared.auth import Caller
from shared.clients.provider import clients
from shared.clients.warm_cache import look_at_cache
from shared.domain.times import format_time
from shared.responses import Reply, endpoint
from triggers.blueprint import http
from triggers.requests import asked_cluster


@http("api/monitor/aks/nodes", "GET", name="monitor_aks_nodes")
@endpoint
def show_nodes(req: func.HttpRequest, caller: Caller) -> Reply:  # noqa: ARG001
    """Every node, system pools included, and the sums over those that may hold databases."""
    cluster = asked_cluster(req)
    reading = look_at_cache(cluster)
    body = {"cluster_name": cluster.cluster_name, "next_cursor": None}
    if isinstance(reading, str):
        now = format_time(clients().now())
        return Reply(body | {"items": [], "capacity": None, "observed_at": now, "stale": True, "stale_reason": reading})
    return Reply(
        body
        | {
            "items": reading.node_rows(),
            "capacity": reading.capacity(),
            "observed_at": format_time(reading.snapshot.observed_at),
            "stale": False,
            "stale_reason": None,
        }
    )
