"""Hits as the API shows them: one object per HSP, the same whatever format the result is in.

The readers of the formats are `shared.domain.hits_tabular` and `shared.domain.hits_xml`. They take a result line by
line from any place that a page ended at, so that a page costs what the page costs, however large the result is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from shared.domain.errors import InvalidInputError

SCAN_BYTES: Final = 8 << 20
"""Bytes of a result that one call looks through at most; also of what is sorted."""
PAGE_CHARACTERS: Final = 2_000_000
"""Characters of the texts of one page, about: rows with whole alignments may be of any length."""

#: Keys of ``?sort=`` -> the field of a hit.
SORT_KEYS: Final = ("evalue", "bit_score", "identity", "length")
FILTER_FIELDS: Final = {"query": "query", "min_identity": "identity", "max_evalue": "evalue"}


@dataclass(frozen=True, slots=True)
class Hit:
    """One HSP. What the user's columns do not have is None.

    Attributes:
        identity: percent of identical positions.
        length: of the alignment, gaps included.
        query_start: positions count from 1; of a match on the other strand the start is behind the end.
        columns: the user's other columns, as BLAST printed them.
    """

    query: str | None = None
    subject: str | None = None
    title: str | None = None
    identity: float | None = None
    length: int | None = None
    mismatches: int | None = None
    gap_opens: int | None = None
    query_start: int | None = None
    query_end: int | None = None
    subject_start: int | None = None
    subject_end: int | None = None
    evalue: float | None = None
    bit_score: float | None = None
    columns: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The object of the API."""
        return {name: getattr(self, name) for name in self.__slots__} | {"columns": dict(self.columns)}

    @property
    def characters(self) -> int:
        """How much text it is, about."""
        texts = (self.query, self.subject, self.title, *self.columns.values())
        return 300 + sum(len(text or "") for text in texts)


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a result to go on reading.

    Attributes:
        offset: byte of the first line to be read.
        query_at: byte of the line that names the query of the hits there; -1 where it is not needed.
        subject_at: byte of the lines that name their subject; -1 where they are not needed.
    """

    offset: int
    query_at: int = -1
    subject_at: int = -1


class HitReader(Protocol):
    """Reads a result line by line.

    Attributes:
        place: where to go on after the last line that was read.
    """

    place: Place

    def has(self, field: str) -> bool:
        """Whether the hits of this result have that field."""

    def read(self, line: bytes, offset: int) -> Hit | None:
        """Take the next line; the hit that ends with it, if one does.

        Args:
            line: with its end.
            offset: byte of the result at which it begins.
        """

    def context(self, place: Place) -> tuple[tuple[int, int], ...]:
        """What must be read before the line at that place: ``(byte, number of lines)`` each."""


@dataclass(frozen=True, slots=True)
class HitQuery:
    """Which hits are wanted, and in which order.

    Attributes:
        query: id of the query; None for all.
        min_identity: percent.
        sort: one of ``SORT_KEYS``; empty for the order of the result.
    """

    query: str | None = None
    min_identity: float | None = None
    max_evalue: float | None = None
    sort: str = ""
    descending: bool = False

    def accepts(self, hit: Hit) -> bool:
        """Whether a hit is wanted; one of which the number is not known is not."""
        if self.query is not None and hit.query != self.query:
            return False
        if self.min_identity is not None and (hit.identity is None or hit.identity < self.min_identity):
            return False
        return self.max_evalue is None or (hit.evalue is not None and hit.evalue <= self.max_evalue)

    def rank(self, hit: Hit) -> float:
        """Sort key; hits of which the number is not known come last."""
        value = getattr(hit, self.sort)
        if value is None:
            return math.inf
        return float(-value if self.descending else value)

    def check(self, reader: HitReader) -> None:
        """Refuse what asks for a column that the result does not have.

        Raises:
            InvalidInputError: ``column_missing``.
        """
        asked = {name: wanted for name, wanted in FILTER_FIELDS.items() if getattr(self, name) is not None}
        asked |= {"sort": self.sort} if self.sort else {}
        for parameter, wanted in asked.items():
            if not reader.has(wanted):
                raise InvalidInputError(
                    "column_missing",
                    f"the result has no column for {wanted}, which {parameter} needs",
                    "search again with 'std' among the columns of outfmt, or leave the parameter out",
                    field=parameter,
                )

    def key(self) -> str:
        """One text for one set of filters: a cursor holds for the filters that it was made with."""
        return repr((self.query, self.min_identity, self.max_evalue, self.sort, self.descending))


type Lines = Callable[[int], Iterable[tuple[int, bytes]]]
"""The lines of a result from a byte on, each with the byte at which it begins; only whole ones."""


def go_to(reader: HitReader, place: Place, lines: Lines) -> None:
    """Make a reader ready to go on at a place."""
    for at, number in reader.context(place):
        for (offset, line), _ in zip(lines(at), range(number), strict=False):
            reader.read(line, offset)
    reader.place = place


def read_page(
    reader: HitReader, lines: Iterable[tuple[int, bytes]], wanted: HitQuery, limit: int
) -> tuple[list[Hit], bool]:
    """Read until a page is full or the lines end; ``reader.place`` says where the next page begins.

    Returns:
        The page, and whether it is full.
    """
    hits: list[Hit] = []
    characters = 0
    for offset, line in lines:
        hit = reader.read(line, offset)
        if hit is None or not wanted.accepts(hit):
            continue
        hits.append(hit)
        characters += hit.characters
        if len(hits) == limit or characters >= PAGE_CHARACTERS:
            return hits, True
    return hits, False


def sorted_page(
    reader: HitReader, lines: Lines, start: int, wanted: HitQuery, first: int, limit: int
) -> tuple[list[Hit], int | None]:
    """A page of all hits from a byte on, sorted; hits with equal keys stay in the order of the result.

    The lines are read twice, so that no more hits than a page are held at once.

    Args:
        first: how many sorted hits come before the page.

    Returns:
        The page, and how many hits come before the next one; None when there is none.
    """

    def found() -> Iterable[Hit]:
        go_to(reader, Place(start), lines)
        hits = (reader.read(line, offset) for offset, line in lines(start))
        return (hit for hit in hits if hit is not None and wanted.accepts(hit))

    order = sorted((wanted.rank(hit), number) for number, hit in enumerate(found()))
    chosen = {number: position for position, (_, number) in enumerate(order[first : first + limit])}
    page: dict[int, Hit] = {}
    for number, hit in enumerate(found()):
        if number in chosen:
            page[chosen[number]] = hit
    hits: list[Hit] = []
    characters = 0
    for position in range(len(page)):
        hits.append(page[position])
        characters += page[position].characters
        if characters >= PAGE_CHARACTERS:
            break
    after = first + len(hits)
    return hits, after if after < len(order) else None


def number_lines(windows: Iterable[bytes], start: int, *, is_end: bool) -> Iterable[tuple[int, bytes]]:
    """Cut content into lines, each with the byte at which it begins.

    Args:
        start: byte at which the content begins.
        is_end: whether the content ends where a line does; else its last, cut line is left out.
    """
    rest: list[bytes] = []
    for window in windows:
        *whole, last = window.split(b"\n")
        for line in whole:
            text = b"".join((*rest, line, b"\n"))
            rest.clear()
            yield start, text
            start += len(text)
        if last:
            rest.append(last)
    if rest and is_end:
        yield start, b"".join(rest)


def read_sort(text: str) -> tuple[str, bool]:
    """``?sort=``: a key, and whether it is to be descending.

    Raises:
        InvalidInputError: ``unknown_sort``.
    """
    key = text.removeprefix("-")
    if key not in SORT_KEYS:
        raise InvalidInputError(
            "unknown_sort",
            "hits cannot be sorted by that",
            f"use one of {', '.join(SORT_KEYS)}; with - before it for descending",
            field="sort",
        )
    return key, text != key
