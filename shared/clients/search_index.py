"""What points at searches, in the table ``elbindex``: by any id, newest first over all owners, unfinished per cluster.

Index rows are written before what they point at; one that points at nothing is harmless. The row of an unfinished
search carries a copy of its columns. The copy follows the row, so it is behind where a process died between the two:
who acts upon a copy compares it with the row, and the reconcile mends it. The row of a search that ends is dropped,
guarded by the ETag that it had before the end, so that a retry which has begun meanwhile keeps its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from shared.clients.expiry_index import ExpiryIndex
from shared.clients.search_rows import columns_of, search_of
from shared.clients.table_rows import INDEX, Tables, key_part, translated
from shared.domain.errors import ConflictError, NotFoundError, PermanentError, TransientError
from shared.domain.ids import row_key, time_of_key
from shared.domain.search import Search
from shared.domain.states import Phase
from shared.telemetry import log_event

ORPHAN_AGE = timedelta(minutes=10)
"""Age from which an index row whose search is not there, or has not begun again, is not of one just being written."""


@dataclass(frozen=True, slots=True)
class IndexCopy:
    """The index row of an unfinished search; ``search`` is its copy, None where it has none that can be read."""

    row: Any
    search: Search | None

    def is_of(self, search: Search) -> bool:
        """Whether the copy says what the row of the search says."""
        return self.search is not None and columns_of(self.search) == columns_of(search)

    def is_ahead_of(self, search: Search) -> bool:
        """Whether it is of a search that has ended and is to begin again: then it is written before the row."""
        if self.search is None:
            return False
        is_deleted = self.search.phase is Phase.DELETING and not search.is_unfinished
        return self.search.run > search.run or is_deleted


class SearchIndex:
    """The index rows of searches."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self.expiry = ExpiryIndex(tables)

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
        self.expiry.drop(search)

    def before_update(self, before: Search, after: Search) -> IndexCopy | None:
        """What must be done before the row of a search is changed.

        Returns:
            Of a search that ends: its index row as it is now, for ``after_update``.
        """
        self.expiry.before_update(before, after)
        if after.is_unfinished and not before.is_unfinished:
            self._upsert(_unfinished_row(after))  # before the row, as when it is created
        if before.is_unfinished and not after.is_unfinished:
            return self.copy_of(before)
        return None

    def after_update(self, before: Search, after: Search, copy: IndexCopy | None) -> None:
        """Follow the change of a row. Where a copy cannot be written the change stands, and the reconcile mends it."""
        try:
            if after.is_unfinished and not before.is_unfinished:
                self._upsert(_unfinished_row(after))  # again: it was dropped if the row took its time to be written
            elif after.is_unfinished:
                self._replace(_unfinished_row(after))
            elif copy is not None:
                self.drop_ended(copy.row)
            self.expiry.after_update(before, after)
        except TransientError as error:
            log_event("copy_not_written", job_id=after.job_id, code=error.code, message=error.message)

    def copy_of(self, search: Search) -> IndexCopy | None:
        """The index row of an unfinished search; None when there is none."""
        row = _unfinished_row(search)
        try:
            with translated(f"index row of {search.job_id}"):
                return _copy(self._tables.client(INDEX).get_entity(row["PartitionKey"], row["RowKey"]))
        except NotFoundError:
            return None

    def write_copy(self, search: Search, copy: IndexCopy) -> None:
        """Replace a copy, unless somebody else wrote it meanwhile."""
        from azure.core import MatchConditions
        from azure.data.tables import UpdateMode

        guard = {"etag": copy.row.metadata["etag"], "match_condition": MatchConditions.IfNotModified}
        try:
            with translated(f"index row of {search.job_id}"):
                self._tables.client(INDEX).update_entity(_unfinished_row(search), mode=UpdateMode.REPLACE, **guard)
        except (ConflictError, NotFoundError):  # written, or dropped, by who knows more
            return

    def _replace(self, row: Mapping[str, Any]) -> None:
        """Replace a row that is there; one that was dropped meanwhile stays away, for its search has ended."""
        from azure.data.tables import UpdateMode

        try:
            with translated("index row"):
                self._tables.client(INDEX).update_entity(row, mode=UpdateMode.REPLACE)
        except NotFoundError:
            return

    def _upsert(self, row: Mapping[str, Any]) -> None:
        from azure.data.tables import UpdateMode

        with translated("index row"):
            self._tables.client(INDEX).upsert_entity(row, mode=UpdateMode.REPLACE)

    def claim(self, search: Search) -> Search:
        """Make the row of an id that others made, by one conditional write: who comes first says whose it is and where.

        Returns:
            The search, with the owner and the time of creation that its id has; also where its row was never written.

        Raises:
            ConflictError: ``id_taken``: the id is another search's alias.
        """
        row = _id_row(search, search.job_id)
        try:
            with translated(f"id {search.job_id}"):
                self._tables.client(INDEX).create_entity(row)
        except ConflictError:
            row = dict(self.find(search.job_id))
        if row["job_id"] != search.job_id:
            raise ConflictError("id_taken", f"{search.job_id} is another id of search {row['job_id']}")
        return replace(search, owner=row["owner"], created_at=time_of_key(row["row_key"]))

    def key_of(self, job_id: str) -> str:
        """The row key of a search whose id others made. Raises NotFoundError."""
        return str(self.find(job_id)["row_key"])

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

    def unfinished(self, cluster_key: str) -> list[IndexCopy]:
        """The rows of a cluster: one query, a page for each thousand."""
        with translated("index rows"):
            parameters = {"p": f"active:{key_part(cluster_key)}"}
            found = self._tables.client(INDEX).query_entities("PartitionKey eq @p", parameters=parameters)
            return [_copy(row) for row in found]

    def drop_ended(self, row: Any, *, early: bool = False) -> None:
        """Remove a row of a search that has ended, or of none at all; not one that was written anew meanwhile.

        Args:
            early: whether it may be there before what it points at, so that it must be old to be removed.
        """
        from azure.core import MatchConditions

        if early and datetime.now(UTC) - row.metadata["timestamp"] <= ORPHAN_AGE:
            return
        unchanged = {"etag": row.metadata["etag"], "match_condition": MatchConditions.IfNotModified}
        try:
            with translated("index row"):
                self._tables.client(INDEX).delete_entity(row["PartitionKey"], row["RowKey"], **unchanged)
        except (ConflictError, NotFoundError):  # its search began again, or somebody else was faster
            return

    def _rows(self, search: Search) -> list[dict[str, Any]]:
        everybody = {"PartitionKey": "all", "RowKey": row_key(search.job_id, search.created_at), **_pointer(search)}
        return [_id_row(search, search.job_id), everybody, _unfinished_row(search)]


def _pointer(search: Search) -> dict[str, str]:
    return {"owner": search.owner, "job_id": search.job_id}


def _id_row(search: Search, any_id: str) -> dict[str, Any]:
    key = {} if any_id != search.job_id else {"row_key": row_key(search.job_id, search.created_at)}
    return {"PartitionKey": f"id:{key_part(any_id)}", "RowKey": "owner", **_pointer(search), **key}


def _unfinished_row(search: Search) -> dict[str, Any]:
    keys = {"PartitionKey": f"active:{key_part(search.cluster.key)}", "RowKey": key_part(search.job_id)}
    return columns_of(search) | keys


def _copy(row: Any) -> IndexCopy:
    if "schema" not in row:  # of the first version, which kept no copy
        return IndexCopy(row, None)
    try:
        return IndexCopy(row, search_of(row))
    except PermanentError as error:
        log_event(error.code, job_id=row["job_id"])
        return IndexCopy(row, None)
