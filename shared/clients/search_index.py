"""What points at searches, in the table ``elbindex``: by any id, newest first over all owners, unfinished per cluster.

Index rows are written before what they point at; one that points at nothing is harmless. Rows of ended searches are
dropped when the unfinished ones of their cluster are asked for, guarded by their ETag.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from shared.clients.table_rows import INDEX, Tables, key_part, translated
from shared.domain.errors import ConflictError
from shared.domain.ids import newest_first_key
from shared.domain.search import Search

ORPHAN_AGE = timedelta(minutes=10)
"""Age from which an index row that points at nothing is not of a submit that is just being written."""


class SearchIndex:
    """The index rows of searches."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def add(self, search: Search) -> None:
        """Write every row that points at a new search."""
        for row in self._rows(search):
            with translated(f"index row {row['RowKey']}"):
                self._tables.client(INDEX).upsert_entity(row)

    def drop(self, search: Search) -> None:
        """Remove every row that points at a search; the SDK takes one that is gone already for deleted."""
        for row in (*self._rows(search), *(_id_row(search, alias) for alias in search.aliases)):
            with translated("index row"):
                self._tables.client(INDEX).delete_entity(row["PartitionKey"], row["RowKey"])

    def add_unfinished(self, search: Search) -> None:
        """Write the row by which a search that begins again is found."""
        with translated(f"index row of {search.job_id}"):
            self._tables.client(INDEX).upsert_entity(_unfinished_row(search))

    def add_alias(self, owner: str, job_id: str, alias: str) -> bool:
        """Let another id lead to a search: one conditional write. False when it leads to another search already."""
        row = {"PartitionKey": f"id:{key_part(alias)}", "RowKey": "owner", "owner": owner, "job_id": job_id}
        try:
            with translated(f"alias {alias}"):
                self._tables.client(INDEX).create_entity(row)
        except ConflictError:
            return bool(self.find(alias)["job_id"] == job_id)
        return True

    def find(self, any_id: str) -> Mapping[str, Any]:
        """``owner`` and ``job_id`` of an id. Raises NotFoundError."""
        with translated(f"search {any_id}"):
            row: Mapping[str, Any] = self._tables.client(INDEX).get_entity(f"id:{key_part(any_id)}", "owner")
        return row

    def all_owners(self, limit: int, after: str | None) -> list[Mapping[str, Any]]:
        """One page over all owners, newest first."""
        query = "PartitionKey eq 'all' and RowKey gt @after"
        with translated("index rows"):
            found = self._tables.client(INDEX).query_entities(
                query, parameters={"after": after or ""}, results_per_page=limit
            )
            return list(islice(found, limit))

    def unfinished(self, cluster_key: str) -> list[Any]:
        """The rows of a cluster."""
        with translated("index rows"):
            parameters = {"p": f"active:{key_part(cluster_key)}"}
            return list(self._tables.client(INDEX).query_entities("PartitionKey eq @p", parameters=parameters))

    def drop_ended(self, row: Any, *, orphan: bool) -> None:
        """Remove a row of a search that has ended, or of none at all; not one that was written anew meanwhile."""
        from azure.core import MatchConditions

        if orphan and datetime.now(UTC) - row.metadata["timestamp"] <= ORPHAN_AGE:
            return
        unchanged = {"etag": row.metadata["etag"], "match_condition": MatchConditions.IfNotModified}
        try:
            with translated("index row"):
                self._tables.client(INDEX).delete_entity(row["PartitionKey"], row["RowKey"], **unchanged)
        except ConflictError:  # its search began again
            return

    def _rows(self, search: Search) -> list[dict[str, Any]]:
        everybody = {"PartitionKey": "all", "RowKey": newest_first_key(search.job_id), **_pointer(search)}
        return [_id_row(search, search.job_id), everybody, _unfinished_row(search)]


def _pointer(search: Search) -> dict[str, str]:
    return {"owner": search.owner, "job_id": search.job_id}


def _id_row(search: Search, any_id: str) -> dict[str, Any]:
    return {"PartitionKey": f"id:{key_part(any_id)}", "RowKey": "owner", **_pointer(search)}


def _unfinished_row(search: Search) -> dict[str, Any]:
    keys = {"PartitionKey": f"active:{key_part(search.cluster.key)}", "RowKey": key_part(search.job_id)}
    return keys | _pointer(search)
