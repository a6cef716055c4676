"""One shard's warmup Job: made once, made anew where it does not serve, and never behind a release's back."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from shared.clients.catalogue import load_layout
from shared.clients.database_work import check_at_work
from shared.clients.jobs import find_job
from shared.clients.kube import Kube
from shared.clients.provider import clients
from shared.domain.errors import ConflictError, TransientError
from shared.domain.manifests import BLAST_IMAGE, LAYOUT, SOURCE_VERSION, PodSize
from shared.domain.results import DATABASES_CONTAINER
from shared.domain.search import ClusterRef
from shared.domain.shards import alias_file_name
from shared.domain.snapshot import JobState, JobView
from shared.domain.warm_manifests import MADE_BY, WarmupJob
from shared.telemetry import log_event

DEADLINE_SECONDS = 3600
WARMUP_CPUS = 1
WARMUP_MEMORY_GIB = 0.5
WARMUP_MEMORY_LIMIT_GIB = 4.0
"""Besides the shard itself: pages that a container touches count as its own memory (cgroup v2, "memory"), and a limit
below the shard's size would push them out again at once."""
GOING_SECONDS = 3.0
"""How long to wait for a Job that was deleted to be gone, before the durable retry does."""
_GIB = 1 << 30


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
    _check_at_work(kube, cluster, job)
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
    _check_at_work(kube, cluster, job)  # a release that came in between has not seen this Job
    log_event("warmup_job_created", job=job.name, database=job.database, shard=job.shard, node=job.node)
    return {"job": job.name, "created": True}


def _check_at_work(kube: Kube, cluster: ClusterRef, job: WarmupJob) -> None:
    """See that no release has thrown this warmup out; if one has, what the warmup has made all the same is removed."""
    if not job.made_by:
        return
    try:
        check_at_work(cluster, job.database, job.made_by)
    except ConflictError:
        present = find_job(kube, job.name)
        if present is not None and not present.deleting and present.annotations.get(MADE_BY) == job.made_by:
            kube.delete("jobs", job.name, present.uid)
        raise


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
