"""Searches in Azure Tables: create, read, list, and change with the row's ETag as the guard.

Tables: ``elbsearches`` has one partition per owner with the search rows (``s:`` + a key that sorts newest first) and
the idempotency rows (``i:``), so that both are written in one transaction; so are the events of the outbox (``w:``)
with the row that says the search has ended. ``elbindex`` finds an owner by an id
(``id:<id>``), lists all owners newest first (``all``) and the unfinished searches of a cluster (``active:<cluster>``),
these with a copy of their columns, so that one query reads them all. Index rows are written before and removed after
what they point at: one that points at nothing is harmless, and a copy that was left behind is mended by the reconcile.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from shared.clients.blobs import Blobs
from shared.clients.outbox import TableOutbox
from shared.clients.search_index import IndexCopy, SearchIndex
from shared.clients.search_keys import SearchKeys, claimed, row_name
from shared.clients.search_lists import SearchLists, read_row
from shared.clients.search_migrations import SCHEMA
from shared.clients.search_payloads import SearchPayloads, stored_columns
from shared.clients.searches import Change, IdempotencyKey
from shared.clients.table_rows import SEARCHES, Tables, translated
from shared.domain.errors import ConflictError, ElbError, NotFoundError, TransientError
from shared.domain.ids import is_own_id, owner_key, row_key
from shared.domain.search import Search
from shared.domain.search_filter import EVERYTHING, SearchFilter
from shared.domain.webhooks import WebhookEvent, ended_event
from shared.telemetry import log_event

_READ_TRIES = 3
_WRITE_TRIES = 12
_WRITE_PAUSE = 0.02
"""Seconds that the longest wait before a try grows by."""
_PARALLEL_READS = 8
_NOT_COPIED = frozenset({"payload", "payload_blob"})


class TableSearchStore:
    """The store on Azure Tables, with payloads that do not fit in blobs."""

    def __init__(self, tables: Tables, blobs: Blobs) -> None:
        self._tables = tables
        self._index = SearchIndex(tables)
        self._keys = SearchKeys(self._index)
        self._payloads = SearchPayloads(blobs)
        self._outbox = TableOutbox(tables)
        self._lists = SearchLists(tables, self._index, self._keys)

    def create(self, search: Search, idempotency: IdempotencyKey | None = None) -> tuple[Search, bool]:
        """Write a new search: index rows, then the row and its idempotency row in one transaction.

        Raises:
            ConflictError: ``idempotency_key_reused`` for a known key with another body; ``id_taken`` for an id that
                others made and that is another search's.
        """
        if idempotency is not None:
            known = self.known(search.owner, idempotency)
            if known is not None:
                return known, False
        search = claimed(self._index, search)
        partition = owner_key(search.owner)
        self._index.add(search)
        columns = stored_columns(search)
        self._payloads.write(search, columns)
        entity = {"PartitionKey": partition, "RowKey": row_name(row_key(search.job_id, search.created_at))} | columns
        operations: list[tuple[str, dict[str, Any]]] = [("create", entity)]
        if idempotency is not None:
            row = {"RowKey": f"i:{idempotency.key}", "job_id": search.job_id, "body": idempotency.body}
            operations.append(("create", {"PartitionKey": partition} | row))
        try:
            with translated(f"search {search.job_id}"):
                self._tables.client(SEARCHES).submit_transaction(operations)
        except ConflictError:
            own = self._own(search)
            if own is not None:  # written by this very request, sent again after a lost answer; or by another host
                return own, is_own_id(search.job_id)
            self._index.drop(search)
            known = self.known(search.owner, idempotency) if idempotency is not None else None
            if known is None:
                raise
            return known, False
        return self.get(search.owner, search.job_id), True

    def _own(self, search: Search) -> Search | None:
        try:
            return self.get(search.owner, search.job_id)
        except NotFoundError:
            return None

    def known(self, owner: str, idempotency: IdempotencyKey) -> Search | None:
        """The search that this key made; None for a new key.

        Raises:
            ConflictError: ``idempotency_key_reused`` for a known key with another body.
        """
        try:
            with translated("idempotency row"):
                row = self._tables.client(SEARCHES).get_entity(owner_key(owner), f"i:{idempotency.key}")
        except NotFoundError:
            return None
        if row["body"] != idempotency.body:
            raise ConflictError(
                "idempotency_key_reused",
                "this Idempotency-Key came with another request before",
                "use a new key for a new search, or send the same body",
            )
        return self.get(owner, row["job_id"])

    def find(self, job_id: str, owner: str | None = None) -> Search:
        """A search by any of its ids: one read for the owner, one for the row; of another's the row is not read."""
        row = self._index.find(job_id)
        if owner is not None and row["owner"] != owner:
            raise NotFoundError("row_not_found", f"search {job_id} is not there")
        return self.get(row["owner"], row["job_id"])

    def get(self, owner: str, job_id: str) -> Search:
        """A search whose owner is known: one read, a second one for a payload that lies in a blob."""
        for tries in range(_READ_TRIES):
            row = read_row(self._tables, self._keys, owner, job_id)
            try:
                return self._payloads.read(row)
            except TransientError as error:  # a payload that was replaced between the two reads: read both again
                if error.code != "payload_missing" or tries == _READ_TRIES - 1:
                    raise
        raise AssertionError("the last try returns or raises")

    def update(self, owner: str, job_id: str, change: Change) -> Search:
        """Read, change, write the columns that differ where nobody else wrote meanwhile; else again.

        What is to be said at the end of a search goes into the outbox in the same transaction.

        Raises:
            NotFoundError: the row is gone.
            TransientError: ``row_contended``, after many tries.
        """
        for tries in range(_WRITE_TRIES):
            # Writers that meet once would meet again and again in step: each waits for another while.
            time.sleep(random.uniform(0, tries * _WRITE_PAUSE))  # noqa: S311 - no secret
            before = self.get(owner, job_id)
            after = change(before)
            old, new = stored_columns(before), stored_columns(after)
            differing = {name: value for name, value in new.items() if old[name] != value}
            if not differing:
                return before
            if before.schema < SCHEMA:
                differing = new
            self._payloads.write(after, differing)
            copy = self._index.before_update(before, after)
            event = ended_event(before, after)
            if event is not None:
                self._outbox.announce(event)
            try:
                self._merge(owner, job_id, differing, before.etag, event)
            except ConflictError:
                continue
            if event is not None:
                self._outbox.announce_again(event)
            if set(differing) - _NOT_COPIED:
                self._index.after_update(before, after, copy)
            if before.payload_blob and "payload_blob" in differing:
                self._payloads.delete(before.payload_blob)
            return after
        raise TransientError("row_contended", f"search {job_id} is written by many at once", "try again")

    def _merge(
        self, owner: str, job_id: str, columns: Mapping[str, Any], etag: str, event: WebhookEvent | None
    ) -> None:
        from azure.core import MatchConditions
        from azure.data.tables import UpdateMode

        guard: dict[str, Any] = {"etag": etag, "match_condition": MatchConditions.IfNotModified}

        def write(key: str) -> None:
            entity = {"PartitionKey": owner_key(owner), "RowKey": key, **columns}
            with translated(f"search {job_id}"):
                table = self._tables.client(SEARCHES)
                if event is None:
                    table.update_entity(entity, mode=UpdateMode.MERGE, **guard)
                    return
                how = {"mode": UpdateMode.MERGE, **guard}
                table.submit_transaction([("update", entity, how), ("upsert", self._outbox.entity(event))])

        self._keys.use(job_id, write)

    def page(
        self, owner: str, limit: int, after: str | None, where: SearchFilter = EVERYTHING
    ) -> tuple[list[Search], str | None]:
        """One page of an owner's searches, as ``SearchLists.page``."""
        return self._lists.page(owner, limit, after, where)

    def page_of_all(
        self, limit: int, after: str | None, where: SearchFilter = EVERYTHING
    ) -> tuple[list[Search], str | None]:
        """One page over all owners, as ``SearchLists.page_of_all``."""
        return self._lists.page_of_all(limit, after, where)

    def expired(self, now: datetime, limit: int, after: str | None = None) -> tuple[list[Search], str | None]:
        """Searches whose results were kept until before now, as ``SearchLists.expired``."""
        return self._lists.expired(now, limit, after)

    def index_older(self, limit: int) -> bool:
        """Write the expiry rows of older searches, as ``SearchLists.index_older``."""
        return self._lists.index_older(limit)

    def unfinished(self, cluster_key: str) -> list[Search]:
        """The searches of a cluster that are active or being deleted, oldest first: one query, without payloads.

        The row of one whose index row has no copy yet, because an older version wrote it, is read.
        """
        found = [copy.search or self._row_of_copy(copy) for copy in self._index.unfinished(cluster_key)]
        return sorted((s for s in found if s is not None and s.is_unfinished), key=lambda s: s.created_at)

    def unfinished_rows(self, cluster_key: str) -> list[Search]:
        """The same from their own rows, with payloads, in parallel; copies that were left behind are mended.

        Index rows of ended searches that nobody removed are removed here, guarded: one that was written anew
        meanwhile, because its search was retried, stays.
        """
        copies = self._index.unfinished(cluster_key)
        with ThreadPoolExecutor(_PARALLEL_READS, thread_name_prefix="rows") as pool:
            rows = list(pool.map(self._row_of_copy, copies))
        found = [search for search in rows if search is not None]
        return sorted(found, key=lambda s: s.created_at)

    def _row_of_copy(self, copy: IndexCopy) -> Search | None:
        try:
            search = self._pointed_at(copy.row)
        except ElbError as error:
            if error.code not in ("payload_missing", "row_of_newer_version"):
                raise
            # Written anew just now, lost, or not for this version: it is left out, the others of its cluster are not.
            log_event(error.code, job_id=copy.row["job_id"])
            return None
        if search is not None and search.is_unfinished:
            if not copy.is_of(search):
                self._index.write_copy(search, copy)
            return search
        self._index.drop_ended(copy.row, early=search is None or copy.is_ahead_of(search))
        return None

    def mend_copy(self, owner: str, job_id: str) -> None:
        """Bring the copy by which an unfinished search is found up to date with its row."""
        try:
            search = self.get(owner, job_id)
        except NotFoundError:
            return  # the reconcile removes what points at nothing
        copy = self._index.copy_of(search)
        if copy is not None:
            self._row_of_copy(copy)

    def delete(self, search: Search) -> None:
        """Remove a search's rows: what is still to be said of it, the idempotency row, the row, what points at it."""
        partition = owner_key(search.owner)
        if search.webhook_url:
            self._outbox.clear(search)
        with translated(f"search {search.job_id}"):
            table = self._tables.client(SEARCHES)
            if search.idempotency_key:
                table.delete_entity(partition, f"i:{search.idempotency_key}")
            table.delete_entity(partition, row_name(row_key(search.job_id, search.created_at)))
        self._index.drop(search)

    def add_alias(self, owner: str, job_id: str, alias: str) -> bool:
        """Let another id lead to a search; False when it leads to another search already."""
        return self._index.add_alias(owner, job_id, alias)

    def _pointed_at(self, row: Mapping[str, Any]) -> Search | None:
        try:
            return self.get(row["owner"], row["job_id"])
        except NotFoundError:  # written before its search, which was never written or is deleted
            return None
