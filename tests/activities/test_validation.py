"""A dry run says what a submit would say, and what the cluster would: nothing is written or started."""

from __future__ import annotations

import json

import azure.functions as func
import pytest

from shared import responses
from shared.domain.errors import ElbError, NotFoundError, PermanentError, TransientError
from tests.activities.fakes import World
from tests.activities.test_submission import BODY, written
from tests.activities.worlds import Json, put_database, put_node
from triggers import validation


@pytest.fixture(autouse=True)
def app(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The app with a prepared database, a node, and one user on loopback."""
    monkeypatch.setattr(responses, "settings", lambda: world.settings)
    put_database(world)
    put_node(world, "node-a")
    world.store.written.clear()


def validate(body: Json) -> Json:
    """The report."""
    headers = {"Host": "localhost:7071"}
    content = json.dumps(body).encode()
    request = func.HttpRequest("POST", "http://localhost:7071/api", headers=headers, body=content)
    answer = validation.validate_search(request)
    assert answer.status_code == 200
    report: Json = json.loads(answer.get_body())
    return report


def cluster_check(report: Json) -> Json:
    """What was found out about the cluster."""
    [check] = [check for check in report["checks"] if check["id"] == "cluster_ready"]
    return dict(check)


def test_one_that_would_run_now(world: World) -> None:
    report = validate(BODY)
    assert report["ok"] is True
    assert cluster_check(report)["status"] == "ok"
    assert report["plan"] == {"batches": 1, "shards": 2, "jobs": 2, "fits": True}
    assert (report["estimate"]["jobs"], report["estimate"]["usd"]) == (2, None)
    assert "0.504 USD: 4 vCPU x 0.063" in report["estimate"]["assumptions"]
    assert written(world) == (0, 0, 0)


def test_a_node_that_is_too_small_is_a_failure(world: World) -> None:
    put_node(world, "node-a", memory="1k")
    report = validate(BODY)
    check = cluster_check(report)
    assert (report["ok"], check["status"], check["code"]) == (False, "failed", "node_sku_too_small")
    assert check["hint"]
    assert (report["plan"]["fits"], report["plan"]["jobs"]) == (False, None)


@pytest.mark.parametrize(
    "error",
    [NotFoundError("cluster_not_found", "there is no cluster"), PermanentError("arm_denied", "Azure refused")],
    ids=lambda error: error.code,
)
def test_so_is_whatever_no_waiting_would_mend(world: World, error: ElbError) -> None:
    world.arm.failing = error
    report = validate(BODY)
    assert (report["ok"], cluster_check(report)["code"]) == (False, error.code)


@pytest.mark.parametrize("trouble", ["stopped", "Azure", "cluster"])
def test_what_passes_is_a_warning_only(world: World, trouble: str) -> None:
    """The search would wait for it."""
    if trouble == "stopped":
        world.arm.power = "Stopped"
    elif trouble == "Azure":
        world.arm.failing = TransientError("arm_unavailable", "503")
    else:
        world.cluster.fail("list", "nodes", TransientError("kube_unreachable", "no answer"))
    report = validate(BODY)
    assert (report["ok"], cluster_check(report)["status"]) == (True, "warning")
    assert report["plan"]["shards"] is None


def test_too_many_jobs_are_told_before_the_cluster_is_asked(world: World) -> None:
    fasta = "".join(f">q{number}\nACGTACGTAC\n" for number in range(1001))
    report = validate(BODY | {"query_fasta": fasta, "batch_len": 10})
    assert report["ok"] is False
    [size] = [check for check in report["checks"] if check["id"] == "size"]
    assert (size["status"], size["code"]) == ("failed", "too_many_jobs")
    assert report["plan"] is None
    assert not world.cluster.calls


def test_a_cluster_whose_nodes_are_not_there_yet_is_waited_for(world: World) -> None:
    world.cluster.objects["nodes"].clear()
    report = validate(BODY)
    assert report["ok"] is True
    assert (cluster_check(report)["status"], cluster_check(report)["code"]) == ("warning", "no_nodes")


def test_the_command_line_plans_by_itself(world: World) -> None:
    report = validate({**BODY, "engine": "cli"})
    assert report["ok"] is True
    assert cluster_check(report)["status"] == "ok"
