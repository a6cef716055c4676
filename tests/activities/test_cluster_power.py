"""Starting and stopping: asked for once, refused where it would hurt, told truly while it is under way."""

from __future__ import annotations

from typing import Any

import pytest

from activities import cluster_power
from activities.cluster_power import observe_cluster_power, request_power, warm_configured
from activities.registry import errors_as_data
from shared.domain.errors import ConflictError, ElbError, NotFoundError, PermanentError, TransientError
from shared.domain.states import WAITING, Phase
from tests.activities.fakes import World
from tests.activities.worlds import CLUSTER, Json, put_node, put_search

BUSY = ConflictError("cluster_busy", "cluster: there's an in-progress stop managed cluster operation")
AT_WORK = [phase for phase in Phase if phase not in (*WAITING, Phase.DELETE_FAILED)]


def request(target: str, *, force: bool = False) -> Json:
    """Ask as the orchestration does."""
    return errors_as_data(request_power)({"cluster": CLUSTER.to_dict(), "target": target, "force": force})


def observe(target: str) -> Json:
    """Look as the orchestration does."""
    return observe_cluster_power({"cluster": CLUSTER.to_dict(), "target": target})


def be(world: World, provisioning: str, power: str) -> None:
    """What ARM says."""
    world.arm.provisioning, world.arm.power = provisioning, power


class TestRequest:
    @pytest.mark.parametrize(
        ("target", "provisioning", "power", "state", "asked"),
        [
            ("start", "Succeeded", "Running", "already", []),
            ("start", "Updating", "Running", "already", []),
            ("start", "Starting", "Running", "requested", []),
            ("start", "Succeeded", "Stopped", "requested", ["start"]),
            ("start", "Failed", "Running", "requested", ["start"]),
            ("start", "Stopping", "Running", "requested", ["start"]),
            ("stop", "Succeeded", "Stopped", "already", []),
            ("stop", "Stopping", "Running", "requested", []),
            ("stop", "Succeeded", "Running", "requested", ["stop"]),
            ("stop", "Starting", "Running", "requested", ["stop"]),
        ],
    )
    @pytest.mark.proves("C2")
    def test_arm_is_asked_only_where_it_is_not_there_or_on_its_way(
        self, world: World, target: str, provisioning: str, power: str, state: str, asked: list[str]
    ) -> None:
        be(world, provisioning, power)
        assert request(target)["state"] == state
        assert world.arm.asked == asked

    @pytest.mark.proves("C2")
    def test_twice_is_once(self, world: World) -> None:
        be(world, "Succeeded", "Stopped")
        assert request("start") == request("start") == {"state": "requested"}
        assert world.arm.asked == ["start"]

    @pytest.mark.proves("C2")
    def test_a_conflicting_operation_is_told_and_waited_for(self, world: World) -> None:
        be(world, "Stopping", "Running")
        world.arm.refusing = BUSY
        assert request("start") == {"state": "busy", "reason": BUSY.message}

    @pytest.mark.parametrize("where", ["failing", "refusing"])
    @pytest.mark.parametrize("after", [None, 17.0])
    def test_azure_throttling_or_away_is_waited_for_as_it_wishes(
        self, world: World, where: str, after: float | None
    ) -> None:
        be(world, "Succeeded", "Stopped")
        setattr(world.arm, where, TransientError("arm_unavailable", "Azure answered 429", retry_after=after))
        assert request("start") == {"state": "busy", "reason": "Azure answered 429", "retry_after": after}
        setattr(world.arm, where, None)
        assert request("start") == {"state": "requested"}

    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (NotFoundError("cluster_not_found", "none"), "cluster_not_found"),
            (PermanentError("arm_denied", "403"), "arm_denied"),
        ],
    )
    def test_what_cannot_help_is_said(self, world: World, error: ElbError, code: str) -> None:
        world.arm.failing = error
        assert request("start")["error"]["code"] == code

    def test_a_cluster_that_is_being_deleted(self, world: World) -> None:
        be(world, "Deleting", "Running")
        assert request("start")["error"]["code"] == "cluster_deleting"
        assert world.arm.asked == []


class TestInUse:
    @pytest.mark.parametrize("phase", AT_WORK)
    def test_a_search_at_work_keeps_it_from_being_stopped(self, world: World, phase: Phase) -> None:
        put_search(world, phase=phase)
        at_work = bool(world.searches.unfinished(CLUSTER.key)) and phase is not Phase.DELETING
        found = request("stop")
        assert (found.get("error") or {}).get("code") == ("cluster_in_use" if at_work else None)
        assert world.arm.asked == ([] if at_work else ["stop"])

    @pytest.mark.parametrize("phase", sorted(WAITING))
    def test_one_that_waits_does_not(self, world: World, phase: Phase) -> None:
        put_search(world, phase=phase)
        assert request("stop") == {"state": "requested"}

    def test_forced(self, world: World) -> None:
        put_search(world, phase=Phase.RUNNING)
        assert request("stop", force=True) == {"state": "requested"}


class TestObserve:
    def test_a_start_ends_when_a_user_node_is_ready(self, world: World) -> None:
        be(world, "Starting", "Running")
        assert observe("start")["verdict"] == "waiting"
        be(world, "Succeeded", "Running")
        assert (observe("start")["verdict"], observe("start")["lifecycle"]) == ("waiting", "running")
        put_node(world, "node-a")
        assert observe("start")["verdict"] == "reached"

    def test_a_stop_ends_when_arm_says_so(self, world: World) -> None:
        be(world, "Stopping", "Running")
        assert observe("stop")["verdict"] == "waiting"
        be(world, "Succeeded", "Stopped")
        assert observe("stop")["verdict"] == "reached"

    @pytest.mark.parametrize("target", ["start", "stop"])
    def test_nobodys_answer_is_no_end(self, world: World, target: str) -> None:
        world.arm.failing = TransientError("arm_unavailable", "503")
        assert observe(target) == {"verdict": "waiting", "lifecycle": "unknown", "reason": "503"}


def test_the_configured_databases_are_warmed_by_the_reconcile(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def reconcile(cluster: Any, _orchestrations: Any) -> dict[str, int]:
        seen.append(cluster)
        return {"started": 2}

    monkeypatch.setattr(cluster_power, "reconcile_cluster", reconcile)
    assert warm_configured({"cluster": CLUSTER.to_dict()}, world.durable) == {"started": 2}
    assert seen == [CLUSTER]
