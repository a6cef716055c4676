"""A stack whose host talks to everything through tripwires, and a client that behaves as a careful one does.

The state is read past the tripwires, straight from Azurite and the emulated cluster, so that looking never trips one.
"""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from typing import Any

import httpx
from azure.data.tables import TableServiceClient, UpdateMode

from local.tripwire.calls import Call
from local.tripwire.tripwires import Tripwires
from local.tripwire.wires import Action, Tripwire, kill
from shared.domain.ids import newest_first_key, owner_key
from tests.e2e.product import QUERIES, TERMINAL, Product, submit_body, wait_for

OWNER = "dev@localhost"
POST_JOB = "kubernetes POST /apis/batch/v1/namespaces/default/jobs"
ROWS_OF_AN_ENDED_SEARCH = ["elbindex all", "elbindex id", "elbsearches i", "elbsearches s"]
MEGABLAST = ("-task", "megablast", "-outfmt", "6 std", "-max_target_seqs", "20")


def two_sequences() -> str:
    """The first queries of the sample: one without a hit, one with hits. One batch."""
    records = QUERIES.read_text().split(">")[1:3]
    return "".join(f">{record}" for record in records)


SMALL: dict[str, Any] = {"query_fasta": two_sequences(), "batch_len": None}
"""What a submit of one batch changes."""


class Guarded:
    """One stack with tripwires, for tests that let things fail."""

    def __init__(self, product: Product, tripwires: Tripwires) -> None:
        self.product = product
        self.tripwires = tripwires
        self._tables = TableServiceClient.from_connection_string(product.stack.stack_json["storage_connection_string"])
        self._kubernetes = httpx.Client(
            base_url=product.stack.stack_json["kubernetes"],
            headers={"Authorization": f"Bearer {product.stack.identity.cluster_token}"},
            timeout=60,
        )
        self.wanted = product.unsharded(*MEGABLAST)

    def close(self) -> None:
        """Give the connections back."""
        self._tables.close()
        self._kubernetes.close()

    @property
    def host_pid(self) -> int | None:
        """The host's process id; None while it is being started again."""
        pids: dict[str, int] = self.product.stack.stack_json["pids"]
        return pids.get("host")

    def kill_host(self) -> Action:
        """The action that ends the host; the stack starts it again."""
        return kill(self.product.stack.kill_host)

    def submit(self, key: str = "", **change: Any) -> str:
        """Submit as a careful client does: again with the same key until there is an answer.

        Raises:
            TimeoutError: there was none.
            AssertionError: the submit was refused.
        """
        headers, body = {"Idempotency-Key": key or uuid.uuid4().hex}, submit_body(**change)

        def answered() -> httpx.Response | None:
            try:
                answer = self.product.http.post("/blast/jobs", json=body, headers=headers)
            except httpx.TransportError:
                return None
            if answer.status_code == 503:
                assert answer.json()["error"]["code"] in ("state_unavailable", "storage_unavailable"), answer.text
                return None
            return answer

        answer = wait_for(answered, 60, "an answer to the submit")
        assert answer.status_code == 202, answer.text
        return str(answer.json()["job_id"])

    def submit_once(self, key: str = "", **change: Any) -> None:
        """Submit as a client does that goes away when its answer is lost."""
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        try:
            self.product.http.post("/blast/jobs", json=submit_body(**change), headers=headers)
        except httpx.TransportError:
            return
        raise AssertionError("the answer was not lost")

    def cancel(self, job_id: str) -> None:
        """Cancel as a careful client does: again until there is an answer.

        Raises:
            TimeoutError: there was none.
            AssertionError: the cancel was refused.
        """

        def answered() -> httpx.Response | None:
            try:
                answer = self.product.http.post(f"/blast/jobs/{job_id}/cancel", json={"reason": "asked for by a test"})
            except httpx.TransportError:
                return None
            return None if answer.status_code == 503 else answer

        answer = wait_for(answered, 60, "an answer to the cancel")
        assert answer.status_code == 202, answer.text

    def row(self, job_id: str, owner: str = OWNER) -> Mapping[str, Any]:
        """The search's row."""
        return self._tables.get_table_client("elbsearches").get_entity(*_row_keys(job_id, owner))

    def set_column(self, job_id: str, **columns: str) -> None:
        """Change the row, as time or somebody else would."""
        partition, row = _row_keys(job_id)
        entity = {"PartitionKey": partition, "RowKey": row, **columns}
        self._tables.get_table_client("elbsearches").update_entity(entity, mode=UpdateMode.MERGE)

    def wait_row(self, job_id: str, seconds: float = 60, **columns: str) -> Mapping[str, Any]:
        """Wait until the row has these columns."""

        def has() -> Mapping[str, Any] | None:
            row = self.row(job_id)
            return row if all(row[name] == value for name, value in columns.items()) else None

        return wait_for(has, seconds, f"{columns} of {job_id}")

    def wait_end(self, job_id: str, seconds: float = 60, owner: str = OWNER) -> Mapping[str, Any]:
        """Wait until the row says that the search has ended."""

        def ended() -> Mapping[str, Any] | None:
            row = self.row(job_id, owner)
            return row if row["status"] in TERMINAL else None

        return wait_for(ended, seconds, f"the end of {job_id}")

    def all_jobs(self) -> list[dict[str, Any]]:
        """Every BLAST Job of the cluster."""
        return self._objects("/apis/batch/v1/namespaces/default/jobs", "app=blast")

    def rows_of(self, job_id: str) -> list[str]:
        """Table and kind of each row that names the search, sorted."""
        tables = {"elbsearches": "RowKey", "elbindex": "PartitionKey"}
        kinds = [
            f"{table} {row[key].partition(':')[0]}"
            for table, key in tables.items()
            for row in self._tables.get_table_client(table).list_entities()
            if row.get("job_id") == job_id
        ]
        return sorted(kinds)

    def wait_rows(self, job_id: str) -> None:
        """Wait until the rows are those of an ended search: whoever asks for the active ones drops it from their index.

        Raises:
            TimeoutError: they are others.
        """
        has_results = self.row(job_id)["status"] == "completed"
        wanted = sorted([*ROWS_OF_AN_ENDED_SEARCH, *(["elbindex expires"] if has_results else [])])
        if self.rows_of(job_id) != wanted:
            self.reconcile()
        wait_for(lambda: self.rows_of(job_id) == wanted or None, 10, f"right rows of {job_id}")

    def error(self, job_id: str) -> dict[str, Any]:
        """The error in the row's payload."""
        return dict(json.loads(str(self.row(job_id)["payload"]))["error"] or {})

    def jobs(self, job_id: str) -> list[dict[str, Any]]:
        """The search's Kubernetes Jobs."""
        return self._objects("/apis/batch/v1/namespaces/default/jobs", f"elb-job-id={job_id}")

    def pods(self, job_id: str) -> list[dict[str, Any]]:
        """The search's pods."""
        return self._objects("/api/v1/namespaces/default/pods", f"elb-job-id={job_id}")

    def wait_gone(self, job_id: str, seconds: float = 30) -> None:
        """Wait until no Job of the search is active and none of its pods is there that has not ended."""

        def gone() -> bool | None:
            active = [job for job in self.jobs(job_id) if job["status"].get("active")]
            alive = [pod for pod in self.pods(job_id) if pod["status"].get("phase") in ("Pending", "Running")]
            return None if active or alive else True

        wait_for(gone, seconds, f"the end of all pods of {job_id}")

    def running_pods(self, job_id: str) -> int:
        """How many of the search's pods run."""
        return sum(pod["status"].get("phase") == "Running" for pod in self.pods(job_id))

    def blobs(self, job_id: str) -> list[str]:
        """The search's blobs in the container of results."""
        with self.product.blobs() as service:
            found = service.get_container_client("results").list_blobs(name_starts_with=f"{job_id}/")
            return sorted(blob.name.removeprefix(f"{job_id}/") for blob in found)

    def query_folders(self) -> set[str | None]:
        """The searches that have blobs in the container of queries."""
        with self.product.blobs() as service:
            return {blob.name.partition("/")[0] for blob in service.get_container_client("queries").list_blobs()}

    def reconcile(self) -> None:
        """Run the timer that finds what nobody looks after, as if its minute had come."""
        base = self.product.stack.api.removesuffix("/api")
        httpx.post(f"{base}/admin/functions/reconcile_stale_jobs", json={}).raise_for_status()

    def pace(self, seconds: float) -> None:
        """Let every BLAST pod that starts from now on take this much longer."""
        self.product.control("/pace", {"label_selector": "app=blast", "delay_seconds": seconds})

    def arm_says(self, power: str) -> None:
        """Let ARM say that the cluster is ``Running`` or ``Stopped``; the cluster itself stays as it is."""
        url = f"{self.product.stack.stack_json['arm']}/control/cluster"
        headers = {"Authorization": f"Bearer {self.product.stack.identity.arm_token}"}
        httpx.patch(url, json={"power": power}, headers=headers).raise_for_status()

    def _objects(self, path: str, selector: str) -> list[dict[str, Any]]:
        answer = self._kubernetes.get(path, params={"labelSelector": selector}).raise_for_status()
        items: list[dict[str, Any]] = answer.json()["items"]
        return items


