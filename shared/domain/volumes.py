"""The files of a BLAST database: volumes, what is shared between them, and whether all of them are there.

The catalogue of databases and the preparation of shards start from a listing of names and sizes and from the database's
alias file; nothing here reads a volume.

BLAST's own order of volumes (found by building databases of 105 and 158 volumes with BLAST+ 2.12 and asking
``blastdbcmd`` for OIDs): volumes are numbered through in the *byte order of their names*, whatever order the alias
lists them in. ``db.10`` is followed by ``db.100``, ``db.101``, ..., then ``db.11``: an alias with more than 100 volumes
lists them by number, and BLAST does not follow it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from shared.domain.errors import PermanentError
from shared.domain.programs import DatabaseType

#: Without them no volume can be opened: headers, index, sequences.
REQUIRED_PARTS: Final = ("hr", "in", "sq")

#: Files of version 5 that all volumes share. ``.ndb`` (LMDB: accessions and volume names) must lie beside the volumes:
#: without it BLAST stops with "mdb_env_open". The others serve filters by accession (os, ot) and by taxid (tf, to).
SHARED_PARTS: Final = ("db", "os", "ot", "tf", "to")

#: Taxonomy names, the same for every database; ``blastdbcheck`` fails without them ("Taxid 9606 not found").
TAXONOMY_FILES: Final = ("taxdb.btd", "taxdb.bti", "taxonomy4blast.sqlite3")

_ALIAS_EXTENSION: Final = "al"
_WORD: Final = re.compile(r'"([^"]*)"|(\S+)')


@dataclass(frozen=True, slots=True)
class DatabaseFile:
    """A file of a database: its name without a folder, its size in bytes, its ETag where storage gives one."""

    name: str
    size: int
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Volume:
    """One volume: its name (``core_nt.04``) and its files."""

    name: str
    files: tuple[DatabaseFile, ...]

    @property
    def bytes(self) -> int:
        """Size of its files."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True)
class Alias:
    """What an alias file (``.nal``, ``.pal``) says.

    Attributes:
        title: TITLE; empty if it has none.
        dblist: DBLIST, unquoted, in the file's order (BLAST's is another: `oid_order`).
        nseq: number of sequences to compute statistics with (STATS_NSEQ, else NSEQ).
        totlen: letters to compute statistics with (STATS_TOTLEN, else LENGTH).
    """

    title: str
    dblist: tuple[str, ...]
    nseq: int | None = None
    totlen: int | None = None


@dataclass(frozen=True, slots=True)
class DatabaseFiles:
    """The listing of one database, sorted out.

    Attributes:
        volumes: in BLAST's OID order.
        shared: the files that every shard needs beside its volumes.
        metadata: NCBI's ``<db>-nucl-metadata.json`` or what ``makeblastdb`` writes as ``.njs``.
        alias: the database's own alias file; a database of one volume has none.
    """

    database: str
    dbtype: DatabaseType
    volumes: tuple[Volume, ...]
    shared: tuple[DatabaseFile, ...] = ()
    metadata: DatabaseFile | None = None
    alias: DatabaseFile | None = None

    @property
    def bytes(self) -> int:
        """Size of all volumes and shared files."""
        return sum(volume.bytes for volume in self.volumes) + sum(file.size for file in self.shared)

    def check_complete(self, alias: Alias | None = None) -> None:
        """Refuse a database that BLAST could not open, or would open with sequences missing.

        Args:
            alias: the database's alias, if it has one; its DBLIST then says which volumes there must be.

        Raises:
            PermanentError: ``database_incomplete``, naming the first files that are missing.
        """
        present = {volume.name for volume in self.volumes}
        expected = set(alias.dblist) if alias else set(_numbered_names(self.database, present))
        missing = [f"volume {name}" for name in oid_order(expected - present)]
        for volume in self.volumes:
            names = {file.name for file in volume.files}
            required = (f"{volume.name}.{self.dbtype.letter}{part}" for part in REQUIRED_PARTS)
            missing += [name for name in required if name not in names]
        lmdb = f"{self.database}.{self.dbtype.letter}db"
        if self.shared and lmdb not in {file.name for file in self.shared} and _is_version_5(self):
            missing.append(lmdb)
        if not self.volumes or missing:
            what = ", ".join(missing[:5]) or "any volume"
            raise PermanentError(
                "database_incomplete",
                f"database {self.database} lacks {what}" + (f" and {len(missing) - 5} more" if missing[5:] else ""),
                "Download the database again, and prepare its shards afterwards.",
            )


def oid_order(names: Iterable[str]) -> list[str]:
    """Volume names in the order in which BLAST gives OIDs (see the module's docstring)."""
    return sorted(names, key=str.encode)


