"""Bytes that must wait before they are passed on: in memory while they are few, else in a temporary file.

A subject's rows wait until its turn comes, and in format 7 a query's rows wait until they are counted. A chromosome
against another one has millions of them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from typing import IO, Final

HELD_BYTES: Final = 1 << 18
"""Bytes in memory at most; a merge holds this for each shard."""
_READ_BYTES: Final = 1 << 18


class Held:
    """Pieces of bytes, given back in the order in which they came. The file goes when the object does."""

    __slots__ = ("_chunks", "_file", "_size")

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._size = 0
        self._file: IO[bytes] | None = None

    def add(self, chunk: bytes) -> None:
        """Put a piece behind the others."""
        self._chunks.append(chunk)
        self._size += len(chunk)
        if self._size > HELD_BYTES:
            if self._file is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115  # it lives as long as this object
            self._file.writelines(self._chunks)
            self._chunks.clear()
            self._size = 0

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()

    def __iter__(self) -> Iterator[bytes]:
        """All pieces, cut differently where they come from the file."""
        if self._file is not None:
            self._file.seek(0)
            yield from iter(partial(self._file.read, _READ_BYTES), b"")
        yield from self._chunks
