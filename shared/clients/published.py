"""Published results, read in bounded parts. Used by the routes of results and hits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from shared.clients.provider import clients
from shared.domain.errors import ConflictError
from shared.domain.published import MANIFEST_BYTES, PublishedFile, check_available, read_manifest
from shared.domain.ranges import Part
from shared.domain.results import MANIFEST, RESULTS_CONTAINER, published_blob
from shared.domain.search import Search

FIRST_WINDOW = 64 << 10
"""Bytes of the first read of ``lines_from``: a page of 50 rows takes about 5,000."""
LARGEST_WINDOW = 4 << 20


def manifest_of(search: Search) -> dict[str, Any]:
    """What was published of a search.

    Raises:
        ConflictError: ``results_not_ready``.
        GoneError: ``results_expired``.
        NotFoundError: ``blob_not_found``.
        StoredValueError: ``manifest_unreadable``.
    """
    check_available(search, clients().now())
    return read_manifest(_read(search, published_blob(search.job_id, MANIFEST), 0, MANIFEST_BYTES))


def read_part(search: Search, file: PublishedFile, part: Part) -> bytes:
    """Bytes of a published file.

    Raises:
        ConflictError: ``results_changed``: the blob is shorter than what was published.
    """
    try:
        content = _read(search, file.blob, part.start, part.length) if part.length else b""
    except ConflictError:  # it ends before the part begins
        content = b""
    if len(content) != part.length:
        raise ConflictError(
            "results_changed", "the file in storage is not the one that was published", "ask for the results again"
        )
    return content


def windows_from(search: Search, file: PublishedFile, start: int, end: int) -> Iterator[bytes]:
    """The content from one byte to another in reads that grow, for who may need a little of it or much."""
    size = FIRST_WINDOW
    while start < end:
        part = Part(start, min(size, end - start))
        yield read_part(search, file, part)
        start += part.length
        size = min(4 * size, LARGEST_WINDOW)


def _read(search: Search, blob: str, start: int, length: int) -> bytes:
    blobs = clients().blobs(search.cluster.storage_account)
    return b"".join(blobs.stream(RESULTS_CONTAINER, blob, start, length))
