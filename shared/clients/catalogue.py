"""Databases as storage has them: volumes, metadata, prepared shard layouts. Reads the container ``blast-db``.

A database ``core_nt`` lies as ``core_nt/core_nt.NN.*``; its layouts as ``core_nt/shards/<N>.json``, written last,
and the aliases of their shards beside the volumes, so that one AzCopy start brings both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from shared.clients.blobs import Blobs
from shared.domain.errors import InvalidInputError, NotFoundError, PermanentError
from shared.domain.results import DATABASES_CONTAINER
from shared.domain.shards import DatabaseMetadata, ShardLayout, alias_file_name, alias_text, plan_layout, source_version
from shared.domain.volumes import DatabaseFile, DatabaseFiles, group_files, parse_alias

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,59}")
_LAYOUT = re.compile(r"shards/(\d+)\.json")


@dataclass(frozen=True, slots=True)
class Database:
    """One database in storage.

    Attributes:
        layouts: number of shards -> the layout, only of the source version that storage has now.
    """

    files: DatabaseFiles
    metadata: DatabaseMetadata
    source_version: str
    layouts: Mapping[int, ShardLayout]

    @property
    def name(self) -> str:
        """Its name."""
        return self.files.database

    def shard_sizes(self) -> dict[int, list[int]]:
        """Bytes of each shard, by layout: what the planner takes."""
        return {count: [shard.bytes for shard in layout.shards] for count, layout in self.layouts.items()}


def check_database_name(name: str) -> str:
    """Refuse what cannot be a database's name, before it reaches a path.

    Raises:
        InvalidInputError: ``unknown_database``.
    """
    if not _NAME.fullmatch(name) or ".." in name:
        raise unknown_database(name)
    return name


def unknown_database(name: str) -> InvalidInputError:
    """The error of a database that storage does not have."""
    shown = name[:80].encode("ascii", "backslashreplace").decode()
    return InvalidInputError(
        "unknown_database",
        f"unknown database {shown}",
        "GET /api/blast/databases lists what there is",
        field="database",
    )


def list_databases(blobs: Blobs) -> list[str]:
    """Names of all databases in storage, complete or not."""
    folders = {b.name.split("/", 1)[0] for b in blobs.listing(DATABASES_CONTAINER, "") if "/" in b.name}
    return sorted(name for name in folders if _NAME.fullmatch(name))


def load_database(blobs: Blobs, name: str) -> Database:
    """One database with its usable layouts.

    Raises:
        InvalidInputError: ``unknown_database``.
        PermanentError: ``database_incomplete``, ``metadata_missing`` or ``metadata_invalid``.
    """
    check_database_name(name)
    prefix = f"{name}/"
    listing = blobs.listing(DATABASES_CONTAINER, prefix)
    if not listing:
        raise unknown_database(name)
    own = [DatabaseFile(b.name, b.size, b.etag) for b in listing if "/" not in b.name.removeprefix(prefix)]
    files = group_files(name, own)
    alias = None
    if files.alias is not None:
        alias = parse_alias(blobs.read(DATABASES_CONTAINER, prefix + files.alias.name).decode())
    files.check_complete(alias)
    if files.metadata is None:
        raise PermanentError(
            "metadata_missing",
            f"database {name} has no metadata file {name}-{files.dbtype}-metadata.json",
            "write it with blastdbcmd -metadata and upload it beside the volumes",
        )
    metadata = DatabaseMetadata.from_json(blobs.read(DATABASES_CONTAINER, prefix + files.metadata.name).decode())
    version = source_version(metadata, files)
    layouts = {}
    for blob in listing:
        if _LAYOUT.fullmatch(blob.name.removeprefix(prefix)):
            layout = ShardLayout.from_dict(json.loads(blobs.read(DATABASES_CONTAINER, blob.name)))
            if layout.source_version == version:
                layouts[len(layout.shards)] = layout
    return Database(files, metadata, version, layouts)


def load_layout(blobs: Blobs, name: str, shards: int) -> ShardLayout:
    """One prepared layout, whichever version it was made of.

    Raises:
        NotFoundError: ``layout_not_found``.
    """
    try:
        data = blobs.read(DATABASES_CONTAINER, _layout_blob(check_database_name(name), shards))
    except NotFoundError as error:
        raise NotFoundError(
            "layout_not_found",
            f"database {name} has no layout of {shards} shards any more",
            f"prepare it with POST /api/blast/databases/{name}/shards",
        ) from error
    return ShardLayout.from_dict(json.loads(data))


def save_layout(blobs: Blobs, name: str, shards: int) -> ShardLayout:
    """Plan a layout and store it: the aliases first, the layout last. Twice gives the same blobs.

    Raises:
        InvalidInputError: ``unknown_database``, ``too_many_shards``, ``invalid_shards``.
        PermanentError: the database is not complete.
    """
    database = load_database(blobs, name)
    layout = plan_layout(database.files, database.metadata, shards)
    for shard in layout.shards:
        text = alias_text(layout, shard).encode()
        blobs.put(DATABASES_CONTAINER, f"{name}/{alias_file_name(layout, shard)}", text, "text/plain")
    blobs.put(
        DATABASES_CONTAINER, _layout_blob(name, shards), json.dumps(layout.to_dict()).encode(), "application/json"
    )
    return layout


def _layout_blob(name: str, shards: int) -> str:
    return f"{name}/shards/{shards}.json"
