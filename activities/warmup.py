"""Bring a database into the nodes' memory: plan, one Job per shard, look how far they are."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from shared.clients.catalogue import load_database, load_layout, save_layout
from shared.clients.jobs import find_job
from shared.clients.provider import clients
from shared.clients.warmups import placement_of, read_warmup
from shared.domain.errors import ConflictError, TransientError
from shared.domain.manifests import BLAST_IMAGE, LAYOUT, SOURCE_VERSION, PodSize, WarmupJob
from shared.domain.planner import plan_warmup, read_node
from shared.domain.results import DATABASES_CONTAINER
from shared.domain.search import ClusterRef
from shared.domain.shards import alias_file_name
from shared.domain.snapshot import JobState, JobView
from shared.domain.warmth import WarmupStatus
from shared.telemetry import log_event

DEADLINE_SECONDS = 3600
WARMUP_CPUS = 1
WARMUP_MEMORY_GIB = 0.5
WARMUP_MEMORY_LIMIT_GIB = 4.0


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
        data: ``database``, ``cluster``, ``force``.

    Returns:
        ``{"warm": True}`` when there is nothing to do, else ``layout``, ``nodes`` (one per shard), ``source_version``.

    Raises:
        PermanentError: unknown, not prepared, or it does not fit; with the numbers.
    """
    cluster = ClusterRef.from_dict(data["cluster"])
    database = load_database(clients().blobs(cluster.storage_account), data["database"])
    kube = clients().kube(cluster)
    status = read_warmup(kube, database.name, database.source_version)
    if placement_of(status) is not None and not data.get("force"):
        return {"warm": True, "layout": status.layout}
    nodes = [read_node(node) for node in kube.nodes()]
    plan = plan_warmup(database.name, database.shard_sizes(), nodes, _placed(status))
    return {**plan.to_dict(), "source_version": database.source_version}


def _placed(status: WarmupStatus) -> dict[int, str]:
    return {shard.shard: shard.node for shard in status.shards if shard.node}


def create_warmup_job(data: dict[str, Any]) -> dict[str, Any]:
    """Make sure that one shard's Job is there, is of this version, and has not failed.

    Args:
        data: ``database``, ``cluster``, ``layout``, ``shard``, ``node``, ``source_version``, ``force``.

    Returns:
        ``job`` and whether it was ``created``.

    Raises:
        TransientError: a Job of before is still being deleted.
    """
    cluster = ClusterRef.from_dict(data["cluster"])
    kube = clients().kube(cluster)
    job = _warmup_job(data, cluster)
    try:
        kube.create("jobs", job.manifest())
    except ConflictError as error:
        present = find_job(kube, job.name)
        if present is not None and not present.deleting:
            if _serves(present, job):
                return {"job": job.name, "created": False}
            kube.delete("jobs", job.name)
        raise TransientError("job_terminating", f"Job {job.name} of before is still going", "try again") from error
    log_event("warmup_job_created", job=job.name, database=job.database, shard=job.shard, node=job.node)
    return {"job": job.name, "created": True}


def _serves(present: JobView, wanted: WarmupJob) -> bool:
    """Whether a Job that is there does what is wanted: same version, layout and node, and not failed."""
    return (
        present.state is not JobState.FAILED
        and present.annotations.get(SOURCE_VERSION) == wanted.source_version
        and present.annotations.get(LAYOUT) == str(wanted.layout)
        and present.node == wanted.node
    )


def _warmup_job(data: dict[str, Any], cluster: ClusterRef) -> WarmupJob:
    settings, blobs = clients().settings, clients().blobs(cluster.storage_account)
    layout = load_layout(blobs, data["database"], int(data["layout"]))
    shard = layout.shards[int(data["shard"])]
    alias_file = alias_file_name(layout, shard)
    sizes = {b.name: b.size for b in blobs.listing(DATABASES_CONTAINER, f"{layout.database}/{alias_file}")}
    files = [*shard.files, (alias_file, sizes.get(f"{layout.database}/{alias_file}", 0))]
    life = timedelta(seconds=2 * DEADLINE_SECONDS)
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
        touch_limit_bytes=0,
        image=settings.image(BLAST_IMAGE),
        size=PodSize(WARMUP_CPUS, WARMUP_MEMORY_GIB, WARMUP_MEMORY_LIMIT_GIB),
        deadline_seconds=DEADLINE_SECONDS,
    )


def observe_warmup(data: dict[str, Any]) -> dict[str, Any]:
    """How far the warmup is.

    Args:
        data: ``database``, ``cluster``, ``source_version``.

    Returns:
        The status row of the API; ``status: unknown`` when the cluster does not answer.
    """
    cluster = ClusterRef.from_dict(data["cluster"])
    try:
        return read_warmup(clients().kube(cluster), data["database"], data.get("source_version")).to_dict()
    except TransientError as error:
        return {"status": "unknown", "stale": True, "stale_reason": error.message}
