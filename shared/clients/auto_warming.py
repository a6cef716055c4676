"""Warms what a cluster is to have warm, by itself: one turn for one cluster.

Called every minute by the timer ``reconcile_auto_warm`` and, when a cluster has been started through the product, by
that start. Reads the preference, the gate, storage and the cluster, and does what ``shared.domain.auto_warm`` decides.
Several turns at once begin one warmup: each takes the database's row by a conditional write first, and the instance id
comes from that row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from shared.clients.catalogue import load_database
from shared.clients.cluster_events import tell_state
from shared.clients.orchestrations import Orchestrations, OrchestrationView
from shared.clients.provider import clients
from shared.clients.readiness import Readiness, read_readiness
from shared.clients.warm_cache import read_cache
from shared.domain import functions as names
from shared.domain.auto_warm import (
    Action,
    Decision,
    Fate,
    Seen,
    Situation,
    StorageState,
    Stored,
    plan_auto_warm,
)
from shared.domain.errors import ElbError, PermanentError, TransientError
from shared.domain.preference import AutoWarmPreference
from shared.domain.readiness import ready_since
from shared.domain.release import users_at_work
from shared.domain.search import ClusterRef
from shared.domain.shard_phases import ShardPhase
from shared.domain.warmth import Warmth, WarmupStatus
from shared.telemetry import log_event

PARALLEL_READS = 4
_ENDED = (ShardPhase.COMPLETED, ShardPhase.FAILED)
_NOT_WANTING = (Warmth.READY, Warmth.UNKNOWN)


def reconcile_cluster(cluster: ClusterRef, orchestrations: Orchestrations) -> dict[str, int]:
    """Begin the warmup of a configured database that is ready to be warmed and is not warm.

    A cluster that ARM does not call running is not asked anything. What cannot be found out of one database keeps no
    other from being warmed, and is never taken for cold.

    Returns:
        How many databases came out how: ``started``, ``warm``, ``under_way``, ``loading``, ``backoff``, ``failed`` and
        more; ``disabled`` or ``not_ready`` for the whole cluster.

    Raises:
        StoredValueError: ``preference_corrupted``; nothing is warmed.
        TransientError: the state store or Durable does not answer; nothing is begun then.
    """
    stored = clients().preferences.read(cluster)
    preference = stored.preference
    if not preference.enabled or not preference.databases:
        return {"disabled": 1}
    readiness = read_readiness(cluster)
    tell_state(cluster, readiness.state, readiness.pools)
    if not readiness.warm_ready:
        return {"not_ready": 1}
    situation = _situation(cluster, preference, stored.version, readiness, orchestrations)
    done: Counter[str] = Counter()
    for decision in plan_auto_warm(preference, situation, clients().now()):
        done[_carry_out(decision, cluster, orchestrations)] += 1
    return dict(done)


def read_storage(account: str, databases: Collection[str]) -> dict[str, Stored]:
    """What storage has of each database; what it did not say is ``unknown``."""
    with ThreadPoolExecutor(PARALLEL_READS, thread_name_prefix="storage") as pool:
        return dict(zip(databases, pool.map(lambda name: _stored(account, name), databases), strict=True))


def _stored(account: str, name: str) -> Stored:
    try:
        database = load_database(clients().blobs(account), name)
    except PermanentError as error:
        absent = error.code == "unknown_database"
        return Stored(StorageState.NOT_DOWNLOADED) if absent else Stored(StorageState.INCOMPLETE, why=error.message)
    except TransientError as error:
        return Stored(StorageState.UNKNOWN, why=error.message)
    state = StorageState.SHARDED if database.layouts else StorageState.DOWNLOADED
    return Stored(state, database.source_version)


def _situation(
    cluster: ClusterRef,
    preference: AutoWarmPreference,
    version: str,
    readiness: Readiness,
    orchestrations: Orchestrations,
) -> Situation:
    attempts = clients().preferences.attempts(cluster)
    stored = read_storage(cluster.storage_account, preference.databases)
    sharded = {name: found.source_version for name, found in stored.items() if found.state is StorageState.SHARDED}
    open_ones = [attempts[name] for name in sharded if name in attempts and not attempts[name].settled]
    fates = {attempt.instance_id: _fate(attempt.instance_id, orchestrations) for attempt in open_ones}
    seen = _look(cluster, sharded, readiness)
    wanting = [name for name, found in seen.items() if found.warmth not in _NOT_WANTING]
    searches = clients().searches.unfinished(cluster.key) if any(seen[name].replaced for name in wanting) else []
    searched = {name for name in wanting if seen[name].replaced and users_at_work(name, searches)}
    return Situation(
        cluster_key=cluster.key,
        version=version,
        gate=readiness.warm_ready,
        gate_reason=readiness.reason,
        stored=stored,
        seen=seen,
        attempts=attempts,
        fates=fates,
        up_since=ready_since(readiness.nodes),
        busy=searched | {name for name in wanting if _is_worked_at(cluster, name, orchestrations)},
    )


def _look(cluster: ClusterRef, versions: Mapping[str, str], readiness: Readiness) -> dict[str, Seen]:
    """How each database stands on the cluster: one reading for all of them; none where the cluster does not answer."""
    if not versions:
        return {}
    try:
        reading = read_cache(clients().kube(cluster, patient=False))
    except ElbError as error:  # whatever it answered: that is not cold
        log_event("auto_warm_not_known", cluster=cluster.cluster_name, code=error.code, message=error.message)
        return {}
    nodes = frozenset(node.name for node in readiness.nodes if node.ready)
    statuses = {name: reading.status(name, version) for name, version in versions.items()}
    for name, status in statuses.items():
        log_event("database_warmth", cluster=cluster.cluster_name, database=name, warmth=status.state.value)
    return {
        name: Seen(status.state, _moves(status, nodes), status.is_of_another_version(versions[name]))
        for name, status in statuses.items()
    }


def _moves(status: WarmupStatus, nodes: frozenset[str]) -> bool:
    return any(shard.phase not in _ENDED and (not shard.node or shard.node in nodes) for shard in status.shards)


def _is_worked_at(cluster: ClusterRef, name: str, orchestrations: Orchestrations) -> bool:
    """Whether somebody's warmup or a release is at the database, though no Job may show it yet."""
    work = clients().clusters.work(cluster, name)
    return bool(work.releasing(clients().now())) or any(
        _fate(instance, orchestrations) is Fate.RUNNING for instance in work.warmups
    )


