"""The order in which BLAST lists the subjects of one query, kept when the subjects come from several shards.

Used by the two merges, tabular and XML. BLAST sorts the subjects of a query by best E-value, then by the raw score of
the best HSP, then by *descending* OID, and keeps the first ``-max_target_seqs`` of them with all their HSPs
(``s_EvalueCompareHSPLists`` in ``algo/blast/core/blast_hits.c``). Each shard has done so among its own subjects, and
shards are contiguous runs of OIDs: taking the shards from the last to the first and merging them by (E-value, score),
the earlier stream first among equals, is that order again.

The subjects of a shard are never reordered among themselves: BLAST has seen more digits of their E-values than it
prints. Between shards those digits are missed where the E-value is not a function of the score: see
`shared.domain.programs.tabular_order_is_exact`.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shared.domain.errors import PermanentError


@dataclass(frozen=True, slots=True)
class Subject:
    """A subject with its HSPs, as one shard reported it.

    Attributes:
        evalue: E-value of the first HSP, which is the best.
        score: raw score of that HSP.
        chunks: what is printed: a row per HSP, or the lines of an XML ``Hit``.
        hsps: number of HSPs.
    """

    evalue: float
    score: float
    chunks: tuple[bytes, ...]
    hsps: int

    @property
    def rank(self) -> tuple[float, float]:
        """Sort key: smaller is listed earlier."""
        return (self.evalue, -self.score)


@dataclass(slots=True)
class MergeSummary:
    """Counts of a merged result, complete when the merge was read to its end.

    Attributes:
        rows: HSPs printed.
        subjects: subjects printed, counted once per query.
    """

    queries: int = 0
    queries_with_hits: int = 0
    subjects: int = 0
    rows: int = 0


def ranked(shards: Sequence[Iterator[Subject]], limit: int, summary: MergeSummary) -> Iterator[Subject]:
    """Yield the subjects of one query in BLAST's order, cut by subject, and count them.

    All streams are read to their ends, so that what is wrong behind the cut is found as well.

    Args:
        shards: one stream per shard, in the order of the shards.
        limit: ``-max_target_seqs``.
    """
    summary.queries += 1
    found = 0
    for subject in heapq.merge(*reversed(shards), key=lambda subject: subject.rank):
        found += 1
        if found > limit:
            continue
        summary.subjects += 1
        summary.rows += subject.hsps
        yield subject
    summary.queries_with_hits += found > 0


def results_invalid(shard: int, problem: str) -> PermanentError:
    """The error for a piece of result that is not what BLAST writes for this batch."""
    return PermanentError(
        "results_invalid",
        f"the result of shard {shard} is not valid: {problem}",
        "Retry the search: only the pieces that are missing or wrong are run again.",
    )


def next_line(lines: Iterator[bytes], shard: int) -> bytes:
    """The next line of a shard's output, without its end.

    Raises:
        PermanentError: ``results_invalid`` when there is none.
    """
    line = next(lines, None)
    if line is None:
        raise results_invalid(shard, "it ends too early")
    return line.rstrip(b"\r\n")
