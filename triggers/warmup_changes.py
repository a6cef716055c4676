"""Warmups and releases over HTTP: start them. ``warmup`` tells how they stand."""

from __future__ import annotations

import time
import uuid
from typing import Any

import azure.functions as func

from shared.auth import Caller, Role
from shared.clients.catalogue import check_database_name
from shared.clients.database_work import begin_release, begin_warmup
from shared.clients.orchestrations import DurableOrchestrations, Orchestrations, OrchestrationView
from shared.clients.provider import clients
from shared.domain.errors import ConflictError, PermanentError, StoredValueError, TransientError
from shared.domain.ids import content_key
from shared.domain.preference import PreferenceChange
from shared.domain.release import check_not_used
from shared.domain.search import ClusterRef
from shared.responses import Reply, accepted, endpoint
from shared.telemetry import log_event
from triggers.blueprint import http
from triggers.idempotency import check_idempotency_key
from triggers.requests import WarmupRequest, read_body

ANSWER_SECONDS = 20.0
"""How long a release is waited for; one that takes longer is answered with 202."""
_LONGEST_PAUSE = 0.5
_MAY_PASS = ("kube_", "arm_", "state_", "durable_", "work_")
"""Beginnings of the codes of errors that were tried several times and may pass all the same."""


@http("api/warmup/start", "POST", name="warmup_start", durable=True)
@endpoint
def start_warmup(req: func.HttpRequest, caller: Caller, client: Any) -> Reply:
    """Start a warmup, or join the one of this database that is under way.

    What cannot be warmed ends ``failed`` with the reason; nothing is created then.
    """
    caller.need(Role.OPERATOR)
    request = read_body(req, WarmupRequest)
    cluster = request.resolve(clients().settings)
    key = check_idempotency_key(req.headers.get("Idempotency-Key"))
    instance = f"warmup-{content_key(caller.owner, key) if key else uuid.uuid4().hex}"
    data = {"database": request.database, "cluster": cluster.to_dict(), "force": request.force}
    orchestrations = DurableOrchestrations(client)
    instance = begin_warmup(cluster, request.database, instance, data, orchestrations, keyed=bool(key))
    return accepted({"instance_id": instance}, f"/api/warmup/{instance}/status")


@http("api/warmup/release", "POST", name="warmup_release", durable=True)
@endpoint
def release_database(req: func.HttpRequest, caller: Caller, client: Any) -> Reply:
    """Release a database, or join the release that is under way: 200 with what was removed, 202 while it lasts.

    It is taken off the list of what the cluster warms by itself, or it would be back within a minute.
    """
    caller.need(Role.OPERATOR)
    request = read_body(req, WarmupRequest)
    name = check_database_name(request.database)
    cluster = request.resolve(clients().settings)
    if not request.force:
        check_not_used(name, clients().searches.unfinished(cluster.key))
    orchestrations = DurableOrchestrations(client)
    data = {"database": name, "cluster": cluster.to_dict(), "force": request.force}
    instance = begin_release(cluster, name, f"release-{uuid.uuid4().hex}", data, orchestrations)
    _take_off_list(cluster, name)
    view = _wait(orchestrations, instance)
    if view is None:
        return accepted({"instance_id": instance}, f"/api/warmup/{instance}/status")
    return _answer(view)


def _take_off_list(cluster: ClusterRef, name: str) -> None:
    try:
        if name in clients().preferences.read(cluster).preference.databases:
            clients().preferences.save(cluster, PreferenceChange(remove=(name,)))
            log_event("auto_warm_removed", cluster=cluster.cluster_name, database=name)
    except StoredValueError as error:  # it cannot be read, so nothing is warmed by it
        log_event(error.code, cluster=cluster.cluster_name, message=error.message)


def _wait(orchestrations: Orchestrations, instance: str) -> OrchestrationView | None:
    """The orchestration once it has ended; None when that takes too long."""
    limit, pause = time.monotonic() + ANSWER_SECONDS, 0.05
    while True:
        view = orchestrations.find(instance)
        if view is not None and view.has_ended:
            return view
        if time.monotonic() + pause > limit:
            return None
        time.sleep(pause)
        pause = min(_LONGEST_PAUSE, pause * 1.5)


def _answer(view: OrchestrationView) -> Reply:
    output = view.output if isinstance(view.output, dict) else {}
    error = output.get("error")
    if view.runtime_status != "completed" or error or not output:
        error = error or {"code": "work_crashed", "message": view.error, "hint": "see the app's log"}
        code, message, hint = error["code"], error["message"], error.get("hint") or ""
        if code.startswith(_MAY_PASS):
            raise TransientError(code, message, hint)
        kind = ConflictError if code in ("database_in_use", "release_superseded") else PermanentError
        raise kind(code, message, hint, details=tuple(error.get("details") or ()))
    body = {key: output[key] for key in ("status", "deleted", "errors")}
    return Reply(body | {"instance_id": view.instance_id})
