"""Merging the formats with one row per HSP: 6, 7 and 10. Called by `shared.domain.merge` only.

A shard's rows have the user's columns and behind them the columns that the merge needs (`OutputFormat.shard_columns`).
Subjects are told apart by their id: rows of one subject follow each other, and ids are unique in a database (as
``makeblastdb -parse_seqids`` and NCBI's own databases have it).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from shared.domain.errors import PermanentError
from shared.domain.fasta import query_id
from shared.domain.outfmt import SHARD_DELIMITER, OutputFormat, OutputKind
from shared.domain.ranking import MergeSummary, Subject, next_line, ranked, results_invalid

_HITS_FOUND: Final = re.compile(rb"# (\d+) hits found")
_PROCESSED: Final = re.compile(rb"# BLAST processed (\d+) queries")


@dataclass(frozen=True, slots=True)
class _Row:
    """One HSP: the position of its query in the batch, its subject's id, its keys, and what the user sees of it."""

    query: int
    subject: bytes
    evalue: float
    score: float
    text: bytes


class _RowParser:
    """Takes the rows of all shards apart; made once per batch."""

    def __init__(self, fmt: OutputFormat, query_ids: Sequence[str]) -> None:
        columns = fmt.shard_columns
        self._width = len(columns)
        self._query, self._subject, self._evalue, self._score = (
            columns.index(name) for name in ("qseqid", "sseqid", "evalue", "score")
        )
        self._shown = len(fmt.columns)
        self._delimiter = fmt.delimiter.encode()
        self._position = {name.encode(): position for position, name in enumerate(query_ids)}

    def parse(self, line: bytes, shard: int) -> _Row:
        fields = line.split(SHARD_DELIMITER.encode())
        if len(fields) != self._width:
            raise results_invalid(shard, f"a row has {len(fields)} columns instead of {self._width}")
        position = self._position.get(fields[self._query])
        if position is None:
            raise results_invalid(shard, "a row has a query id that is not in the batch")
        try:
            evalue, score = float(fields[self._evalue]), float(fields[self._score])
        except ValueError:
            raise results_invalid(shard, "a row's E-value or score is not a number") from None
        if math.isnan(evalue) or math.isnan(score):
            raise results_invalid(shard, "a row's E-value or score is not a number")
        text = self._delimiter.join(fields[: self._shown]) + b"\n"
        return _Row(position, fields[self._subject], evalue, score, text)


class _Rows:
    """The rows of one shard in formats 6 and 10, read one subject ahead at most."""

    def __init__(self, lines: Iterable[bytes], parser: _RowParser, shard: int) -> None:
        self.shard = shard
        self._lines = iter(lines)
        self._parser = parser
        self._next = self._read()

    def subjects(self, query: int) -> Iterator[Subject]:
        """The subjects of one query; queries must be asked for in the order of the batch."""
        return _by_subject(self._rows_of(query))

    def end(self) -> None:
        """Check that nothing is left."""
        if self._next is not None:
            raise results_invalid(self.shard, "rows are not in the order of the queries")

    def _rows_of(self, query: int) -> Iterator[_Row]:
        while self._next is not None and self._next.query <= query:
            row = self._next
            if row.query < query:
                raise results_invalid(self.shard, "rows are not in the order of the queries")
            self._next = self._read()
            yield row

    def _read(self) -> _Row | None:
        line = next(self._lines, None)
        return None if line is None else self._parser.parse(line.rstrip(b"\r\n"), self.shard)


@dataclass(frozen=True, slots=True)
class _Heading:
    """The comment lines of one query in format 7; ``fields`` is there only if the query has hits."""

    program: bytes
    query: bytes
    fields: bytes | None
    rows: int


