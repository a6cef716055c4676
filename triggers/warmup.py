"""Warmups over HTTP: ask how one stands, see what a cluster holds. ``warmup_changes`` starts them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import azure.functions as func

from shared.auth import Caller, Role
from shared.clients.catalogue import load_database
from shared.clients.incident_log import read_incidents
from shared.clients.orchestrations import DurableOrchestrations
from shared.clients.provider import clients
from shared.clients.warm_cache import CacheReading, look_at_cache
from shared.domain.errors import NotFoundError, PermanentError
from shared.domain.search import ClusterRef
from shared.domain.warmth import Warmth
from shared.responses import Reply, endpoint
from triggers.blueprint import http
from triggers.requests import asked_cluster
from triggers.work import work_status

_INSTANCE = re.compile(r"(warmup|release|shards)-[0-9a-zA-Z-]{1,80}")


@http("api/warmup/{instance_id}/status", "GET", name="warmup_status", durable=True)
@endpoint
def show_warmup(req: func.HttpRequest, caller: Caller, client: Any) -> Reply:
    """How a warmup, a release or the preparation of shards stands; of a warmup also what went wrong, newest first."""
    caller.need(Role.OPERATOR)
    instance = str(req.route_params.get("instance_id") or "")
    view = DurableOrchestrations(client).find(instance) if _INSTANCE.fullmatch(instance) else None
    if view is None:
        raise NotFoundError("instance_not_found", "there is no such work", "check the id that the start gave")
    custom = view.custom_status if isinstance(view.custom_status, Mapping) else {}
    incidents = read_incidents(str(custom["history"])) if custom.get("history") else []
    return Reply(work_status(view) | {"incidents": incidents})


@http("api/warmup/active", "GET", name="warmup_active")
@endpoint
def show_active_warmups(req: func.HttpRequest, caller: Caller) -> Reply:
    """The databases that a cluster is loading now, as just observed."""
    caller.need(Role.OPERATOR)
    cluster = asked_cluster(req)
    reading = look_at_cache(cluster)
    if isinstance(reading, str):
        return Reply(_unknown(cluster, reading) | {"next_cursor": None})
    shown = [_warmth(cluster, reading, name) for name in reading.databases]
    items = [row for row in shown if row["status"] == Warmth.LOADING]
    return Reply(_known(cluster, items) | {"next_cursor": None})


@http("api/monitor/aks/warmup-status", "GET", name="monitor_aks_warmup_status")
@endpoint
def show_warmth(req: func.HttpRequest, caller: Caller) -> Reply:  # noqa: ARG001
    """Per database what the cluster holds or is loading, as just observed; ``?database=`` asks for one."""
    cluster = asked_cluster(req)
    wanted = req.params.get("database")
    reading = look_at_cache(cluster)
    if isinstance(reading, str):
        return Reply(_unknown(cluster, reading) | {"capacity": None})
    listed = [wanted] if wanted else reading.databases
    return Reply(
        _known(cluster, [_warmth(cluster, reading, name) for name in listed]) | {"capacity": reading.capacity()}
    )


def _known(cluster: ClusterRef, items: list[dict[str, Any]]) -> dict[str, Any]:
    return {"cluster_name": cluster.cluster_name, "items": items, "stale": False, "stale_reason": None}


def _unknown(cluster: ClusterRef, reason: str) -> dict[str, Any]:
    """No item says nothing here: the reason does."""
    return {"cluster_name": cluster.cluster_name, "items": [], "stale": True, "stale_reason": reason}


def _warmth(cluster: ClusterRef, reading: CacheReading, name: str) -> dict[str, Any]:
    try:
        version: str | None = load_database(clients().blobs(cluster.storage_account), name).source_version
    except PermanentError:  # gone from storage or incomplete there: what is warm is still warm
        version = None
    return reading.status(name, version).to_dict()
