"""The rows of the databases table: the catalogue of storage, joined with one reading of a cluster's warm cache."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from shared.clients.blobs import Blobs
from shared.clients.catalogue import Database, list_databases, load_database
from shared.clients.provider import clients
from shared.clients.warm_cache import CacheReading, look_at_cache
from shared.domain.auto_warm import StorageState
from shared.domain.database_row import allowed_actions, fit_cell, warmth_cell
from shared.domain.errors import PermanentError, StoredValueError
from shared.domain.planner import Fit, fit_database
from shared.domain.search import ClusterRef
from shared.domain.states import AT_THE_DATABASE
from shared.domain.warmth import Warmth, WarmupStatus

PARALLEL_READS = 8
"""Databases read from storage at a time: each takes a listing and some small blobs."""


@dataclass(frozen=True, slots=True)
class _Stored:
    """One database as storage has it: usable, or why not."""

    state: StorageState
    database: Database | None = None
    error: PermanentError | None = None


@dataclass(frozen=True, slots=True)
class _Around:
    """What the rows of one answer share; ``reading`` is None where the cluster did not tell."""

    reading: CacheReading | None
    in_use: Counter[str]
    auto_warm: frozenset[str] | None


def database_rows(account: str, cluster: ClusterRef | None) -> tuple[list[dict[str, Any]], str | None]:
    """A row for each database in storage, and for each that a cluster has although storage does not any more.

    Args:
        account: the storage account.
        cluster: whose memory is meant; None where the app has none.

    Returns:
        The rows, by name, and why what they say of the cluster is not known; None when it is.
    """
    found = look_at_cache(cluster) if cluster is not None else "no cluster is named, and the app has no default one"
    reading = found if isinstance(found, CacheReading) else None
    around = _Around(reading, _in_use(cluster), _auto_warm(cluster))
    blobs = clients().blobs(account)
    names = list_databases(blobs)
    with ThreadPoolExecutor(PARALLEL_READS, thread_name_prefix="databases") as pool:
        stored = pool.map(lambda name: _stored(blobs, name), names)
        rows = {name: _row(name, found, around) for name, found in zip(names, stored, strict=True)}
    for name in reading.databases if reading else ():
        if name not in rows:
            rows[name] = _row(name, _Stored(StorageState.NOT_DOWNLOADED), around)
    return [rows[name] for name in sorted(rows)], found if isinstance(found, str) else None


def _in_use(cluster: ClusterRef | None) -> Counter[str]:
    """Searches that keep a database from being released, by database."""
    if cluster is None:
        return Counter()
    searches = clients().searches.unfinished(cluster.key)
    return Counter(s.database for s in searches if s.phase in AT_THE_DATABASE)


def _auto_warm(cluster: ClusterRef | None) -> frozenset[str] | None:
    """The databases that the cluster is to have warm by itself; None where that cannot be told."""
    if cluster is None:
        return None
    try:
        preference = clients().preferences.read(cluster).preference
    except StoredValueError:  # GET /api/warmup/auto-preference says what is wrong with it
        return None
    return frozenset(preference.databases) if preference.enabled else frozenset()


def _stored(blobs: Blobs, name: str) -> _Stored:
    try:
        database = load_database(blobs, name)
    except PermanentError as error:
        return _Stored(StorageState.INCOMPLETE, error=error)
    return _Stored(StorageState.SHARDED if database.layouts else StorageState.DOWNLOADED, database)


def _row(name: str, stored: _Stored, around: _Around) -> dict[str, Any]:
    database, reading = stored.database, around.reading
    status = reading.status(name, database.source_version if database else None) if reading else None
    fit = _fit(database, status, reading) if database and reading and status else None
    warmth = status.state if status else Warmth.UNKNOWN
    in_use = around.in_use[name]
    actions = allowed_actions(stored.state, warmth, fit.verdict if fit else None, bool(in_use))
    return {
        "name": name,
        "storage_state": stored.state.value,
        **(_facts(database) if database else {}),
        **({"error": stored.error.to_dict()} if stored.error else {}),
        "warmth": warmth_cell(status),
        "fit": fit_cell(fit, reading.views(name), database.shard_sizes()) if fit and reading and database else None,
        "auto_warm": name in around.auto_warm if around.auto_warm is not None else None,
        "in_use": in_use,
        "allowed_actions": [action.value for action in actions],
    }


def _fit(database: Database, status: WarmupStatus, reading: CacheReading) -> Fit:
    placed = {shard.shard: shard.node for shard in status.shards if shard.node}
    views = reading.views(database.name)
    return fit_database(database.name, database.shard_sizes(), views, placed, status.layout or None)


def _facts(database: Database) -> dict[str, Any]:
    metadata = database.metadata
    return {
        "title": metadata.title,
        "type": metadata.dbtype.value,
        "sequences": metadata.sequences,
        "letters": metadata.letters,
        "bytes": database.files.bytes,
        "volumes": len(database.files.volumes),
        "version": database.source_version,
        "shards": sorted(database.layouts),
    }
