"""How ready a cluster is: who is asked, what is made of it, and what a dead one costs."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import azure.functions as func
import pytest

from activities.admission import check_admission
from shared import responses
from shared.clients.readiness import read_readiness, start_reading
from shared.domain.errors import ElbError, NotFoundError, PermanentError, TransientError
from shared.domain.lifecycle import Lifecycle
from shared.domain.states import Phase
from tests.activities.fakes import World
from tests.activities.worlds import CLUSTER, OTHER_CLUSTER, Json, job_id, put_node, put_search
from triggers import cluster as triggers

SILENT = TransientError("kube_unreachable", "the cluster did not answer")
NO_ARM = TransientError("arm_unavailable", "Azure did not answer")
POOLS = [
    {"name": "system", "mode": "System", "vmSize": "Standard_D2s_v5", "count": 1},
    {"name": "blast", "mode": "User", "vmSize": "Standard_E8s_v5", "count": 2},
]


class Clock:
    """A time that a test moves."""

    def __init__(self) -> None:
        self.now = datetime(2030, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock(world: World, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The world's time; its app answers to one user on loopback."""
    monkeypatch.setattr(responses, "settings", lambda: world.settings)
    world.clock, world.arm.pools = Clock(), POOLS
    return world.clock


def put_user_node(world: World, name: str, pool: str = "blast") -> None:
    """A Ready user node of a pool."""
    put_node(world, name)
    world.cluster.objects["nodes"][name]["metadata"].setdefault("labels", {})["agentpool"] = pool


def monitor(world: World) -> list[Json]:
    """``GET /api/monitor/aks``."""
    request = func.HttpRequest(
        "GET", "http://localhost:7071/api/monitor/aks", headers={"Host": "localhost:7071"}, body=b""
    )
    answer = triggers.show_clusters(request)
    assert answer.status_code == 200
    items: list[Json] = json.loads(answer.get_body())["items"]
    return items


class TestReading:
    def test_all_is_well(self, world: World, clock: Clock) -> None:
        put_user_node(world, "a")
        put_user_node(world, "b")
        found = read_readiness(CLUSTER)
        assert (found.lifecycle, found.workload_ready, found.warm_ready) == (Lifecycle.RUNNING, True, True)
        assert (found.reason, found.problem, found.region, found.version) == ("ready", None, "westeurope", "1.32.4")

    def test_one_of_two_nodes(self, world: World, clock: Clock) -> None:
        put_user_node(world, "a")
        found = read_readiness(CLUSTER)
        assert (found.workload_ready, found.warm_ready) == (True, False)

    @pytest.mark.parametrize(
        ("provisioning", "power", "lifecycle"),
        [
            ("Succeeded", "Stopped", "stopped"),
            ("Starting", "Running", "starting"),
            ("Stopping", "Running", "stopping"),
            ("Creating", "Running", "provisioning"),
            ("Deleting", "Running", "deleting"),
            ("Failed", "Running", "failed"),
            ("Succeeded", "", "unknown"),
        ],
    )
    @pytest.mark.proves("C1")
    def test_the_api_server_is_asked_only_when_arm_says_that_it_runs(
        self, world: World, clock: Clock, provisioning: str, power: str, lifecycle: str
    ) -> None:
        put_user_node(world, "a")
        world.arm.provisioning, world.arm.power = provisioning, power
        found = read_readiness(CLUSTER)
        assert (found.lifecycle, found.workload_ready, found.warm_ready) == (lifecycle, False, False)
        assert world.cluster.calls["list nodes"] == 0

    @pytest.mark.parametrize("error", [NO_ARM, PermanentError("arm_denied", "403")], ids=lambda error: error.code)
    @pytest.mark.proves("C1")
    def test_an_arm_that_does_not_tell_is_unknown_never_stopped(
        self, world: World, clock: Clock, error: ElbError
    ) -> None:
        world.arm.failing = error
        found = read_readiness(CLUSTER)
        assert (found.lifecycle, found.problem, found.workload_ready) == (Lifecycle.UNKNOWN, error.message, False)

    @pytest.mark.proves("C1")
    def test_no_such_cluster(self, world: World, clock: Clock) -> None:
        world.arm.failing = NotFoundError("cluster_not_found", "none")
        found = read_readiness(CLUSTER)
        assert (found.lifecycle, found.problem) == (Lifecycle.NOT_FOUND, None)

    def test_a_silent_server_is_not_ready_and_says_why(self, world: World, clock: Clock) -> None:
        world.cluster.fail("list", "nodes", SILENT)
        found = read_readiness(CLUSTER)
        assert (found.lifecycle, found.workload_ready, found.problem) == (Lifecycle.RUNNING, False, SILENT.message)
        assert "does not answer" in found.reason

    def test_what_it_is_made_of_is_remembered_while_nobody_tells(self, world: World, clock: Clock) -> None:
        read_readiness(CLUSTER)
        world.arm.failing = NO_ARM
        clock.pass_by(6)
        assert [pool.name for pool in read_readiness(CLUSTER).pools] == ["system", "blast"]

    def test_a_fresh_one_repeats_what_succeeded_but_no_failure(self, world: World, clock: Clock) -> None:
        for _ in range(3):
            read_readiness(CLUSTER, fresh=True)
        assert world.arm.reads == 3
        world.arm.failing = NO_ARM
        for _ in range(3):
            read_readiness(CLUSTER, fresh=True)
        assert world.arm.reads == 4


