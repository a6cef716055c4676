"""Warmups over HTTP: start one, ask how it stands, see what a cluster holds."""

from __future__ import annotations

import re
import uuid
from typing import Any

import azure.functions as func

from shared.auth import Caller, Role
from shared.clients.catalogue import load_database
from shared.clients.orchestrations import DurableOrchestrations, OrchestrationView
from shared.clients.provider import clients
from shared.clients.warmups import read_warmup, warm_databases
from shared.domain import functions as names
from shared.domain.errors import InvalidInputError, NotFoundError, PermanentError, TransientError
from shared.domain.ids import content_key
from shared.domain.search import ClusterRef
from shared.domain.warmth import Warmth
from shared.responses import Reply, accepted, endpoint
from triggers.blueprint import http
from triggers.requests import ClusterFields, WarmupRequest, read_body

_INSTANCE = re.compile(r"(warmup|shards)-[0-9a-zA-Z-]{1,80}")


@http("api/warmup/start", "POST", name="warmup_start", durable=True)
@endpoint
def start_warmup(req: func.HttpRequest, caller: Caller, client: Any) -> Reply:
    """Start a warmup. What cannot be warmed ends ``failed`` with the reason; nothing is created then."""
    caller.need(Role.OPERATOR)
    request = read_body(req, WarmupRequest)
    cluster = request.resolve(clients().settings)
    key = req.headers.get("Idempotency-Key")
    instance = f"warmup-{content_key(caller.owner, key, request.model_dump_json()) if key else uuid.uuid4().hex}"
    data = {"database": request.database, "cluster": cluster.to_dict(), "force": request.force}
    DurableOrchestrations(client).start(names.WARMUP_ORCHESTRATOR, instance, data)
    return accepted({"instance_id": instance}, f"/api/warmup/{instance}/status")


@http("api/warmup/{instance_id}/status", "GET", name="warmup_status", durable=True)
@endpoint
def show_warmup(req: func.HttpRequest, caller: Caller, client: Any) -> Reply:
    """How a warmup (or the preparation of shards) stands."""
    caller.need(Role.OPERATOR)
    instance = str(req.route_params.get("instance_id") or "")
    view = DurableOrchestrations(client).find(instance) if _INSTANCE.fullmatch(instance) else None
    if view is None:
        raise NotFoundError("instance_not_found", "there is no such work", "check the id that the start gave")
    return Reply(_status(view))


def _status(view: OrchestrationView) -> dict[str, Any]:
    output = view.output
    if view.runtime_status in ("failed", "terminated"):
        output = {"status": "failed", "error": {"code": "work_crashed", "message": view.error, "hint": "see the log"}}
    return {
        "instance_id": view.instance_id,
        "runtime_status": view.runtime_status,
        "custom_status": view.custom_status or {"phase": view.runtime_status},
        "output": output,
    }


@http("api/warmup/active", "GET", name="warmup_active")
@endpoint
def show_active_warmups(req: func.HttpRequest, caller: Caller) -> Reply:
    """The databases that a cluster is loading now, as just observed."""
    caller.need(Role.OPERATOR)
    cluster = _cluster(req)
    shown = [_warmth(cluster, name) for name in warm_databases(clients().kube(cluster))]
    items = [row for row in shown if row["status"] == Warmth.LOADING]
    return Reply({"cluster_name": cluster.cluster_name, "items": items, "next_cursor": None})


@http("api/monitor/aks/warmup-status", "GET", name="monitor_aks_warmup_status")
@endpoint
def show_warmth(req: func.HttpRequest, caller: Caller) -> Reply:  # noqa: ARG001
    """Per database what the cluster holds or is loading, as just observed; ``?database=`` asks for one."""
    cluster = _cluster(req)
    wanted = req.params.get("database")
    try:
        kube = clients().kube(cluster)
        listed = [wanted] if wanted else warm_databases(kube)
        items = [_warmth(cluster, name) for name in listed]
    except TransientError as error:
        items = []
        return Reply(
            {"cluster_name": cluster.cluster_name, "items": items, "stale": True, "stale_reason": error.message}
        )
    return Reply({"cluster_name": cluster.cluster_name, "items": items, "stale": False, "stale_reason": None})


def _warmth(cluster: ClusterRef, name: str) -> dict[str, Any]:
    try:
        version: str | None = load_database(clients().blobs(cluster.storage_account), name).source_version
    except (InvalidInputError, PermanentError):  # gone from storage or incomplete there: what is warm is still warm
        version = None
    return read_warmup(clients().kube(cluster), name, version).to_dict()


def _cluster(req: func.HttpRequest) -> ClusterRef:
    fields = {k: req.params[k] for k in ClusterFields.model_fields if k in req.params}
    return ClusterFields.model_validate(fields).resolve(clients().settings)
