"""May this search begin now? Not yet: for what, and how long at most. Never: why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.clients.capacity import take_slot
from shared.clients.catalogue import Database, load_database
from shared.clients.provider import clients
from shared.clients.readiness import read_readiness
from shared.clients.warm_cache import read_views
from shared.clients.warmups import placement_of, read_warmup
from shared.domain.errors import ConflictError, PermanentError, TransientError
from shared.domain.planner import NodeView, Verdict, candidates, plan_warmup, read_node
from shared.domain.readiness import expected_nodes
from shared.domain.release import check_not_at_work
from shared.domain.search import Search
from shared.domain.states import ON_THE_CLUSTER, Phase
from shared.domain.times import format_time
from shared.domain.warmth import Warmth, WarmupStatus

_MORE_NODES_MAY_DO = (Verdict.CLUSTER_TOO_SMALL, Verdict.NODE_SKU_TOO_SMALL)


def check_admission(data: dict[str, Any]) -> dict[str, Any]:
    """Look at the cluster and the database.

    Args:
        data: the search's reference.

    Returns:
        ``decision``: ``admit`` (with ``warm``, and a slot taken), ``wait`` (with ``phase``, ``reason``, the longest
        wait in ``seconds``, and ``since`` when the search waits for that already), ``resume`` when an
        earlier run has made the Jobs already, ``cancelled``, or ``superseded`` when the search has ended or has another
        orchestration; ``{"error": {...}}`` for never.
    """
    search = clients().searches.get(data["owner"], data["job_id"])
    if search.cancel_requested_at is not None:
        return {"decision": "cancelled"}
    if not search.is_active or search.run != data["run"]:
        return {"decision": "superseded"}
    if search.phase in ON_THE_CLUSTER:
        return {"decision": "resume"}
    verdict = _decide(search)
    if verdict.get("phase") == search.phase:  # also when another orchestration began to wait
        verdict["since"] = format_time(search.waiting_since)
    return verdict


def _decide(search: Search) -> dict[str, Any]:
    waiting = _wait_for_cluster(search)
    if waiting is not None:
        return waiting
    if search.engine == "cli":  # the command line brings the database and plans by itself
        return _admit(search, warm=True)
    try:
        database = load_database(clients().blobs(search.cluster.storage_account), search.database)
    except PermanentError as error:
        if error.code != "database_incomplete":
            raise
        seconds = clients().settings.database_wait_seconds
        return _wait(error.message, Phase.WAITING_FOR_DATABASE, seconds)
    try:
        kube = clients().kube(search.cluster)
        status = read_warmup(kube, search.database, database.source_version)
        warm = placement_of(status) is not None
        nodes = [read_node(node) for node in kube.nodes()] if warm else read_views(kube, search.database)
    except TransientError as error:
        return _wait(f"the cluster does not answer: {error.message}")
    if not candidates(nodes):
        return _wait("no ready user node yet")
    if clients().clusters.work(search.cluster, search.database).releasing(clients().now()):  # read after the Jobs
        reason = f"database {search.database} is being released"
        return _wait(reason, Phase.WAITING_FOR_WARMUP, clients().settings.warmup_wait_seconds)
    if status.state is Warmth.LOADING:
        reason = f"database {search.database} is being warmed, {status.progress_pct} %"
        return _wait(reason, Phase.WAITING_FOR_WARMUP, clients().settings.warmup_wait_seconds)
    if warm:
        return {**_admit(search, warm=True), "layout": status.layout}
    if status.is_of_another_version(database.source_version):
        try:
            check_not_at_work(search.database, clients().searches.unfinished(search.cluster.key), search.job_id)
        except ConflictError as error:
            return _wait(error.message, Phase.WAITING_FOR_WARMUP, clients().settings.warmup_wait_seconds)
    return _plan(search, database, nodes, status)


def _plan(search: Search, database: Database, nodes: Sequence[NodeView], status: WarmupStatus) -> dict[str, Any]:
    """Whether a database that is not warm fits; what does not fit yet may do so when the other nodes have come."""
    try:
        plan = plan_warmup(search.database, database.shard_sizes(), nodes, status.placed, status.layout or None)
    except PermanentError as error:
        ready, expected = _user_nodes(search, nodes)
        if error.code not in _MORE_NODES_MAY_DO or ready >= expected:
            raise
        return _wait(f"{ready} of {expected} nodes are ready: {error.message}")
    return {**_admit(search, warm=False), "layout": plan.layout}


def _user_nodes(search: Search, nodes: Sequence[NodeView]) -> tuple[int, int]:
    """How many user nodes are Ready, and how many there are to be."""
    users = [node.ready for node in nodes if not node.system]
    return sum(users), max(len(users), expected_nodes(read_readiness(search.cluster).pools))


def _admit(search: Search, *, warm: bool) -> dict[str, Any]:
    """The last question: is there a slot?"""
    if not take_slot(search):
        ceiling = clients().settings.active_searches
        reason = f"{ceiling} searches are active on {search.cluster.cluster_name} already"
        return _wait(reason, Phase.WAITING_FOR_CAPACITY, clients().settings.capacity_wait_seconds)
    return {"decision": "admit", "warm": warm}


def _wait_for_cluster(search: Search) -> dict[str, Any] | None:
    reading = read_readiness(search.cluster)  # shared by all that wait, so that a dead cluster costs no more for many
    if reading.refusal is not None:
        raise PermanentError(reading.refusal.code, reading.refusal.message, reading.refusal.hint)
    if reading.state.workload_possible:
        return None if reading.problem is None else _wait(f"the cluster does not answer: {reading.problem}")
    if reading.problem is not None:
        return _wait(f"Azure does not answer: {reading.problem}")
    return _wait(f"cluster {search.cluster.cluster_name} is {reading.lifecycle}")


def _wait(reason: str, phase: Phase = Phase.WAITING_FOR_CLUSTER, seconds: int | None = None) -> dict[str, Any]:
    if seconds is None:
        seconds = clients().settings.cluster_wait_seconds
    return {"decision": "wait", "phase": phase.value, "reason": reason, "seconds": seconds}
