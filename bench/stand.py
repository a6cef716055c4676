"""A stack to measure on: warm when asked for, with the app's settings that a benchmark wants, and past the app's back.

What is measured is read where it does not disturb: rows in storage, and the emulated cluster's own record of when each
Job and container ended. Reading through the app would make the app look at the cluster.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from azure.data.tables import TableClient, TableServiceClient

from bench.common import Json, Options
from local.stack.stack import Stack
from shared.domain.ids import newest_first_key, owner_key
from tests.e2e.product import DATABASE, TERMINAL, Product

OWNER = "dev@localhost"
SEARCHES = "elbsearches"


@dataclass(frozen=True, slots=True)
class Ended:
    """A search that has ended: its status, and when that was written, by storage's clock."""

    status: str
    at: float


class Stand:
    """One stack.

    Args:
        stack: up.
        database: folder of the sample database.
    """

    def __init__(self, stack: Stack, database: Path) -> None:
        self.stack = stack
        self.product = Product(stack, database)
        self._tables = TableServiceClient.from_connection_string(stack.stack_json["storage_connection_string"])
        self._rows: TableClient = self._tables.get_table_client(SEARCHES)
        self._is_uploaded = self._is_warm = False

    def close(self) -> None:
        """Give the connections back."""
        self.product.close()
        self._tables.close()

    def upload(self) -> None:
        """Put the sample database into storage, in four shards; nothing of it is on a node."""
        if not self._is_uploaded:
            self.product.upload_database()
            cut = self.product.http.post(f"/blast/databases/{DATABASE}/shards", json={"shards": 4})
            assert self.product.finish(cut)["status"] == "succeeded"
            self._is_uploaded = True

    def warm(self) -> None:
        """Bring the sample database into the nodes' memory."""
        if not self._is_warm:
            self.upload()
            warmed = self.product.finish(self.product.http.post("/warmup/start", json={"database": DATABASE}))
            assert warmed["status"] == "succeeded", warmed
            self._is_warm = True

    def use(self, settings: Mapping[str, str]) -> None:
        """Run the host with exactly these settings besides the usual ones; start it anew only if that changes them."""
        if self.stack.settings != dict(settings):
            self.stack.settings.clear()
            self.stack.restart_host(settings)

    def submit(self, **change: Any) -> tuple[str, float]:
        """Submit the sample queries; the job id, and when the answer 202 was there."""
        job_id = self.product.submit(**change)
        return job_id, time.time()

    def ended(self, job_id: str) -> Ended | None:
        """The end of one search, from its row; None while there is none."""
        row = self._rows.get_entity(owner_key(OWNER), f"s:{newest_first_key(job_id)}", select=["status", "Timestamp"])
        return _ended(row)

    def all_ended(self) -> dict[str, Ended]:
        """Every search that has ended, from the rows."""
        columns = ["RowKey", "job_id", "status", "Timestamp"]
        rows = self._rows.query_entities(
            "PartitionKey eq @owner", parameters={"owner": owner_key(OWNER)}, select=columns
        )
        return {row["job_id"]: end for row in rows if "job_id" in row and (end := _ended(row)) is not None}

    def wait_ended(self, job_id: str, seconds: float = 180) -> Ended:
        """Wait for the end of a search without the app's noticing.

        Raises:
            RuntimeError: it did not complete.
            TimeoutError: it did not end.
        """
        limit = time.monotonic() + seconds
        while (end := self.ended(job_id)) is None:
            if time.monotonic() > limit:
                shown = self.product.detail(job_id)
                raise TimeoutError(f"{job_id} is {shown['phase']} after {seconds:g} s: {shown['waiting_reason']}")
            time.sleep(0.05)
        self.check(job_id, end)
        return end

    def check(self, job_id: str, end: Ended) -> None:
        """A search that did not complete would be a wrong answer.

        Raises:
            RuntimeError: with the search's error.
        """
        if end.status != "completed":
            raise RuntimeError(f"{job_id} ended {end.status}: {self.product.detail(job_id)['error']}")

    def times(self, selector: str) -> dict[str, list[Json]]:
        """``jobs`` and ``pods`` with their exact times, as the emulated cluster's control endpoint shows them."""
        url = f"{self.stack.stack_json['cluster_control']}/times"
        answer = httpx.get(url, params={"label_selector": selector}).raise_for_status()
        return {resource: list(entries.values()) for resource, entries in answer.json().items()}

    def pace(self, seconds: float) -> None:
        """How long BLAST containers that start from now on wait before they begin."""
        self.product.control("/pace", {"label_selector": "app=blast", "delay_seconds": seconds})


class Stands:
    """Gives each benchmark a new stack; in a quick run all get the same one."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._database = options.folder / "database"
        self._numbers = iter(range(1_000))
        self._shared: Stand | None = None
        self._open = ExitStack()

    def __enter__(self) -> Stands:
        """Nothing is started before it is asked for."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the stack that was shared."""
        self._open.close()

    @contextmanager
    def stand(self) -> Iterator[Stand]:
        """A stack with the usual settings."""
        if not self.options.quick:
            with self._start() as stand:
                yield stand
            return
        if self._shared is None:
            self._shared = self._open.enter_context(self._start())
        self._shared.use({})
        self._shared.pace(0)
        yield self._shared

    @contextmanager
    def _start(self) -> Iterator[Stand]:
        if not self._database.exists():
            build = [sys.executable, "-m", "local.sample.build", "--out", str(self._database)]
            subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
        with Stack(self.options.folder / f"stack{next(self._numbers)}", fresh=True) as stack:
            stand = Stand(stack, self._database)
            try:
                yield stand
            finally:
                stand.close()


def moment(text: str) -> float:
    """A time of the emulated cluster as seconds since the epoch."""
    return datetime.fromisoformat(text).timestamp()


def _ended(row: Any) -> Ended | None:
    status = row.get("status")
    return Ended(status, row.metadata["timestamp"].timestamp()) if status in TERMINAL else None
