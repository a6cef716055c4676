"""The command-line engine on an emulated cluster: the real helper, the stand-in for elastic-blast, real BLAST.

The orchestrator is played with the real activities, so that nothing but the pods takes time.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from activities.cli_engine import check_cli_submit, remove_cli_submit, start_cli_submit
from activities.registry import errors_as_data
from local.elastic_blast.install import install
from local.elastic_blast.openapi import NAME, openapi_pod, sign
from local.stack.identity import CLUSTER, RESOURCE_GROUP, STORAGE_ACCOUNT, SUBSCRIPTION
from local.stack.settings import app_settings
from local.stack.stack import Stack
from orchestrators.cli_submit import cli_submit_orchestrator
from shared.clients.observer import look_at_cluster
from shared.clients.provider import AzureClients, use
from shared.config import read_settings
from shared.domain import functions as names
from shared.domain.cli_manifest import helper_name
from shared.domain.cli_results import jobs_submitted, pieces, success_marker
from shared.domain.ids import new_job_id
from shared.domain.observation import Outcome, ids_of
from shared.domain.results import DATABASES_CONTAINER, QUERIES_CONTAINER, RESULTS_CONTAINER, query_blob
from shared.domain.search import ClusterRef, Search
from shared.domain.states import Phase
from tests.e2e.product import DATABASE, QUERIES, wait_for
from tests.orchestrators.fake_context import Play, play

OPTIONS = {"task": "megablast", "outfmt": "6 std", "max_target_seqs": 20}
Json = dict[str, Any]


class NobodyToWake:
    """The Durable client's place: no orchestration runs here."""

    def wake(self, instance: str, event: str) -> None:
        """Nothing."""


@dataclass(frozen=True)
class Bench:
    """A cluster, its storage, and the clients of the app."""

    stack: Stack
    clients: AzureClients
    database: Path

    def kubectl(self, *words: str, given: Json | None = None) -> str:
        """The real kubectl."""
        command = ["kubectl", "--kubeconfig", self.stack.stack_json["kubeconfig"], *words]
        run = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, timeout=30)
        assert run.returncode == 0, run.stderr
        return run.stdout

    def deploy(self, faults: str = "") -> None:
        """Put the pod in the place of elb-openapi, with what the stand-in shall do wrong."""
        self.remove_openapi()
        identity = self.stack.identity
        signature = sign(STORAGE_ACCOUNT, identity.storage_key)
        url = self.stack.stack_json["kubernetes"]
        self.kubectl("create", "-f", "-", given=openapi_pod(url, identity.cluster_token, signature, faults=faults))
        self.kubectl("wait", "--for=condition=Ready", f"pod/{NAME}", "--timeout=20s")

    def remove_openapi(self) -> None:
        """Have no such pod."""
        self.kubectl("delete", "pod", NAME, "--ignore-not-found", "--wait=true")

    def search(self) -> Search:
        """A search in its row, with the sample queries in storage, on its way to the command line."""
        job_id = new_job_id(int(time.time() * 1000), os.urandom(10))
        cluster = ClusterRef(SUBSCRIPTION, RESOURCE_GROUP, CLUSTER, STORAGE_ACCOUNT)
        query = QUERIES.read_bytes()
        blobs = self.clients.blobs(STORAGE_ACCOUNT)
        blobs.put(QUERIES_CONTAINER, query_blob(job_id), query, "text/plain")
        row = Search(
            job_id=job_id,
            owner="anna",
            program="blastn",
            database=DATABASE,
            cluster=cluster,
            created_at=datetime.now(UTC),
            engine="cli",
            phase=Phase.SUBMITTING,
            options=OPTIONS,
            query={"blob": query_blob(job_id), "batch_len": 20_000},
        )
        self.clients.clusters.remember(cluster)
        return self.clients.searches.create(row)[0]

    def submitted(self, search: Search, alias: str) -> Search:
        """What the search's orchestration writes when the helper has succeeded."""

        def change(row: Search) -> Search:
            aliases = (alias,) if alias else ()
            return replace(row, phase=Phase.SUBMITTED, jobs_created_at=datetime.now(UTC), aliases=aliases)

        return self.clients.searches.update(search.owner, search.job_id, change)

    def wait_done(self, search: Search) -> None:
        """Look at the cluster, as the monitor does, until it says that the search is done."""

        def done() -> bool | None:
            look_at_cluster(search.cluster, NobodyToWake(), follow_up=True)  # type: ignore[arg-type]
            return (self.clients.searches.get(search.owner, search.job_id).outcome == Outcome.DONE) or None

        wait_for(done, 60, "the end of the search")

    def jobs(self, search: Search, app: str) -> list[Json]:
        """The search's Jobs with this label."""
        found: list[Json] = json.loads(self.kubectl("get", "jobs", "-l", f"app={app}", "-o", "json"))["items"]
        return [job for job in found if job["metadata"]["labels"]["elb-job-id"] in ids_of(search)]

    def names(self, search: Search, app: str) -> list[str]:
        """Names of the search's Jobs with this label."""
        return sorted(job["metadata"]["name"] for job in self.jobs(search, app))

    def listed(self, elb_id: str) -> list[tuple[str, int]]:
        """The blobs that the command line wrote."""
        found = self.clients.blobs(STORAGE_ACCOUNT).listing(RESULTS_CONTAINER, f"{elb_id}/")
        return [(blob.name, blob.size) for blob in found]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, sample_database: Path) -> Iterator[Bench]:
    """Storage with the sample database, and a cluster whose pods find the stand-in for elastic-blast."""
    home = tmp_path_factory.mktemp("cli")
    install(home / "state" / "tools")
    with Stack(home, parts=("azurite", "cluster", "arm")) as stack:
        described = stack.stack_json
        ports = {name: urlsplit(described[key]).port or 0 for name, key in (("blob", "blob_endpoint"), ("arm", "arm"))}
        ports |= {"app": 1, "queue": 1, "table": urlsplit(described["table_endpoint"]).port or 0}
        clients = AzureClients(read_settings(app_settings(ports, stack.identity)))
        for file in sample_database.iterdir():
            name, content = f"{DATABASE}/{file.name}", file.read_bytes()
            clients.blobs(STORAGE_ACCOUNT).put(DATABASES_CONTAINER, name, content, "application/octet-stream")
        clients.blobs(STORAGE_ACCOUNT).put(RESULTS_CONTAINER, "here", b"here", "text/plain")
        with use(clients):
            yield Bench(stack, clients, sample_database)


