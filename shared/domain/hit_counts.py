"""Counts the hits of a result while it goes through, where no merge has counted them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from shared.domain.hits_tabular import query_column
from shared.domain.outfmt import OutputFormat, OutputKind

_HITS_FOUND: Final = re.compile(rb"# (\d+) hits found\s*")


class HitCounter:
    """HSPs, and queries with hits, of one result in format 5, 6, 7 or 10.

    Attributes:
        rows: HSPs.
        queries: with hits; None in a table of which no column says for certain whose a row is.
    """

    def __init__(self, fmt: OutputFormat) -> None:
        column = query_column(fmt)
        self.rows = 0
        told = column is not None or fmt.kind in (OutputKind.XML, OutputKind.TABULAR_WITH_COMMENTS)
        self.queries: int | None = 0 if told else None
        self._column = column or 0
        self._delimiter = fmt.delimiter.encode()
        self._last: bytes | None = None
        self._take = {OutputKind.XML: self._xml, OutputKind.TABULAR_WITH_COMMENTS: self._commented}.get(
            fmt.kind, self._row
        )

    def through(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """The lines, unchanged. Rows of one query stand together, as BLAST prints them."""
        for line in lines:
            self._take(line)
            yield line

    def _row(self, line: bytes) -> None:
        self.rows += 1
        if self.queries is None:
            return
        query = line.rstrip(b"\n").split(self._delimiter)[self._column :][:1]
        self.queries += bool(query) and query[0] != self._last
        self._last = query[0] if query else self._last

    def _commented(self, line: bytes) -> None:
        found = _HITS_FOUND.fullmatch(line) if line.startswith(b"#") else None
        if found is not None and self.queries is not None:
            self.rows += int(found[1])
            self.queries += int(found[1]) > 0

    def _xml(self, line: bytes) -> None:
        text = line.strip()
        if text == b"<Iteration>":
            self._last = None
        elif text == b"<Hsp>":
            self.rows += 1
        elif text == b"<Hit>" and self._last is None and self.queries is not None:
            self.queries += 1
            self._last = text