def volume_of(file_name: str) -> str | None:
    """The volume that a file belongs to: ``core_nt.04`` for ``core_nt.04.nsq``.

    Returns:
        None for a file of the whole database (``core_nt.ndb``, ``core_nt.nal``, the metadata) or of no database.
    """
    stem, _, extension = file_name.rpartition(".")
    if not stem or len(extension) != 3 or extension[0] not in "np":
        return None
    shared = (*SHARED_PARTS, _ALIAS_EXTENSION, "js")
    return None if extension[1:] in shared else stem


def parse_alias(text: str) -> Alias:
    """Read an alias file.

    Raises:
        PermanentError: ``alias_invalid`` without a DBLIST, or for a number that is none.
    """
    values: dict[str, str] = {}
    for line in text.splitlines():
        keyword, _, value = line.strip().partition(" ")
        if keyword and not keyword.startswith("#"):
            values.setdefault(keyword.upper(), value.strip())
    names = tuple(quoted or bare for quoted, bare in _WORD.findall(values.get("DBLIST", "")))
    if not names:
        raise PermanentError("alias_invalid", "the alias file has no DBLIST", "Download the database again.")
    return Alias(
        title=values.get("TITLE", ""),
        dblist=tuple(name.rpartition("/")[2] for name in names),
        nseq=_number(values, "STATS_NSEQ", "NSEQ"),
        totlen=_number(values, "STATS_TOTLEN", "LENGTH"),
    )


def group_files(database: str, listing: Iterable[DatabaseFile], dbtype: DatabaseType | None = None) -> DatabaseFiles:
    """Sort out the listing of a database's folder.

    Args:
        listing: the folder's files; names may have the folder in front. Files of something else are left out.
        dbtype: which of two databases of one name is meant; None takes the only one there is.

    Raises:
        PermanentError: ``database_incomplete`` if there is no volume, ``database_ambiguous`` if a nucleotide and a
            protein database of that name lie in the folder and none was chosen.
    """
    files = sorted((_without_folder(file) for file in listing), key=lambda file: file.name)
    kind = dbtype or _type_of(database, files)
    shared_names = {f"{database}.{kind.letter}{part}" for part in SHARED_PARTS} | set(TAXONOMY_FILES)
    metadata_names = (f"{database}-{kind}-metadata.json", f"{database}.{kind.letter}js")
    volumes: dict[str, list[DatabaseFile]] = {}
    for file in files:
        volume = volume_of(file.name)
        if volume and _is_volume_name(database, volume) and file.name[len(volume) + 1] == kind.letter:
            volumes.setdefault(volume, []).append(file)
    by_name = {file.name: file for file in files}
    return DatabaseFiles(
        database=database,
        dbtype=kind,
        volumes=tuple(Volume(name, tuple(volumes[name])) for name in oid_order(volumes)),
        shared=tuple(file for file in files if file.name in shared_names),
        metadata=next((by_name[name] for name in metadata_names if name in by_name), None),
        alias=by_name.get(f"{database}.{kind.letter}{_ALIAS_EXTENSION}"),
    )


def _is_volume_name(database: str, volume: str) -> bool:
    """Whether a volume is the database itself or ``<database>.NN``."""
    return volume == database or re.fullmatch(re.escape(database) + r"\.\d{2,4}", volume) is not None


def _numbered_names(database: str, present: Iterable[str]) -> Iterable[str]:
    """The volumes there must be if none in the middle is missing: numbers run from 0, padded alike."""
    numbers = [name.removeprefix(f"{database}.") for name in present if name != database]
    width = min((len(number) for number in numbers), default=0)
    return (f"{database}.{number:0{width}d}" for number in range(max(map(int, numbers), default=-1) + 1))


def _is_version_5(files: DatabaseFiles) -> bool:
    """Whether the database has any file that only version 5 has (taxonomy names go with version 4 as well)."""
    return any(file.name not in TAXONOMY_FILES for file in files.shared)


def _type_of(database: str, files: Iterable[DatabaseFile]) -> DatabaseType:
    found = {
        kind
        for kind in DatabaseType
        for file in files
        if (volume := volume_of(file.name))
        and _is_volume_name(database, volume)
        and file.name == f"{volume}.{kind.letter}in"
    }
    if len(found) > 1:
        raise PermanentError(
            "database_ambiguous",
            f"there is a nucleotide and a protein database {database} in one folder",
            "Give them different names.",
        )
    if not found:
        raise PermanentError(
            "database_incomplete",
            f"database {database} has no volume: no index file {database}*.nin or .pin",
            "Download the database again.",
        )
    return found.pop()


def _without_folder(file: DatabaseFile) -> DatabaseFile:
    return DatabaseFile(file.name.rpartition("/")[2], file.size, file.etag)


def _number(values: dict[str, str], *keywords: str) -> int | None:
    for keyword in keywords:
        value = values.get(keyword)
        if value is None:
            continue
        if not (value.isascii() and value.isdigit()):
            raise PermanentError(
                "alias_invalid", f"{keyword} of the alias file is '{value}'", "Download the database again."
            )
        return int(value)
    return None
