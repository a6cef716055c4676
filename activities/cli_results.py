"""Results of searches that the command line ran: its pieces are whole, so they are only checked and put together.

The database is not partitioned there, so nothing needs merging; the pieces are in the format that the user asked for.
"""

from __future__ import annotations

import tempfile
from typing import IO, Any, cast

from shared.clients.blobs import Blobs
from shared.clients.gzip_streams import gunzip
from shared.domain.cli_results import Piece, jobs_submitted, missing_pieces, pieces, query_batch
from shared.domain.errors import NotFoundError
from shared.domain.fasta import iter_ids
from shared.domain.hit_counts import HitCounter
from shared.domain.merge import split_lines
from shared.domain.observation import ids_of
from shared.domain.outfmt import OutputFormat
from shared.domain.results import RESULTS_CONTAINER, MergedBatch, merged_blob
from shared.domain.search import Search


def check_cli_results(search: Search, blobs: Blobs) -> dict[str, Any]:
    """Whether as many pieces are there as the command says that it made Jobs.

    Returns:
        As ``check_results``.
    """
    elb_id, expected = _made_by_command(search, blobs)
    listed = _listed(blobs, elb_id)
    found, written = pieces(elb_id, listed), pieces(elb_id, listed, least=0)
    empty = [piece.name for piece in written if piece not in found] if len(found) < expected else []
    missing = missing_pieces(expected, written) if expected else ["the number of Jobs that the command made"]
    return {"open": not missing and not empty, "batches": len(found), "missing": missing, "empty": empty[:5]}


def merge_cli_batch(search: Search, blobs: Blobs, batch: int, fmt: OutputFormat) -> dict[str, Any]:
    """Unpack the piece of one batch.

    Returns:
        The counts of ``MergedBatch``; how many queries have hits is None where no column names them.

    Raises:
        PermanentError: ``results_invalid`` when the piece is not valid gzip.
    """
    elb_id, _ = _made_by_command(search, blobs)
    piece = _pieces(blobs, elb_id)[batch]
    counted = HitCounter(fmt)
    with tempfile.TemporaryFile() as file:
        for line in counted.through(split_lines(gunzip(blobs.stream(RESULTS_CONTAINER, piece.name), piece.name))):
            file.write(line)
        file.seek(0)
        content = cast("IO[bytes]", file)
        blobs.put(RESULTS_CONTAINER, merged_blob(search.job_id, batch), content, fmt.content_type)
    queries = sum(1 for _ in iter_ids(blobs.stream(RESULTS_CONTAINER, query_batch(elb_id, piece.batch))))
    return MergedBatch(batch, queries, counted.queries, counted.rows).to_dict()


def _made_by_command(search: Search, blobs: Blobs) -> tuple[str, int]:
    """Under which of its ids the command wrote, and how many Jobs it says that it made; 0 while it does not say."""
    for elb_id in sorted(ids_of(search)):
        try:
            return elb_id, int(blobs.read(RESULTS_CONTAINER, jobs_submitted(elb_id)))
        except (NotFoundError, ValueError):
            continue
    return search.job_id, 0


def _pieces(blobs: Blobs, elb_id: str) -> tuple[Piece, ...]:
    return pieces(elb_id, _listed(blobs, elb_id))


def _listed(blobs: Blobs, elb_id: str) -> list[tuple[str, int]]:
    return [(blob.name, blob.size) for blob in blobs.listing(RESULTS_CONTAINER, f"{elb_id}/")]
