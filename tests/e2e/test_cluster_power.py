"""A cluster that is stopped and started, as a user and an operator see it: a stack of its own, real BLAST."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.elastic_blast.install import install
from local.elastic_blast.openapi import sign
from local.stack.identity import STORAGE_ACCOUNT
from local.stack.stack import Stack
from tests.e2e.product import DATABASE, Product, wait_for

UNSHARDED = ("-task", "megablast", "-outfmt", "6 std", "-max_target_seqs", "20")


@pytest.fixture(scope="module")
def powered(tmp_path_factory: pytest.TempPathFactory, sample_database: Path) -> Iterator[Product]:
    """A stack with the sample database warm in four shards."""
    with Stack(tmp_path_factory.mktemp("power"), fresh=True) as stack:
        product = Product(stack, sample_database)
        product.prepare()
        yield product
        product.close()


def monitor(product: Product) -> dict[str, Any]:
    """The cluster's row."""
    [row] = product.http.get("/monitor/aks").json()["items"]
    return dict(row)


def arm(product: Product, **fields: Any) -> None:
    """Change what the emulator of ARM does."""
    headers = {"Authorization": f"Bearer {product.stack.identity.arm_token}"}
    url = f"{product.stack.stack_json['arm']}/control/cluster"
    httpx.patch(url, json=fields, headers=headers).raise_for_status()


def operate(product: Product, verb: str, **body: Any) -> dict[str, Any]:
    """Start or stop, to the end; the output."""
    return product.finish(product.http.post(f"/aks/{verb}", json=body))


@pytest.fixture
def running(powered: Product) -> Iterator[Product]:
    """The cluster runs, before and after the test."""
    yield powered
    assert operate(powered, "start")["status"] == "succeeded"


@pytest.mark.proves("C1", "C2")
def test_stopped_a_search_waits_started_with_a_preference_everything_runs(running: Product) -> None:
    product = running
    before = monitor(product)
    assert (before["lifecycle_state"], before["workload_ready"], before["warm_ready"]) == ("running", True, True)
    assert before["counts"]["nodes_ready"] == before["counts"]["nodes_expected"] > 0
    stopped = operate(product, "stop")
    assert (stopped["status"], stopped["already"]) == ("succeeded", False)
    row = wait_for(lambda: ((r := monitor(product))["lifecycle_state"] == "stopped" and r) or None, 10, "stopped")
    assert (row["workload_ready"], row["warm_ready"], "counts" in row) == (False, False, False)
    assert row["next_refresh_seconds"] > 0
    assert {(pool["count"], pool["ready"]) for pool in row["summary"]["pools"]} == {(None, None)}
    job_id = product.submit()
    shown = wait_for(lambda: ((d := product.detail(job_id))["status"] == "pending" and d) or None, 20, "waiting")
    assert (shown["phase"], "is stopped" in shown["waiting_reason"]) == ("waiting_for_cluster", True)
    started = operate(product, "start", auto_warm={"databases": [DATABASE], "enabled": True})
    assert (started["status"], started["already"]) == ("succeeded", False)
    assert "error" not in started["warmed"]
    preference = product.http.get("/warmup/auto-preference").json()
    assert (preference["databases"], preference["enabled"]) == ([DATABASE], True)
    assert product.wait_end(job_id)["status"] == "completed"
    assert product.result(job_id) == product.unsharded(*UNSHARDED)
    assert monitor(product)["workload_ready"] is True


@pytest.mark.proves("C2")
def test_started_twice_at_once_it_is_one_operation(running: Product) -> None:
    product = running
    assert operate(product, "stop")["status"] == "succeeded"
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: product.http.post("/aks/start", json={}), range(4)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["instance_id"] for answer in answers}) == 1
    assert product.finish(answers[0])["status"] == "succeeded"
    assert operate(product, "start")["already"] is True


@pytest.mark.proves("C2")
def test_a_start_while_it_stops_waits_and_then_starts(running: Product) -> None:
    product = running
    arm(product, stop_seconds=12.0)
    try:
        stop = product.http.post("/aks/stop", json={})
        wait_for(lambda: monitor(product)["lifecycle_state"] == "stopping" or None, 10, "stopping")
    finally:
        arm(product, stop_seconds=2.0)
    started = operate(product, "start")
    assert (started["status"], started["already"]) == ("succeeded", False)
    assert product.http.get(f"/aks/operations/{stop.json()['instance_id']}").json()["runtime_status"] == "completed"


