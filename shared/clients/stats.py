"""The statistics in Azure Tables: one partition per hour with a row for each entry, and one with a row for each timer.

A row's key comes from what it is about, so that an activity that runs twice writes it once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import batched, groupby
from typing import Any, Protocol

from shared.clients.table_rows import STATS, Tables, key_part, translated
from shared.domain.errors import NotFoundError, TransientError
from shared.domain.stats import Entry, TimerRun, hour_of
from shared.domain.times import format_time, parse_time

_TIMERS = "timers"
"""Sorts after every hour."""
_TRANSACTION = 100
"""The most operations of one transaction (Azure Storage, "Performing entity group transactions")."""


class Stats(Protocol):
    """Where the statistics are kept."""

    def add(self, entry: Entry) -> None:
        """Write an entry; the same entry again changes nothing."""

    def since(self, at: datetime) -> list[Entry]:
        """All entries of the hours from that time on."""

    def timer_ran(
        self, name: str, at: datetime, seconds: float, result: Mapping[str, Any], *, failed: bool = False
    ) -> None:
        """Write what a timer did, in place of what it did before."""

    def timers(self) -> dict[str, TimerRun]:
        """The last run of every timer."""

    def purge(self, before: datetime) -> int:
        """Remove the entries of the hours before that time's; how many. What timers did stays."""


class TableStats:
    """The statistics on Azure Tables."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def add(self, entry: Entry) -> None:
        """One write."""
        keys = {"PartitionKey": entry.bucket, "RowKey": key_part(entry.key)}
        with translated("statistics"):
            self._tables.client(STATS).upsert_entity({**keys, **entry.to_dict()})

    def since(self, at: datetime) -> list[Entry]:
        """One query: what it costs grows with what happened since then."""
        query = "PartitionKey ge @first and PartitionKey lt @timers"
        parameters = {"first": hour_of(at), "timers": _TIMERS}
        with translated("statistics"):
            rows = list(self._tables.client(STATS).query_entities(query, parameters=parameters))
        return [entry for row in rows if (entry := Entry.from_dict(row, row["RowKey"])) is not None]

    def timer_ran(
        self, name: str, at: datetime, seconds: float, result: Mapping[str, Any], *, failed: bool = False
    ) -> None:
        """One write."""
        run = {"last_run": format_time(at), "seconds": float(seconds), "result": json.dumps(result), "failed": failed}
        with translated(f"the run of {name}"):
            self._tables.client(STATS).upsert_entity({"PartitionKey": _TIMERS, "RowKey": key_part(name), **run})

    def timers(self) -> dict[str, TimerRun]:
        """One query of few rows."""
        with translated("the runs of timers"):
            rows = list(self._tables.client(STATS).query_entities(f"PartitionKey eq '{_TIMERS}'"))
        return {row["RowKey"]: run for row in rows if (run := _run_of(row)) is not None}

    def purge(self, before: datetime) -> int:
        """One query, and one transaction for every hundred rows of an hour."""
        query = "PartitionKey lt @before"
        removed = 0
        with translated("statistics"):
            rows = self._tables.client(STATS).query_entities(
                query, parameters={"before": hour_of(before)}, select=["PartitionKey", "RowKey"]
            )
            for _, hour in groupby(rows, lambda row: row["PartitionKey"]):
                for some in batched(hour, _TRANSACTION, strict=False):
                    self._remove(some)
                    removed += len(some)
        return removed

    def _remove(self, rows: Sequence[Mapping[str, Any]]) -> None:
        client = self._tables.client(STATS)
        try:
            with translated("statistics"):
                client.submit_transaction([("delete", row) for row in rows])
        except (NotFoundError, TransientError):
            # All or nothing: one row that somebody else has removed meanwhile keeps all others.
            with translated("statistics"):
                for row in rows:
                    client.delete_entity(row["PartitionKey"], row["RowKey"])


def _run_of(row: Mapping[str, Any]) -> TimerRun | None:
    at = parse_time(row.get("last_run"))
    if at is None:
        return None
    return TimerRun(at, float(row.get("seconds", 0)), json.loads(row.get("result") or "{}"), bool(row.get("failed")))