def assert_exactly_one_of_everything(guarded: Guarded, job_id: str, mark: int) -> None:
    """The search completed with one row, one run, one set of Jobs, one set of results, and the right ones.

    Args:
        mark: of the tripwires, from before the submit.
    """
    row = guarded.row(job_id)
    assert (row["status"], row["run"], row["attempt"]) == ("completed", 1, 1), guarded.error(job_id)
    guarded.wait_rows(job_id)
    positions = Counter(
        (job["metadata"]["labels"]["batch"], job["metadata"]["labels"]["shard"]) for job in guarded.jobs(job_id)
    )
    assert positions == Counter((f"{batch:03d}", f"{shard:02d}") for batch in range(2) for shard in range(4))
    assert len(created_jobs(guarded.tripwires.calls(mark), job_id)) == 8
    pieces = [f"pieces/batch_{batch:03d}-shard_{shard:02d}.out.gz" for batch in range(2) for shard in range(4)]
    merged = ["merged/batch_000.out", "merged/batch_001.out"]
    assert guarded.blobs(job_id) == sorted(["manifest.json", "results.tsv", *merged, *pieces])
    assert guarded.product.result(job_id) == guarded.wanted
    shown = guarded.product.detail(job_id)
    assert (shown["status"], shown["error"], shown["progress"]["succeeded"]) == ("completed", None, 8)


def created_jobs(calls: list[Call], job_id: str) -> list[Call]:
    """The requests that made a Job of the search."""
    return [call for call in calls if call.pattern == POST_JOB and call.job_id == job_id and call.status == 201]


def wait_killed(guarded: Guarded, pid: int | None, wire: Tripwire | None = None) -> None:
    """Wait until the tripwire has been met, the host of that process id is dead and another one serves."""
    if wire is not None:
        wire.wait(60)
    wait_for(lambda: guarded.host_pid not in (None, pid) or None, 30, "another host")
    guarded.product.stack.wait_ready()


def now_plus(seconds: float) -> str:
    """A time as the rows have it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


def _row_keys(job_id: str, owner: str = OWNER) -> tuple[str, str]:
    return owner_key(owner), f"s:{newest_first_key(job_id)}"
