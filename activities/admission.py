"""May this search begin now? Not yet: for what, and how long at most. Never: why."""

from __future__ import annotations

from typing import Any

from shared.clients.catalogue import load_database
from shared.clients.provider import clients
from shared.clients.warmups import placement_of, read_warmup
from shared.domain.errors import NotFoundError, PermanentError, TransientError
from shared.domain.lifecycle import lifecycle_of
from shared.domain.planner import candidates, plan_warmup, read_node
from shared.domain.search import Search
from shared.domain.states import Phase


def check_admission(data: dict[str, Any]) -> dict[str, Any]:
    """Look at the cluster and the database.

    Args:
        data: the search's reference.

    Returns:
        ``{"decision": "admit", "warm": bool}``, or ``{"decision": "wait", "phase", "reason", "seconds"}`` with the
        longest wait, or ``{"error": {...}}`` for never.
    """
    search = clients().searches.get(data["owner"], data["job_id"])
    waiting = _wait_for_cluster(search)
    if waiting is not None:
        return waiting
    database = load_database(clients().blobs(search.cluster.storage_account), search.database)
    try:
        kube = clients().kube(search.cluster)
        nodes = [read_node(node) for node in kube.nodes()]
        status = read_warmup(kube, search.database, database.source_version)
    except TransientError as error:
        return _wait(f"the cluster does not answer: {error.message}")
    if not candidates(nodes):
        return _wait("no ready user node yet")
    if placement_of(status) is not None:
        return {"decision": "admit", "warm": True, "layout": status.layout}
    plan = plan_warmup(search.database, database.shard_sizes(), nodes)
    return {"decision": "admit", "warm": False, "layout": plan.layout}


def _wait_for_cluster(search: Search) -> dict[str, Any] | None:
    try:
        state = lifecycle_of(clients().arm.cluster(search.cluster))
    except NotFoundError as error:
        raise PermanentError(error.code, error.message, error.hint) from error
    except TransientError as error:
        return _wait(f"Azure does not answer: {error.message}")
    if state.workload_possible:
        return None
    return _wait(f"cluster {search.cluster.cluster_name} is {state.lifecycle}")


def _wait(reason: str) -> dict[str, Any]:
    seconds = clients().settings.cluster_wait_seconds
    return {"decision": "wait", "phase": Phase.WAITING_FOR_CLUSTER.value, "reason": reason, "seconds": seconds}
