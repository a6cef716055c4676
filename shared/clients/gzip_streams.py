"""Unpack gzip streams without ever holding the whole."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

from shared.domain.errors import PermanentError


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
        for block in blocks:
            data = block
            while data:
                if unpack.eof:
                    unpack = zlib.decompressobj(zlib.MAX_WBITS | 16)
                began = True
                yield unpack.decompress(data)
                data = unpack.unused_data
    except zlib.error as error:
        raise PermanentError("results_invalid", f"{name} is not valid gzip: {error}", "retry the search") from error
    if not began or not unpack.eof:
        raise PermanentError("results_invalid", f"{name} ends too early", "retry the search")
