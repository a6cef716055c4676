"""Merging XML (format 5). Called by `shared.domain.merge` only.

BLAST writes one element per line in a fixed layout, so lines are enough: nothing is parsed that is not needed, text is
passed on byte for byte, and memory holds one hit of each shard at most, a large one in a file. What is renumbered:
``Hit_num`` within a query, and, where batches are put together, ``Iteration_iter-num`` and ``Query_<n>``, which BLAST
counts per file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final
from xml.sax.saxutils import escape, unescape

from shared.domain.errors import PermanentError
from shared.domain.fasta import query_id
from shared.domain.held import Held
from shared.domain.ranking import MergeSummary, Subject, next_line, ranked, results_invalid

_ITERATION: Final = b"<Iteration>"
_ITERATIONS_END: Final = b"</BlastOutput_iterations>"
_NO_HITS: Final = b"  <Iteration_message>No hits found</Iteration_message>"
_ENTITIES: Final = {"&quot;": '"', "&apos;": "'"}
_TIDIED: Final = " ,;.~()"
"""What BLAST+ 2.12 tidies in a header for XML, and only there: of `a;size=2;` it makes `a;size=2`, of `a ,b` `a, b`."""
_UNTIDY: Final = str.maketrans("", "", _TIDIED)

_DATABASE: Final = re.compile(rb"(\s*<BlastOutput_db>).*(</BlastOutput_db>)")
_QUERY_DEF: Final = re.compile(rb"\s*<Iteration_query-def>(.*)</Iteration_query-def>")
_HIT_NUMBER: Final = re.compile(rb"  <Hit_num>\d+</Hit_num>")
_ORDINAL_ID: Final = b"  <Hit_id>gnl|BL_ORD_ID|"
_HSP: Final = b"    <Hsp>"
_EVALUE: Final = b"      <Hsp_evalue>"
_SCORE: Final = b"      <Hsp_score>"
_SUM: Final = re.compile(rb"(\s*<Statistics_db-(?:num|len)>)(\d+)(</Statistics_db-(?:num|len)>)")
_ITERATION_NUMBER: Final = re.compile(rb"(\s*<Iteration_iter-num>)\d+(</Iteration_iter-num>)")
_QUERY_NUMBER: Final = re.compile(rb"(\s*<Iteration_query-ID>Query_)\d+(</Iteration_query-ID>)")


def _is_named(definition: str, query_name: str) -> bool:
    """Whether a query of the XML is the one of this id; where BLAST may have tidied it, by what it leaves alone."""
    if query_id(definition.encode()) == query_name:
        return True
    may_be_tidied = any(each in _TIDIED[1:] for each in definition + query_name)
    return may_be_tidied and definition.translate(_UNTIDY).startswith(query_name.translate(_UNTIDY))


class _Iterations:
    """One shard's XML, read in order: `header`, then per query `opening`, `subjects`, `closing`, and at last `end`."""

    def __init__(self, lines: Iterable[bytes], shard: int) -> None:
        self.shard = shard
        self._lines = iter(lines)
        self._hits_open = False

    def header(self) -> list[bytes]:
        """All lines before the first query."""
        return self._until(b"<BlastOutput_iterations>")

    def opening(self, query_name: str) -> list[bytes]:
        """The lines of a query before its hits."""
        if self._line() != _ITERATION:
            raise results_invalid(self.shard, "a query of the batch is missing")
        lines = [_ITERATION]
        named = False
        while True:
            line = self._line()
            lines.append(line)
            found = _QUERY_DEF.fullmatch(line)
            if found:
                named = _is_named(unescape(found.group(1).decode(), _ENTITIES), query_name)
            if line in (b"<Iteration_hits>", b"<Iteration_hits></Iteration_hits>"):
                break
        if not named:
            raise results_invalid(self.shard, "its queries are not those of the batch")
        self._hits_open = line == b"<Iteration_hits>"
        return lines if self._hits_open else [*lines[:-1], b"<Iteration_hits>"]

    def subjects(self, summary: MergeSummary) -> Iterator[Subject]:
        """The hits of the query whose opening was read last, without their first two lines, which have the number."""
        while self._hits_open:
            line = self._line()
            if line == b"</Iteration_hits>":
                self._hits_open = False
            elif line == b"<Hit>" and _HIT_NUMBER.fullmatch(self._line()):
                yield self._subject(summary)
            elif line:
                raise results_invalid(self.shard, "its XML is not laid out as BLAST's")

    def closing(self) -> list[bytes]:
        """The lines of a query after its hits."""
        return self._until(b"</Iteration>")

    def end(self) -> list[bytes]:
        """The lines after the last query."""
        if self._line() != _ITERATIONS_END:
            raise results_invalid(self.shard, "it has more queries than the batch")
        lines = [_ITERATIONS_END, *self._until(b"</BlastOutput>")]
        rest = list(self._lines)
        if any(line.strip() for line in rest):
            raise results_invalid(self.shard, "something follows the end of its XML")
        return lines + [line.rstrip(b"\r\n") for line in rest]

    def _subject(self, summary: MergeSummary) -> Subject:
        """Read the rest of a hit."""
        held, hsps, best, score = Held(), 0, math.inf, None
        try:
            while (line := self._line()) != b"</Hit>":
                if line == _HSP:
                    hsps += 1
                elif not hsps:
                    summary.ordinal_ids |= line.startswith(_ORDINAL_ID)
                elif line.startswith(_EVALUE):
                    best = min(best, float(_content(line)))
                elif score is None and line.startswith(_SCORE):
                    score = float(_content(line))
                held.add(line + b"\n")
        except ValueError:
            score = None
        if score is None or not best < math.inf:
            raise results_invalid(self.shard, "a hit has no E-value or no score") from None
        held.add(b"</Hit>\n")
        return Subject(best, score, held, hsps)

    def _until(self, last: bytes) -> list[bytes]:
        lines = []
        while True:
            lines.append(self._line())
            if lines[-1] == last:
                return lines

    def _line(self) -> bytes:
        return next_line(self._lines, self.shard)


