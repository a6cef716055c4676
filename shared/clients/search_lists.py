"""Lists of searches: pages of an owner's, pages of everybody's, and those whose results have expired.

A page costs what it shows, whatever the total; no payload is read on the way. ``search_store`` hands them on.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from shared.clients.search_index import SearchIndex
from shared.clients.search_keys import SearchKeys
from shared.clients.search_rows import COLUMNS, search_of
from shared.clients.table_rows import SEARCHES, Tables, translated
from shared.domain.errors import NotFoundError, PermanentError
from shared.domain.ids import owner_key
from shared.domain.published import has_expired
from shared.domain.search import Search
from shared.domain.search_filter import EVERYTHING, SearchFilter
from shared.domain.states import Phase
from shared.telemetry import log_event

MAX_SCANNED = 1000
"""Rows that one page of a list looks through at most."""
_PARALLEL_READS = 8
_LISTED = ["PartitionKey", "RowKey", *COLUMNS]


def read_row(tables: Tables, keys: SearchKeys, owner: str, job_id: str, select: list[str] | None = None) -> Any:
    """The row of a search.

    Args:
        select: the columns to read; all of them without.

    Raises:
        NotFoundError: there is none.
    """

    def read(key: str) -> Any:
        with translated(f"search {job_id}"):
            return tables.client(SEARCHES).get_entity(owner_key(owner), key, select=select)

    return keys.use(job_id, read)


class SearchLists:
    """The lists, on Azure Tables."""

    def __init__(self, tables: Tables, index: SearchIndex, keys: SearchKeys) -> None:
        self._tables, self._index, self._keys = tables, index, keys

    def page(
        self, owner: str, limit: int, after: str | None, where: SearchFilter = EVERYTHING
    ) -> tuple[list[Search], str | None]:
        """One page of an owner's searches: one query, whatever the total, and no payloads on the way.

        A text of the title is looked for in at most ``MAX_SCANNED`` rows a call: the page may be short, or empty, and
        still have a successor.
        """
        query = "PartitionKey eq @p and RowKey gt @after and RowKey lt 's;'"
        query += "".join(f" and {name} eq @{name}" for name in where.columns)
        parameters = {"p": owner_key(owner), "after": max(after or "", "s:"), **where.columns}
        searches: list[Search] = []
        scanned = 0
        with translated("searches"):
            found = self._tables.client(SEARCHES).query_entities(
                query,
                parameters=parameters,
                results_per_page=MAX_SCANNED if where.text else limit,
                select=_LISTED,
            )
            for row in found:
                scanned += 1
                search = _listed(row)
                if search is not None and where.matches(search):
                    searches.append(search)
                if len(searches) == limit or scanned == MAX_SCANNED:
                    return searches, row["RowKey"]
        return searches, None

    def page_of_all(
        self, limit: int, after: str | None, where: SearchFilter = EVERYTHING
    ) -> tuple[list[Search], str | None]:
        """One page over all owners: one query of the index and one read per row, in parallel."""
        rows = self._index.all_owners(limit, after)
        with ThreadPoolExecutor(_PARALLEL_READS, thread_name_prefix="rows") as pool:
            found = list(pool.map(self._listed_at, rows))
        searches = [s for s in found if s is not None and where.matches(s)]
        return searches, rows[-1]["RowKey"] if len(rows) == limit else None

    def expired(self, now: datetime, limit: int, after: str | None = None) -> tuple[list[Search], str | None]:
        """Searches whose results were kept until before now, the oldest first: a query, and a read per row.

        What points at none any more is dropped on the way.
        """
        rows = self._index.expiry.page(now, limit, after)
        found: list[Search] = []
        for row in rows:
            stored = self._row_at(row)
            search = None if stored is None else _listed(stored)
            if stored is not None and search is None:  # of a newer version of the app, which knows when it goes
                continue
            if search is not None and search.phase is Phase.COMPLETED and has_expired(search, now):
                if search.results_removed_at is None:
                    found.append(search)
                    continue
            elif search is not None and search.is_being_deleted:
                continue
            self._index.expiry.drop_row(row)
        return found, rows[-1]["RowKey"] if len(rows) == limit else None

    def index_older(self, limit: int) -> bool:
        """Write the expiry rows of searches that were completed before there were such rows: the next page of them.

        Returns:
            Whether there is another page. How far it came is kept, so that it is done once, by however many calls.
        """
        after = self._index.expiry.older_until()
        if after is None:
            return False
        searches, following = self.page_of_all(limit, after)
        for search in searches:
            if search.phase is Phase.COMPLETED and search.results_removed_at is None:
                self._index.expiry.add(search)
        self._index.expiry.note_older(following)
        return following is not None

    def _listed_at(self, row: Mapping[str, Any]) -> Search | None:
        """What a row of the index points at, as a list shows it."""
        stored = self._row_at(row)
        return None if stored is None else _listed(stored)

    def _row_at(self, row: Mapping[str, Any]) -> Any:
        """What a row of the index points at; None where that is nothing."""
        try:
            return read_row(self._tables, self._keys, row["owner"], row["job_id"], _LISTED)
        except NotFoundError:  # written before its search, which was never written or is deleted
            return None


def _listed(row: Any) -> Search | None:
    """A row of a list, without its payload; one of a newer version must not keep the others from being listed."""
    try:
        return search_of(row, row.metadata.get("etag") or "")
    except PermanentError as error:
        log_event(error.code, job_id=row.get("job_id"))
        return None
