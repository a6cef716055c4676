"""Searches in Azure Tables: create, read, list, and change with the row's ETag as the guard.

Tables: ``elbsearches`` has one partition per owner with the search rows (``s:`` + a key that sorts newest first) and
the idempotency rows (``i:``), so that both are written in one transaction. ``elbindex`` finds an owner by an id
(``id:<id>``), lists all owners newest first (``all``) and the active searches of a cluster (``active:<cluster>``).
Index rows are written before and removed after what they point at: one that points at nothing is harmless.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

from shared.clients.blobs import Blobs
from shared.clients.search_index import SearchIndex
from shared.clients.search_rows import (
    COLUMNS,
    MAX_PAYLOAD_UNITS,
    columns_of,
    payload_of,
    search_of,
    utf16_units,
    with_payload,
)
from shared.clients.table_rows import SEARCHES, Tables, translated
from shared.domain.errors import ConflictError, NotFoundError, TransientError
from shared.domain.ids import newest_first_key, owner_key
from shared.domain.search import Search
from shared.telemetry import log_event

STATE_CONTAINER = "elb-state"
_READ_TRIES = 3
_WRITE_TRIES = 12
_WRITE_PAUSE = 0.02
"""Seconds that the longest wait before a try grows by."""
Change = Callable[[Search], Search]


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """The caller's key and what came with it, both hashed."""

    key: str
    body: str


class SearchStore(Protocol):
    """Where searches are kept."""

    def create(self, search: Search, idempotency: IdempotencyKey | None = None) -> tuple[Search, bool]:
        """Write a new search; with a known key, the search that it made, and False."""

    def known(self, owner: str, idempotency: IdempotencyKey) -> Search | None:
        """The search that this key made; None for a new key. Raises ConflictError for another body."""

    def find(self, job_id: str) -> Search:
        """A search by any of its ids. Raises NotFoundError."""

    def get(self, owner: str, job_id: str) -> Search:
        """A search whose owner is known. Raises NotFoundError."""

    def update(self, owner: str, job_id: str, change: Change) -> Search:
        """Apply a pure change; writes nothing when nothing changes."""

    def page(self, owner: str, limit: int, after: str | None) -> tuple[list[Search], str | None]:
        """An owner's searches, newest first, without payloads; and where the next page begins."""

    def page_of_all(self, limit: int, after: str | None) -> tuple[list[Search], str | None]:
        """Everybody's searches, newest first, without payloads."""

    def unfinished(self, cluster_key: str) -> list[Search]:
        """The searches of a cluster that are active or being deleted, with payloads, oldest first."""

    def delete(self, search: Search) -> None:
        """Remove a search's rows; what is gone already is fine."""

    def add_alias(self, owner: str, job_id: str, alias: str) -> bool:
        """Let another id lead to a search; False when it leads to another search already."""


