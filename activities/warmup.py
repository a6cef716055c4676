"""Bring a database into the nodes' memory: plan, one Job per shard, look how far they are."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, cast

from shared.clients.catalogue import load_database, load_layout, save_layout
from shared.clients.database_work import check_at_work, join_warmup, leave_work
from shared.clients.incident_log import history_key, record_incidents
from shared.clients.jobs import find_job
from shared.clients.kube import Kube
from shared.clients.one_look import OneLook
from shared.clients.provider import clients
from shared.clients.residency import ensure_probe, read_residency
from shared.clients.warmups import placement_of, read_warmup
from shared.domain.capacity import planning_views, read_holding
from shared.domain.errors import ConflictError, PermanentError, TransientError
from shared.domain.incidents import Seen
from shared.domain.manifests import APP_WARMUP, BLAST_IMAGE, LAYOUT, SOURCE_VERSION, PodSize
from shared.domain.names import label_value
from shared.domain.planner import plan_warmup
from shared.domain.results import DATABASES_CONTAINER
from shared.domain.search import ClusterRef
from shared.domain.shards import alias_file_name
from shared.domain.snapshot import JobState, JobView, read_job
from shared.domain.warm_failures import failure_of, subnet_of
from shared.domain.warm_manifests import APP_LEGACY_WARMUP, MADE_BY, WarmupJob
from shared.domain.warmth import Warmth, WarmupStatus
from shared.telemetry import log_event

DEADLINE_SECONDS = 3600
WARMUP_CPUS = 1
WARMUP_MEMORY_GIB = 0.5
WARMUP_MEMORY_LIMIT_GIB = 4.0
"""Besides the shard itself: pages that a container touches count as its own memory (cgroup v2, "memory"), and a limit
below the shard's size would push them out again at once."""
GOING_SECONDS = 3.0
"""How long to wait for a Job that was deleted to be gone, before the durable retry does."""
STEPS = 2
"""Version of the orchestration's steps that a plan asks for; plans of histories of before have none."""
_GIB = 1 << 30


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
        ``source_version``, ``force`` (also where a database has cooled), ``history`` and ``steps``.

    Raises:
        ConflictError: ``operation_in_progress``, the database is being released.
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
    kube = clients().kube(cluster)
    residency = read_residency(kube)
    status = read_warmup(kube, database.name, database.source_version, residency)
    if placement_of(status) is not None and not data.get("force"):
        return {"warm": True, "layout": status.layout}
    holdings = filter(None, map(read_holding, kube.jobs(f"app={APP_WARMUP}")))
    nodes = planning_views(kube.nodes(), holdings, residency, database.name)
    plan = plan_warmup(database.name, database.shard_sizes(), nodes, _placed(status), status.layout or None)
    # What was pushed out of memory, or lies on a node that was replaced, is not where its Job says.
    again = bool(data.get("force")) or status.state in (Warmth.COOLED, Warmth.STALE)
    history = history_key(cluster, database.name)
    version = database.source_version
    return {**plan.to_dict(), "source_version": version, "force": again, "history": history, "steps": STEPS}


def _placed(status: WarmupStatus) -> dict[int, str]:
    return {shard.shard: shard.node for shard in status.shards if shard.node}


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


def create_warmup_job(data: dict[str, Any]) -> dict[str, Any]:
    """Make sure that one shard's Job is there, is of this version, and has not failed; with ``force``, that it is new.

    Args:
        data: ``database``, ``cluster``, ``layout``, ``shard``, ``node``, ``source_version``, ``force``; ``made_by``,
            the warmup's id, and ``touch_limit_bytes`` (inputs of before have neither).

    Returns:
        ``job`` and whether it was ``created``.

    Raises:
        ConflictError: ``warmup_removed``, a release has thrown this warmup out.
        TransientError: a Job of before is still being deleted.
    """
    cluster = ClusterRef.from_dict(data["cluster"])
    kube = clients().kube(cluster)
    job = _warmup_job(data, cluster)
    force = bool(data.get("force")) and bool(job.made_by)
    if job.made_by:
        check_at_work(cluster, job.database, job.made_by)
    try:
        kube.create("jobs", job.manifest())
    except ConflictError as error:
        present = find_job(kube, job.name)
        if present is not None and not present.deleting:
            if _serves(present, job, force=force):
                return {"job": job.name, "created": False}
            kube.delete("jobs", job.name, present.uid)
        if not _is_gone(kube, job.name, present) or not _created(kube, job):
            raise TransientError("job_terminating", f"Job {job.name} of before is still going", "try again") from error
    log_event("warmup_job_created", job=job.name, database=job.database, shard=job.shard, node=job.node)
    return {"job": job.name, "created": True}


def _is_gone(kube: Kube, name: str, old: JobView | None, sleep: Callable[[float], None] = time.sleep) -> bool:
    """Whether the Job that was in the way is gone within a moment: none of its name is there, or one of another uid."""
    waited, pause = 0.0, 0.05
    while True:
        present = find_job(kube, name)
        if present is None or (old is not None and present.uid != old.uid):
            return True
        if waited >= GOING_SECONDS:
            return False
        sleep(pause)
        waited, pause = waited + pause, min(0.5, pause * 2)


def _created(kube: Kube, job: WarmupJob) -> bool:
    """Create the Job in place of the one that was; True as well when the same work has made it meanwhile."""
    try:
        kube.create("jobs", job.manifest())
    except ConflictError:
        present = find_job(kube, job.name)
        return present is not None and not present.deleting and _serves(present, job, force=bool(job.made_by))
    return True


def _serves(present: JobView, wanted: WarmupJob, *, force: bool) -> bool:
    """Whether a Job that is there does what is wanted: same version, layout and node, and not failed.

    Args:
        force: only one that this very warmup has made does.
    """
    return (
        present.state is not JobState.FAILED
        and present.annotations.get(SOURCE_VERSION) == wanted.source_version
        and present.annotations.get(LAYOUT) == str(wanted.layout)
        and present.node == wanted.node
        and (not force or present.annotations.get(MADE_BY) == wanted.made_by)
    )


def _warmup_job(data: dict[str, Any], cluster: ClusterRef) -> WarmupJob:
    settings, blobs = clients().settings, clients().blobs(cluster.storage_account)
    layout = load_layout(blobs, data["database"], int(data["layout"]))
    shard = layout.shards[int(data["shard"])]
    alias_file = alias_file_name(layout, shard)
    sizes = {b.name: b.size for b in blobs.listing(DATABASES_CONTAINER, f"{layout.database}/{alias_file}")}
    files = [*shard.files, (alias_file, sizes.get(f"{layout.database}/{alias_file}", 0))]
    life = timedelta(seconds=2 * DEADLINE_SECONDS)
    limit_gib = WARMUP_MEMORY_LIMIT_GIB + sum(size for _, size in files) / _GIB
    return WarmupJob(
        database=layout.database,
        dbtype=layout.dbtype.value,
        layout=len(layout.shards),
        shard=shard.index,
        alias=shard.alias,
        volumes=shard.volumes,
        source_version=str(data["source_version"]),
        node=data["node"],
        source_url=blobs.url(DATABASES_CONTAINER, permissions="rl", life=life),
        files=files,
        touch_limit_bytes=int(data.get("touch_limit_bytes") or 0),
        image=settings.image(BLAST_IMAGE),
        size=PodSize(WARMUP_CPUS, WARMUP_MEMORY_GIB, limit_gib),
        deadline_seconds=DEADLINE_SECONDS,
        made_by=str(data.get("made_by") or ""),
    )


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
