"""Make and remove the Kubernetes Jobs of a search: batches x shards, bounded in parallel, the same names every time."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from shared.clients.blobs import Blobs
from shared.clients.catalogue import load_layout
from shared.clients.jobs import ensure_job, in_parallel, stop_running_jobs
from shared.clients.kube import Kube
from shared.clients.provider import clients
from shared.clients.warmups import placement_of, read_warmup
from shared.config import Settings
from shared.domain.blast_options import read_options
from shared.domain.callback import callback_token
from shared.domain.errors import NotFoundError, PermanentError, TransientError
from shared.domain.manifests import BLAST_IMAGE, MOUNT, BlastJob, PodSize
from shared.domain.programs import Program
from shared.domain.results import MINIMUM_GZIP_BYTES, QUERIES_CONTAINER, RESULTS_CONTAINER, batch_blob, piece_blob
from shared.domain.search import Search
from shared.domain.shards import ShardLayout
from shared.domain.snapshot import JOB_ID_LABEL, read_job
from shared.domain.whole_formats import check_layouts
from shared.telemetry import log_event

SIGNATURE_MARGIN = timedelta(hours=1)


def create_search_jobs(data: dict[str, Any]) -> dict[str, Any]:
    """Make every Job of the search that is not there yet; the row learns how many there are.

    A piece that an earlier attempt left is not searched again.

    Returns:
        ``jobs``: how many; batches x shards in a first attempt.

    Raises:
        TransientError: the database cooled or was replaced in storage meanwhile, the API server is busy, or an older
            Job of that name still goes.
        PermanentError: the API server refuses; what was made is removed again.
    """
    search = clients().searches.get(data["owner"], data["job_id"])
    if _is_over(search, data):
        return {"jobs": 0}
    kube = clients().kube(search.cluster)
    status = read_warmup(kube, search.database, None)
    placement = placement_of(status)
    if placement is None:
        raise TransientError("database_not_warm", f"database {search.database} is not warm any more", "try again")
    layout = load_layout(clients().blobs(search.cluster.storage_account), search.database, len(placement))
    if status.is_of_another_version(layout.source_version):
        message = f"database {search.database} was replaced in storage by version {layout.source_version}"
        raise TransientError("database_changed", message, "retry the search; the new version is warmed first")
    blobs = clients().blobs(search.cluster.storage_account)
    present = _usable_pieces(search, layout, blobs)
    jobs = [
        job
        for job in _planned_jobs(search, layout, placement)
        if piece_blob(search.job_id, job.batch, job.shard) not in present
    ]
    try:
        in_parallel([partial(ensure_job, kube, job.manifest(), {JOB_ID_LABEL: job.job_id}) for job in jobs])
    except PermanentError:
        _remove_own(kube, search.job_id, {job.name for job in jobs})
        raise

    def change(row: Search) -> Search:
        created = row.jobs_created_at or clients().now()
        plan = {**row.plan, "shards": len(layout.shards), "source_version": layout.source_version}
        plan |= {"sequences_in_database": layout.sequences, "letters_in_database": layout.letters}
        if row.attempt != search.attempt:
            return row
        # Kept once it is known: a second run of this activity finds results of the first one's Jobs.
        expected = len(jobs) if row.expected_jobs is None else row.expected_jobs
        row = replace(row, expected_jobs=expected, jobs_created_at=created, plan=plan)
        return replace(row, outcome="", outcome_at=None, failure=None)  # what was seen of earlier Jobs is over

    try:
        row = clients().searches.update(search.owner, search.job_id, change)
        # A revival of the same attempt has the same Jobs: they are its own now.
        unwanted = _is_over(row, {**data, "run": row.run}) or row.attempt != search.attempt
    except NotFoundError:  # the search was deleted meanwhile
        unwanted = True
    if unwanted:
        # A cancel came meanwhile, and its look may have been before the last of these Jobs.
        _remove_own(kube, search.job_id, {job.name for job in jobs})
    log_event("search_jobs_created", job_id=search.job_id, jobs=len(jobs), cluster=search.cluster.cluster_name)
    return {"jobs": len(jobs)}


def _is_over(search: Search, data: dict[str, Any]) -> bool:
    """Whether the search needs no Jobs of this run any more: cancelled, ended, deleted, or given to another run."""
    return not search.is_active or search.cancel_requested_at is not None or search.run != data["run"]


def _usable_pieces(search: Search, layout: ShardLayout, blobs: Blobs) -> frozenset[str]:
    """Pieces of an earlier attempt that may stay: of the same database version, and not empty."""
    if search.attempt == 1:
        return frozenset()
    prefix = f"{search.job_id}/pieces/"
    listed = [(blob.name, blob.size) for blob in blobs.listing(RESULTS_CONTAINER, prefix)]
    if search.plan.get("source_version") != layout.source_version or search.plan.get("shards") != len(layout.shards):
        blobs.delete(RESULTS_CONTAINER, [name for name, _ in listed])
        return frozenset()
    return frozenset(name for name, size in listed if size >= MINIMUM_GZIP_BYTES)


def stop_search_jobs(data: dict[str, Any]) -> dict[str, Any]:
    """Remove the Jobs of a failed search that still run; ended ones stay until their TTL, for who wants to look.

    Returns:
        ``deleted``: how many.
    """
    search = clients().searches.get(data["owner"], data["job_id"])
    if search.run != data["run"]:  # a retry was faster; its Jobs are not ours to stop
        return {"deleted": 0}
    return {"deleted": stop_running_jobs(clients().kube(search.cluster), search)}


def _planned_jobs(search: Search, layout: ShardLayout, placement: dict[int, str]) -> list[BlastJob]:
    settings = clients().settings
    blobs = clients().blobs(search.cluster.storage_account)
    options = read_options(Program(search.program), search.options)
    check_layouts(options.outfmt, Program(search.program), [len(layout.shards)], search.engine)
    jobs = []
    for batch in range(int(search.plan["batches"])):
        query_url = _signed(settings, blobs, QUERIES_CONTAINER, batch_blob(search.job_id, batch), "r")
        for shard in layout.shards:
            alias = f"{MOUNT}/{search.database}/{shard.alias}"
            piece = piece_blob(search.job_id, batch, shard.index)
            jobs.append(
                BlastJob(
                    job_id=search.job_id,
                    attempt=search.attempt,
                    program=search.program,
                    database=search.database,
                    shard=shard.index,
                    batch=batch,
                    layout=len(layout.shards),
                    source_version=layout.source_version,
                    node=placement[shard.index],
                    command=options.shard_command(Program(search.program), alias, settings.job_cpus),
                    query_url=query_url,
                    result_url=_signed(settings, blobs, RESULTS_CONTAINER, piece, "cw"),
                    callback_url=f"{settings.callback_url}/api/blast/jobs/{search.job_id}/notify",
                    callback_token=callback_token(settings.callback_secret, search.job_id),
                    image=settings.image(BLAST_IMAGE),
                    size=PodSize(settings.job_cpus, settings.job_memory_gib, settings.job_memory_limit_gib),
                    deadline_seconds=settings.search_deadline_seconds,
                    ttl_seconds=settings.job_ttl_seconds,
                    full_evalues=options.needs_full_evalues(Program(search.program)),
                )
            )
    return jobs


def _signed(settings: Settings, blobs: Blobs, container: str, name: str, permissions: str) -> str:
    life = timedelta(seconds=settings.search_deadline_seconds) + SIGNATURE_MARGIN
    return blobs.url(container, name, permissions=permissions, life=life)


def _remove_own(kube: Kube, job_id: str, names: set[str]) -> None:
    """Remove what was made of a set; a Job of that name that is somebody else's stays."""
    made = {read_job(job).name for job in kube.jobs(f"app=blast,{JOB_ID_LABEL}={job_id}")}
    in_parallel([partial(kube.delete, "jobs", name) for name in sorted(names & made)])
