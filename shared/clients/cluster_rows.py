"""Small rows per cluster: when it was looked at and when somebody asked for a look; who holds its slots; how many
operations of each kind it has had."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from shared.clients.table_rows import CLUSTERS, Tables, corrupted_row, key_part, translated
from shared.domain.database_work import DatabaseWork
from shared.domain.errors import ConflictError, NotFoundError
from shared.domain.schedule import ClusterRow
from shared.domain.search import ClusterRef
from shared.domain.times import format_time, parse_time

_OBSERVATION = "observation"
_SLOTS = "slots"
_OPERATIONS = "operations"
_WORK = "work"
_MAX_REASON = 1000


@dataclass(frozen=True, slots=True)
class Slots:
    """Holders (job id -> owner) of a cluster's slots, with the guard of their row."""

    holders: Mapping[str, str]
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Numbered:
    """How many operations of a kind a cluster has had, with the guard of their row."""

    number: int
    etag: str = ""


class ClusterRows(Protocol):
    """Where the looks at clusters are agreed between all instances of the app."""

    def known(self) -> list[ClusterRef]:
        """Every cluster that a search was ever submitted to."""

    def remember(self, cluster: ClusterRef) -> None:
        """Make the cluster's row, if it is not there."""

    def read(self, cluster: ClusterRef) -> ClusterRow:
        """The row; an empty one when there is none."""

    def take_look(self, cluster: ClusterRef, row: ClusterRow, now: datetime) -> bool:
        """Claim the look: one conditional write. False when somebody else was faster."""

    def seen(self, cluster: ClusterRef, at: datetime) -> None:
        """A look that began then has succeeded, and what it saw is written: the cluster answers."""

    def unreachable(self, cluster: ClusterRef, since: datetime, reason: str) -> None:
        """A look has failed; since when that is so, and why."""

    def request_wake(self, cluster: ClusterRef, now: datetime) -> None:
        """Ask for a look that does not wait for the window."""

    def slots(self, cluster: ClusterRef) -> Slots:
        """Who holds a slot for a search on the cluster."""

    def write_slots(self, cluster: ClusterRef, slots: Slots) -> bool:
        """Replace the holders: one conditional write. False when somebody else was faster."""

    def operations(self, cluster: ClusterRef, kind: str) -> Numbered:
        """How many operations of a kind (``start``, say) the cluster has had."""

    def claim_operation(self, cluster: ClusterRef, kind: str, before: Numbered) -> bool:
        """Take the next number: one conditional write. False when somebody else was faster."""

    def work(self, cluster: ClusterRef, database: str) -> DatabaseWork:
        """Who is at a database on the cluster."""

    def write_work(self, cluster: ClusterRef, database: str, work: DatabaseWork) -> bool:
        """Replace that row, or remove it when nobody is left: one conditional write. False when somebody was faster."""


