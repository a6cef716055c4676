"""Databases over HTTP: what storage has, and preparing shard layouts."""

from __future__ import annotations

import uuid
from typing import Any

import azure.functions as func

from shared.auth import Caller, Role
from shared.clients.blobs import Blobs
from shared.clients.catalogue import check_database_name, list_databases, load_database
from shared.clients.orchestrations import DurableOrchestrations
from shared.clients.provider import clients
from shared.domain import functions as names
from shared.domain.errors import PermanentError
from shared.responses import Reply, accepted, endpoint
from triggers.blueprint import http
from triggers.requests import ShardsRequest, read_body


@http("api/blast/databases", "GET", name="blast_databases")
@endpoint
def show_databases(req: func.HttpRequest, caller: Caller) -> Reply:  # noqa: ARG001
    """Every database in storage, incomplete ones with the reason."""
    blobs = clients().blobs(clients().settings.default_storage_account)
    return Reply({"items": [_row(blobs, name) for name in list_databases(blobs)], "next_cursor": None})


def _row(blobs: Blobs, name: str) -> dict[str, Any]:
    try:
        database = load_database(blobs, name)
    except PermanentError as error:
        return {"name": name, "storage_state": "incomplete", "error": error.to_dict()}
    metadata = database.metadata
    return {
        "name": name,
        "title": metadata.title,
        "storage_state": "sharded" if database.layouts else "downloaded",
        "type": metadata.dbtype.value,
        "sequences": metadata.sequences,
        "letters": metadata.letters,
        "bytes": database.files.bytes,
        "volumes": len(database.files.volumes),
        "version": database.source_version,
        "shards": sorted(database.layouts),
    }


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
