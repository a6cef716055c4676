"""Where in a published result each query stands: written beside the result, so that one query's hits are read alone.

A record has 24 bytes, big-endian: the first 8 of the SHA-256 of the query's id, the byte at which its rows (in format 7
and XML its block) begin, and their length. Records are sorted by the hash, which is spread evenly, so that a record is
found by its share of the way: one read of some thousand records for any number of queries. Two ids with the same hash
do no harm: whoever reads the rows looks at the id again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Final
from xml.sax.saxutils import unescape

from shared.domain.fasta import query_id
from shared.domain.hits_tabular import COMMENT, query_column
from shared.domain.outfmt import OutputFormat, OutputKind

RECORD_BYTES: Final = 24
MOST_RECORDS: Final = 1_000_000
"""Queries of an index: its records are held while it is made, 24 MB of them. A larger result has none."""
WINDOW_RECORDS: Final = 2048
"""Records read to either side of where one should be: of a million, chance moves one by about 500."""
_KEY_BYTES: Final = 8
_QUERY: Final = b"# Query:"
_DEFINITION: Final = b"<Iteration_query-def>"


class IndexBuilder:
    """Notes where queries begin while a result goes through."""

    def __init__(self, fmt: OutputFormat) -> None:
        self._column = query_column(fmt)
        self._delimiter = fmt.delimiter.encode()
        self._kind = fmt.kind
        self._buckets = [bytearray() for _ in range(256)]
        self._records = 0
        self._offset = 0
        self._prefix = b""
        self._open: tuple[bytes, int] | None = None
        self._block_at = 0

    def through(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The content, unchanged.

        Args:
            chunks: in pieces of any size.
        """
        take = {OutputKind.XML: self._xml, OutputKind.TABULAR_WITH_COMMENTS: self._commented}.get(self._kind, self._row)
        rest = b""
        for chunk in chunks:
            yield chunk
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                take(line)
                self._offset += len(line) + 1
        if rest:
            take(rest)
            self._offset += len(rest)
        self._close(self._offset)

    @property
    def records(self) -> int | None:
        """Number of queries, once all has gone through; None where there can be no index."""
        has_queries = self._column is not None or self._kind in (OutputKind.XML, OutputKind.TABULAR_WITH_COMMENTS)
        return self._records if has_queries and self._records <= MOST_RECORDS else None

    def content(self) -> Iterator[bytes]:
        """The index, in pieces."""
        for bucket in self._buckets:
            yield b"".join(sorted(bytes(bucket[at : at + RECORD_BYTES]) for at in range(0, len(bucket), RECORD_BYTES)))

    def _row(self, line: bytes) -> None:
        if self._column is None or (self._prefix and line.startswith(self._prefix)):
            return
        fields = line.split(self._delimiter, self._column + 1)
        if len(fields) <= self._column:
            return
        name = fields[self._column]
        if self._open is None or name != self._open[0]:
            self._close(self._offset)
            self._open = (name, self._offset)
        self._prefix = name + self._delimiter if self._column == 0 else b""

    def _commented(self, line: bytes) -> None:
        if not line.startswith(COMMENT):
            return
        if line.startswith(_QUERY):
            self._close(self._block_at)
            self._open = (query_id(line.removeprefix(_QUERY)).encode(), self._block_at)
        self._block_at = self._offset  # of the line that names the program, which comes before the query's

    def _xml(self, line: bytes) -> None:
        if line == b"<Iteration>":
            self._close(self._offset)
            self._block_at = self._offset
        elif line.lstrip().startswith(_DEFINITION):
            text = line.strip().removeprefix(_DEFINITION).removesuffix(b"</Iteration_query-def>")
            named = unescape(text.decode("utf-8", "replace"), {"&quot;": '"', "&apos;": "'"})
            self._open = (query_id(named.encode()).encode(), self._block_at)

    def _close(self, end: int) -> None:
        if self._open is None:
            return
        (name, start), self._open = self._open, None
        self._records += 1
        if self._records <= MOST_RECORDS:
            key = key_of(name.decode("utf-8", "replace"))
            self._buckets[key[0]] += key + start.to_bytes(8) + (end - start).to_bytes(8)


def key_of(query: str) -> bytes:
    """The key of the record of a query, by its id."""
    return hashlib.sha256(query.encode("utf-8", "replace")).digest()[:_KEY_BYTES]


def find_query(query: str, records: int, read: Callable[[int, int], bytes]) -> tuple[int, int] | None:
    """Where the hits of a query stand: the byte at which they begin and the one at which they end.

    Args:
        records: of the index.
        read: gives bytes of the index, from a byte on and so many.

    Returns:
        None when the result has nothing of that query. Where several records have the query's hash, what lies between
        the first and the last as well.
    """
    key = key_of(query)
    share = int.from_bytes(key) / (1 << 8 * _KEY_BYTES)
    low, high = 0, records
    while low < high:
        guess = min(high - 1, max(low, int(records * share)))
        start, end = max(low, guess - WINDOW_RECORDS), min(high, guess + WINDOW_RECORDS)
        window = read(start * RECORD_BYTES, (end - start) * RECORD_BYTES)
        if window[:_KEY_BYTES] > key:
            high = start
        elif window[-RECORD_BYTES:][:_KEY_BYTES] < key:
            low = end
        else:
            return _span(window, key)
    return None


def _span(window: bytes, key: bytes) -> tuple[int, int] | None:
    found = [
        (int.from_bytes(record[8:16]), int.from_bytes(record[16:24]))
        for at in range(0, len(window), RECORD_BYTES)
        if (record := window[at : at + RECORD_BYTES])[:_KEY_BYTES] == key
    ]
    return (min(start for start, _ in found), max(start + length for start, length in found)) if found else None