@pytest.mark.proves("C2")
def test_a_stop_is_refused_while_a_search_runs(running: Product) -> None:
    product = running
    product.control("/pace", {"label_selector": "app=blast", "delay_seconds": 8})
    try:
        job_id = product.submit()
        wait_for(lambda: product.detail(job_id)["phase"] == "running" or None, 30, "a running search")
        refused = product.http.post("/aks/stop", json={})
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "cluster_in_use")
    finally:
        product.control("/pace", {"label_selector": "app=blast", "delay_seconds": 0})
    assert product.wait_end(job_id)["status"] == "completed"


@pytest.mark.proves("C2")
def test_a_host_that_is_killed_in_the_middle_loses_no_start(running: Product) -> None:
    product = running
    assert operate(product, "stop")["status"] == "succeeded"
    arm(product, start_seconds=8.0)
    try:
        begun = product.http.post("/aks/start", json={})
        url = begun.json()["status_url"].removeprefix("/api")
        wait_for(lambda: product.http.get(url).json()["custom_status"]["phase"] == "starting" or None, 10, "starting")
        product.stack.kill_host()
        product.stack.wait_ready()
    finally:
        arm(product, start_seconds=4.0)
    assert product.finish(begun)["already"] is False
    assert monitor(product)["workload_ready"] is True


class TestOpenApi:
    def inject(self, product: Product, environment: dict[str, str]) -> None:
        """What the stand-in for the command line needs to reach the emulators."""
        product.control("/inject", {"label_selector": "app=elb-openapi", "env": environment})

    def deploy(self, product: Product) -> dict[str, Any]:
        """Deploy, to the end."""
        return product.finish(product.http.post("/aks/openapi/deploy", json={}))

    @pytest.mark.proves("S8")
    def test_a_deployed_one_is_found_by_the_command_line_engine(self, running: Product) -> None:
        product = running
        install(product.stack.home.tools)
        identity = product.stack.identity
        environment = {
            "ELB_STAND_IN_KUBERNETES": product.stack.stack_json["kubernetes"],
            "ELB_STAND_IN_TOKEN": identity.cluster_token,
            "ELB_STAND_IN_SAS": sign(STORAGE_ACCOUNT, identity.storage_key),
        }
        self.inject(product, environment)
        first = self.deploy(product)
        assert (first["status"], first["warnings"]) == ("succeeded", [])
        assert len(first["created"]) == 5
        again = self.deploy(product)
        assert (again["created"], again["replaced"]) == ([], [])
        pods = json.loads(product.kubectl("get", "pods", "-l", "app=elb-openapi", "-o", "json"))["items"]
        assert [pod["spec"]["serviceAccountName"] for pod in pods] == ["elb-openapi"]
        job_id = product.submit(engine="cli")
        shown = product.wait_end(job_id, 90)
        assert (shown["status"], shown["error"]) == ("completed", None)
        assert product.result(job_id) == product.unsharded(*UNSHARDED)

    def test_what_somebody_changed_is_repaired(self, running: Product) -> None:
        product = running
        self.deploy(product)
        product.kubectl("delete", "service", "elb-openapi")
        product.kubectl("patch", "deployment", "elb-openapi", "-p", '{"spec": {"replicas": 0}}')
        repaired = self.deploy(product)
        assert (repaired["status"], repaired["created"], repaired["replaced"]) == (
            "succeeded",
            ["services"],
            ["deployments"],
        )


@pytest.mark.proves("C3")
def test_nothing_of_the_credentials_is_in_inputs_histories_rows_or_logs(running: Product) -> None:
    product = running
    home, identity = product.stack.home, product.stack.identity
    product.http.get("/monitor/aks")
    assert operate(product, "start")["status"] == "succeeded"
    product.wait_end(product.submit())
    product.control("/faults", {"status": 401, "count": 3})
    product.http.get("/monitor/aks/warmup-status")
    product.http.get("/monitor/aks/nodes")
    httpx.delete(f"{product.stack.stack_json['cluster_control']}/faults").raise_for_status()
    secrets = [identity.cluster_token, identity.arm_token, identity.storage_key, identity.callback_secret]
    places = [*home.state.glob("host.sqlite*"), *home.logs.rglob("*"), *(home.state / "azurite").glob("*Table*")]
    read = {path: path.read_bytes() for path in places if path.is_file()}
    assert any(b"cluster_power_orchestrator" in content for content in read.values()), "the histories were not read"
    assert any(b"aks_start" in content or b"cluster_power" in content for content in read.values())
    found = [(path.name, secret) for path, content in read.items() for secret in secrets if secret.encode() in content]
    assert found == []
