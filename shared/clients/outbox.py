"""The outbox in Azure Tables: webhook events that are still to be delivered.

Two kinds of rows. The event itself lies in the search's own partition of ``elbsearches`` (``w:<job id>:<attempt>``) and
is written in one transaction with the row that says the search has ended: there is never the one without the other. A
row of ``elbindex`` (``outbox``, one per search) lets it be found, and says when to try and who is at it. As with all
index rows it is written before and removed after what it points at; one that points at nothing is dropped when it is
old.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Protocol

from shared.clients.table_rows import INDEX, SEARCHES, Tables, key_part, translated
from shared.domain.errors import ConflictError, NotFoundError, TransientError
from shared.domain.ids import owner_key
from shared.domain.search import Search
from shared.domain.times import format_time, parse_time
from shared.domain.webhooks import Delivery, WebhookEvent, announced
from shared.telemetry import log_event

OUTBOX = "outbox"
MAX_DUE = 10_000
"""Rows that one turn reads at most."""
_WRITE_TRIES = 8
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


class Outbox(Protocol):
    """What is still to be delivered, one ``Delivery`` per search."""

    def due(self, now: datetime) -> list[Delivery]:
        """What may be tried now."""

    def read(self, job_id: str) -> Delivery | None:
        """That of one search; None when nothing of it is to be delivered."""

    def first_event(self, delivery: Delivery) -> WebhookEvent | None:
        """The oldest event of the search that is still to be delivered."""

    def write(self, delivery: Delivery) -> Delivery | None:
        """Replace what was read: one conditional write. None when somebody else wrote meanwhile."""

    def drop(self, delivery: Delivery) -> bool:
        """Remove what was read: one conditional write. False when somebody else wrote meanwhile; gone is gone."""

    def remove_event(self, event: WebhookEvent) -> bool:
        """Forget an event; False when it was gone already."""


class TableOutbox:
    """The outbox on Azure Tables. ``announce``, ``entity`` and ``clear`` are the search store's."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def announce(self, event: WebhookEvent) -> None:
        """Make the row by which an event will be found, before the event is written.

        Raises:
            TransientError: ``row_contended``, or ``state_unavailable``.
        """
        for _ in range(_WRITE_TRIES):
            # Written although it may say so already: a row that was written just now is nobody's to drop.
            if self.write(announced(event, self.read(event.job_id))) is not None:
                return
        raise TransientError("row_contended", f"the outbox of {event.job_id} is written by many at once", "try again")

    def announce_again(self, event: WebhookEvent) -> None:
        """Make the row anew where it was dropped because the event took its time to be written."""
        try:
            if self.read(event.job_id) is None:
                self.announce(event)
        except TransientError as error:  # the row from before is there, unless that took ten minutes
            log_event("outbox_not_written", job_id=event.job_id, code=error.code, message=error.message)

    @staticmethod
    def entity(event: WebhookEvent) -> dict[str, Any]:
        """The row of an event, for the transaction that ends its search."""
        return {
            **_event_keys(event.owner, event.job_id, event.attempt),
            "job_id": event.job_id,
            "attempt": event.attempt,
            "type": event.type,
            "at": format_time(event.at),
            "url": event.url,
            "body": event.body,
        }

    def due(self, now: datetime) -> list[Delivery]:
        """One query, a page for each thousand."""
        query, parameters = "PartitionKey eq @p and next_at le @now", {"p": OUTBOX, "now": format_time(now)}
        with translated("outbox"):
            found = self._tables.client(INDEX).query_entities(query, parameters=parameters)
            return [_delivery(row) for row in islice(found, MAX_DUE)]

    def read(self, job_id: str) -> Delivery | None:
        """One read."""
        try:
            with translated(f"outbox of {job_id}"):
                return _delivery(self._tables.client(INDEX).get_entity(OUTBOX, key_part(job_id)))
        except NotFoundError:
            return None

    def first_event(self, delivery: Delivery) -> WebhookEvent | None:
        """One query: row keys sort by attempt."""
        keys = _event_keys(delivery.owner, delivery.job_id, 0)
        query = "PartitionKey eq @p and RowKey ge @first and RowKey lt @after"
        parameters = {"p": keys["PartitionKey"], "first": keys["RowKey"], "after": _after(delivery.job_id)}
        with translated(f"events of {delivery.job_id}"):
            found = self._tables.client(SEARCHES).query_entities(query, parameters=parameters, results_per_page=1)
            row = next(iter(found), None)
        return None if row is None else _event(row, delivery.owner)

    def write(self, delivery: Delivery) -> Delivery | None:
        """Make or replace the row, guarded by its ETag."""
        from azure.core import MatchConditions
        from azure.data.tables import UpdateMode

        row = _row(delivery)
        try:
            with translated(f"outbox of {delivery.job_id}"):
                client = self._tables.client(INDEX)
                if delivery.etag:
                    guard = {"etag": delivery.etag, "match_condition": MatchConditions.IfNotModified}
                    written = client.update_entity(row, mode=UpdateMode.REPLACE, **guard)
                else:
                    written = client.create_entity(row)
        except (ConflictError, NotFoundError):
            return None
        return replace(delivery, etag=written["etag"])

    def drop(self, delivery: Delivery) -> bool:
        """Remove the row, guarded by its ETag."""
        from azure.core import MatchConditions

        guard = {"etag": delivery.etag, "match_condition": MatchConditions.IfNotModified}
        try:
            with translated(f"outbox of {delivery.job_id}"):
                self._tables.client(INDEX).delete_entity(OUTBOX, key_part(delivery.job_id), **guard)
        except ConflictError:
            return False
        return True

    def remove_event(self, event: WebhookEvent) -> bool:
        """Remove its row: in a transaction, because a plain delete does not tell whether there was one."""
        keys = _event_keys(event.owner, event.job_id, event.attempt)
        try:
            with translated(f"event of {event.job_id}"):
                self._tables.client(SEARCHES).submit_transaction([("delete", keys)])
        except NotFoundError:
            return False
        return True

    def clear(self, search: Search) -> None:
        """Remove all that is still to be delivered of a search, the events first."""
        waiting = Delivery(search.job_id, search.owner, "", _NEVER, 0)
        while (event := self.first_event(waiting)) is not None:
            self.remove_event(event)
        with translated(f"outbox of {search.job_id}"):
            self._tables.client(INDEX).delete_entity(OUTBOX, key_part(search.job_id))


