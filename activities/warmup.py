"""Bring a database into the nodes' memory: plan, one Job per shard, look how far they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from shared.clients.catalogue import load_database, save_layout
from shared.clients.database_work import join_warmup, leave_work
from shared.clients.incident_log import history_key, record_incidents
from shared.clients.kube import Kube
from shared.clients.one_look import OneLook
from shared.clients.provider import clients
from shared.clients.residency import ensure_probe, read_residency
from shared.clients.warm_cache import read_views
from shared.clients.warmups import placement_of, read_warmup
from shared.domain.errors import PermanentError, TransientError
from shared.domain.incidents import Seen
from shared.domain.manifests import APP_WARMUP, LAYOUT, SOURCE_VERSION
from shared.domain.names import label_value
from shared.domain.planner import plan_warmup
from shared.domain.release import check_not_at_work
from shared.domain.search import ClusterRef
from shared.domain.snapshot import read_job
from shared.domain.warm_failures import failure_of, subnet_of
from shared.domain.warm_manifests import APP_LEGACY_WARMUP
from shared.domain.warmth import Warmth, WarmupStatus
from shared.telemetry import log_event

STEPS = 2
"""Version of the orchestration's steps that a plan asks for; plans of histories of before have none."""


def prepare_shards(data: dict[str, Any]) -> dict[str, Any]:
    """Plan and store a shard layout.

    Args:
        data: ``database``, ``shards``, ``storage_account``.

    Returns:
        ``database``, ``shards``, ``source_version``, ``volumes`` per shard.
    """
    blobs = clients().blobs(data["storage_account"])
    layout = save_layout(blobs, data["database"], int(data["shards"]))
    return {
        "database": layout.database,
        "shards": len(layout.shards),
        "source_version": layout.source_version,
        "volumes": [len(shard.volumes) for shard in layout.shards],
    }


def plan_database_warmup(data: dict[str, Any]) -> dict[str, Any]:
    """Choose layout and nodes, before anything is created.

    Args:
        data: ``database``, ``cluster``, ``force``; ``instance``, the warmup's id, under which it joins the work at the
            database and, if there is anything to do, stays in it until ``end_warmup``.

    Returns:
        ``{"warm": True}`` when there is nothing to do, else ``layout``, ``nodes`` and ``touch_limits`` (one per shard),
        ``source_version``, ``force``, ``again`` (shards that are made anew though their Jobs succeeded, because they
        were pushed out of memory), ``history`` and ``steps``.

    Raises:
        ConflictError: ``operation_in_progress``, the database is being released; ``database_in_use``, searches read
            another version of it on the nodes.
        PermanentError: unknown, not prepared, or it does not fit; with the numbers.
    """
    cluster, instance = ClusterRef.from_dict(data["cluster"]), str(data.get("instance") or "")
    if not instance:
        return _plan(data, cluster)
    join_warmup(cluster, data["database"], instance)
    stays = False
    try:
        plan = _plan(data, cluster)
        stays = not plan.get("warm")
        return plan
    finally:
        if not stays:
            leave_work(cluster, data["database"], instance)


def _plan(data: dict[str, Any], cluster: ClusterRef) -> dict[str, Any]:
    database = load_database(clients().blobs(cluster.storage_account), data["database"])
    kube = cast("Kube", OneLook(clients().kube(cluster)))
    residency = read_residency(kube)
    status = read_warmup(kube, database.name, database.source_version, residency)
    if placement_of(status) is not None and not data.get("force"):
        return {"warm": True, "layout": status.layout}
    if status.is_of_another_version(database.source_version) and not data.get("force"):
        # A search that was revived is not in the way of its own warmup.
        check_not_at_work(database.name, clients().searches.unfinished(cluster.key), str(data.get("instance") or ""))
    nodes = read_views(kube, database.name, residency)
    plan = plan_warmup(database.name, database.shard_sizes(), nodes, status.placed, status.layout or None)
    chosen = {**plan.to_dict(), "source_version": database.source_version, "force": bool(data.get("force"))}
    return {**chosen, "again": _cooled(status), "history": history_key(cluster, database.name), "steps": STEPS}


