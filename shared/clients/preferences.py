"""Auto-warm in the table of the clusters: one row with a cluster's preference, one for the tries of each database.

Every write is guarded by the row's ETag. Whoever changes the preference reads, applies the change and writes; when
somebody else was faster, again: so that changes of single names by many at once all survive.
"""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from shared.clients.catalogue import check_database_name
from shared.clients.table_rows import CLUSTERS, Tables, corrupted_row, key_part, translated
from shared.domain.auto_warm import Attempt
from shared.domain.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    PreconditionFailedError,
    StoredValueError,
    TransientError,
)
from shared.domain.preference import DEFAULT, AutoWarmPreference, PreferenceChange, corrupted, read_preference
from shared.domain.search import ClusterRef
from shared.domain.times import format_time, parse_time

UNSAVED = "unsaved"
"""The version of a preference that nobody has saved."""
_ROW = "auto_warm"
_ATTEMPT = "auto_warm:"
_AFTER_ATTEMPTS = "auto_warm;"
_PATIENCE = 20.0
"""Seconds for which a save is tried against others."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5


@dataclass(frozen=True, slots=True)
class StoredPreference:
    """A cluster's preference.

    Attributes:
        version: changes with every write, and is ``UNSAVED`` before the first.
    """

    preference: AutoWarmPreference
    version: str = UNSAVED

    @property
    def is_saved(self) -> bool:
        """Whether somebody has saved it."""
        return self.version != UNSAVED


class Preferences(Protocol):
    """Where auto-warm's preferences and tries are kept."""

    def read(self, cluster: ClusterRef) -> StoredPreference:
        """A cluster's preference; the default where nobody saved one. Raises StoredValueError."""

    def save(
        self, cluster: ClusterRef, change: PreferenceChange, expected: Collection[str] | None = None
    ) -> StoredPreference:
        """Apply a change. Raises PreconditionFailedError where the version is none of the expected ones."""

    def clusters(self) -> list[ClusterRef]:
        """The clusters that have a preference."""

    def attempts(self, cluster: ClusterRef) -> dict[str, Attempt]:
        """Database -> its tries."""

    def write_attempt(self, cluster: ClusterRef, attempt: Attempt) -> bool:
        """Write the tries of a database: one conditional write. False when somebody else was faster."""


class TablePreferences:
    """The rows on Azure Tables."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._saving = threading.Lock()
        """Threads of one process in turn: they would only make each other try again."""

    def read(self, cluster: ClusterRef) -> StoredPreference:
        """One point read.

        Raises:
            StoredValueError: ``preference_corrupted``; the row stays as it is.
            TransientError: ``state_unavailable``.
        """
        row = self._row(cluster)
        return StoredPreference(_parsed(row, cluster), _version(row))

    def save(
        self, cluster: ClusterRef, change: PreferenceChange, expected: Collection[str] | None = None
    ) -> StoredPreference:
        """Read, change, write where nobody else wrote meanwhile; else again, each after another while.

        A change that gives the whole list takes the place of a value that cannot be read; any other one does not.

        Args:
            expected: versions (``If-Match``), one of which it must have; None for any.

        Raises:
            InvalidInputError: ``unknown_database`` for what cannot be a name, ``too_many_databases``.
            PreconditionFailedError: ``preference_changed``.
            StoredValueError: ``preference_corrupted``.
            TransientError: ``preference_contended`` after 20 s, or ``state_unavailable``.
        """
        check_names(change)
        ends, pause, repeated = time.monotonic() + _PATIENCE, _FIRST_PAUSE, False
        while True:
            with self._saving:
                saved = self._try_save(cluster, change, expected, repeated=repeated)
            if saved is not None:
                return saved
            if time.monotonic() >= ends:
                raise TransientError(
                    "preference_contended", f"many save the preference of {cluster.cluster_name} at once", "try again"
                )
            repeated = True
            time.sleep(random.uniform(0, pause))  # noqa: S311 - no secret
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _try_save(
        self, cluster: ClusterRef, change: PreferenceChange, expected: Collection[str] | None, *, repeated: bool
    ) -> StoredPreference | None:
        """One try; None when somebody else was faster.

        Args:
            repeated: whether a try before may have been written although its answer was lost.
        """
        row = self._row(cluster)
        after = change.applied_to(_before(row, change, cluster))
        is_there = row.get("preference") == after.to_text()
        if expected is not None and _version(row) not in expected and not (repeated and is_there):
            raise PreconditionFailedError(
                "preference_changed",
                f"the auto-warm preference of {cluster.cluster_name} is not the one of that ETag any more",
                "GET it again, and send the change with the new ETag",
            )
        if is_there:
            return StoredPreference(after, _version(row))
        entity = {**_keys(cluster), **cluster.to_dict(), "preference": after.to_text()}
        etag = self._write(cluster, entity, str(row.get("etag", "")))
        return StoredPreference(after, _version({"etag": etag})) if etag else None

    def clusters(self) -> list[ClusterRef]:
        """One query: few rows."""
        with translated("auto-warm preferences"):
            rows = self._tables.client(CLUSTERS).query_entities(f"RowKey eq '{_ROW}'")
            return [ClusterRef.from_dict(row) for row in rows]

    def attempts(self, cluster: ClusterRef) -> dict[str, Attempt]:
        """One query of the cluster's partition: a row for each database that was ever tried."""
        query = "PartitionKey eq @p and RowKey ge @first and RowKey lt @after"
        parameters = {"p": key_part(cluster.key), "first": _ATTEMPT, "after": _AFTER_ATTEMPTS}
        with translated(f"auto-warm tries of {cluster.cluster_name}"):
            rows = list(self._tables.client(CLUSTERS).query_entities(query, parameters=parameters))
        found = [_attempt_of(row) for row in rows]
        return {attempt.database: attempt for attempt in found}

    def write_attempt(self, cluster: ClusterRef, attempt: Attempt) -> bool:
        """Write where nobody wrote since the row was read; a first one where there is none."""
        entity = {
            **_keys(cluster, _ATTEMPT + attempt.database),
            "number": attempt.number,
            "tries": attempt.tries,
            "instance_id": attempt.instance_id,
            "settled": attempt.settled,
            "began_at": format_time(attempt.began_at) or "",
            "next_at": format_time(attempt.next_at) or "",
            "ready_since": format_time(attempt.ready_since) or "",
            "source_version": attempt.source_version,
            "by": attempt.preference,
        }
        return bool(self._write(cluster, entity, attempt.etag))

    def _row(self, cluster: ClusterRef) -> dict[str, Any]:
        """The preference's columns and its ETag; empty where there is no row."""
        try:
            with translated(f"auto-warm preference of {cluster.cluster_name}"):
                row = self._tables.client(CLUSTERS).get_entity(*_keys(cluster).values())
        except NotFoundError:
            return {}
        return {"preference": row.get("preference"), "etag": row.metadata["etag"]}

    def _write(self, cluster: ClusterRef, entity: Mapping[str, Any], etag: str) -> str:
        """Write under the guard of an ETag, or create where there is none; the new ETag, empty when too late."""
        from azure.core import MatchConditions
        from azure.data.tables import UpdateMode

        client = self._tables.client(CLUSTERS)
        try:
            with translated(f"auto-warm of {cluster.cluster_name}"):
                if etag:
                    written = client.update_entity(
                        entity, mode=UpdateMode.MERGE, etag=etag, match_condition=MatchConditions.IfNotModified
                    )
                else:
                    written = client.create_entity(entity)
        except (ConflictError, NotFoundError):  # written or removed meanwhile
            return ""
        return str(written["etag"])