def _fate(instance: str, orchestrations: Orchestrations) -> Fate:
    view = orchestrations.find(instance)
    if view is None:
        return Fate.ABSENT
    if not view.has_ended:
        return Fate.RUNNING
    return Fate.SUCCEEDED if _has_succeeded(view) else Fate.FAILED


def _has_succeeded(view: OrchestrationView) -> bool:
    output = view.output if isinstance(view.output, Mapping) else {}
    return view.runtime_status == "completed" and output.get("status") == "succeeded"


def _carry_out(decision: Decision, cluster: ClusterRef, orchestrations: Orchestrations) -> str:
    """Do what was decided; under which word it is counted."""
    attempt = decision.attempt
    if attempt is not None and not clients().preferences.write_attempt(cluster, attempt):
        return "taken"  # by another turn, at the same time
    said: dict[str, Any] = {"cluster": cluster.cluster_name, "database": decision.database, "reason": decision.reason}
    if decision.action is not Action.WARM or attempt is None:
        if decision.reason == "failed":
            log_event("auto_warm_failed", **said, message=decision.message, until=str(decision.until))
        return decision.reason
    data = {"database": decision.database, "cluster": cluster.to_dict(), "force": False}
    began = orchestrations.start(names.WARMUP_ORCHESTRATOR, attempt.instance_id, data)
    if began:
        log_event("auto_warm_started", **said, instance=attempt.instance_id, attempt=attempt.tries)
    return "started" if began else "taken"
