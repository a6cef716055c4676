"""Shards: contiguous runs of a database's volumes, each with an alias that carries the whole database's statistics.

``POST /databases/{db}/shards`` plans a layout with `plan_layout` and stores it as JSON with the alias files; the warmup
puts a shard's files and its alias into one folder ``<db>/`` of a node; every BLAST Job searches the alias.

Verified with BLAST+ 2.12: a folder with a shard's own volumes, the shared ``.ndb`` and the alias is enough to search.
``blastdbcheck`` knows neither STATS_NSEQ nor STATS_TOTLEN and fails on such an alias: check the volumes by name,
``blastdbcheck -db "core_nt.00 core_nt.01"``, with ``taxdb.bti`` and ``taxdb.btd`` in the folder.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from shared.domain.errors import InvalidInputError, PermanentError
from shared.domain.programs import DatabaseType
from shared.domain.volumes import DatabaseFile, DatabaseFiles


@dataclass(frozen=True, slots=True)
class DatabaseMetadata:
    """A database in numbers, from NCBI's metadata JSON.

    Attributes:
        letters: bases or residues of all sequences.
        volumes: number of volumes; 0 if the file does not say.
        last_updated: date and time as NCBI writes it, ``2024-05-24T00:00:00``.
        bytes: size of all files; 0 if the file does not say.
    """

    database: str
    dbtype: DatabaseType
    title: str
    sequences: int
    letters: int
    volumes: int
    last_updated: str
    bytes: int

    @classmethod
    def from_json(cls, text: str) -> DatabaseMetadata:
        """Read what ``blastdbcmd -metadata`` writes and NCBI publishes as ``<db>-nucl-metadata.json``.

        Raises:
            PermanentError: ``metadata_invalid`` if it is not that, or lacks what statistics need.
        """
        try:
            data = json.loads(text)
            last_updated = datetime.fromisoformat(data["last-updated"])
            return cls(
                database=str(data["dbname"]),
                dbtype=_metadata_type(str(data["dbtype"])),
                title=str(data.get("description") or data["dbname"]),
                sequences=int(data["number-of-sequences"]),
                letters=int(data["number-of-letters"]),
                volumes=int(data.get("number-of-volumes", 0)),
                last_updated=last_updated.isoformat(),
                bytes=int(data.get("bytes-total", 0)),
            )
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise PermanentError(
                "metadata_invalid",
                f"the database's metadata cannot be read: {error!r}",
                "Write it with 'blastdbcmd -metadata', or download the database again.",
            ) from error


@dataclass(frozen=True, slots=True)
class Shard:
    """One shard.

    Attributes:
        index: 0-based; shards are in the database's own order.
        alias: name of its alias, which Jobs give to BLAST as ``-db``.
        volumes: names of its volumes, in OID order.
        files: (name, bytes) of every file that its node needs, shared files included, the alias not.
        bytes: sum of the files' sizes.
    """

    index: int
    alias: str
    volumes: tuple[str, ...]
    files: tuple[tuple[str, int], ...]
    bytes: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "index": self.index,
            "alias": self.alias,
            "volumes": list(self.volumes),
            "files": [list(file) for file in self.files],
            "bytes": self.bytes,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Shard:
        """From JSON, whatever fields other versions added or left out."""
        files = tuple((str(name), int(size)) for name, size in data.get("files", ()))
        return cls(
            index=int(data.get("index", 0)),
            alias=str(data.get("alias", "")),
            volumes=tuple(map(str, data.get("volumes", ()))),
            files=files,
            bytes=int(data.get("bytes", sum(size for _, size in files))),
        )


@dataclass(frozen=True, slots=True)
class ShardLayout:
    """A database cut into shards.

    Attributes:
        source_version: which state of the database was cut (`source_version`).
        sequences: of the whole database; every shard's statistics are computed with it.
        letters: of the whole database, likewise.
        title: the database's own.
    """

    database: str
    dbtype: DatabaseType
    source_version: str
    sequences: int
    letters: int
    shards: tuple[Shard, ...]
    title: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "database": self.database,
            "dbtype": str(self.dbtype),
            "source_version": self.source_version,
            "sequences": self.sequences,
            "letters": self.letters,
            "title": self.title,
            "shards": [shard.to_dict() for shard in self.shards],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ShardLayout:
        """From JSON, whatever fields other versions added or left out."""
        return cls(
            database=str(data.get("database", "")),
            dbtype=DatabaseType(data.get("dbtype", DatabaseType.NUCL)),
            source_version=str(data.get("source_version", "")),
            sequences=int(data.get("sequences", 0)),
            letters=int(data.get("letters", 0)),
            shards=tuple(Shard.from_dict(shard) for shard in data.get("shards", ())),
            title=str(data.get("title", "")),
        )


def contiguous_runs(count: int, shards: int) -> tuple[range, ...]:
    """Cut ``count`` volumes into runs whose sizes differ by at most one, larger ones first; none is empty.

    Raises:
        InvalidInputError: ``too_many_shards`` if there are fewer volumes than shards, ``invalid_shards`` below 1.
    """
    if shards < 1:
        raise InvalidInputError("invalid_shards", f"{shards} shards asked for", "Ask for 1 or more.", field="shards")
    if shards > count:
        raise InvalidInputError(
            "too_many_shards",
            f"{shards} shards asked for, but the database has {count} volumes",
            f"Ask for at most {count} shards: a shard holds whole volumes.",
            field="shards",
        )
    size, larger = divmod(count, shards)
    starts = [index * size + min(index, larger) for index in range(shards + 1)]
    return tuple(range(start, stop) for start, stop in pairwise(starts))


def plan_layout(files: DatabaseFiles, metadata: DatabaseMetadata, shards: int) -> ShardLayout:
    """Cut a database into shards of whole volumes.

    Args:
        files: the database's listing; the caller has checked that it is complete.
        metadata: the whole database's numbers.
        shards: how many.

    Raises:
        InvalidInputError: from `contiguous_runs`.
        PermanentError: ``database_incomplete`` if the metadata counts other volumes than there are.
    """
    if metadata.volumes not in (0, len(files.volumes)):
        raise PermanentError(
            "database_incomplete",
            f"database {files.database} has {len(files.volumes)} volumes, its metadata says {metadata.volumes}",
            "Download the database again.",
        )
    runs = contiguous_runs(len(files.volumes), shards)
    return ShardLayout(
        database=files.database,
        dbtype=files.dbtype,
        source_version=source_version(metadata, files),
        sequences=metadata.sequences,
        letters=metadata.letters,
        shards=tuple(_shard(files, run, shards, index) for index, run in enumerate(runs)),
        title=metadata.title,
    )


def alias_name(database: str, shards: int, index: int) -> str:
    """Name of a shard's alias, without extension; it tells layouts of different sizes apart."""
    return f"{database}_{shards:02d}_{index:02d}"