def _cooled(status: WarmupStatus) -> list[int]:
    """Shards that are known not to be in memory, whatever their Jobs say.

    Those that go to another node need no mention: their Jobs do not serve.
    """
    return [s.shard for s in status.shards if s.residency and s.residency.is_resident is False]


def end_warmup(data: dict[str, Any]) -> dict[str, Any]:
    """Leave the work at the database.

    Args:
        data: ``database``, ``cluster``, ``instance``.
    """
    leave_work(ClusterRef.from_dict(data["cluster"]), data["database"], data["instance"])
    return {}


def ensure_residency_probe(data: dict[str, Any]) -> dict[str, Any]:
    """Have the residency probe on the cluster.

    Args:
        data: ``cluster``.

    Returns:
        ``written``: whether a write was needed.
    """
    return {"written": ensure_probe(clients().kube(ClusterRef.from_dict(data["cluster"])))}


def remove_warmup_leftovers(data: dict[str, Any]) -> dict[str, Any]:
    """Remove what earlier warmups of the database left: legacy DaemonSets, and Jobs of another layout or version.

    Args:
        data: ``database``, ``cluster``, ``layout``, ``source_version``.

    Returns:
        ``deleted``: names.
    """
    kube, label = clients().kube(ClusterRef.from_dict(data["cluster"])), label_value(data["database"])
    legacy = kube.listed("daemonsets", f"app={APP_LEGACY_WARMUP},db={label}", _name_and_uid)
    wanted = (str(data["layout"]), data["source_version"])
    jobs = [read_job(job) for job in kube.jobs(f"app={APP_WARMUP},db={label}")]
    old = [
        j for j in jobs if not j.deleting and (j.annotations.get(LAYOUT), j.annotations.get(SOURCE_VERSION)) != wanted
    ]
    for name, uid in legacy:
        kube.delete("daemonsets", name, uid)
    for job in old:
        kube.delete("jobs", job.name, job.uid)
    deleted = [name for name, _ in legacy] + [job.name for job in old]
    if deleted:
        log_event("warmup_leftovers_removed", database=data["database"], names=deleted)
    return {"deleted": deleted}


def _name_and_uid(obj: Mapping[str, Any]) -> tuple[str, str]:
    return str(obj["metadata"]["name"]), str(obj["metadata"].get("uid") or "")


def observe_warmup(data: dict[str, Any]) -> dict[str, Any]:
    """How far the warmup is; what has gone wrong since the look before is written into the database's history.

    Args:
        data: ``database``, ``cluster``, ``source_version``; ``seen``, what the look before saw, and ``steps`` (inputs
            of before have neither).

    Returns:
        The status row of the API; ``status: unknown`` when the cluster does not answer. With ``steps`` also ``seen``,
        ``lost_nodes`` and, of a firewall's refusal, ``subnet``.
    """
    cluster = ClusterRef.from_dict(data["cluster"])
    look = cast("Kube", OneLook(clients().kube(cluster)))
    try:
        status = read_warmup(look, data["database"], data.get("source_version")).to_dict()
        if not data.get("steps"):
            return status
        seen = record_incidents(look, cluster, data["database"], Seen.from_dict(data.get("seen")))
    except TransientError as error:
        unknown = {"status": "unknown", "stale": True, "stale_reason": error.message}
        return unknown | ({"seen": data["seen"]} if data.get("seen") else {})
    return {**status, "seen": seen.to_dict(), "lost_nodes": list(seen.lost), **_subnet(cluster, status)}


def _subnet(cluster: ClusterRef, status: dict[str, Any]) -> dict[str, Any]:
    """Which subnet a firewall that refused must let in, for the message."""
    if status["status"] != Warmth.FAILED or failure_of("", status)["code"] != "storage_firewall":
        return {}
    try:
        return {"subnet": subnet_of(clients().arm.cluster(cluster))}
    except (PermanentError, TransientError) as error:  # the message says less then
        log_event("subnet_unknown", cluster=cluster.cluster_name, code=error.code)
        return {}
