"""The order in which BLAST lists the subjects of one query, kept when the subjects come from several shards.

Used by the two merges, tabular and XML. BLAST sorts the subjects of a query by best E-value, then by the raw score of
the first HSP, then by *descending* OID, and keeps the first ``-max_target_seqs`` of them with all their HSPs
(``s_EvalueCompareHSPLists`` in ``algo/blast/core/blast_hits.c``). Each shard has done so among its own subjects, and
shards are contiguous runs of OIDs: taking the shards from the last to the first and merging them by (E-value, score),
the earlier stream first among equals, is that order again.

The subjects of a shard are never reordered among themselves. Between shards an E-value counts as BLAST computed it,
where the shard says so, and as it is printed where it does not: see `shared.domain.programs.tabular_order_is_exact`.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cmp_to_key
from itertools import chain, islice
from typing import Final, NamedTuple

from shared.domain.errors import PermanentError

EVALUE_TOLERANCE: Final = 1e-6
"""E-values that differ by a smaller part are one (``FUZZY_EVALUE_COMPARE_FACTOR`` in ``blast_hits.c``)."""
SMALLEST_EVALUE: Final = 1e-180
"""E-values below this are one (``s_FuzzyEvalueComp`` in ``blast_hits.c``); BLAST prints them as 0."""


class Subject(NamedTuple):  # one of millions: a frozen dataclass takes four times as long to make
    """A subject with its HSPs, as one shard reported it.

    Attributes:
        evalue: the smallest E-value of its HSPs, which is not the first one's where statistics link HSPs.
        score: raw score of the first HSP, which is the best.
        chunks: what is printed: a row per HSP, or the lines of an XML ``Hit``.
        hsps: number of HSPs.
        as_printed: the E-value has the few digits of a table.
    """

    evalue: float
    score: float
    chunks: Iterable[bytes]
    hsps: int
    as_printed: bool = False


@dataclass(slots=True)
class MergeSummary:
    """Counts of a merged result, complete when the merge was read to its end.

    Attributes:
        rows: HSPs printed.
        subjects: subjects printed, counted once per query.
        as_printed: a subject's place was found by an E-value of few digits.
        ordinal_ids: subjects are named by their number in the shard, since the database has no ids (``-parse_seqids``).
    """

    queries: int = 0
    queries_with_hits: int = 0
    subjects: int = 0
    rows: int = 0
    as_printed: bool = False
    ordinal_ids: bool = False


def compare(one: Subject, other: Subject) -> int:
    """Below 0 if BLAST lists ``one`` before ``other``, above 0 if after it, 0 if their OIDs decide."""
    first, second = one.evalue, other.evalue
    if first >= SMALLEST_EVALUE or second >= SMALLEST_EVALUE:
        if first < (1 - EVALUE_TOLERANCE) * second:
            return -1
        if first > (1 + EVALUE_TOLERANCE) * second:
            return 1
    return (other.score > one.score) - (one.score > other.score)


def ranked(shards: Sequence[Iterator[Subject]], limit: int, summary: MergeSummary) -> Iterator[Subject]:
    """Yield the subjects of one query in BLAST's order, cut by subject, and count them.

    All streams are read to their ends, so that what is wrong behind the cut is found as well.

    Args:
        shards: one stream per shard, in the order of the shards.
        limit: ``-max_target_seqs``.
    """
    summary.queries += 1
    found = 0
    streams = map(chain, reversed(shards))  # heapq.merge closes a generator that it is left with, and we read on
    for subject in islice(heapq.merge(*streams, key=cmp_to_key(compare)), limit):
        found += 1
        summary.subjects += 1
        summary.rows += subject.hsps
        summary.as_printed |= subject.as_printed
        yield subject
    summary.queries_with_hits += found > 0
    for shard in shards:
        for _ in shard:
            pass


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
