"""What a search needs before its Jobs: old Jobs out of the way, scripts in place, queries cut into batches."""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import IO, Any, cast

from shared.clients.provider import clients
from shared.domain.batching import batch_chunks, queries_changed, split_batches
from shared.domain.errors import ConflictError, ElbError, NotFoundError, TransientError
from shared.domain.fasta import scan_fasta
from shared.domain.manifests import SCRIPTS_CONFIG_MAP, SCRIPTS_HASH, scripts_config_map
from shared.domain.observation import ids_of
from shared.domain.programs import Program
from shared.domain.results import QUERIES_CONTAINER, batch_blob
from shared.domain.search import ClusterRef, Search
from shared.domain.snapshot import read_snapshot
from shared.domain.stale_jobs import APPS, stale_jobs
from shared.scripts import load_scripts
from shared.telemetry import log_event


def cleanup_stale_jobs(data: dict[str, Any]) -> dict[str, Any]:
    """Remove finished Jobs of ended searches that are older than 30 minutes.

    Returns:
        ``deleted``: how many.
    """
    search = clients().searches.get(data["owner"], data["job_id"])
    kube = clients().kube(search.cluster)
    selector = f"app in ({','.join(APPS)})"
    jobs = kube.jobs(selector)
    pods = kube.pods(selector) if jobs else []
    active = [job_id for s in clients().searches.unfinished(search.cluster.key) for job_id in ids_of(s)]
    stale = stale_jobs(read_snapshot(jobs, pods, clients().now(), kube.server_time()), active)
    deleted = 0
    for job in stale:
        try:
            kube.delete("jobs", job.name)
        except ElbError as error:  # somebody else's old Job must not keep this search from beginning
            log_event("stale_job_kept", job_id=search.job_id, job=job.name, code=error.code, message=error.message)
            continue
        deleted += 1
        log_event("stale_job_deleted", job_id=search.job_id, job=job.name, cluster=search.cluster.cluster_name)
    return {"deleted": deleted}


def ensure_scripts(data: dict[str, Any]) -> dict[str, Any]:
    """Write the product's own scripts into the cluster, unless the same content is there already.

    Args:
        data: ``cluster``.

    Returns:
        ``written``: whether a write was needed.
    """
    kube = clients().kube(ClusterRef.from_dict(data["cluster"]))
    manifest = scripts_config_map(load_scripts())
    try:
        present = kube.get("configmaps", SCRIPTS_CONFIG_MAP)
    except NotFoundError:
        try:
            kube.create("configmaps", manifest)
        except ConflictError:  # another search made it meanwhile, from the same scripts
            return {"written": False}
        return {"written": True}
    if (present["metadata"].get("annotations") or {}).get(SCRIPTS_HASH) == manifest["metadata"]["annotations"][
        SCRIPTS_HASH
    ]:
        return {"written": False}
    try:
        kube.replace("configmaps", manifest)
    except (ConflictError, NotFoundError) as error:  # somebody else writes or removes it just now
        raise TransientError(error.code, error.message, "try again") from error
    return {"written": True}


def stage_queries(data: dict[str, Any]) -> dict[str, Any]:
    """Cut the query into batches and store each; the row learns how many there are.

    Returns:
        ``batches``, ``sequences``, ``letters``; all 0, and nothing was written, for a search that has another run.
    """
    search = clients().searches.get(data["owner"], data["job_id"])
    if search.run != data["run"]:
        return {"batches": 0, "sequences": 0, "letters": 0}
    blobs = clients().blobs(search.cluster.storage_account)
    name = search.query["blob"]

    def text() -> Iterator[bytes]:
        return blobs.stream(QUERIES_CONTAINER, name)

    queries = scan_fasta(text, Program(search.program))
    if search.query.get("letters", queries.letters) != queries.letters:
        raise queries_changed()
    batches = split_batches(queries.lengths, int(search.query["batch_len"]))
    for index, content in _write_batches(text(), batches):
        blobs.put(QUERIES_CONTAINER, batch_blob(search.job_id, index), content, "application/gzip")
    plan = {"batches": len(batches), "sequences": queries.sequences, "letters": queries.letters}

    def change(row: Search) -> Search:
        return replace(row, plan={**row.plan, **plan}) if row.run == data["run"] else row

    clients().searches.update(search.owner, search.job_id, change)
    return plan


def _write_batches(blocks: Iterator[bytes], batches: tuple[range, ...]) -> Iterator[tuple[int, IO[bytes]]]:
    """Each batch as a gzip file; one open at a time, since batches come one after another."""
    with ExitStack() as stack:
        current, file, packed = -1, None, None
        for index, chunk in batch_chunks(blocks, batches):
            if index != current:
                if file is not None and packed is not None:
                    packed.close()
                    file.seek(0)
                    yield current, cast("IO[bytes]", file)
                    file.close()
                file = stack.enter_context(tempfile.TemporaryFile())
                packed = gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1, mtime=0)
                current = index
            if packed is not None:
                packed.write(chunk)
        if file is not None and packed is not None:
            packed.close()
            file.seek(0)
            yield current, cast("IO[bytes]", file)