class TableSearchStore:
    """The store on Azure Tables, with payloads that do not fit in blobs."""

    def __init__(self, tables: Tables, blobs: Blobs) -> None:
        self._tables = tables
        self._index = SearchIndex(tables)
        self._blobs = blobs

    def create(self, search: Search, idempotency: IdempotencyKey | None = None) -> tuple[Search, bool]:
        """Write a new search: index rows, then the row and its idempotency row in one transaction.

        Raises:
            ConflictError: ``idempotency_key_reused`` for a known key with another body.
        """
        partition = owner_key(search.owner)
        if idempotency is not None:
            known = self.known(search.owner, idempotency)
            if known is not None:
                return known, False
        self._index.add(search)
        columns = _stored(search)
        self._write_payload(search, columns)
        entity = {"PartitionKey": partition, "RowKey": _row_key(search.job_id)} | columns
        operations: list[tuple[str, dict[str, Any]]] = [("create", entity)]
        if idempotency is not None:
            row = {"RowKey": f"i:{idempotency.key}", "job_id": search.job_id, "body": idempotency.body}
            operations.append(("create", {"PartitionKey": partition} | row))
        try:
            with translated(f"search {search.job_id}"):
                self._tables.client(SEARCHES).submit_transaction(operations)
        except ConflictError:
            own = self._own(search)
            if own is not None:  # written by this very request, which was sent again after a lost answer
                return own, True
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

    def find(self, job_id: str) -> Search:
        """A search by any of its ids: one read for the owner, one for the row."""
        row = self._index.find(job_id)
        return self.get(row["owner"], row["job_id"])

    def get(self, owner: str, job_id: str) -> Search:
        """A search whose owner is known: one read, a second one for a payload that lies in a blob."""
        for tries in range(_READ_TRIES):
            with translated(f"search {job_id}"):
                row = self._tables.client(SEARCHES).get_entity(owner_key(owner), _row_key(job_id))
            try:
                return self._read(row)
            except TransientError as error:  # a payload that was replaced between the two reads: read both again
                if error.code != "payload_missing" or tries == _READ_TRIES - 1:
                    raise
        raise AssertionError("the last try returns or raises")

    def update(self, owner: str, job_id: str, change: Change) -> Search:
        """Read, change, write the columns that differ where nobody else wrote meanwhile; else again.

        Raises:
            NotFoundError: the row is gone.
            TransientError: ``row_contended``, after many tries.
        """
        for tries in range(_WRITE_TRIES):
            # Writers that meet once would meet again and again in step: each waits for another while.
            time.sleep(random.uniform(0, tries * _WRITE_PAUSE))  # noqa: S311 - no secret
            before = self.get(owner, job_id)
            after = change(before)
            old = _stored(before)
            differing = {name: value for name, value in _stored(after).items() if old[name] != value}
            if not differing:
                return before
            self._write_payload(after, differing)
            begins_again = after.is_unfinished and not before.is_unfinished
            if begins_again:
                self._index.add_unfinished(after)  # before the row, as when it is created
            try:
                self._merge(owner, job_id, differing, before.etag)
            except ConflictError:
                continue
            if begins_again:
                self._index.add_unfinished(after)  # again: a look may have dropped it between the two writes
            replaced = old["payload_blob"]
            if replaced and replaced != differing.get("payload_blob", replaced):
                self._blobs.delete(STATE_CONTAINER, [replaced])
            return after
        raise TransientError("row_contended", f"search {job_id} is written by many at once", "try again")

    def _merge(self, owner: str, job_id: str, columns: Mapping[str, Any], etag: str) -> None:
        from azure.core import MatchConditions
        from azure.data.tables import UpdateMode

        entity = {"PartitionKey": owner_key(owner), "RowKey": _row_key(job_id), **columns}
        with translated(f"search {job_id}"):
            self._tables.client(SEARCHES).update_entity(
                entity, mode=UpdateMode.MERGE, etag=etag, match_condition=MatchConditions.IfNotModified
            )

    def page(self, owner: str, limit: int, after: str | None) -> tuple[list[Search], str | None]:
        """One page of an owner's searches: one query, whatever the total, and no payloads on the way."""
        query = "PartitionKey eq @p and RowKey gt @after and RowKey lt 's;'"
        parameters = {"p": owner_key(owner), "after": max(after or "", "s:")}
        with translated("searches"):
            found = self._tables.client(SEARCHES).query_entities(
                query, parameters=parameters, results_per_page=limit, select=["PartitionKey", "RowKey", *COLUMNS]
            )
            rows = list(islice(found, limit))
        return [_without_payload(row) for row in rows], rows[-1]["RowKey"] if len(rows) == limit else None

    def page_of_all(self, limit: int, after: str | None) -> tuple[list[Search], str | None]:
        """One page over all owners: one query of the index and one read per row."""
        rows = self._index.all_owners(limit, after)
        searches = [s for row in rows if (s := self._pointed_at(row)) is not None]
        return searches, rows[-1]["RowKey"] if len(rows) == limit else None

    def unfinished(self, cluster_key: str) -> list[Search]:
        """The searches of a cluster that are active or being deleted, oldest first.

        Index rows of ended ones are removed here and only here, guarded: one that was written anew meanwhile, because
        its search was retried, stays.
        """
        found = []
        for row in self._index.unfinished(cluster_key):
            try:
                search = self._pointed_at(row)
            except TransientError as error:
                if error.code != "payload_missing":
                    raise
                # Written anew just now, or lost: this search is left out, the others of its cluster are not.
                log_event("payload_missing", job_id=row["job_id"])
                continue
            if search is not None and search.is_unfinished:
                found.append(search)
            else:
                self._index.drop_ended(row, orphan=search is None)
        return sorted(found, key=lambda s: s.created_at)

    def delete(self, search: Search) -> None:
        """Remove a search's rows: the idempotency row, then the row itself, then what points at it."""
        partition = owner_key(search.owner)
        with translated(f"search {search.job_id}"):
            table = self._tables.client(SEARCHES)
            if search.idempotency_key:
                table.delete_entity(partition, f"i:{search.idempotency_key}")
            table.delete_entity(partition, _row_key(search.job_id))
        self._index.drop(search)

    def add_alias(self, owner: str, job_id: str, alias: str) -> bool:
        """Let another id lead to a search; False when it leads to another search already."""
        return self._index.add_alias(owner, job_id, alias)

    def _pointed_at(self, row: Mapping[str, Any]) -> Search | None:
        try:
            return self.get(row["owner"], row["job_id"])
        except NotFoundError:  # written before its search, which was never written or is deleted
            return None

    def _read(self, row: Any) -> Search:
        payload = row.get("payload", "")
        if row.get("payload_blob"):
            try:
                payload = self._blobs.read(STATE_CONTAINER, row["payload_blob"]).decode()
            except NotFoundError as error:  # replaced since the row was read, or lost: never "no such search"
                raise TransientError(
                    "payload_missing", f"the row of {row['job_id']} has moved on", "try again"
                ) from error
        return with_payload(search_of(row, row.metadata["etag"]), payload)

    def _write_payload(self, search: Search, columns: Mapping[str, Any]) -> None:
        """Write the payload's blob, before the row, when the columns to be written refer to one."""
        if columns.get("payload_blob"):
            data = payload_of(search).encode()
            self._blobs.put(STATE_CONTAINER, columns["payload_blob"], data, "application/json")


def _row_key(job_id: str) -> str:
    return f"s:{newest_first_key(job_id)}"


def _stored(search: Search) -> dict[str, Any]:
    """Columns and payload; for a payload too long for a column, the name of its blob, which its content gives."""
    payload = payload_of(search)
    if utf16_units(payload) <= MAX_PAYLOAD_UNITS:
        return columns_of(search) | {"payload": payload, "payload_blob": ""}
    digest = hashlib.sha256(payload.encode()).hexdigest()[:32]
    return columns_of(search) | {"payload": "", "payload_blob": f"{search.job_id}/payload-{digest}.json"}


def _without_payload(row: Any) -> Search:
    return search_of(row, row.metadata.get("etag") or "")
