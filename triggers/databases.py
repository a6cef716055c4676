"""Databases over HTTP: one row each with what storage and the cluster have of it, and preparing shard layouts."""

from __future__ import annotations

import uuid
from typing import Any

import azure.functions as func

from shared.auth import Caller, Role
from shared.clients.catalogue import check_database_name, load_database
from shared.clients.database_rows import database_rows
from shared.clients.orchestrations import DurableOrchestrations
from shared.clients.provider import clients
from shared.domain import functions as names
from shared.domain.times import format_time
from shared.responses import Reply, accepted, endpoint
from triggers.blueprint import http
from triggers.requests import ShardsRequest, asked_cluster, read_body


@http("api/blast/databases", "GET", name="blast_databases")
@endpoint
def show_databases(req: func.HttpRequest, caller: Caller) -> Reply:  # noqa: ARG001
    """Every database in storage or on the cluster; what the cluster does not tell in time is unknown, never cold."""
    settings = clients().settings
    named = any(req.params.get(name) for name in ("cluster_name", "resource_group", "subscription_id"))
    cluster = asked_cluster(req) if named or settings.cluster else None
    account = cluster.storage_account if cluster else settings.default_storage_account
    items, reason = database_rows(account, cluster)
    return Reply(
        {
            "cluster_name": cluster.cluster_name if cluster else None,
            "items": items,
            "next_cursor": None,
            "observed_at": format_time(clients().now()),
            "stale": reason is not None,
            "stale_reason": reason,
        }
    )


@http("api/blast/databases/{db}/shards", "POST", name="blast_databases_shards", durable=True)
@endpoint
def prepare_shards(req: func.HttpRequest, caller: Caller, client: Any) -> Reply:
    """Start preparing a layout; its end is asked for at the status URL."""
    caller.need(Role.OPERATOR)
    name = check_database_name(str(req.route_params.get("db") or ""))
    request = read_body(req, ShardsRequest)
    account = request.storage_account or clients().settings.default_storage_account
    load_database(clients().blobs(account), name)
    instance = f"shards-{uuid.uuid4().hex}"
    data = {"database": name, "shards": request.shards, "storage_account": account}
    DurableOrchestrations(client).start(names.SHARDS_ORCHESTRATOR, instance, data)
    return accepted({"instance_id": instance}, f"/api/warmup/{instance}/status")
