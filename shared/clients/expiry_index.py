"""Index rows by the time until which results are kept, so that what has expired is found at the cost of what has.

In the partition ``expires`` of the table ``elbindex``. A row is written before the search's own says when its results
expire, and removed after that says that they are gone: one that points at nothing is harmless, and dropped when its
time comes. Searches that were completed before there were such rows get theirs once, by the daily timer
(``SearchLists.index_older``); how far that came is the row of the partition ``expires-older``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from itertools import islice
from typing import Any

from shared.clients.table_rows import INDEX, Tables, key_part, translated
from shared.domain.errors import NotFoundError
from shared.domain.search import Search

_PARTITION = "expires"
_OLDER = {"PartitionKey": "expires-older", "RowKey": "all"}


class ExpiryIndex:
    """The index rows of searches with results."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def before_update(self, before: Search, after: Search) -> None:
        """Write the row of a search that gets results."""
        if after.results_expire_at != before.results_expire_at:
            self.add(after)

    def add(self, search: Search) -> None:
        """Write the row of a search, if its results are kept for a while only."""
        if search.results_expire_at is not None:
            with translated(f"index row of {search.job_id}"):
                self._tables.client(INDEX).upsert_entity(_row(search, search.results_expire_at))

    def older_until(self) -> str | None:
        """Up to which key of the list of all searches the older ones have their rows; None when all have."""
        try:
            with translated("index row"):
                row = self._tables.client(INDEX).get_entity(_OLDER["PartitionKey"], _OLDER["RowKey"])
        except NotFoundError:  # nobody has begun
            return ""
        return str(row["after"]) or None

    def note_older(self, after: str | None) -> None:
        """Keep up to which key they have; None for all."""
        with translated("index row"):
            self._tables.client(INDEX).upsert_entity({**_OLDER, "after": after or ""})

    def after_update(self, before: Search, after: Search) -> None:
        """Remove the row of a search whose results are gone."""
        if after.results_removed_at is not None and before.results_removed_at is None:
            self.drop(after)

    def drop(self, search: Search) -> None:
        """Remove the row of a search; one that is gone already is fine."""
        if search.results_expire_at is not None:
            self.drop_row(_row(search, search.results_expire_at))

    def drop_row(self, row: Mapping[str, Any]) -> None:
        """Remove a row, whatever it points at."""
        with translated("index row"):
            self._tables.client(INDEX).delete_entity(row["PartitionKey"], row["RowKey"])

    def page(self, before: datetime, limit: int, after: str | None) -> list[Mapping[str, Any]]:
        """The rows of results that were kept until before that time, the oldest first."""
        query = "PartitionKey eq @p and RowKey gt @after and RowKey lt @before"
        parameters = {"p": _PARTITION, "after": after or "", "before": _time_key(before)}
        with translated("index rows"):
            found = self._tables.client(INDEX).query_entities(query, parameters=parameters, results_per_page=limit)
            return list(islice(found, limit))


def _time_key(at: datetime) -> str:
    """A key that sorts by time, to the millisecond as times are stored."""
    return f"{int(at.timestamp() * 1000):015d}"


def _row(search: Search, expires_at: datetime) -> dict[str, Any]:
    key = f"{_time_key(expires_at)}-{key_part(search.job_id)}"
    return {"PartitionKey": _PARTITION, "RowKey": key, "owner": search.owner, "job_id": search.job_id}
