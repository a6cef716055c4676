"""Buckets of requests in Azure Tables: one row per owner and kind, shared by all instances of the app.

Every write is guarded by the row's ETag, so that two instances never spend the same token.
"""

from __future__ import annotations

import random
import threading
import time
import zlib
from datetime import datetime
from typing import Any, Protocol

from shared.clients.table_rows import RATES, Tables, translated
from shared.domain.errors import ConflictError, NotFoundError
from shared.domain.ids import owner_key
from shared.domain.rates import Allowance, Bucket, Rate, take
from shared.domain.times import format_time, parse_time

TRIES = 10
"""Of one write against other instances, of which in each round one is the fastest."""
CONTENDED_SECONDS = 1.0
"""What somebody is asked to wait who asks so much at once that no try was the fastest."""
_LONGEST_PAUSE = 0.05
_TURNS = 16
TURN_SECONDS = 1.0
"""For which a thread waits for its turn. Beyond it the table is slow, and threads that wait behind each other for it
would keep the app from all its other work: they go on, and the ETag decides between them."""


class Rates(Protocol):
    """Where it is kept how often each owner has asked."""

    def take(self, owner: str, rate: Rate, allowance: Allowance, now: datetime) -> float:
        """Count one request; seconds to wait for the next one that may go on, 0 where this one may.

        Raises:
            TransientError: ``state_unavailable``.
        """


class TableRates:
    """The buckets on Azure Tables."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._turns = [threading.Lock() for _ in range(_TURNS)]
        """Threads of one process that serve one owner take turns: they would only make each other try again."""

    def take(self, owner: str, rate: Rate, allowance: Allowance, now: datetime) -> float:
        """One point read, and one conditional write unless there is nothing left; none of both without a limit.

        Raises:
            TransientError: ``state_unavailable``.
        """
        if not allowance.per_minute:
            return 0.0
        turn = self._turns[zlib.crc32(owner.encode(errors="replace")) % _TURNS]
        is_ours = turn.acquire(timeout=TURN_SECONDS)
        try:
            return self._take(owner, rate, allowance, now)
        finally:
            if is_ours:
                turn.release()

    def _take(self, owner: str, rate: Rate, allowance: Allowance, now: datetime) -> float:
        for _ in range(TRIES):
            bucket, etag = self._read(owner, rate)
            decision = take(bucket, allowance, now)
            if decision.bucket is None or self._write(owner, rate, decision.bucket, etag):
                return decision.wait_seconds
            time.sleep(random.uniform(0, _LONGEST_PAUSE))  # noqa: S311 - no secret
        return CONTENDED_SECONDS

    def _read(self, owner: str, rate: Rate) -> tuple[Bucket | None, str]:
        """The bucket and its row's ETag. One that cannot be read counts as none and is written anew."""
        try:
            with translated(f"the rate of {rate}"):
                row = self._tables.client(RATES).get_entity(*_keys(owner, rate).values())
        except NotFoundError:
            return None, ""
        etag, at, tokens = str(row.metadata["etag"]), parse_time(str(row.get("at") or "")), row.get("tokens")
        is_number = isinstance(tokens, int | float) and not isinstance(tokens, bool)
        return (Bucket(float(tokens), at) if is_number and at is not None else None), etag

    def _write(self, owner: str, rate: Rate, bucket: Bucket, etag: str) -> bool:
        """Write where nobody wrote since the row was read; False when somebody did."""
        from azure.core import MatchConditions
        from azure.data.tables import UpdateMode

        entity: dict[str, Any] = {**_keys(owner, rate), "tokens": bucket.tokens, "at": format_time(bucket.at)}
        client = self._tables.client(RATES)
        try:
            with translated(f"the rate of {rate}"):
                if etag:
                    client.update_entity(
                        entity, mode=UpdateMode.REPLACE, etag=etag, match_condition=MatchConditions.IfNotModified
                    )
                else:
                    client.create_entity(entity)
        except (ConflictError, NotFoundError):  # written or removed meanwhile
            return False
        return True


def _keys(owner: str, rate: Rate) -> dict[str, str]:
    return {"PartitionKey": owner_key(owner), "RowKey": rate.value}
