"""Putting the pieces of a sharded search together so that they are what unsharded BLAST+ prints, byte for byte.

The activity ``merge_batch`` reads the outputs of one batch's shards through `merge_batch`; ``publish_results`` puts the
batches behind one another with `concatenate_batches`. Both stream: memory holds one query's hits at most.

The rules are those of ``docs/`` on sharded searches: `shared.domain.ranking` has the order and the cut by subject,
`shared.domain.merge_tabular` formats 6, 7 and 10, `shared.domain.merge_xml` format 5.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from shared.domain.merge_tabular import closing_line, merge_tabular, queries_in_closing_line
from shared.domain.merge_xml import concatenate_xml, merge_xml
from shared.domain.outfmt import OutputFormat, OutputKind
from shared.domain.ranking import MergeSummary
from shared.domain.whole_formats import with_name

_CUT_BYTES: Final = 1 << 16

__all__ = ["MergeSummary", "concatenate_batches", "merge_batch", "split_lines"]


def merge_batch(
    fmt: OutputFormat,
    query_ids: Sequence[str],
    shards: Sequence[Iterable[bytes]],
    max_target_seqs: int,
    *,
    database: str,
    searched: str = "",
    full_evalues: bool = False,
    summary: MergeSummary | None = None,
) -> Iterator[bytes]:
    """Merge the outputs of all shards for one batch.

    Args:
        fmt: what the user asked for; the shards were run with ``fmt.for_shard()``.
        query_ids: ids of the batch's queries, in the batch's order (`QuerySet.ids`).
        shards: the lines of each shard's output, with or without line ends, in the order of the shards.
        max_target_seqs: most subjects per query, as given to BLAST.
        database: the database's name, which formats 5 and 7 print in place of a shard's alias.
        searched: what the Job of the only shard took for the database; only used in the formats that are not merged.
        full_evalues: rows may have the E-value with all digits behind their other columns. A piece that an older
            version asked for has not, and neither has one of a Job whose image lacks blast_formatter.
        summary: is counted up while the merge is read.

    Yields:
        The merged output in pieces; it is complete only when the iteration ends without an error.

    Raises:
        PermanentError: ``results_invalid``, while iterating, for a piece that BLAST did not write for this batch.
    """
    counts = MergeSummary() if summary is None else summary
    if not fmt.is_mergeable:
        counts.queries += len(query_ids)
        return with_name(fmt, shards[0], searched, database)
    if fmt.kind is OutputKind.XML:
        return merge_xml(query_ids, shards, max_target_seqs, database, counts)
    return merge_tabular(fmt, query_ids, shards, max_target_seqs, database, counts, full_evalues=full_evalues)


def concatenate_batches(fmt: OutputFormat, batches: Iterable[Iterable[bytes]]) -> Iterator[bytes]:
    """Put the results of a search's batches together into one file, as BLAST prints it for all queries at once.

    Args:
        batches: the merged output of each batch, in the order of the batches, in pieces of any size.

    Raises:
        PermanentError: ``results_invalid``, while iterating, for a batch in format 5 or 7 without its end.
    """
    if fmt.kind is OutputKind.XML:
        return concatenate_xml(split_lines(batch) for batch in batches)
    if fmt.kind is OutputKind.TABULAR_WITH_COMMENTS:
        return _concatenate_commented(batches)
    return (chunk for batch in batches for chunk in batch)


def split_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Cut pieces of any size into lines, with their line ends; holds one piece, and one line or the lines of 64 KiB."""
    rest: list[bytes] = []
    for chunk in chunks:
        for start in range(0, len(chunk), _CUT_BYTES):
            *lines, last = chunk[start : start + _CUT_BYTES].split(b"\n")
            if lines and rest:
                lines[0] = b"".join((*rest, lines[0]))
                rest.clear()
            for line in lines:
                yield line + b"\n"
            if last:
                rest.append(last)
    if rest:
        yield b"".join(rest)


def _concatenate_commented(batches: Iterable[Iterable[bytes]]) -> Iterator[bytes]:
    """Format 7: one closing line with the number of all queries instead of one per batch."""
    queries = 0
    for batch in batches:
        held = b""
        for line in split_lines(batch):
            if held:
                yield held
            held = line
        queries += queries_in_closing_line(held)
    yield closing_line(queries)
