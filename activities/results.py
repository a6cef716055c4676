"""From the pieces that the Jobs wrote to the published results: gate, merge per batch, publish."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import IO, Any, cast

from activities.cli_results import check_cli_results, merge_cli_batch
from activities.external_results import check_external_results
from shared.clients.blobs import Blobs
from shared.clients.gzip_streams import gunzip
from shared.clients.provider import clients
from shared.domain.blast_options import read_options
from shared.domain.errors import NotFoundError, PermanentError
from shared.domain.fasta import iter_records
from shared.domain.manifests import BLAST_IMAGE
from shared.domain.merge import MergeSummary, concatenate_batches, merge_batch, split_lines
from shared.domain.programs import Program
from shared.domain.results import (
    MANIFEST,
    QUERIES_CONTAINER,
    RESULTS_CONTAINER,
    MergedBatch,
    ResultFile,
    batch_blob,
    merged_blob,
    piece_blob,
    published_blob,
    results_gate,
    summarize,
)
from shared.domain.search import Search
from shared.domain.times import format_time
from shared.telemetry import log_event


def check_results(data: dict[str, Any]) -> dict[str, Any]:
    """Whether every expected piece is listed and not empty.

    Returns:
        ``open``, and up to five names each of what is ``missing`` and ``empty``.
    """
    search, blobs = _search_and_blobs(data)
    if search.engine == "cli":
        return check_cli_results(search, blobs)
    if search.engine == "external":
        return check_external_results(search, blobs)
    listed = [(b.name, b.size) for b in blobs.listing(RESULTS_CONTAINER, f"{search.job_id}/pieces/")]
    gate = results_gate(search.job_id, int(search.plan["batches"]), int(search.plan["shards"]), listed)
    return {
        "open": gate.is_open,
        "batches": int(search.plan["batches"]),
        "missing": list(gate.missing[:5]),
        "empty": list(gate.empty[:5]),
    }


def merge_search_batch(data: dict[str, Any]) -> dict[str, Any]:
    """Merge one batch over its shards, as a stream; memory holds one query's rows.

    Args:
        data: the search's reference and ``batch``.

    Returns:
        The counts of ``MergedBatch``.

    Raises:
        PermanentError: ``results_invalid`` when a piece is not valid gzip or not BLAST's output: such pieces are
            deleted, to be waited for as missing ones are and to be searched again by a retry; the others stay.
    """
    search, blobs = _search_and_blobs(data)
    if search.run != data["run"]:  # a retry has these blobs now; the run that asks is told so at its next step
        return MergedBatch(int(data["batch"]), 0, 0, 0).to_dict()
    batch, options = int(data["batch"]), read_options(Program(search.program), search.options)
    if search.engine == "cli":
        return merge_cli_batch(search, blobs, batch, options.outfmt)
    query_ids = _query_ids(blobs, search.job_id, batch)
    names = [piece_blob(search.job_id, batch, shard) for shard in range(int(search.plan["shards"]))]
    summary = MergeSummary()

    def merged(names: Sequence[str], summary: MergeSummary) -> Iterator[bytes]:
        pieces = [split_lines(gunzip(blobs.stream(RESULTS_CONTAINER, name), name)) for name in names]
        yield from merge_batch(
            options.outfmt, query_ids, pieces, options.max_target_seqs, database=search.database, summary=summary
        )

    with tempfile.TemporaryFile() as file:
        try:
            for chunk in merged(names, summary):
                file.write(chunk)
        except PermanentError as error:
            if error.code != "results_invalid":
                raise
            dropped = [name for name in names if not _is_valid(merged([name], MergeSummary()))]
            blobs.delete(RESULTS_CONTAINER, dropped)
            log_event("pieces_dropped", job_id=search.job_id, batch=batch, pieces=dropped, message=error.message)
            message = f"batch {batch}: {error.message}; not valid: {', '.join(dropped[:5]) or 'none any more'}"
            raise PermanentError(error.code, message, error.hint) from error
        file.seek(0)
        content = cast("IO[bytes]", file)
        blobs.put(RESULTS_CONTAINER, merged_blob(search.job_id, batch), content, options.outfmt.content_type)
    return MergedBatch(batch, len(query_ids), summary.queries_with_hits, summary.rows).to_dict()


def _is_valid(merged: Iterable[bytes]) -> bool:
    """Whether a piece can be merged by itself. One that somebody has removed meanwhile is waited for as it is."""
    try:
        for _ in merged:
            pass
    except NotFoundError:
        return True
    except PermanentError as error:
        if error.code != "results_invalid":
            raise
        return False
    return True


def publish_results(data: dict[str, Any]) -> dict[str, Any]:
    """Put the batches together in the order of the input, with provenance and a manifest; the manifest comes last.

    Args:
        data: the search's reference and ``merged``, the counts of all batches.
    """
    search, blobs = _search_and_blobs(data)
    if search.run != data["run"]:
        return {"files": [], "bytes": 0}
    options = read_options(Program(search.program), search.options)
    names = [merged_blob(search.job_id, batch) for batch in range(len(data["merged"]))]
    digest, size = hashlib.sha256(), 0
    with tempfile.TemporaryFile() as file:
        batches = (blobs.stream(RESULTS_CONTAINER, name) for name in names)
        for chunk in concatenate_batches(options.outfmt, batches):
            digest.update(chunk)
            size += file.write(chunk)
        file.seek(0)
        name = f"results.{options.outfmt.extension}"
        content = cast("IO[bytes]", file)
        blobs.put(RESULTS_CONTAINER, published_blob(search.job_id, name), content, options.outfmt.content_type)
    counts = summarize(MergedBatch.from_dict(batch) for batch in data["merged"])
    manifest = {
        "manifest": [ResultFile(name, size, digest.hexdigest(), options.outfmt.content_type).to_dict()],
        "provenance": provenance(search, clients().now()),
        "summary": counts,
    }
    text = json.dumps(manifest).encode()
    blobs.put(RESULTS_CONTAINER, published_blob(search.job_id, MANIFEST), text, "application/json")
    log_event("results_published", job_id=search.job_id, bytes=size, summary=counts)
    return {"files": [name, MANIFEST], "bytes": size}


def provenance(search: Search, at: datetime) -> dict[str, Any]:
    """What was run on what, by whom and when: everything needed to run it again."""
    options = read_options(Program(search.program), search.options)
    return {
        "program": search.program,
        "image": clients().settings.image(BLAST_IMAGE),
        "command_line": options.unsharded_command(Program(search.program), search.database),
        "database": search.database,
        "database_version": search.plan.get("source_version"),
        "database_sequences": search.plan.get("sequences_in_database"),
        "database_letters": search.plan.get("letters_in_database"),
        "shards": search.plan.get("shards"),
        "batches": search.plan.get("batches"),
        "query_sha256": search.query.get("sha256"),
        "owner": search.owner,
        "job_id": search.job_id,
        "attempt": search.attempt,
        "created_at": format_time(search.created_at),
        "published_at": format_time(at),
        "engine": search.engine,
        "exact": search.engine == "cli" or options.is_exact(Program(search.program)),
    }


def _search_and_blobs(data: dict[str, Any]) -> tuple[Search, Blobs]:
    search = clients().searches.get(data["owner"], data["job_id"])
    return search, clients().blobs(search.cluster.storage_account)


def _query_ids(blobs: Blobs, job_id: str, batch: int) -> list[str]:
    """Ids of a batch's queries, in input order, from the batch itself."""
    name = batch_blob(job_id, batch)
    lines: Iterator[bytes] = split_lines(gunzip(blobs.stream(QUERIES_CONTAINER, name), name))
    return [record.id for record in iter_records(lines)]