def patient_check(data: Json) -> Json:
    """The look that sees the end: nothing in between would change what the orchestrator does."""

    def ended() -> Json | None:
        seen = errors_as_data(check_cli_submit)(data)
        return None if seen.get("state") in ("running", "stuck") else seen

    return wait_for(ended, 60, "the end of the helper")


def submit(search: Search, check: Callable[[Json], Json] = patient_check, **fields: Any) -> Play:
    """Play the orchestration to its end; every activity is the real one."""
    data: Json = {**search.ref, **fields}
    answers = {
        names.START_CLI_SUBMIT: errors_as_data(start_cli_submit),
        names.CHECK_CLI_SUBMIT: check,
        names.REMOVE_CLI_SUBMIT: errors_as_data(remove_cli_submit),
    }
    played = play(cli_submit_orchestrator, data, answers)
    while played.continued is not None:
        played = play(cli_submit_orchestrator, played.continued, answers, now=played.context.now)
    return played


class TestSearch:
    def test_a_search_from_submit_to_results(self, bench: Bench) -> None:
        bench.deploy()
        search = bench.search()
        assert submit(search).result == {"status": "submitted", "alias": ""}
        search = bench.submitted(search, "")
        bench.wait_done(search)
        kept = bench.clients.searches.get(search.owner, search.job_id)
        assert (kept.progress.total, kept.progress.succeeded) == (2, 2)
        listed = bench.listed(search.job_id)
        found = pieces(search.job_id, listed)
        assert [piece.batch for piece in found] == [0, 1]
        blobs = bench.clients.blobs(STORAGE_ACCOUNT)
        assert int(blobs.read(RESULTS_CONTAINER, jobs_submitted(search.job_id))) == len(found)
        assert success_marker(search.job_id) in dict(listed)
        rows = b"".join(gzip.decompress(blobs.read(RESULTS_CONTAINER, piece.name)) for piece in found)
        command = ["blastn", "-query", str(QUERIES), "-db", str(bench.database / DATABASE), "-task", "megablast"]
        command += ["-outfmt", "6 std", "-max_target_seqs", "20"]
        assert rows == subprocess.run(command, check=True, capture_output=True).stdout
        assert rows.count(b"\n") > 100

    def test_the_helper_is_what_the_design_says(self, bench: Bench) -> None:
        bench.deploy("fail=1")
        search = bench.search()
        submit(search, parallel=False)
        (helper,) = bench.jobs(search, "elb-submit")
        assert helper["metadata"]["name"] == f"elb-submit-{search.job_id}"
        assert (helper["spec"]["backoffLimit"], helper["spec"]["ttlSecondsAfterFinished"]) == (0, 300)
        spec = helper["spec"]["template"]["spec"]
        assert (spec["serviceAccountName"], spec["containers"][0]["image"]) == ("elb-openapi", "elb-openapi:4.14")
        env = {entry["name"]: entry["value"] for entry in spec["containers"][0]["env"]}
        assert env["ELB_PARALLEL_WARM_REUSE"] == "0"
        assert "machine-type = Standard_E8s_v5\nnum-nodes = 4\n" in env["ELB_SUBMIT_CONFIG"]

    def test_a_command_that_takes_an_id_of_its_own(self, bench: Bench) -> None:
        bench.deploy("own_id=1")
        search = bench.search()
        result = submit(search).result
        assert result["status"] == "submitted"
        alias = result["alias"]
        assert alias not in ("", search.job_id)
        search = bench.submitted(search, alias)
        bench.wait_done(search)
        assert len(pieces(alias, bench.listed(alias))) == 2
        assert len(bench.names(search, "blast")) == 2

    def test_started_twice_it_is_one_helper_and_one_set_of_jobs(self, bench: Bench) -> None:
        bench.deploy()
        search = bench.search()
        assert start_cli_submit(search.ref) == start_cli_submit(search.ref)
        assert submit(search).result["status"] == "submitted"
        assert len(bench.names(search, "elb-submit")) == 1
        assert len(bench.names(search, "blast")) == 2
        assert len(bench.names(search, "setup")) == 4
        assert len(bench.names(search, "finalizer")) == 1