class TableClusterRows:
    """The rows on Azure Tables."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def known(self) -> list[ClusterRef]:
        """Every cluster that a search was ever submitted to: few rows."""
        with translated("cluster rows"):
            rows = self._tables.client(CLUSTERS).query_entities(f"RowKey eq '{_OBSERVATION}'")
            return [ClusterRef.from_dict(row) for row in rows]

    def remember(self, cluster: ClusterRef) -> None:
        """Make the row, or bring its scope up to date; the times are kept."""
        with translated(f"cluster {cluster.cluster_name}"):
            self._tables.client(CLUSTERS).upsert_entity({**_keys(cluster), **cluster.to_dict()})

    def read(self, cluster: ClusterRef) -> ClusterRow:
        """The row; an empty one when there is none."""
        try:
            with translated(f"cluster {cluster.cluster_name}"):
                row = self._tables.client(CLUSTERS).get_entity(*_keys(cluster).values())
        except NotFoundError:
            return ClusterRow()
        return ClusterRow(
            observed_at=parse_time(row.get("observed_at")),
            previous_look_at=parse_time(row.get("previous_look_at")),
            wake_requested_at=parse_time(row.get("wake_requested_at")),
            seen_at=parse_time(row.get("seen_at")),
            unreachable_since=parse_time(row.get("unreachable_since")),
            unreachable_reason=str(row.get("unreachable_reason") or ""),
            etag=row.metadata["etag"],
        )

    def take_look(self, cluster: ClusterRef, row: ClusterRow, now: datetime) -> bool:
        """Write ``observed_at`` where nobody wrote since ``row`` was read."""
        entity: dict[str, Any] = {**_keys(cluster), **cluster.to_dict(), "observed_at": format_time(now)}
        if row.observed_at is not None:
            entity["previous_look_at"] = format_time(row.observed_at)
        return self._write_guarded(cluster, entity, row.etag)

    def seen(self, cluster: ClusterRef, at: datetime) -> None:
        """Merge ``seen_at`` in, and that the cluster answers."""
        self._merge(cluster, seen_at=format_time(at), unreachable_since="", unreachable_reason="")

    def unreachable(self, cluster: ClusterRef, since: datetime, reason: str) -> None:
        """Merge in that the cluster does not answer."""
        self._merge(cluster, unreachable_since=format_time(since), unreachable_reason=reason[:_MAX_REASON])

    def request_wake(self, cluster: ClusterRef, now: datetime) -> None:
        """Merge ``wake_requested_at`` in, whatever else is written meanwhile."""
        self._merge(cluster, wake_requested_at=format_time(now))

    def _merge(self, cluster: ClusterRef, **columns: str | None) -> None:
        with translated(f"cluster {cluster.cluster_name}"):
            self._tables.client(CLUSTERS).upsert_entity({**_keys(cluster), **cluster.to_dict(), **columns})

    def slots(self, cluster: ClusterRef) -> Slots:
        """Who holds a slot; nobody when there is no row yet."""
        try:
            with translated(f"slots of {cluster.cluster_name}"):
                row = self._tables.client(CLUSTERS).get_entity(*_keys(cluster, _SLOTS).values())
        except NotFoundError:
            return Slots({})
        return Slots(_stored(row, "holders"), row.metadata["etag"])

    def write_slots(self, cluster: ClusterRef, slots: Slots) -> bool:
        """Replace the holders where nobody wrote since ``slots`` was read."""
        entity = {**_keys(cluster, _SLOTS), "holders": json.dumps(dict(slots.holders))}
        return self._write_guarded(cluster, entity, slots.etag)

    def operations(self, cluster: ClusterRef, kind: str) -> Numbered:
        """How many there were; none when there is no row yet."""
        try:
            with translated(f"operations of {cluster.cluster_name}"):
                row = self._tables.client(CLUSTERS).get_entity(*_keys(cluster, f"{_OPERATIONS}-{kind}").values())
        except NotFoundError:
            return Numbered(0)
        try:
            return Numbered(int(row["number"]), row.metadata["etag"])
        except (KeyError, TypeError, ValueError) as error:
            raise corrupted_row(CLUSTERS, row, "number") from error

    def claim_operation(self, cluster: ClusterRef, kind: str, before: Numbered) -> bool:
        """Count one more where nobody did since ``before`` was read."""
        entity = {**_keys(cluster, f"{_OPERATIONS}-{kind}"), "number": before.number + 1}
        return self._write_guarded(cluster, entity, before.etag)

    def work(self, cluster: ClusterRef, database: str) -> DatabaseWork:
        """Who is at a database; nobody when there is no row."""
        try:
            with translated(f"work at {database}"):
                row = self._tables.client(CLUSTERS).get_entity(*_keys(cluster, _work_row(database)).values())
        except NotFoundError:
            return DatabaseWork()
        return DatabaseWork.from_dict(_stored(row, "work"), row.metadata["etag"])

    def write_work(self, cluster: ClusterRef, database: str, work: DatabaseWork) -> bool:
        """Replace or remove the row where nobody wrote since ``work`` was read."""
        from azure.core import MatchConditions

        keys = _keys(cluster, _work_row(database))
        if not work.is_idle:
            return self._write_guarded(cluster, {**keys, "work": json.dumps(work.to_dict())}, work.etag)
        if not work.etag:
            return True
        try:
            with translated(f"work at {database}"):
                self._tables.client(CLUSTERS).delete_entity(
                    *keys.values(), etag=work.etag, match_condition=MatchConditions.IfNotModified
                )
        except (ConflictError, NotFoundError):
            return False
        return True

    def _write_guarded(self, cluster: ClusterRef, entity: Mapping[str, Any], etag: str) -> bool:
        from azure.core import MatchConditions
        from azure.data.tables import UpdateMode

        try:
            with translated(f"cluster {cluster.cluster_name}"):
                if etag:
                    self._tables.client(CLUSTERS).update_entity(
                        entity, mode=UpdateMode.MERGE, etag=etag, match_condition=MatchConditions.IfNotModified
                    )
                else:
                    self._tables.client(CLUSTERS).create_entity(entity)
        except (ConflictError, NotFoundError):  # somebody has changed it, or removed it
            return False
        return True


def _keys(cluster: ClusterRef, row: str = _OBSERVATION) -> dict[str, str]:
    return {"PartitionKey": key_part(cluster.key), "RowKey": row}


def _stored(row: Mapping[str, Any], column: str) -> dict[str, Any]:
    """The object that a column holds as JSON."""
    try:
        found = json.loads(row[column])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise corrupted_row(CLUSTERS, row, column) from error
    if not isinstance(found, dict):
        raise corrupted_row(CLUSTERS, row, column)
    return found


def _work_row(database: str) -> str:
    return f"{_WORK}|{key_part(database)}"
