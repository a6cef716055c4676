"""Unpack gzip streams without ever holding the whole."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

from shared.domain.errors import PermanentError

MOST_BYTES = 1 << 20
"""Bytes that come out at once: a block of a stream may unpack to a thousand times its length."""
_FED_BYTES = 1 << 16
"""Bytes that go in at once: zlib copies what it leaves of them."""


def gunzip(blocks: Iterable[bytes], name: str) -> Iterator[bytes]:
    """The content of a gzip stream of one or more members.

    Args:
        name: of the blob, for the error.

    Raises:
        PermanentError: ``results_invalid`` when the stream is not gzip, damaged, or cut short.
    """
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 16)
    began = False
    try:
        for block in _cut(blocks):
            data, more = block, False
            while data or more:
                if unpack.eof:
                    unpack = zlib.decompressobj(zlib.MAX_WBITS | 16)
                began = True
                content = unpack.decompress(data, MOST_BYTES)
                data = unpack.unconsumed_tail or unpack.unused_data
                more = len(content) == MOST_BYTES and not unpack.eof
                yield content
    except zlib.error as error:
        raise PermanentError("results_invalid", f"{name} is not valid gzip: {error}", "retry the search") from error
    if not began or not unpack.eof:
        raise PermanentError("results_invalid", f"{name} ends too early", "retry the search")


def _cut(blocks: Iterable[bytes]) -> Iterator[bytes]:
    for block in blocks:
        for start in range(0, len(block), _FED_BYTES):
            yield block[start : start + _FED_BYTES]
