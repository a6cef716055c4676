"""Starting, stopping and deploying over HTTP: who may, what is stored first, one operation of a kind at a time."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import azure.functions as func
import grpc
import pytest

from shared import responses
from shared.auth import Caller
from shared.clients.operations import begin_operation
from shared.clients.orchestrations import DurableOrchestrations
from shared.domain import functions as names
from shared.domain.errors import TransientError
from shared.domain.states import Phase
from tests.activities.fakes import World
from tests.activities.worlds import CLUSTER, OTHER_CLUSTER, Json, put_search
from triggers import cluster as triggers

Endpoint = Callable[[func.HttpRequest, Any], func.HttpResponse]
CHANGES = [triggers.start_cluster, triggers.stop_cluster, triggers.deploy_openapi]


@pytest.fixture(autouse=True)
def app(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The app with one user on loopback."""
    monkeypatch.setattr(responses, "settings", lambda: world.settings)


def ask(world: World, endpoint: Endpoint, body: Json | None = None, **route: str) -> tuple[int, Json]:
    """The status and the body of the answer."""
    request = func.HttpRequest(
        "POST",
        "http://localhost:7071/api/aks",
        headers={"Host": "localhost:7071"},
        route_params=route,
        body=json.dumps(body or {}).encode(),
    )
    answer = endpoint(request, world.durable)
    return answer.status_code, json.loads(answer.get_body())


class TestStart:
    def test_one_operation_with_all_it_needs(self, world: World) -> None:
        status, body = ask(world, triggers.start_cluster)
        assert (status, body["status_url"]) == (202, f"/api/aks/operations/{body['instance_id']}")
        name, data = world.durable.started[body["instance_id"]]
        assert name == names.CLUSTER_POWER_ORCHESTRATOR
        assert data == {"version": 1, "cluster": CLUSTER.to_dict(), "target": "start", "force": False}

    @pytest.mark.proves("C2")
    def test_the_preference_is_stored_before_anything_is_started(self, world: World) -> None:
        real, started = world.preferences.save, []

        def save(*given: Any, **more: Any) -> Any:
            started.append(dict(world.durable.started))
            return real(*given, **more)

        world.preferences.save = save  # type: ignore[method-assign]
        status, _ = ask(world, triggers.start_cluster, {"auto_warm": {"databases": ["core_nt", "nr"], "enabled": True}})
        assert (status, started) == (202, [{}])
        stored = world.preferences.read(CLUSTER).preference
        assert (stored.databases, stored.enabled) == (("core_nt", "nr"), True)

    @pytest.mark.proves("C2")
    def test_one_that_cannot_be_stored_starts_nothing(self, world: World) -> None:
        def save(*_given: Any, **_more: Any) -> Any:
            raise TransientError("state_unavailable", "the state store did not answer")

        world.preferences.save = save  # type: ignore[method-assign]
        assert ask(world, triggers.start_cluster, {"auto_warm": {"enabled": False}})[0] == 503
        assert world.durable.started == {}

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            ({"auto_warm": {"databases": ["../etc"]}}, 422),
            ({"auto_warm": {"databases": "core_nt"}}, 422),
            ({"auto_warm": {"names": []}}, 422),
            ({"wait": True}, 422),
        ],
    )
    def test_what_is_wrong_starts_nothing(self, world: World, body: Json, status: int) -> None:
        assert ask(world, triggers.start_cluster, body)[0] == status
        assert world.durable.started == {}

    def test_without_one_the_stored_preference_stays(self, world: World) -> None:
        ask(world, triggers.start_cluster, {"auto_warm": {"databases": ["nr"]}})
        ask(world, triggers.start_cluster)
        assert world.preferences.read(CLUSTER).preference.databases == ("nr",)


class TestStop:
    @pytest.mark.proves("C2")
    def test_refused_while_a_search_is_at_work(self, world: World) -> None:
        put_search(world, phase=Phase.RUNNING)
        status, body = ask(world, triggers.stop_cluster)
        assert (status, body["error"]["code"]) == (409, "cluster_in_use")
        assert world.durable.started == {}

    def test_unless_forced(self, world: World) -> None:
        put_search(world, phase=Phase.RUNNING)
        status, body = ask(world, triggers.stop_cluster, {"force": True})
        assert (status, world.durable.started[body["instance_id"]][1]["force"]) == (202, True)

    def test_one_that_is_stopped_already_is_never_refused(self, world: World) -> None:
        put_search(world, phase=Phase.RUNNING)
        world.arm.power = "Stopped"
        assert ask(world, triggers.stop_cluster)[0] == 202