def alias_file_name(layout: ShardLayout, shard: Shard) -> str:
    """Name of a shard's alias file, which lies beside the volumes."""
    return f"{shard.alias}.{layout.dbtype.letter}al"


def alias_text(layout: ShardLayout, shard: Shard) -> str:
    """The alias file of a shard.

    STATS_NSEQ and STATS_TOTLEN make BLAST compute the search space of each query from the whole database, so that the
    shard's E-values are those of an unsharded search.
    """
    title = " ".join(layout.title.split()) or layout.database
    return (
        f"TITLE {title}\n"
        f"DBLIST {' '.join(f'"{volume}"' for volume in shard.volumes)}\n"
        f"STATS_NSEQ {layout.sequences}\n"
        f"STATS_TOTLEN {layout.letters}\n"
    )


def source_version(metadata: DatabaseMetadata, files: DatabaseFiles) -> str:
    """A short name for this state of a database: its date and a digest of its files, valid as a label's value.

    The digest covers name, size and (where known) ETag of all volumes' and shared files: a database that was replaced
    within a day is another version.
    """
    everything = (*(file for volume in files.volumes for file in volume.files), *files.shared)
    lines = sorted(f"{file.name}\t{file.size}\t{file.etag}" for file in everything)
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return f"{metadata.last_updated[:10]}-{digest[:8]}"


def _shard(files: DatabaseFiles, run: range, shards: int, index: int) -> Shard:
    volumes = files.volumes[run.start : run.stop]
    needed = _name_and_size(file for volume in volumes for file in volume.files) + _name_and_size(files.shared)
    return Shard(
        index=index,
        alias=alias_name(files.database, shards, index),
        volumes=tuple(volume.name for volume in volumes),
        files=needed,
        bytes=sum(size for _, size in needed),
    )


def _name_and_size(files: Iterable[DatabaseFile]) -> tuple[tuple[str, int], ...]:
    return tuple((file.name, file.size) for file in files)


def _metadata_type(name: str) -> DatabaseType:
    kind = name.strip().lower()
    if kind.startswith("nucl"):
        return DatabaseType.NUCL
    if kind.startswith("prot"):
        return DatabaseType.PROT
    raise ValueError(f"dbtype is {name!r}")
