"""Query files in storage: read as FASTA, checked in one pass, and kept with a record of what the check found.

A query's record lies beside it (``<blob>.json``): number and lengths of its sequences, checksum, and which kinds of
program it fits. It is written last, so that a query with a record is whole, and it is small: whoever submits a search
reads the record and never the sequences. A search's own copy of an upload brings its record along; one that was sent
with the submit has none and is read again where it is needed, since it is at most a megabyte.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from shared.clients.blobs import Blobs
from shared.clients.gzip_streams import gunzip
from shared.config import Settings
from shared.domain.errors import InvalidInputError, NotFoundError, PermanentError, StoredValueError, TooLargeError
from shared.domain.fasta import QuerySet, scan_fasta
from shared.domain.programs import Program
from shared.domain.query_types import Misfit, SequenceType
from shared.domain.results import QUERIES_CONTAINER

CONTENT_TYPE = "text/plain"
BLOCK_BYTES = 1 << 20
GZIP = b"\x1f\x8b"
_PACKED_SLACK = 1 << 20
"""Bytes beyond twice the text that a packed file may have. Packing makes text smaller; a file of nothing but empty
members would be read without end, because it never comes to the limit of the text."""
_FED_BYTES = 1 << 16
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

Source = Callable[[], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class QueryFile:
    """A FASTA file that was checked.

    Attributes:
        queries: the lengths of its sequences, and what they are not.
        sha256: of the text as it is stored, unpacked and without a byte order mark.
        size: bytes of it.
    """

    queries: QuerySet
    sha256: str
    size: int

    def to_json(self) -> bytes:
        """The record."""
        lengths = array("I", self.queries.lengths)
        if sys.byteorder == "big":
            lengths.byteswap()
        record = {
            "sequences": self.queries.sequences,
            "letters": self.queries.letters,
            "bytes": self.size,
            "sha256": self.sha256,
            "misfits": {kind.value: misfit.to_dict() for kind, misfit in self.queries.misfits.items()},
            "lengths": base64.b64encode(zlib.compress(memoryview(lengths).cast("B"), 1)).decode(),
        }
        return json.dumps(record).encode()

    @classmethod
    def from_json(cls, text: bytes, name: str) -> QueryFile:
        """Read a record.

        Raises:
            StoredValueError: ``query_record_unreadable``.
        """
        try:
            record: dict[str, Any] = json.loads(text)
            lengths = array("I")
            lengths.frombytes(zlib.decompress(base64.b64decode(record["lengths"])))
            if sys.byteorder == "big":
                lengths.byteswap()
            misfits = {SequenceType(kind): Misfit.from_dict(each) for kind, each in record["misfits"].items()}
            return cls(QuerySet(lengths, misfits), str(record["sha256"]), int(record["bytes"]))
        except (ValueError, KeyError, TypeError, AttributeError, zlib.error) as error:
            raise StoredValueError(
                "query_record_unreadable", f"the record of {name} cannot be read", "upload the query again"
            ) from error


def record_blob(blob: str) -> str:
    """Name of a query's record."""
    return f"{blob}.json"


def body_blocks(body: bytes) -> Source:
    """A body that is in memory, a block at a time: it is never copied as a whole."""
    view = memoryview(body)
    return lambda: (bytes(view[start : start + BLOCK_BYTES]) for start in range(0, len(view), BLOCK_BYTES))


def fasta_text(source: Source, most_bytes: int) -> Source:
    """The FASTA text of a file that may be packed by gzip and may begin with a byte order mark.

    What the text gives, while it is read, may raise:
        InvalidInputError: ``invalid_gzip``.
        TooLargeError: ``query_too_large`` for more than ``most_bytes`` of text.
    """

    def text() -> Iterator[bytes]:
        start, blocks = _with_start(source(), len(GZIP))
        size = 0
        for block in _without_mark(_unpacked(blocks) if start == GZIP else blocks):
            size += len(block)
            if size > most_bytes:
                hint = "send it in several files, as several searches"
                raise TooLargeError("query_too_large", f"the query has more than {most_bytes} bytes of FASTA", hint)
            yield block

    return text


def is_plain(source: Source) -> bool:
    """Whether a file is its own text: neither packed nor marked."""
    start, _ = _with_start(source(), len(_BYTE_ORDER_MARK))
    return not start.startswith((GZIP, _BYTE_ORDER_MARK))


def check_text(text: Source, settings: Settings, program: Program | None = None, field: str = "body") -> QueryFile:
    """Check FASTA in one pass.

    Args:
        text: gives the FASTA; asked again only to name the lines of an id that is there twice.
        field: of the request, for the errors.

    Raises:
        InvalidInputError, TooLargeError: as ``scan_fasta``, and what the text itself raises.
    """
    digest, size = hashlib.sha256(), 0

    def hashed() -> Iterator[bytes]:
        nonlocal digest, size
        digest, size = hashlib.sha256(), 0
        for block in text():
            digest.update(block)
            size += len(block)
            yield block

    queries = scan_fasta(hashed, program, most_sequences=settings.query_sequences, field=field)
    return QueryFile(queries, digest.hexdigest(), size)


def read_record(blobs: Blobs, blob: str) -> QueryFile:
    """What the check of a query found. Raises NotFoundError ``blob_not_found``, StoredValueError."""
    return QueryFile.from_json(blobs.read(QUERIES_CONTAINER, record_blob(blob)), blob)


def write_record(blobs: Blobs, blob: str, file: QueryFile) -> None:
    """Keep what the check of a query found."""
    blobs.put(QUERIES_CONTAINER, record_blob(blob), file.to_json(), "application/json")


def describe_query(blobs: Blobs, blob: str, settings: Settings, field: str) -> QueryFile:
    """A stored query by its record, or, where it has none, by reading it.

    Raises:
        NotFoundError: ``blob_not_found``.
    """
    try:
        return read_record(blobs, blob)
    except NotFoundError:  # one that came with its submit, or of before there were records
        return check_text(lambda: blobs.stream(QUERIES_CONTAINER, blob), settings, field=field)


def _with_start(blocks: Iterable[bytes], length: int) -> tuple[bytes, Iterator[bytes]]:
    """The first bytes, and all blocks, the first of which has at least those, as far as there are any."""
    rest = iter(blocks)
    first = b""
    for block in rest:
        first += block
        if len(first) >= length:
            break

    def again() -> Iterator[bytes]:
        if first:
            yield first
        yield from rest

    return first[:length], again()


def _without_mark(blocks: Iterable[bytes]) -> Iterator[bytes]:
    start, rest = _with_start(blocks, len(_BYTE_ORDER_MARK))
    if start == _BYTE_ORDER_MARK:
        yield next(rest)[len(_BYTE_ORDER_MARK) :]
    yield from rest


def _unpacked(blocks: Iterable[bytes]) -> Iterator[bytes]:
    packed = size = 0

    def counted() -> Iterator[bytes]:
        nonlocal packed
        for block in blocks:
            for start in range(0, len(block), _FED_BYTES):
                piece = block[start : start + _FED_BYTES]
                packed += len(piece)
                yield piece

    try:
        for content in gunzip(counted(), "the query"):
            size += len(content)
            if packed > 2 * size + _PACKED_SLACK:
                raise _invalid_gzip("the query is larger packed than unpacked")
            yield content
    except PermanentError as error:
        if error.code != "results_invalid":
            raise
        raise _invalid_gzip(error.message) from error


def _invalid_gzip(message: str) -> InvalidInputError:
    return InvalidInputError("invalid_gzip", message, "pack the file again, or send it as it is", field="body")