@pytest.mark.proves("C4")
class TestCost:
    """Fifty callers a second, for so long: what Azure and the cluster are asked."""

    def calls(self, world: World, clock: Clock, minutes: int) -> tuple[list[int], list[int]]:
        """Calls of ARM and of the API server in each minute."""
        arm, nodes = [], []
        for _ in range(minutes):
            before = world.arm.reads, world.cluster.calls["list nodes"]
            for _ in range(60):
                for _ in range(50):
                    read_readiness(CLUSTER)
                clock.pass_by(1)
            arm.append(world.arm.reads - before[0])
            nodes.append(world.cluster.calls["list nodes"] - before[1])
        return arm, nodes

    def test_one_that_answers(self, world: World, clock: Clock) -> None:
        assert self.calls(world, clock, 2) == ([12, 12], [12, 12])

    def test_arm_says_that_it_runs_but_it_is_silent(self, world: World, clock: Clock) -> None:
        world.cluster.fail("list", "nodes", SILENT)
        arm, nodes = self.calls(world, clock, 8)
        assert arm == nodes == [6, 6, 6, 6, 6, 1, 1, 1]

    def test_arm_is_silent(self, world: World, clock: Clock) -> None:
        world.arm.failing = NO_ARM
        assert self.calls(world, clock, 8) == ([6, 6, 6, 6, 6, 1, 1, 1], [0] * 8)

    def test_it_was_deleted(self, world: World, clock: Clock) -> None:
        world.arm.failing = NotFoundError("cluster_not_found", "none")
        assert self.calls(world, clock, 3) == ([1, 1, 1], [0, 0, 0])

    def test_it_is_stopped(self, world: World, clock: Clock) -> None:
        world.arm.power = "Stopped"
        assert self.calls(world, clock, 2) == ([12, 12], [0, 0])

    def test_the_first_success_ends_it(self, world: World, clock: Clock) -> None:
        world.cluster.fail("list", "nodes", SILENT)
        self.calls(world, clock, 6)
        world.cluster.errors.clear()
        clock.pass_by(60)
        assert read_readiness(CLUSTER).problem is None
        assert self.calls(world, clock, 1)[0] == [12 - 1]


class TestMonitor:
    @pytest.mark.proves("C1")
    def test_a_cluster_that_works_has_counts(self, world: World, clock: Clock) -> None:
        put_user_node(world, "a")
        put_search(world, phase=Phase.RUNNING)
        put_search(world, "job-" + "0" * 31 + "2", phase=Phase.WAITING_FOR_CAPACITY)
        [row] = monitor(world)
        assert (row["lifecycle_state"], row["workload_ready"], row["warm_ready"]) == ("running", True, False)
        pools = row["summary"]["pools"]
        assert pools[1] == {"name": "blast", "mode": "user", "sku": "Standard_E8s_v5", "count": 2, "ready": 1}
        counts = {"nodes_expected": 2, "nodes_ready": 1, "searches_active": 1, "searches_waiting": 1}
        assert row["counts"] == counts
        assert (row["stale"], row["observed_at"]) == (False, "2030-01-01T00:00:00.000Z")

    @pytest.mark.parametrize("power", ["Stopped", "Running"])
    @pytest.mark.proves("C1")
    def test_one_that_does_not_has_none(self, world: World, clock: Clock, power: str) -> None:
        world.arm.power = power
        put_search(world, phase=Phase.RUNNING)
        [row] = monitor(world)
        assert (row["workload_ready"], "counts" in row) == (False, False)
        assert row["reason"]
        assert row["next_refresh_seconds"] > 0
        assert {(pool["count"], pool["ready"]) for pool in row["summary"]["pools"]} == {(None, None)}
        assert [pool["sku"] for pool in row["summary"]["pools"]] == ["Standard_D2s_v5", "Standard_E8s_v5"]

    def test_all_known_ones_and_the_default(self, world: World, clock: Clock) -> None:
        world.clusters.remember(OTHER_CLUSTER)
        world.clusters.remember(CLUSTER)
        assert [row["cluster_name"] for row in monitor(world)] == ["cluster", "other"]

    def test_a_late_one_is_marked_and_keeps_nobody(
        self, world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gate, real = threading.Event(), world.arm.cluster
        monkeypatch.setattr(triggers, "MONITOR_BUDGET_SECONDS", 0.05)

        def slow(*given: Any, **more: Any) -> Json:
            gate.wait(10)
            return real(*given, **more)

        world.arm.cluster = slow  # type: ignore[method-assign]
        [row] = monitor(world)
        assert (row["lifecycle_state"], row["stale"]) == ("unknown", True)
        reading = start_reading(CLUSTER)
        gate.set()
        reading.result(10)
        assert monitor(world)[0]["lifecycle_state"] == "running"


@pytest.mark.proves("C4")
@pytest.mark.parametrize("dead", ["arm", "server"])
def test_searches_that_wait_for_a_dead_cluster_share_what_is_known(world: World, clock: Clock, dead: str) -> None:
    """A hundred of them, each asking every 15 s for ten minutes."""
    searches = [put_search(world, job_id(number)) for number in range(1, 101)]
    if dead == "arm":
        world.arm.failing = NO_ARM
    else:
        world.cluster.fail("list", "nodes", SILENT)
    for _ in range(40):
        assert {check_admission(search.ref)["decision"] for search in searches} == {"wait"}
        clock.pass_by(15)
    assert world.arm.reads <= 5 * 6 + 5
    assert sum(world.cluster.calls.values()) <= 5 * 6 + 5