def _event_keys(owner: str, job_id: str, attempt: int) -> dict[str, str]:
    return {"PartitionKey": owner_key(owner), "RowKey": f"w:{key_part(job_id)}:{attempt:010d}"}


def _after(job_id: str) -> str:
    return f"w:{key_part(job_id)};"  # the character behind the colon


def _event(row: Mapping[str, Any], owner: str) -> WebhookEvent:
    return WebhookEvent(
        job_id=str(row["job_id"]),
        owner=owner,
        attempt=int(row["attempt"]),
        type=str(row.get("type", "")),
        at=parse_time(row.get("at")) or _NEVER,
        url=str(row.get("url", "")),
        body=str(row.get("body", "")),
    )


def _row(delivery: Delivery) -> dict[str, Any]:
    return {
        "PartitionKey": OUTBOX,
        "RowKey": key_part(delivery.job_id),
        "job_id": delivery.job_id,
        "owner": delivery.owner,
        "host": delivery.host,
        "next_at": format_time(delivery.next_at),
        "announced": delivery.announced,
        "head": delivery.head,
        "tries": delivery.tries,
        "first_try_at": format_time(delivery.first_try_at) or "",
    }


def _delivery(row: Any) -> Delivery:
    return Delivery(
        job_id=str(row["job_id"]),
        owner=str(row["owner"]),
        host=str(row.get("host", "")),
        next_at=parse_time(row.get("next_at")) or _NEVER,
        announced=int(row.get("announced", 1)),
        head=int(row.get("head", 0)),
        tries=int(row.get("tries", 0)),
        first_try_at=parse_time(row.get("first_try_at")),
        etag=row.metadata["etag"],
        written_at=row.metadata["timestamp"],
    )
