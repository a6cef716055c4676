"""Which blobs the command line writes into the container of results, below a folder of its own id.

Names as elastic-blast has them (its templates ``blast-batch-job-*-aks.yaml.template`` and ``elb-finalizer-aks.sh``, its
``constants.py``): the results of one batch (in a folder for each shard where the database was partitioned), how many
Jobs there are, and the marker of the end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shared.domain.results import MINIMUM_GZIP_BYTES

_PIECE = re.compile(r"(?:(?:shard|part)_(?P<shard>[0-9]{2,})/)?batch_(?P<batch>[0-9]{3,})-[^/]+\.out\.gz")


def metadata_prefix(elb_id: str) -> str:
    """Where the command keeps what it knows of a search."""
    return f"{elb_id}/metadata/"


def success_marker(elb_id: str) -> str:
    """Written by the finalizer when all BLAST Jobs succeeded."""
    return f"{metadata_prefix(elb_id)}SUCCESS.txt"


def jobs_submitted(elb_id: str) -> str:
    """The number of BLAST Jobs that were made, as text."""
    return f"{metadata_prefix(elb_id)}num_jobs_submitted.txt"


def query_batch(elb_id: str, batch: int) -> str:
    """One batch of the query, as the command cut it; FASTA, not compressed."""
    return f"{elb_id}/query_batches/batch_{batch:03d}.fa"


@dataclass(frozen=True, slots=True, order=True)
class Piece:
    """What one BLAST Job wrote: one batch in one shard; shard 0 where the database is not partitioned."""

    batch: int
    shard: int
    name: str


def pieces(elb_id: str, listed: Iterable[tuple[str, int]], least: int = MINIMUM_GZIP_BYTES) -> tuple[Piece, ...]:
    """The results among the blobs below an id, by batch and shard; empty ones are none.

    Args:
        listed: ``(blob name, bytes)``.
        least: bytes from which one is not empty.
    """
    found = []
    for name, size in listed:
        match = _PIECE.fullmatch(name.removeprefix(f"{elb_id}/"))
        if match and name.startswith(f"{elb_id}/") and size >= least:
            found.append(Piece(int(match["batch"]), int(match["shard"] or 0), name))
    return tuple(sorted(found))


def missing_pieces(expected: int, written: Sequence[Piece]) -> list[str]:
    """What of the command's results is not there, for people; empty when all is.

    Args:
        expected: Jobs that the command says it made, each of which writes one piece.
        written: the pieces that are there, empty ones too.
    """
    if len(written) >= expected:
        return []
    text = f"{expected - len(written)} of {expected} results of the command line"
    if any(piece.shard for piece in written):  # how many shards there are to a batch is not known
        return [text]
    absent = sorted(set(range(expected)) - {piece.batch for piece in written})[:5]
    return [f"{text} ({', '.join(f'batch_{batch:03d}' for batch in absent)})"]
