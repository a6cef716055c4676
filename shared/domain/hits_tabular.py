"""Hits of results in the formats with one row per HSP: 6, 7 and 10.

BLAST puts nothing in quotation marks: a comma in a title stands in format 10 as it is. A row with more fields than
columns is taken apart by its numbers, and by its ids, which are taken to have no delimiter in them; what cannot be told
so is None, never a guess.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from shared.domain.fasta import query_id
from shared.domain.hits import Hit, Place
from shared.domain.outfmt import SHARD_DELIMITER, OutputFormat, OutputKind

COMMENT: Final = b"# "
"""How BLAST begins a line of format 7 that is no row; the id of a query may begin with the sign alone."""
_QUERY: Final = b"# Query:"
_NUMERIC: Final = frozenset({
    "qlen", "slen", "qstart", "qend", "sstart", "send", "evalue", "bitscore", "score", "length", "pident", "nident",
    "mismatch", "positive", "gapopen", "gaps", "ppos", "qframe", "sframe", "staxid", "qcovs", "qcovhsp", "qcovus",
})  # fmt: skip
_TEXTS: Final = frozenset({
    "stitle", "salltitles", "sallseqid", "sallgi", "sallacc", "ssciname", "scomname", "sblastname", "sskingdom",
    "staxids", "sscinames", "scomnames", "sblastnames", "sskingdoms",
})  # fmt: skip
"""Columns in which a delimiter may stand: names, titles, and lists of them."""
_NUMBER: Final = re.compile(r"[ ]*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|N/A", re.ASCII)


def _float(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:  # N/A
        return None
    return value if math.isfinite(value) else None


def _int(text: str) -> int | None:
    value = _float(text)
    return int(value) if value is not None and value == int(value) else None


_FIELDS: Final[Mapping[str, tuple[tuple[str, ...], Callable[[str], Any]]]] = {
    "query": (("qaccver", "qseqid", "qacc"), str),
    "subject": (("saccver", "sseqid", "sacc"), str),
    "title": (("stitle",), str),
    "identity": (("pident",), _float),
    "length": (("length",), _int),
    "mismatches": (("mismatch",), _int),
    "gap_opens": (("gapopen",), _int),
    "query_start": (("qstart",), _int),
    "query_end": (("qend",), _int),
    "subject_start": (("sstart",), _int),
    "subject_end": (("send",), _int),
    "evalue": (("evalue",), _float),
    "bit_score": (("bitscore",), _float),
}
"""Field of a hit -> the columns that it comes from, the first that is there, and how its text is read."""


def query_column(fmt: OutputFormat) -> int | None:
    """Number of the field of each row that names its query; None where no column does, or a text may push it aside."""
    names = next((name for name in _FIELDS["query"][0] if name in fmt.columns), None)
    if names is None:
        return None
    position = fmt.columns.index(names)
    pushed = fmt.delimiter != SHARD_DELIMITER and not _TEXTS.isdisjoint(fmt.columns[:position])
    return None if pushed else position


class TabularReader:
    """Reads formats 6, 7 and 10; a `HitReader`."""

    def __init__(self, fmt: OutputFormat) -> None:
        self.place = Place(0)
        self._columns = fmt.columns
        self._delimiter = fmt.delimiter
        self._is_commented = fmt.kind is OutputKind.TABULAR_WITH_COMMENTS
        self._query: str | None = None
        self._query_at = -1
        loose = [number for number, column in enumerate(fmt.columns) if column in _TEXTS]
        self._loose = (loose[0], loose[-1]) if loose else None
        self._sources = {
            name: next((column for column in columns if column in fmt.columns), None)
            for name, (columns, _) in _FIELDS.items()
        }
        used = set(self._sources.values())
        self._others = [column for column in fmt.columns if column not in used]

    def has(self, field: str) -> bool:
        """Whether the hits of this result have that field."""
        return self._sources[field] is not None or (field == "query" and self._is_commented)

    def context(self, place: Place) -> tuple[tuple[int, int], ...]:
        """The comment that names the query, where no column does."""
        return ((place.query_at, 1),) if place.query_at >= 0 else ()

    def read(self, line: bytes, offset: int) -> Hit | None:
        """Take the next line; the hit that it is, if it is one."""
        after = offset + len(line)
        if self._is_commented and line.startswith(COMMENT):
            if line.startswith(_QUERY):
                self._query, self._query_at = query_id(line.removeprefix(_QUERY)) or None, offset
            self._set_place(after)
            return None
        self._set_place(after)
        named = self.named(line)
        values = {
            name: None if column is None or column not in named else _FIELDS[name][1](named[column])
            for name, column in self._sources.items()
        }
        if self._sources["query"] is None:
            values["query"] = self._query
        return Hit(**values, columns={column: named[column] for column in self._others if column in named})

    def named(self, line: bytes) -> dict[str, str]:
        """Column -> text of a row; nothing where it cannot be told which text is which column's."""
        fields = line.rstrip(b"\r\n").decode("utf-8", "replace").split(self._delimiter)
        extra = len(fields) - len(self._columns)
        if extra == 0:
            return dict(zip(self._columns, fields, strict=True))
        return self._aligned(fields, extra, *self._loose) if extra > 0 and self._loose else {}

    def _aligned(self, fields: Sequence[str], extra: int, first: int, last: int) -> dict[str, str]:
        """A row with delimiters in its texts: what stands before and behind them, and the text if it is only one.

        Args:
            first: number of the first column that is a text.
            last: number of the last one.
        """
        named = dict(zip(self._columns[:first], fields, strict=False))
        named |= dict(zip(reversed(self._columns[last + 1 :]), reversed(fields), strict=False))
        if first == last:
            named[self._columns[first]] = self._delimiter.join(fields[first : first + extra + 1])
        numbers = [text for column, text in named.items() if column in _NUMERIC]
        return named if all(_NUMBER.fullmatch(text) for text in numbers) else {}

    def _set_place(self, offset: int) -> None:
        self.place = Place(offset, self._query_at if self._sources["query"] is None else -1)
