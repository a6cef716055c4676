"""A user of the HTTP API, for the end-to-end tests: nothing here knows the inside of the app."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient

from local.stack.stack import Stack
from shared.domain.times import parse_time
from tests.contract import differences, find_operation

QUERIES = Path(__file__).parents[2] / "local" / "sample" / "queries.fasta"
DATABASE = "resfinder"
TERMINAL = ("completed", "failed", "cancelled")


class Product:
    """One stack, used as a user would."""

    def __init__(self, stack: Stack, database: Path) -> None:
        self.stack = stack
        self.database = database
        self.http = httpx.Client(base_url=stack.api, timeout=60, event_hooks={"response": [check_answer]})

    def close(self) -> None:
        """Give the connections back."""
        self.http.close()

    def upload_database(self) -> None:
        """The sample database, as NCBI's lie in storage."""
        with self.blobs() as service:
            for file in self.database.iterdir():
                blob = service.get_blob_client("blast-db", f"{DATABASE}/{file.name}")
                blob.upload_blob(file.read_bytes(), overwrite=True)

    def blobs(self) -> BlobServiceClient:
        """The stack's storage, past the app."""
        return BlobServiceClient.from_connection_string(self.stack.stack_json["storage_connection_string"])

    def finish(self, started: httpx.Response) -> dict[str, Any]:
        """Wait for work that answered 202; its output."""
        assert started.status_code == 202, started.text
        url = started.json()["status_url"].removeprefix("/api")
        return wait_for(lambda: self.http.get(url).json().get("output"), 60, f"the end of {url}")

    def prepare(self, shards: int = 4) -> None:
        """Upload, cut into shards, warm."""
        self.upload_database()
        cut = self.finish(self.http.post(f"/blast/databases/{DATABASE}/shards", json={"shards": shards}))
        assert cut["status"] == "succeeded", cut
        warm = self.finish(self.http.post("/warmup/start", json={"database": DATABASE}))
        assert warm["status"] == "succeeded", warm
        self.fire("discover_external")  # the first look at the cluster writes its row; no test is to be surprised by it

    def submit(self, **change: Any) -> str:
        """Submit the sample queries in two batches; the job id."""
        answer = self.http.post("/blast/jobs", json=submit_body(**change))
        assert answer.status_code == 202, answer.text
        return str(answer.json()["job_id"])

    def detail(self, job_id: str) -> dict[str, Any]:
        """The search as the API shows it."""
        answer = self.http.get(f"/blast/jobs/{job_id}")
        assert answer.status_code == 200, answer.text
        shown: dict[str, Any] = answer.json()
        return shown

    def wait_end(self, job_id: str, seconds: float = 60) -> dict[str, Any]:
        """Wait until the search has ended, through restarts of the host."""

        def ended() -> dict[str, Any] | None:
            try:
                shown = self.detail(job_id)
            except httpx.TransportError:  # the host is being started again
                return None
            return shown if shown["status"] in TERMINAL else None

        return wait_for(ended, seconds, f"the end of {job_id}")

    def result(self, job_id: str) -> bytes:
        """The one published result file."""
        files = self.http.get(f"/blast/jobs/{job_id}/results").json()["manifest"]
        assert len(files) == 1
        return self.http.get(files[0]["url"].removeprefix("/api")).content

    def unsharded(self, *options: str) -> bytes:
        """What plain blastn prints for the sample queries on the whole database."""
        command = ["blastn", "-query", str(QUERIES), "-db", str(self.database / DATABASE), *options]
        return subprocess.run(command, check=True, capture_output=True).stdout

    def fire(self, timer: str) -> dict[str, Any]:
        """One whole run of a timer, as if its time had come; what it did."""
        began = datetime.now(UTC) - timedelta(milliseconds=1)
        base = self.stack.api.removesuffix("/api")
        httpx.post(f"{base}/admin/functions/{timer}", json={}).raise_for_status()

        def done() -> dict[str, Any] | None:
            run = self.http.get("/stats").json()["timers"].get(timer)
            at = parse_time(run["last_run"]) if run else None
            return run["result"] if run and at is not None and at >= began else None

        return wait_for(done, 60, f"the end of a turn of {timer}")

    def kubectl(self, *arguments: str) -> str:
        """What kubectl prints."""
        command = ["kubectl", "--kubeconfig", str(self.stack.home.kubeconfig), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout

    def control(self, path: str, body: Mapping[str, Any]) -> None:
        """Do something to the emulated cluster."""
        httpx.post(f"{self.stack.stack_json['cluster_control']}{path}", json=body).raise_for_status()

    def pace(self, job_id: str, seconds: float) -> None:
        """Let the BLAST pods of one search take this long."""
        self.control("/pace", {"label_selector": f"elb-job-id={job_id}", "delay_seconds": seconds})

    def everything_kept(self) -> tuple[list[str], list[str], list[str]]:
        """Every row, every blob and every Job that there is: what a refused request must not change.

        Without what comes and goes by the clock: counts of calls, runs of timers, and the ends of other searches.
        """
        rows, blobs = [], []
        with TableServiceClient.from_connection_string(self.stack.stack_json["storage_connection_string"]) as tables:
            for table in tables.list_tables():
                if table.name.startswith("elb"):
                    found = tables.get_table_client(table.name).list_entities()
                    keys = [f"{table.name}/{row['PartitionKey']}/{row['RowKey']}" for row in found]
                    rows += [key for key in keys if not re.match(r"elbstats/(timers/|[^/]*/(counted|ended)\|)", key)]
        with self.blobs() as service:
            for container in service.list_containers():
                listed = service.get_container_client(container.name).list_blobs()
                blobs += [f"{container.name}/{blob.name}" for blob in listed]
        jobs = self.kubectl("get", "jobs", "-o", "name").split()
        return sorted(rows), sorted(blobs), sorted(jobs)


def check_answer(response: httpx.Response) -> None:
    """See that an answer is what the API's document says of it.

    Not those of the host itself, which has no functions for such a request, or is about to end.
    """
    operation = find_operation(response.request.method, response.request.url.path)
    content = response.read()
    of_the_host = response.status_code in (500, 502, 503) and not content
    if operation is None or of_the_host:
        return
    if found := differences(operation, response.status_code, response.headers, content):
        raise AssertionError("\n".join(found))


def submit_body(**change: Any) -> dict[str, Any]:
    """A submit of the sample queries that gives two batches; None removes a field."""
    body: dict[str, Any] = {
        "program": "blastn",
        "database": DATABASE,
        "query_fasta": QUERIES.read_text(),
        "options": {"task": "megablast", "outfmt": "6 std", "max_target_seqs": 20},
        "batch_len": 20_000,
    }
    return {key: value for key, value in (body | change).items() if value is not None}


def wait_for[T](question: Callable[[], T | None], seconds: float, what: str) -> T:
    """Ask until there is an answer.

    Raises:
        TimeoutError: there was none in time.
    """
    end = time.monotonic() + seconds
    while (answer := question()) is None:
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come within {seconds:g} s")
        time.sleep(0.1)
    return answer