@pytest.mark.proves("S7")
class TestFailures:
    @pytest.mark.parametrize(
        ("code", "error"), [(1, "bad_query_or_options"), (4, "out_of_memory"), (255, "command_line_failed")]
    )
    def test_the_exit_code_of_the_command(self, bench: Bench, code: int, error: str) -> None:
        bench.deploy(f"fail={code}")
        failure = submit(bench.search()).result["error"]
        assert (failure["code"], failure["exit_code"]) == (error, code)
        assert "told to fail" in failure["log_tail"]
        assert "container submit: terminated, Error" in failure["log_tail"]

    def test_a_log_of_2_mb_with_the_marker_last(self, bench: Bench) -> None:
        bench.deploy("noise=2000000,fail=3")
        failure = submit(bench.search()).result["error"]
        assert (failure["code"], failure["exit_code"]) == ("blast_engine_error", 3)
        assert len(failure["log_tail"]) <= 8000

    def test_a_log_without_a_marker(self, bench: Bench) -> None:
        bench.deploy("die=1")
        failure = submit(bench.search()).result["error"]
        assert failure["exit_code"] == 6
        assert "its log ends without an exit code" in failure["message"]

    def test_one_more_helper_after_a_passing_trouble(self, bench: Bench) -> None:
        bench.deploy("fail_first=8")
        search = bench.search()
        assert submit(search).result["status"] == "submitted"
        first = helper_name(search.job_id)
        assert bench.names(search, "elb-submit") == [first, f"{first}-t2"]

    def test_a_second_helper_completes_a_half_made_set(self, bench: Bench) -> None:
        bench.deploy("half=8")
        search = bench.search()
        failed = submit(search).result
        assert failed["error"]["exit_code"] == 8
        assert len(bench.names(search, "blast")) == 1
        bench.deploy()
        retried = bench.clients.searches.update(search.owner, search.job_id, lambda row: replace(row, attempt=2))
        assert submit(retried).result["status"] == "submitted"
        assert len(bench.names(search, "blast")) == 2

    @pytest.mark.proves("S8")
    def test_no_elb_openapi(self, bench: Bench) -> None:
        bench.remove_openapi()
        search = bench.search()
        failure = submit(search).result["error"]
        assert failure["code"] == "openapi_missing"
        assert failure["message"].startswith("No elb-openapi pod found in cluster. Deploy it from the AKS card (")
        assert bench.names(search, "elb-submit") == []


class TestRemoval:
    @pytest.mark.proves("S7")
    def test_a_helper_whose_image_is_denied(self, bench: Bench) -> None:
        bench.deploy()
        pod = json.loads(bench.kubectl("get", "pod", NAME, "-o", "json"))
        assert pod["spec"]["containers"][0]["image"] == "elb-openapi:4.14"
        search = bench.search()
        _control(bench, "/images", {"deny": ["elb-openapi:4.14"]})
        try:
            failure = submit(search, _check_when_stuck).result["error"]
        finally:
            _control(bench, "/images", {"add": ["elb-openapi:4.14"]})
        assert failure["code"] == "submit_timeout"
        assert "ImagePullBackOff" in failure["message"]
        assert "phase Pending" in failure["log_tail"]
        assert bench.names(search, "elb-submit") == []

    def test_a_cancel_leaves_no_helper(self, bench: Bench) -> None:
        bench.deploy("hang=600")
        search = bench.search()
        start_cli_submit(search.ref)
        wait_for(lambda: "stand-in" in check_cli_submit({**search.ref, "with_log": True})["log"] or None, 20, "its log")
        now = datetime.now(UTC)
        bench.clients.searches.update(search.owner, search.job_id, lambda row: replace(row, cancel_requested_at=now))
        assert submit(search).result == {"status": "cancelled"}
        assert bench.names(search, "elb-submit") == []
        pods = ("get", "pods", "-l", f"app=elb-submit,elb-job-id={search.job_id}", "-o", "name")
        wait_for(lambda: bench.kubectl(*pods) == "" or None, 20, "the end of its pod")


def _check_when_stuck(data: Json) -> Json:
    def stuck() -> Json | None:
        seen = check_cli_submit(data)
        return seen if any("ImagePullBackOff" in reason for reason in seen["reasons"]) else None

    return wait_for(stuck, 30, "a helper that is stuck")


def _control(bench: Bench, path: str, body: Json) -> None:
    httpx.post(f"{bench.stack.stack_json['cluster_control']}{path}", json=body).raise_for_status()
