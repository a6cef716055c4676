"""One small row per cluster: when it was last looked at, and when somebody last asked for a look."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol

from shared.clients.table_rows import CLUSTERS, Tables, key_part, translated
from shared.domain.errors import ConflictError, NotFoundError
from shared.domain.schedule import ClusterRow
from shared.domain.search import ClusterRef
from shared.domain.times import format_time, parse_time


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

    def request_wake(self, cluster: ClusterRef, now: datetime) -> None:
        """Ask for a look that does not wait for the window."""


class TableClusterRows:
    """The rows on Azure Tables."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def known(self) -> list[ClusterRef]:
        """Every cluster that a search was ever submitted to: few rows."""
        with translated("cluster rows"):
            return [ClusterRef.from_dict(row) for row in self._tables.client(CLUSTERS).list_entities()]

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
            etag=row.metadata["etag"],
        )

    def take_look(self, cluster: ClusterRef, row: ClusterRow, now: datetime) -> bool:
        """Write ``observed_at`` where nobody wrote since ``row`` was read."""
        from azure.core import MatchConditions
        from azure.data.tables import UpdateMode

        entity: dict[str, Any] = {**_keys(cluster), **cluster.to_dict(), "observed_at": format_time(now)}
        if row.observed_at is not None:
            entity["previous_look_at"] = format_time(row.observed_at)
        try:
            with translated(f"cluster {cluster.cluster_name}"):
                if row.etag:
                    self._tables.client(CLUSTERS).update_entity(
                        entity, mode=UpdateMode.MERGE, etag=row.etag, match_condition=MatchConditions.IfNotModified
                    )
                else:
                    self._tables.client(CLUSTERS).create_entity(entity)
        except ConflictError:
            return False
        return True

    def request_wake(self, cluster: ClusterRef, now: datetime) -> None:
        """Merge ``wake_requested_at`` in, whatever else is written meanwhile."""
        with translated(f"cluster {cluster.cluster_name}"):
            self._tables.client(CLUSTERS).upsert_entity(
                {**_keys(cluster), **cluster.to_dict(), "wake_requested_at": format_time(now)}
            )


def _keys(cluster: ClusterRef) -> dict[str, str]:
    return {"PartitionKey": key_part(cluster.key), "RowKey": "observation"}
