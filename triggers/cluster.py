"""Clusters over HTTP: how they stand, and what is done to them: start, stop, deploy elb-openapi."""

from __future__ import annotations

import time
from concurrent.futures import Future
from typing import Any

import azure.functions as func

from shared.auth import Caller, Role
from shared.clients.catalogue import check_database_name
from shared.clients.known_clusters import known_clusters
from shared.clients.operations import begin_operation
from shared.clients.orchestrations import DurableOrchestrations
from shared.clients.provider import clients
from shared.clients.readiness import Readiness, read_readiness, start_reading, unread
from shared.clients.usage import check_not_in_use
from shared.domain import functions as names
from shared.domain.errors import NotFoundError
from shared.domain.lifecycle import Lifecycle
from shared.domain.power import Target
from shared.domain.preference import PreferenceChange
from shared.domain.readiness import expected_nodes
from shared.domain.search import ClusterRef
from shared.domain.states import WAITING
from shared.responses import Reply, accepted, endpoint
from triggers.blueprint import http
from triggers.requests import AutoWarmFields, ClusterFields, StartRequest, StopRequest, read_body
from triggers.work import work_status

MONITOR_BUDGET_SECONDS = 5.0
"""How long ``GET /api/monitor/aks`` waits for all clusters together."""


@http("api/monitor/aks", "GET", name="monitor_aks")
@endpoint
def show_clusters(req: func.HttpRequest, caller: Caller) -> Reply:  # noqa: ARG001
    """Every cluster that a search was ever submitted to, and the default one; a late one is marked stale."""
    found = known_clusters()
    readings = {key: start_reading(cluster) for key, cluster in found.items()}
    end = time.monotonic() + MONITOR_BUDGET_SECONDS
    rows = [_row(_result(found[key], reading, end)) for key, reading in readings.items()]
    return Reply({"items": sorted(rows, key=lambda row: str(row["cluster_name"])), "next_cursor": None})


def _result(cluster: ClusterRef, reading: Future[Readiness], end: float) -> Readiness:
    try:
        return reading.result(max(0.0, end - time.monotonic()))
    except TimeoutError:
        return unread(cluster, f"no answer within {MONITOR_BUDGET_SECONDS:g} s")


def _row(reading: Readiness) -> dict[str, Any]:
    """A cluster's row; what is counted on it only where searches can run."""
    row = reading.to_dict()
    if not reading.workload_ready:
        return row
    active = [search for search in clients().searches.unfinished(reading.cluster.key) if search.is_active]
    waiting = sum(search.phase in WAITING for search in active)
    counts = {
        "nodes_expected": expected_nodes(reading.pools),
        "nodes_ready": sum(node.counts for node in reading.nodes),
        "searches_waiting": waiting,
        "searches_active": len(active) - waiting,
    }
    return {**row, "counts": counts}


@http("api/aks/start", "POST", name="aks_start", durable=True)
@endpoint
def start_cluster(req: func.HttpRequest, caller: Caller, client: Any) -> Reply:
    """Start a cluster; the preference that the body may carry is stored before anything else."""
    caller.need(Role.OPERATOR)
    request = read_body(req, StartRequest)
    cluster = request.resolve(clients().settings)
    if request.auto_warm is not None:
        clients().preferences.save(cluster, _change(request.auto_warm))
    return _power(cluster, Target.START, client)


def _change(fields: AutoWarmFields) -> PreferenceChange:
    databases = None if fields.databases is None else tuple(map(check_database_name, fields.databases))
    return PreferenceChange(databases, enabled=fields.enabled)


@http("api/aks/stop", "POST", name="aks_stop", durable=True)
@endpoint
def stop_cluster(req: func.HttpRequest, caller: Caller, client: Any) -> Reply:
    """Stop a cluster; refused while searches are at work on it, unless forced."""
    caller.need(Role.OPERATOR)
    request = read_body(req, StopRequest)
    cluster = request.resolve(clients().settings)
    if not request.force and read_readiness(cluster).lifecycle is not Lifecycle.STOPPED:
        check_not_in_use(cluster)
    return _power(cluster, Target.STOP, client, force=request.force)


def _power(cluster: ClusterRef, target: Target, client: Any, *, force: bool = False) -> Reply:
    data = {"version": 1, "cluster": cluster.to_dict(), "target": target.value, "force": force}
    return _begun(cluster, target.value, names.CLUSTER_POWER_ORCHESTRATOR, data, client)


@http("api/aks/openapi/deploy", "POST", name="aks_openapi_deploy", durable=True)
@endpoint
def deploy_openapi(req: func.HttpRequest, caller: Caller, client: Any) -> Reply:
    """Deploy elb-openapi, or repair what is there of it."""
    caller.need(Role.OPERATOR)
    cluster = read_body(req, ClusterFields).resolve(clients().settings)
    data = {"version": 1, "cluster": cluster.to_dict()}
    return _begun(cluster, "openapi", names.OPENAPI_DEPLOY_ORCHESTRATOR, data, client)


def _begun(cluster: ClusterRef, kind: str, orchestrator: str, data: dict[str, Any], client: Any) -> Reply:
    instance = begin_operation(cluster, kind, orchestrator, data, DurableOrchestrations(client))
    return accepted({"instance_id": instance}, f"/api/aks/operations/{instance}")


@http("api/aks/operations/{instance_id}", "GET", name="aks_operations", durable=True)
@endpoint
def show_operation(req: func.HttpRequest, caller: Caller, client: Any) -> Reply:
    """How an operation on a cluster stands."""
    caller.need(Role.OPERATOR)
    instance = str(req.route_params.get("instance_id") or "")
    known = names.CLUSTER_OPERATION.fullmatch(instance)
    view = DurableOrchestrations(client).find(instance) if known else None
    if view is None:
        raise NotFoundError("instance_not_found", "there is no such operation", "check the id that the start gave")
    return Reply(work_status(view))