def merge_xml(
    query_ids: Sequence[str],
    shards: Sequence[Iterable[bytes]],
    max_target_seqs: int,
    database: str,
    summary: MergeSummary,
) -> Iterator[bytes]:
    """Merge one batch; arguments as `shared.domain.merge.merge_batch`."""
    readers = [_Iterations(lines, shard) for shard, lines in enumerate(shards)]
    headers = [reader.header() for reader in readers]
    named = rb"\g<1>" + escape(database).encode() + rb"\g<2>"
    yield from _ended(_DATABASE.sub(named, line) for line in headers[0])
    for name in query_ids:
        openings = [reader.opening(name) for reader in readers]
        yield from _ended(openings[0])
        number = 0
        for subject in ranked([reader.subjects(summary) for reader in readers], max_target_seqs, summary):
            number += 1
            yield b"<Hit>\n  <Hit_num>%d</Hit_num>\n" % number
            yield from subject.chunks
        yield b"</Iteration_hits>\n"
        yield from _ended(_closing([reader.closing() for reader in readers], found=number > 0))
    ends = [reader.end() for reader in readers]
    yield from _ended(ends[0])


def _closing(closings: Sequence[Sequence[bytes]], *, found: bool) -> Iterator[bytes]:
    """The end of a query: the first shard's, with the sums of all shards and the message only if no shard has hits."""
    statistics = [[line for line in lines if line != _NO_HITS] for lines in closings]
    sums = [sum(values) for values in zip(*(_sizes(lines) for lines in statistics), strict=True)]
    for line in statistics[0]:
        if line == b"</Iteration>" and not found:
            yield _NO_HITS
        yield _SUM.sub(rb"\g<1>%d\g<3>" % sums.pop(0), line) if _SUM.fullmatch(line) else line


def _sizes(lines: Iterable[bytes]) -> list[int]:
    return [int(size.group(2)) for line in lines if (size := _SUM.fullmatch(line))]


def concatenate_xml(batches: Iterable[Iterable[bytes]]) -> Iterator[bytes]:
    """Put the merged XML of a search's batches together, queries numbered through.

    Args:
        batches: the lines of each batch, with their line ends.

    Raises:
        PermanentError: ``results_invalid`` if a batch has no end.
    """
    number = 0
    end: list[bytes] = []
    for position, lines in enumerate(batches):
        inside = position == 0
        end = []
        for line in lines:
            if line.startswith(_ITERATIONS_END):
                inside = False
                end = [line]
            elif end:
                end.append(line)
            elif inside:
                number += line.startswith(_ITERATION)
                line = _ITERATION_NUMBER.sub(rb"\g<1>%d\g<2>" % number, line)
                yield _QUERY_NUMBER.sub(rb"\g<1>%d\g<2>" % number, line)
            elif line.startswith(b"<BlastOutput_iterations>"):
                inside = True
        if not end:
            raise PermanentError("results_invalid", "a merged batch of XML has no end", "Retry the search.")
    yield from end


def _content(line: bytes) -> bytes:
    return line.partition(b">")[2].partition(b"<")[0]


def _ended(lines: Iterable[bytes]) -> Iterator[bytes]:
    return (line + b"\n" for line in lines)