def check_names(change: PreferenceChange) -> None:
    """Refuse what cannot be a database's name; one that storage does not have is fine.

    Raises:
        InvalidInputError: ``unknown_database``.
    """
    for name in (*(change.databases or ()), *change.add):
        check_database_name(name)


def _before(row: Mapping[str, Any], change: PreferenceChange, cluster: ClusterRef) -> AutoWarmPreference:
    """What a change is applied to: for one that replaces, the default takes the place of what cannot be read."""
    try:
        return _parsed(row, cluster)
    except StoredValueError:
        if change.replaces:
            return DEFAULT
        raise


def _parsed(row: Mapping[str, Any], cluster: ClusterRef) -> AutoWarmPreference:
    if not row:
        return DEFAULT
    preference = read_preference(row["preference"], cluster.cluster_name)
    try:
        for name in preference.databases:
            check_database_name(name)
    except InvalidInputError as error:
        raise corrupted(cluster.cluster_name) from error
    return preference


def _version(row: Mapping[str, Any]) -> str:
    """A text that changes with every write: Azure's ETags are weak ones, which ``If-Match`` must not compare."""
    return hashlib.sha256(str(row["etag"]).encode()).hexdigest()[:20] if row else UNSAVED


def _attempt_of(row: Any) -> Attempt:
    """A row as it is, without a column that it does not have (yet). Raises StoredValueError ``row_corrupted``."""
    try:
        number, tries = int(row.get("number") or 0), int(row.get("tries") or 0)
    except (TypeError, ValueError) as error:
        raise corrupted_row(CLUSTERS, row, "number or tries") from error
    return Attempt(
        database=str(row["RowKey"]).removeprefix(_ATTEMPT),
        number=number,
        tries=tries,
        instance_id=str(row.get("instance_id") or ""),
        settled=bool(row.get("settled", True)),
        began_at=parse_time(row.get("began_at")),
        next_at=parse_time(row.get("next_at")),
        ready_since=parse_time(row.get("ready_since")),
        source_version=str(row.get("source_version") or ""),
        preference=str(row.get("by") or ""),
        etag=row.metadata["etag"],
    )


def _keys(cluster: ClusterRef, row: str = _ROW) -> dict[str, str]:
    return {"PartitionKey": key_part(cluster.key), "RowKey": row}