class TestOneAtATime:
    @pytest.mark.parametrize("endpoint", CHANGES)
    def test_who_comes_while_it_is_under_way_joins_it(self, world: World, endpoint: Endpoint) -> None:
        ids = {ask(world, endpoint)[1]["instance_id"] for _ in range(3)}
        assert len(ids) == len(world.durable.started) == 1

    @pytest.mark.parametrize("endpoint", CHANGES)
    def test_after_its_end_another_one_begins(self, world: World, endpoint: Endpoint) -> None:
        first = ask(world, endpoint)[1]["instance_id"]
        world.durable.ended[first] = "COMPLETED"
        second = ask(world, endpoint)[1]["instance_id"]
        assert first != second
        assert len(world.durable.started) == 2

    @pytest.mark.proves("C2")
    def test_a_forced_stop_does_not_join_one_that_may_be_refused(self, world: World) -> None:
        plain = ask(world, triggers.stop_cluster)[1]["instance_id"]
        forced = {ask(world, triggers.stop_cluster, {"force": True})[1]["instance_id"] for _ in range(3)}
        assert len(forced) == 1
        assert forced != {plain}
        assert world.durable.started[forced.copy().pop()][1]["force"] is True
        assert {ask(world, triggers.stop_cluster)[1]["instance_id"]} == forced
        assert len(world.durable.started) == 2

    @pytest.mark.proves("C2")
    def test_many_at_once_are_one(self, world: World) -> None:
        orchestrations = DurableOrchestrations(world.durable)

        def begin(_number: int) -> str:
            return begin_operation(CLUSTER, "start", names.CLUSTER_POWER_ORCHESTRATOR, {}, orchestrations)

        with ThreadPoolExecutor(16) as pool:
            assert len(set(pool.map(begin, range(64)))) == 1
        assert len(world.durable.started) == 1

    def test_a_number_that_was_taken_and_not_used_is_used(self, world: World) -> None:
        """Whoever took it may have died before the start."""
        world.clusters.claim_operation(CLUSTER, "start", world.clusters.operations(CLUSTER, "start"))
        instance = ask(world, triggers.start_cluster)[1]["instance_id"]
        assert instance.endswith("-1")

    def test_clusters_and_kinds_do_not_meet(self, world: World) -> None:
        other = {"cluster_name": OTHER_CLUSTER.cluster_name}
        ids = {ask(world, endpoint, body)[1]["instance_id"] for endpoint in CHANGES for body in ({}, other)}
        assert len(ids) == 6
        assert all(names.CLUSTER_OPERATION.fullmatch(instance) for instance in ids)

    def test_durable_down(self, world: World) -> None:
        world.durable.failing = grpc.StatusCode.UNAVAILABLE
        assert ask(world, triggers.start_cluster)[0] == 503


class TestOperation:
    def test_its_state(self, world: World) -> None:
        instance = ask(world, triggers.start_cluster)[1]["instance_id"]
        status, body = ask(world, triggers.show_operation, instance_id=instance)
        assert (status, body["runtime_status"], body["custom_status"]) == (200, "running", {"phase": "running"})

    @pytest.mark.parametrize("instance", ["", "start-0-1", "job-" + "0" * 32, "start-0123456789abcdef-9"])
    def test_what_is_none(self, world: World, instance: str) -> None:
        world.durable.started["job-" + "0" * 32] = ("search_orchestrator", {})
        assert ask(world, triggers.show_operation, instance_id=instance)[0] == 404


@pytest.mark.parametrize("endpoint", [*CHANGES, triggers.show_operation])
def test_operators_only(world: World, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responses, "identify", lambda *_: Caller("anna", "Anna", frozenset()))
    assert ask(world, endpoint)[0] == 403
    assert world.durable.started == {}
