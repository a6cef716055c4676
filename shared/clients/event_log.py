"""The history of searches in Azure Tables: one partition per search, newest first, each event under its own key.

An event's key comes from its content, so that an activity that runs twice writes it once.
"""

from __future__ import annotations

from typing import Protocol

from shared.clients.table_rows import EVENTS, Tables, translated
from shared.domain.history import MAX_REASON, Event
from shared.domain.ids import content_key
from shared.domain.times import format_time

_END_OF_TIME_MS = 10**14


class EventLog(Protocol):
    """Where histories are kept."""

    def add(self, job_id: str, event: Event) -> None:
        """Write an event; the same event again changes nothing."""

    def page(self, job_id: str, limit: int, after: str | None) -> tuple[list[Event], str | None]:
        """Events, newest first, and where the next page begins."""

    def clear(self, job_id: str) -> None:
        """Remove a search's history."""


class TableEventLog:
    """The log on Azure Tables."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def add(self, job_id: str, event: Event) -> None:
        """Write an event; the same event again changes nothing."""
        row = event.to_dict() | {"why": event.why[:MAX_REASON]}
        keys = {"PartitionKey": job_id, "RowKey": _row_key(event)}
        with translated(f"event of {job_id}"):
            self._tables.client(EVENTS).upsert_entity({**keys, **row})

    def page(self, job_id: str, limit: int, after: str | None) -> tuple[list[Event], str | None]:
        """One query, newest first."""
        query = "PartitionKey eq @job and RowKey gt @after"
        with translated(f"events of {job_id}"):
            found = self._tables.client(EVENTS).query_entities(
                query, parameters={"job": job_id, "after": after or ""}, results_per_page=limit
            )
            rows = list(next(iter(found.by_page()), ()))
        events = [event for row in rows if (event := Event.from_dict(row)) is not None]
        return events, rows[-1]["RowKey"] if len(rows) == limit else None

    def clear(self, job_id: str) -> None:
        """Remove a search's history, row by row."""
        with translated(f"events of {job_id}"):
            client = self._tables.client(EVENTS)
            for row in client.query_entities("PartitionKey eq @job", parameters={"job": job_id}, select=["RowKey"]):
                client.delete_entity(job_id, row["RowKey"])


def _row_key(event: Event) -> str:
    milliseconds = _END_OF_TIME_MS - int(event.at.timestamp() * 1000)
    content = content_key(event.kind, event.who, event.why, str(event.attempt), format_time(event.at) or "")
    return f"{milliseconds:015d}-{content[:12]}"
