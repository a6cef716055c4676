"""Results of searches begun outside: looked at, checked, and published where they lie. Nothing is copied or changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from shared.clients.blobs import Blobs
from shared.clients.gzip_streams import gunzip
from shared.clients.provider import clients
from shared.domain.errors import PermanentError
from shared.domain.external_results import (
    CONTENT_TYPE,
    Gathered,
    external_gate,
    external_manifest,
    gather,
    published_names,
    read_count,
)
from shared.domain.observation import ids_of
from shared.domain.results import MANIFEST, RESULTS_CONTAINER, ResultFile, published_blob
from shared.domain.search import Search
from shared.telemetry import log_event

PARALLEL_PIECES = 4
"""Pieces that are read at once, each in blocks of 4 MiB."""


def check_external_results(search: Search, blobs: Blobs) -> dict[str, Any]:
    """Whether there is a result, not empty, of each Job that was seen and that the command says it made.

    Returns:
        As ``check_results``.
    """
    gathered = _gathered(search, blobs)
    said = max((read_count(blobs.read(RESULTS_CONTAINER, name)) for name in gathered.counts), default=0)
    return external_gate(search, gathered, said)


def register_results(data: dict[str, Any]) -> dict[str, Any]:
    """Check that every piece is whole, then publish a manifest that says where each lies. Twice gives the same.

    Returns:
        ``files`` and their ``bytes``; both 0 for a search that has another run, where nothing was written.

    Raises:
        PermanentError: ``results_invalid`` when a piece is not valid gzip, ``blob_not_found`` when one has just gone.
    """
    search = clients().searches.get(data["owner"], data["job_id"])
    if search.run != data["run"]:
        return {"files": 0, "bytes": 0}
    blobs = clients().blobs(search.cluster.storage_account)
    names = published_names(_gathered(search, blobs).pieces, search)
    with ThreadPoolExecutor(PARALLEL_PIECES, thread_name_prefix="pieces") as pool:
        files = list(pool.map(lambda named: _described(blobs, *named), names.items()))
    content = external_manifest(search, files, clients().now())
    manifest = published_blob(search.job_id, MANIFEST)
    blobs.put(RESULTS_CONTAINER, manifest, json.dumps(content).encode(), "application/json")
    size = sum(int(file["size"]) for file in files)
    log_event("results_published", job_id=search.job_id, bytes=size, files=len(files))
    return {"files": len(files), "bytes": size}


def _gathered(search: Search, blobs: Blobs) -> Gathered:
    listed = [
        (blob.name, blob.size)
        for any_id in sorted(ids_of(search))
        for blob in blobs.listing(RESULTS_CONTAINER, f"{any_id}/")
    ]
    return gather(search, listed)


def _described(blobs: Blobs, name: str, blob: str) -> dict[str, Any]:
    """A file of the manifest, of a piece that was read to its end and unpacked on the way."""
    digest, size = hashlib.sha256(), 0

    def packed() -> Iterator[bytes]:
        nonlocal size
        for block in blobs.stream(RESULTS_CONTAINER, blob):
            digest.update(block)
            size += len(block)
            yield block

    try:
        for _ in gunzip(packed(), blob):
            pass
    except PermanentError as error:
        hint = "it was written by who began the search: begin it again outside"
        raise PermanentError(error.code, error.message, hint) from error
    return {**ResultFile(name, size, digest.hexdigest(), CONTENT_TYPE).to_dict(), "blob": blob}
