"""Liveness for anybody, readiness with reasons for who may know, and who the caller is."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLateError
from typing import Any

import azure.functions as func

from shared.auth import Caller
from shared.clients.provider import clients
from shared.domain.errors import ElbError
from shared.domain.lifecycle import lifecycle_of
from shared.domain.results import DATABASES_CONTAINER
from shared.responses import Reply, anonymous, endpoint
from triggers.blueprint import http

CHECK_SECONDS = 5.0
"""Time box of each dependency's check."""


@http("health", "GET", name="health_root")
@anonymous
def health_root(req: func.HttpRequest) -> Reply:  # noqa: ARG001
    """200 always: the process serves requests."""
    return Reply({"status": "ok"})


@http("api/health", "GET", name="health")
@anonymous
def health(req: func.HttpRequest) -> Reply:  # noqa: ARG001
    """200 always: the process serves requests."""
    return Reply({"status": "ok"})


@http("api/health/ready", "GET", name="health_ready")
@endpoint
def health_ready(req: func.HttpRequest, caller: Caller) -> Reply:  # noqa: ARG001
    """200 when every dependency answers in time, else 503; each with what it said."""
    account = clients().settings.default_storage_account
    checks: dict[str, Callable[[], Any]] = {
        "tables": clients().clusters.known,
        "blobs": lambda: clients().blobs(account).listing(DATABASES_CONTAINER, "readiness/"),
    }
    cluster = clients().settings.cluster
    if cluster is not None:
        checks["arm"] = lambda: lifecycle_of(clients().arm.cluster(cluster)).lifecycle.value
        checks[f"cluster {cluster.cluster_name}"] = lambda: len(clients().kube(cluster).nodes())
    pool = ThreadPoolExecutor(len(checks))
    futures = {name: pool.submit(check) for name, check in checks.items()}
    results = {name: _outcome(future) for name, future in futures.items()}
    pool.shutdown(wait=False, cancel_futures=True)
    ready = all(result["ok"] for result in results.values())
    return Reply({"ready": ready, "checks": results}, 200 if ready else 503, {} if ready else {"Retry-After": "5"})


def _outcome(future: Future[Any]) -> dict[str, Any]:
    try:
        answer = future.result(CHECK_SECONDS)
    except TooLateError:
        return {"ok": False, "message": f"no answer within {CHECK_SECONDS:g} s"}
    except ElbError as error:
        return {"ok": False, "message": error.message, "hint": error.hint}
    return {"ok": True, **({"state": answer} if isinstance(answer, str) else {})}


@http("api/me", "GET", name="me")
@endpoint
def me(req: func.HttpRequest, caller: Caller) -> Reply:  # noqa: ARG001
    """Who the caller is."""
    return Reply({"owner": caller.owner, "name": caller.name, "roles": sorted(role.value for role in caller.roles)})