class _CommentedRows:
    """The blocks of one shard in format 7: `heading`, then `subjects`, for each query of the batch in order."""

    def __init__(self, lines: Iterable[bytes], parser: _RowParser, shard: int) -> None:
        self.shard = shard
        self._lines = iter(lines)
        self._parser = parser
        self._rows = 0

    def heading(self, query_name: str) -> _Heading:
        """Read a block up to its first row."""
        program = self._line()
        query = self._comment(b"# Query: ")
        if query_id(query.removeprefix(b"# Query: ")) != query_name:
            raise results_invalid(self.shard, "its queries are not those of the batch")
        self._comment(b"# Database: ")
        line = self._line()
        fields = None
        if line.startswith(b"# Fields: "):
            fields, line = line, self._line()
        hits = _HITS_FOUND.fullmatch(line)
        if not program.startswith(b"# ") or hits is None:
            raise results_invalid(self.shard, "its comment lines are not those of format 7")
        self._rows = int(hits.group(1))
        return _Heading(program, query, fields, self._rows)

    def subjects(self, query: int) -> Iterator[Subject]:
        """The subjects of the block whose heading was read last."""
        return _by_subject(self._rows_of(query))

    def end(self, queries: int) -> None:
        """Check the closing line and that nothing follows it."""
        processed = _PROCESSED.fullmatch(self._line())
        if processed is None or int(processed.group(1)) != queries or next(self._lines, None) is not None:
            raise results_invalid(self.shard, f"it does not end with '# BLAST processed {queries} queries'")

    def _rows_of(self, query: int) -> Iterator[_Row]:
        for _ in range(self._rows):
            row = self._parser.parse(self._line(), self.shard)
            if row.query != query:
                raise results_invalid(self.shard, "rows are not in the order of the queries")
            yield row

    def _comment(self, start: bytes) -> bytes:
        line = self._line()
        if not line.startswith(start.rstrip()):
            raise results_invalid(self.shard, "its comment lines are not those of format 7")
        return line

    def _line(self) -> bytes:
        return next_line(self._lines, self.shard)


def merge_tabular(
    fmt: OutputFormat,
    query_ids: Sequence[str],
    shards: Sequence[Iterable[bytes]],
    max_target_seqs: int,
    database: str,
    summary: MergeSummary,
) -> Iterator[bytes]:
    """Merge one batch; arguments as `shared.domain.merge.merge_batch`."""
    parser = _RowParser(fmt, query_ids)
    if fmt.kind is OutputKind.TABULAR_WITH_COMMENTS:
        blocks = [_CommentedRows(lines, parser, shard) for shard, lines in enumerate(shards)]
        return _merge_commented(fmt, query_ids, blocks, max_target_seqs, database, summary)
    rows = [_Rows(lines, parser, shard) for shard, lines in enumerate(shards)]
    return _merge_rows(len(query_ids), rows, max_target_seqs, summary)


def _merge_rows(queries: int, shards: Sequence[_Rows], limit: int, summary: MergeSummary) -> Iterator[bytes]:
    for query in range(queries):
        for subject in ranked([shard.subjects(query) for shard in shards], limit, summary):
            yield from subject.chunks
    for shard in shards:
        shard.end()


def _merge_commented(
    fmt: OutputFormat,
    query_ids: Sequence[str],
    shards: Sequence[_CommentedRows],
    limit: int,
    database: str,
    summary: MergeSummary,
) -> Iterator[bytes]:
    for position, name in enumerate(query_ids):
        headings = [shard.heading(name) for shard in shards]
        subjects = list(ranked([shard.subjects(position) for shard in shards], limit, summary))
        yield headings[0].program + b"\n" + headings[0].query + b"\n"
        yield f"# Database: {database}\n".encode()
        fields = next((heading.fields for heading in headings if heading.fields), None)
        if fields is not None:
            yield _without_extra_fields(fields, len(fmt.extra_columns)) + b"\n"
        yield b"# %d hits found\n" % sum(subject.hsps for subject in subjects)
        for subject in subjects:
            yield from subject.chunks
    for shard in shards:
        shard.end(len(query_ids))
    yield closing_line(len(query_ids))


def _without_extra_fields(fields: bytes, extra: int) -> bytes:
    return fields.rsplit(b", ", extra)[0] if extra else fields


def closing_line(queries: int) -> bytes:
    """The last line of a file in format 7."""
    return b"# BLAST processed %d queries\n" % queries


def queries_in_closing_line(line: bytes) -> int:
    """How many queries a file in format 7 has, from its last line.

    Raises:
        PermanentError: ``results_invalid`` if it is another line.
    """
    processed = _PROCESSED.fullmatch(line.rstrip(b"\r\n"))
    if processed is None:
        raise PermanentError("results_invalid", "a merged batch lacks its closing line", "Retry the search.")
    return int(processed.group(1))


def _by_subject(rows: Iterator[_Row]) -> Iterator[Subject]:
    """Put the consecutive rows of one subject together."""
    first: _Row | None = None
    texts: list[bytes] = []
    for row in rows:
        if first is not None and row.subject != first.subject:
            yield Subject(first.evalue, first.score, tuple(texts), len(texts))
            first, texts = None, []
        first = first or row
        texts.append(row.text)
    if first is not None:
        yield Subject(first.evalue, first.score, tuple(texts), len(texts))
