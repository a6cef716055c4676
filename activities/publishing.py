"""From merged batches to published results: one file, an index of its queries, and the manifest, which comes last."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import IO, Any

from shared.clients.blobs import Blobs
from shared.clients.provider import clients
from shared.domain.blast_options import BlastOptions, read_options
from shared.domain.hits_index import IndexBuilder
from shared.domain.manifests import BLAST_IMAGE
from shared.domain.merge import concatenate_batches
from shared.domain.programs import Program
from shared.domain.provenance import origin
from shared.domain.results import (
    HITS_INDEX,
    MANIFEST,
    RESULTS_CONTAINER,
    MergedBatch,
    ResultFile,
    merged_blob,
    published_blob,
    summarize,
)
from shared.domain.search import Search
from shared.telemetry import log_event

INDEXED_BYTES = 64 << 10
"""A result of fewer bytes is read whole with one read, so that an index of it would save nothing."""
VERSION_METADATA = "blast_version"
"""Of a piece: what the program that wrote it says of itself (``shared/scripts/blast.sh``)."""
_HEAD_BYTES = 4096
_VERSION = re.compile(rb"(?:^# |<BlastOutput_version>)T?BLAST[NPX] (\d[0-9.]*\+?)", re.MULTILINE)


def publish_results(data: dict[str, Any]) -> dict[str, Any]:
    """Put the batches together in the order of the input, with provenance and a manifest; the manifest comes last.

    Args:
        data: the search's reference and ``merged``, the counts of all batches.
    """
    search = clients().searches.get(data["owner"], data["job_id"])
    blobs = clients().blobs(search.cluster.storage_account)
    if search.run != data["run"]:
        return {"files": [], "bytes": 0}
    options = read_options(Program(search.program), search.options)
    names = [merged_blob(search.job_id, batch) for batch in range(len(data["merged"]))]
    index = IndexBuilder(options.outfmt)
    content = _Counted()
    with tempfile.TemporaryFile() as file:
        batches = (blobs.stream(RESULTS_CONTAINER, name) for name in names)
        for chunk in content.through(index.through(concatenate_batches(options.outfmt, batches))):
            file.write(chunk)
        name = f"results.{options.outfmt.extension}"
        _put(blobs, search, name, file, options.outfmt.content_type)
    merged = [MergedBatch.from_dict(batch) for batch in data["merged"]]
    counts = summarize(merged)
    exact = search.engine == "cli" or all(batch.exact for batch in merged)
    manifest = {
        "manifest": [ResultFile(name, content.size, content.sha256, options.outfmt.content_type).to_dict()],
        "provenance": {
            **provenance(search, options, program_version(search, blobs, content.head), clients().now()),
            "exact": exact,
        },
        "summary": counts,
    }
    if index.records is not None and content.size > INDEXED_BYTES:
        with tempfile.TemporaryFile() as file:
            file.writelines(index.content())
            _put(blobs, search, HITS_INDEX, file, "application/octet-stream")
        manifest["index"] = {"records": index.records}
    text = json.dumps(manifest).encode()
    blobs.put(RESULTS_CONTAINER, published_blob(search.job_id, MANIFEST), text, "application/json")
    log_event("results_published", job_id=search.job_id, bytes=content.size, summary=counts)
    return {"files": [name, MANIFEST], "bytes": content.size}


class _Counted:
    """What a stream has: its size, its checksum, and its beginning."""

    def __init__(self) -> None:
        self.size = 0
        self.head = b""
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """Of what has gone through, hex."""
        return self._digest.hexdigest()

    def through(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The content, unchanged."""
        for chunk in chunks:
            self.size += len(chunk)
            self._digest.update(chunk)
            if len(self.head) < _HEAD_BYTES:
                self.head += chunk[: _HEAD_BYTES - len(self.head)]
            yield chunk


def _put(blobs: Blobs, search: Search, name: str, file: IO[bytes], content_type: str) -> None:
    file.seek(0)
    blobs.put(RESULTS_CONTAINER, published_blob(search.job_id, name), file, content_type)


def program_version(search: Search, blobs: Blobs, head: bytes) -> str | None:
    """The version of the BLAST that ran: as its Jobs say, else as the result itself says; None where neither does.

    Args:
        head: the first bytes of the result; formats 5 and 7 name the program there.
    """
    pieces = blobs.listing(RESULTS_CONTAINER, f"{search.job_id}/pieces/")
    said = {piece.metadata.get(VERSION_METADATA, "") for piece in pieces}
    if said and "" not in said:
        return ", ".join(sorted(said))
    found = _VERSION.search(head)
    return found[1].decode() if found else None


def provenance(search: Search, options: BlastOptions, version: str | None, at: datetime) -> dict[str, Any]:
    """What was run on what, by whom and when: everything needed to run it again."""
    return {
        "program": search.program,
        "program_version": version,
        "image": clients().settings.image(BLAST_IMAGE),
        "command_line": options.unsharded_command(Program(search.program), search.database),
        "database": search.database,
        "database_version": search.plan.get("source_version"),
        "database_sequences": search.plan.get("sequences_in_database"),
        "database_letters": search.plan.get("letters_in_database"),
        "shards": search.plan.get("shards"),
        "batches": search.plan.get("batches"),
        "query_sha256": search.query.get("sha256"),
        **origin(search, at),
    }
