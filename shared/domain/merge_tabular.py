"""Merging the formats with one row per HSP: 6, 7 and 10. Called by `shared.domain.merge` only.

A shard's rows have the user's columns, behind them the columns that the merge needs (`OutputFormat.shard_columns`), and
where tables show too few digits to order by, a last one with the whole E-value (``blast.sh``).
Subjects are told apart by their id: rows of one subject follow each other, and ids are unique in a database (as
``makeblastdb -parse_seqids`` and NCBI's own databases have it).
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from shared.domain.errors import PermanentError
from shared.domain.fasta import query_id
from shared.domain.held import Held
from shared.domain.outfmt import SHARD_DELIMITER, OutputFormat, OutputKind
from shared.domain.ranking import MergeSummary, Subject, next_line, ranked, results_invalid

_DELIMITER: Final = SHARD_DELIMITER.encode()
_HITS_FOUND: Final = re.compile(rb"# (\d+) hits found")
_PROCESSED: Final = re.compile(rb"# BLAST processed (\d+) queries")
_ROWS_AT_ONCE: Final = 256
"""Rows of a subject that are put together as one piece."""


class _Columns:
    """What a row has where, and the batch's queries; made once per batch."""

    def __init__(self, fmt: OutputFormat, query_ids: Sequence[str], *, full_evalues: bool) -> None:
        columns = fmt.shard_columns
        self.width = len(columns)
        self.widths = range(self.width, self.width + (2 if full_evalues else 1))
        self.query, self.subject, self.evalue, self.score = (
            columns.index(name) for name in ("qseqid", "sseqid", "evalue", "score")
        )
        self.shown = slice(len(fmt.columns))
        self.delimiter = fmt.delimiter.encode()
        self.names = [name.encode() for name in query_ids]
        self.position = {name: position for position, name in enumerate(self.names)}


class _Shard(ABC):
    """The rows of one shard, read one ahead at most; queries must be asked for in the order of the batch."""

    is_block = False
    """What is read of a query has no rows of another one."""

    def __init__(self, lines: Iterable[bytes], columns: _Columns, shard: int) -> None:
        self.shard = shard
        self._lines = iter(lines)
        self._columns = columns
        self._next: list[bytes] | None = None

    @abstractmethod
    def _read(self) -> list[bytes] | None:
        """The fields of the next row; None at the end of the shard's or, in format 7, of the query's rows."""

    def _check_query(self, fields: list[bytes], query: int) -> None:
        """Refuse a row that may not follow the rows of a query."""
        position = self._columns.position.get(fields[self._columns.query])
        if position is None:
            raise results_invalid(self.shard, "a row has a query id that is not in the batch")
        if position < query or self.is_block:
            raise results_invalid(self.shard, "rows are not in the order of the queries")

    def subjects(self, query: int) -> Iterator[Subject]:
        """The subjects of one query."""
        names, subjects, name = self._columns.query, self._columns.subject, self._columns.names[query]
        shown, delimiter = self._columns.shown, self._columns.delimiter
        fields = self._next
        while fields is not None and fields[names] == name:
            subject, as_printed = fields[subjects], len(fields) == self._columns.width
            best, score = self._keys(fields)
            texts, held, hsps = [delimiter.join(fields[shown])], None, 1
            while (fields := self._read()) is not None and fields[subjects] == subject and fields[names] == name:
                evalue, _ = self._keys(fields)
                if evalue < best:
                    best = evalue
                texts.append(delimiter.join(fields[shown]))
                hsps += 1
                if len(texts) == _ROWS_AT_ONCE:
                    held = held or Held()
                    held.add(_ended(texts))
                    texts.clear()
            if held is not None:
                held.add(_ended(texts))
            self._next = fields
            yield Subject(best, score, held or (_ended(texts),), hsps, as_printed)
        if fields is not None:
            self._check_query(fields, query)

    def _keys(self, fields: list[bytes]) -> tuple[float, float]:
        """E-value and score."""
        columns = self._columns
        try:
            evalue = float(fields[columns.evalue if len(fields) == columns.width else -1])
            score = float(fields[columns.score])
        except ValueError:
            raise results_invalid(self.shard, "a row's E-value or score is not a number") from None
        if not evalue + score < math.inf:  # NaN too
            raise results_invalid(self.shard, "a row's E-value or score is not a number")
        return evalue, score

    def _fields(self, line: bytes) -> list[bytes]:
        fields = line.rstrip(b"\r\n").split(_DELIMITER)
        if len(fields) not in self._columns.widths:
            raise results_invalid(self.shard, f"a row has {len(fields)} columns instead of {self._columns.width}")
        return fields


class _Rows(_Shard):
    """Formats 6 and 10: rows and nothing else."""

    def __init__(self, lines: Iterable[bytes], columns: _Columns, shard: int) -> None:
        super().__init__(lines, columns, shard)
        self._next = self._read()

    def end(self) -> None:
        """Check that nothing is left."""
        if self._next is not None:
            raise results_invalid(self.shard, "rows are not in the order of the queries")

    def _read(self) -> list[bytes] | None:
        line = next(self._lines, None)
        return None if line is None else self._fields(line)


@dataclass(frozen=True, slots=True)
class _Heading:
    """The comment lines of one query in format 7; ``fields`` is there only if the query has hits."""

    program: bytes
    query: bytes
    fields: bytes | None


class _CommentedRows(_Shard):
    """Format 7: `heading`, then `subjects`, for each query of the batch in order."""

    is_block = True
    _rows = 0
    """Rows of this query that are still to come."""

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
        self._next = self._read()
        return _Heading(program, query, fields)

    def end(self, queries: int) -> None:
        """Check the closing line and that nothing follows it."""
        processed = _PROCESSED.fullmatch(self._line())
        if processed is None or int(processed.group(1)) != queries or next(self._lines, None) is not None:
            raise results_invalid(self.shard, f"it does not end with '# BLAST processed {queries} queries'")

    def _read(self) -> list[bytes] | None:
        if not self._rows:
            return None
        self._rows -= 1
        return self._fields(self._line())

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
    *,
    full_evalues: bool,
) -> Iterator[bytes]:
    """Merge one batch; arguments as `shared.domain.merge.merge_batch`."""
    columns = _Columns(fmt, query_ids, full_evalues=full_evalues)
    if fmt.kind is OutputKind.TABULAR_WITH_COMMENTS:
        blocks = [_CommentedRows(lines, columns, shard) for shard, lines in enumerate(shards)]
        return _merge_commented(fmt, query_ids, blocks, max_target_seqs, database, summary)
    rows = [_Rows(lines, columns, shard) for shard, lines in enumerate(shards)]
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
        held, hits = Held(), 0  # the number of rows stands above them
        for subject in ranked([shard.subjects(position) for shard in shards], limit, summary):
            hits += subject.hsps
            for chunk in subject.chunks:
                held.add(chunk)
        yield headings[0].program + b"\n" + headings[0].query + b"\n"
        yield f"# Database: {database}\n".encode()
        fields = next((heading.fields for heading in headings if heading.fields), None)
        if fields is not None:
            yield _without_extra_fields(fields, len(fmt.extra_columns)) + b"\n"
        yield b"# %d hits found\n" % hits
        yield from held
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


def _ended(texts: Sequence[bytes]) -> bytes:
    return b"\n".join([*texts, b""])
