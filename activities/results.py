"""From the pieces that the Jobs wrote to merged batches: the gate, and the merge of each batch over its shards."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any, cast

from activities.cli_results import check_cli_results, merge_cli_batch
from activities.external_results import check_external_results
from shared.clients.blobs import Blobs
from shared.clients.gzip_streams import gunzip
from shared.clients.provider import clients
from shared.domain.blast_options import read_options
from shared.domain.errors import NotFoundError, PermanentError
from shared.domain.fasta import iter_ids
from shared.domain.manifests import MOUNT
from shared.domain.merge import MergeSummary, merge_batch, split_lines
from shared.domain.programs import Program
from shared.domain.results import (
    QUERIES_CONTAINER,
    RESULTS_CONTAINER,
    MergedBatch,
    batch_blob,
    merged_blob,
    piece_blob,
    results_gate,
)
from shared.domain.search import Search
from shared.domain.shards import alias_name
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
            options.outfmt,
            query_ids,
            pieces,
            options.max_target_seqs,
            database=search.database,
            searched=f"{MOUNT}/{search.database}/{alias_name(search.database, 1, 0)}",
            full_evalues=options.needs_full_evalues(Program(search.program)),
            summary=summary,
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
    counted = options.outfmt.is_mergeable
    return MergedBatch(
        batch,
        len(query_ids),
        summary.queries_with_hits if counted else None,
        summary.rows if counted else None,
        exact=len(names) == 1 or options.is_exact(Program(search.program), summary),
    ).to_dict()


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


def _search_and_blobs(data: dict[str, Any]) -> tuple[Search, Blobs]:
    search = clients().searches.get(data["owner"], data["job_id"])
    return search, clients().blobs(search.cluster.storage_account)


def _query_ids(blobs: Blobs, job_id: str, batch: int) -> list[str]:
    """Ids of a batch's queries, in input order, from the batch itself."""
    name = batch_blob(job_id, batch)
    return list(iter_ids(gunzip(blobs.stream(QUERIES_CONTAINER, name), name)))
