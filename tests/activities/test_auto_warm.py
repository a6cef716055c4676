"""Auto-warm on a world in memory: what one turn begins, what it leaves alone, and the preference over HTTP."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import azure.functions as func
import grpc
import pytest

from shared import responses
from shared.clients.auto_warming import reconcile_cluster
from shared.clients.database_work import begin_release, join_warmup
from shared.clients.orchestrations import DurableOrchestrations
from shared.clients.provider import use
from shared.domain.auto_warm import Attempt
from shared.domain.errors import ElbError, StoredValueError, TransientError
from shared.domain.preference import PreferenceChange
from shared.domain.states import Phase
from tests.activities.fakes import World
from tests.activities.route_table import principal
from tests.activities.worlds import (
    CLUSTER,
    DB,
    OTHER_CLUSTER,
    Json,
    new_world,
    put_database,
    put_file,
    put_node,
    put_search,
    put_warm_cluster,
    status_of,
)
from triggers import auto_warm
from triggers.timers.auto_warm import reconcile_auto_warm, reconcile_everywhere

SILENT = TransientError("kube_unreachable", "no answer")
START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Clock:
    """A time that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock(world: World) -> Clock:
    """The world's clock."""
    world.clock = Clock()
    return world.clock


@pytest.fixture
def cold(world: World, clock: Clock) -> World:
    """Two nodes, a database that is ready to be warmed, and a preference for it."""
    put_node(world, "node-a")
    put_node(world, "node-b")
    put_database(world)
    want(world, DB)
    return world


def want(world: World, *databases: str, enabled: bool = True) -> None:
    """Save a preference."""
    world.preferences.save(CLUSTER, PreferenceChange(databases, enabled=enabled))


def turn(world: World) -> dict[str, int]:
    """One turn for the cluster."""
    return reconcile_cluster(CLUSTER, DurableOrchestrations(world.durable))


def minute(world: World, clock: Clock) -> dict[str, int]:
    """A minute later, another turn."""
    clock.move(60)
    return turn(world)


def begun(world: World) -> list[tuple[str, Json]]:
    """The warmups that were started: database and input."""
    return [(data["database"], data) for name, data in world.durable.started.values() if name == "warmup_orchestrator"]


class TestTurn:
    @pytest.mark.proves("W8")
    def test_a_cold_database_is_warmed(self, cold: World) -> None:
        assert turn(cold) == {"started": 1}
        assert begun(cold) == [(DB, {"database": DB, "cluster": CLUSTER.to_dict(), "force": False})]
        [instance] = cold.durable.started
        assert instance.startswith("warmup-auto-")

    @pytest.mark.proves("W8")
    def test_while_that_is_under_way_nothing_else_is_begun(self, cold: World, clock: Clock) -> None:
        turn(cold)
        assert [minute(cold, clock) for _ in range(5)] == [{"under_way": 1}] * 5
        assert len(begun(cold)) == 1

    def test_a_warm_one_is_left_alone(self, world: World, clock: Clock) -> None:
        put_warm_cluster(world)
        want(world, DB)
        assert turn(world) == {"warm": 1}
        assert begun(world) == []

    @pytest.mark.proves("W8", "W9")
    def test_a_lost_node_makes_it_warm_again(self, world: World, clock: Clock) -> None:
        put_warm_cluster(world)
        want(world, DB)
        del world.cluster.objects["nodes"]["node-b"]
        put_node(world, "node-c")
        assert turn(world) == {"started": 1}

    def test_a_half_made_set_in_which_nothing_moves_is_completed(self, world: World, clock: Clock) -> None:
        put_warm_cluster(world)
        want(world, DB)
        del world.cluster.objects["jobs"][f"warm-{DB}-01"]
        assert turn(world) == {"started": 1}

    def test_one_that_somebody_loads_is_not_loaded_twice(self, world: World, clock: Clock) -> None:
        put_warm_cluster(world)
        want(world, DB)
        world.cluster.objects["jobs"][f"warm-{DB}-01"]["status"] = status_of("running")
        assert turn(world) == {"loading": 1}

    @pytest.mark.parametrize(("ends", "done"), [(False, {"busy": 1}), (True, {"started": 1})])
    def test_nor_one_at_which_a_warmup_is_that_has_no_job_yet(self, cold: World, ends: bool, done: Json) -> None:
        DurableOrchestrations(cold.durable).start("warmup_orchestrator", "warmup-x", {"database": DB})
        join_warmup(CLUSTER, DB, "warmup-x")
        if ends:
            cold.durable.ended["warmup-x"] = "COMPLETED"
        assert turn(cold) == done

    def test_nor_one_that_is_being_released(self, cold: World) -> None:
        begin_release(CLUSTER, DB, "release-x", {}, DurableOrchestrations(cold.durable))
        assert turn(cold) == {"busy": 1}

    @pytest.mark.proves("W9")
    def test_nor_a_new_version_while_searches_read_the_old_one(self, world: World, clock: Clock) -> None:
        put_warm_cluster(world, version="2020-01-01-00000000")
        want(world, DB)
        search = put_search(world, phase=Phase.RUNNING)
        assert turn(world) == {"busy": 1}
        assert begun(world) == []
        world.searches.put(replace(search, phase=Phase.COMPLETED))
        assert turn(world) == {"started": 1}

    def test_the_default_where_nobody_has_saved_anything(self, world: World, clock: Clock) -> None:
        put_node(world, "node-a")
        assert turn(world) == {"database_not_downloaded": 1}
        put_database(world, "core_nt", shards=0)
        assert turn(world) == {"database_downloaded": 1}
        put_database(world, "core_nt", shards=1)
        assert turn(world) == {"started": 1}

    def test_switched_off_nobody_is_asked_anything(self, cold: World) -> None:
        want(cold, DB, enabled=False)
        assert turn(cold) == {"disabled": 1}
        assert (cold.arm.reads, cold.cluster.calls) == (0, Counter())

    @pytest.mark.proves("W7")
    def test_a_listed_one_that_is_not_there_keeps_no_other_from_being_warmed(self, cold: World) -> None:
        put_file(cold, "half", "half.01.nin", b"x")
        want(cold, "absent", "half", DB)
        assert turn(cold) == {"database_not_downloaded": 1, "database_incomplete": 1, "started": 1}
        assert cold.preferences.read(CLUSTER).preference.databases == ("absent", "half", DB)

    def test_several_begin_one_after_the_other(self, cold: World, clock: Clock) -> None:
        put_database(cold, "second")
        want(cold, DB, "second")
        assert turn(cold) == {"started": 1, "after_another": 1}
        assert minute(cold, clock) == {"under_way": 1, "started": 1}
        assert [database for database, _ in begun(cold)] == [DB, "second"]

    @pytest.mark.proves("W8")
    @pytest.mark.parametrize(
        ("power", "provisioning"), [("Stopped", "Succeeded"), ("Running", "Starting"), ("Running", "Creating")]
    )
    def test_a_cluster_that_does_not_run_is_not_asked(self, cold: World, power: str, provisioning: str) -> None:
        cold.arm.power, cold.arm.provisioning = power, provisioning
        assert turn(cold) == {"not_ready": 1}
        assert (cold.arm.reads, cold.cluster.calls) == (1, Counter())

    @pytest.mark.proves("W8")
    def test_nor_is_anything_begun_before_all_nodes_are_ready(self, cold: World, clock: Clock) -> None:
        cold.arm.pools = [{"name": "blast", "mode": "User", "count": 3}]
        assert turn(cold) == {"not_ready": 1}
        put_node(cold, "node-c")
        assert minute(cold, clock) == {"started": 1}


class TestErrors:
    @pytest.mark.proves("W7")
    @pytest.mark.parametrize("text", ["{", "", '{"databases": "core_nt"}'])
    def test_a_stored_value_that_cannot_be_read_warms_nothing_and_erases_nothing(self, cold: World, text: str) -> None:
        cold.preferences.texts[CLUSTER.key] = text
        with pytest.raises(StoredValueError, match="preference_corrupted"):
            turn(cold)
        assert (begun(cold), cold.preferences.texts) == ([], {CLUSTER.key: text})

    @pytest.mark.proves("W8")
    @pytest.mark.parametrize("what", ["jobs", "pods", "nodes"])
    def test_an_error_of_the_cluster_is_never_taken_for_cold(self, world: World, clock: Clock, what: str) -> None:
        put_warm_cluster(world)
        want(world, DB)
        world.cluster.fail("list", what, SILENT)
        assert set(turn(world)) <= {"unknown", "not_ready"}
        assert begun(world) == []

    def test_nor_one_of_storage_for_anything(self, cold: World, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object) -> list[object]:
            raise TransientError("storage_unavailable", "no answer")

        monkeypatch.setattr(cold.store, "listing", refuse)
        assert turn(cold) == {"storage_unknown": 1}

    def test_without_durable_nothing_is_lost_and_nothing_doubled(self, cold: World, clock: Clock) -> None:
        cold.durable.failing = grpc.StatusCode.UNAVAILABLE
        with pytest.raises(TransientError, match="durable_unavailable"):
            turn(cold)
        cold.durable.failing = None
        assert minute(cold, clock) == {"started": 1}
        assert len(begun(cold)) == 1
        assert cold.preferences.tries[CLUSTER.key, DB].number == 1

    def test_without_the_state_nothing_is_begun(self, cold: World) -> None:
        cold.preferences.failing = TransientError("state_unavailable", "no answer")
        with pytest.raises(TransientError):
            turn(cold)
        assert begun(cold) == []


class TestBackoff:
    def run(self, world: World, clock: Clock, minutes: int) -> list[int]:
        """Turns of a minute in which every warmup fails at once; in which minutes one began."""
        began = []
        for number in range(minutes):
            before = len(world.durable.started)
            turn(world)
            if len(world.durable.started) > before:
                began.append(number)
                world.durable.ended[list(world.durable.started)[-1]] = "FAILED"
            clock.move(60)
        return began

    @pytest.mark.proves("W8")
    def test_failures_are_followed_by_ever_longer_pauses(self, cold: World, clock: Clock) -> None:
        """Each pause counts from the turn that sees the failure: a minute after the try began."""
        assert self.run(cold, clock, 200) == [0, 2, 5, 10, 19, 36, 69, 130, 191]

    @pytest.mark.proves("W8")
    def test_ten_minutes_of_errors_make_no_storm(self, cold: World, clock: Clock) -> None:
        """The cluster lists its nodes and nothing else: not one warmup, and three calls a minute."""
        for what in ("jobs", "pods"):
            cold.cluster.fail("list", what, SILENT)
        done = [minute(cold, clock) for _ in range(10)]
        assert done == [{"unknown": 1}] * 10
        assert begun(cold) == []
        assert sum(cold.cluster.calls.values()) <= 30

    @pytest.mark.proves("W8")
    def test_a_new_preference_ends_the_pause(self, cold: World, clock: Clock) -> None:
        self.run(cold, clock, 60)
        assert turn(cold) == {"backoff": 1}
        want(cold, DB, "another")
        assert turn(cold)["started"] == 1

    @pytest.mark.proves("W8")
    def test_so_does_a_start_of_the_cluster(self, cold: World, clock: Clock) -> None:
        self.run(cold, clock, 60)
        assert turn(cold) == {"backoff": 1}
        for node in cold.cluster.objects["nodes"].values():
            [condition] = node["status"]["conditions"]
            condition["lastTransitionTime"] = clock.now.isoformat()
        clock.move(10)
        assert turn(cold) == {"started": 1}

    def test_a_success_that_held_forgets_the_tries(self, cold: World, clock: Clock) -> None:
        self.run(cold, clock, 8)
        put_warm_cluster(cold)
        assert [minute(cold, clock) for _ in range(11)] == [{"warm": 1}] * 11
        assert cold.preferences.tries[CLUSTER.key, DB].tries == 0
        writes = cold.preferences.writes
        assert minute(cold, clock) == {"warm": 1}
        assert cold.preferences.writes == writes


class TestAtOnce:
    @pytest.mark.proves("W8")
    @pytest.mark.parametrize("known", [False, True], ids=["no row yet", "a row"])
    def test_ten_turns_begin_one_warmup(self, cold: World, known: bool) -> None:
        if known:
            cold.preferences.write_attempt(CLUSTER, Attempt(DB, number=3))
        gate = Barrier(10)

        def one(_: int) -> dict[str, int]:
            gate.wait(30)
            return turn(cold)

        with ThreadPoolExecutor(10) as pool:
            done = sum((Counter(counts) for counts in pool.map(one, range(10))), Counter())
        assert done["started"] == 1
        assert len(begun(cold)) == 1


class TestTimer:
    def fire(self, world: World) -> Json:
        """Let it fire; what it said."""
        timer: Any = None
        reconcile_auto_warm(timer, world.durable)
        return dict(world.stats.runs["reconcile_auto_warm"].result)

    def test_the_default_cluster_known_ones_and_those_with_a_preference(self, world: World, clock: Clock) -> None:
        world.clusters.remember(OTHER_CLUSTER)
        want(world, DB)
        third = OTHER_CLUSTER.__class__("sub", "group", "third", "store")
        world.preferences.save(third, PreferenceChange(("x",)))
        put_node(world, "node-a")
        assert self.fire(world) == {
            "clusters": 3,
            "errors": 0,
            "left_over": 0,
            "started": 0,
            "database_not_downloaded": 3,
        }

    def test_one_in_trouble_keeps_no_other_from_being_warmed(self, cold: World) -> None:
        cold.clusters.remember(OTHER_CLUSTER)
        cold.preferences.texts[OTHER_CLUSTER.key] = "{"
        assert self.fire(cold) == {"clusters": 2, "errors": 1, "left_over": 0, "started": 1}

    def test_one_that_cannot_list_the_clusters_says_so(self, world: World) -> None:
        world.preferences.failing = TransientError("state_unavailable", "no answer")
        with pytest.raises(ElbError):
            self.fire(world)
        assert world.stats.runs["reconcile_auto_warm"].failed

    def test_after_its_budget_it_begins_with_no_other(self, cold: World) -> None:
        seconds = iter([0.0, *[100.0] * 10])
        done = reconcile_everywhere(DurableOrchestrations(cold.durable), lambda: next(seconds))
        assert done == {"clusters": 1, "errors": 0, "left_over": 1, "started": 0}


class TestEndpoints:
    @pytest.fixture(autouse=True)
    def app(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """One user on loopback, who is an operator too."""
        monkeypatch.setattr(responses, "settings", lambda: world.settings)

    def ask(
        self, body: Json | None = None, match: str | None = None, headers: Json | None = None, **params: str
    ) -> tuple[int, Json, str | None]:
        """GET or PUT; status, body and ETag."""
        request = func.HttpRequest(
            "GET" if body is None else "PUT",
            "http://localhost:7071/api/warmup/auto-preference",
            headers={"Host": "localhost:7071"} | (headers or {}) | ({} if match is None else {"If-Match": match}),
            params=params,
            route_params={},
            body=json.dumps(body or {}).encode(),
        )
        function: Any = auto_warm.show_preference if body is None else auto_warm.save_preference
        answer = function(request)
        return answer.status_code, json.loads(answer.get_body()), answer.headers.get("ETag")

    @pytest.mark.proves("W7")
    def test_nobody_has_saved_one(self, world: World) -> None:
        status, body, etag = self.ask()
        assert (status, etag) == (200, '"unsaved"')
        assert (body["databases"], body["enabled"], body["saved"]) == (["core_nt"], True, False)

    @pytest.mark.proves("W7")
    def test_a_listed_one_says_why_it_is_skipped(self, world: World) -> None:
        put_database(world)
        put_database(world, "plain", shards=0)
        want(world, DB, "plain", "absent")
        items = {item["database"]: item for item in self.ask()[1]["items"]}
        assert [items[name]["storage_state"] for name in (DB, "plain", "absent")] == [
            *("sharded", "downloaded", "not_downloaded"),
        ]
        assert items[DB]["skipped_because"] is None
        assert "/api/blast/databases/plain/shards" in items["plain"]["skipped_because"]
        assert "not in storage" in items["absent"]["skipped_because"]

    def test_and_how_its_tries_stand(self, cold: World) -> None:
        turn(cold)
        [item] = self.ask()[1]["items"]
        [instance] = cold.durable.started
        assert (item["tries"], item["last_instance_id"]) == (1, instance)
        assert item["next_try_at"] == "2026-01-02T03:05:05.000Z"

    def test_it_is_saved_and_read_again(self, world: World) -> None:
        status, body, etag = self.ask({"databases": ["b", "a"], "enabled": False})
        assert (status, body["status"]) == (200, "saved")
        assert body["preference"] == {"databases": ["b", "a"], "enabled": False}
        _, shown, now = self.ask()
        assert (shown["databases"], shown["enabled"], shown["saved"], now) == (["b", "a"], False, True, etag)

    def test_of_another_cluster(self, world: World) -> None:
        self.ask({"databases": ["b"], "cluster_name": "other"})
        assert self.ask(cluster_name="other")[1]["databases"] == ["b"]
        assert self.ask()[1]["databases"] == ["core_nt"]

    def test_single_names(self, world: World) -> None:
        assert self.ask({"add": ["b"]})[1]["preference"]["databases"] == ["core_nt", "b"]
        assert self.ask({"remove": ["core_nt"]})[1]["preference"]["databases"] == ["b"]
        assert self.ask({"enabled": False})[1]["preference"] == {"databases": ["b"], "enabled": False}

    def test_with_the_etag_that_it_has(self, world: World) -> None:
        etag = self.ask()[2]
        status, _, etag = self.ask({"databases": ["b"]}, match=etag)
        assert status == 200
        assert self.ask({"databases": ["c"]}, match=f'"other", W/{etag}')[0] == 200

    @pytest.mark.parametrize("match", ['"unsaved"', '"other", "unsaved"', '""'])
    def test_with_another_one_nothing_is_written(self, world: World, match: str) -> None:
        self.ask({"databases": ["b"]})
        status, body, _ = self.ask({"databases": ["c"]}, match=match)
        assert (status, body["error"]["code"]) == (412, "preference_changed")
        assert self.ask()[1]["databases"] == ["b"]

    @pytest.mark.parametrize("match", ["unsaved", "", '"a" "b"'])
    def test_an_etag_without_its_quotes_is_malformed(self, world: World, match: str) -> None:
        assert self.ask({"databases": ["c"]}, match=match)[1]["error"]["code"] == "invalid_if_match"

    def test_any(self, world: World) -> None:
        assert self.ask({"databases": ["c"]}, match="*")[0] == 200

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ({"databases": ["../x"]}, "unknown_database"),
            ({"add": ["a b"]}, "unknown_database"),
            ({"databases": ["a", "a"]}, "invalid_preference"),
            ({"databases": ["a"], "add": ["b"]}, "invalid_preference"),
            ({"databases": [f"d{n}" for n in range(101)]}, "invalid_request"),
            ({"databases": "core_nt"}, "invalid_request"),
            ({"enabled": "yes"}, "invalid_request"),
            ({"database": ["a"]}, "invalid_request"),
        ],
    )
    def test_what_is_wrong_is_refused_by_its_name(self, world: World, body: Json, code: str) -> None:
        status, answer, _ = self.ask(body)
        assert (status, answer["error"]["code"]) == (422, code)
        assert world.preferences.texts == {}

    @pytest.mark.proves("W7")
    def test_a_stored_value_that_cannot_be_read_is_an_error_until_the_whole_list_is_saved(self, world: World) -> None:
        world.preferences.texts[CLUSTER.key] = "{"
        for body in (None, {"add": ["b"]}, {"enabled": False}):
            status, answer, _ = self.ask(body)
            assert (status, answer["error"]["code"]) == (500, "preference_corrupted")
            assert "PUT" in answer["error"]["hint"]
        assert world.preferences.texts == {CLUSTER.key: "{"}
        assert self.ask({"databases": ["b"]})[0] == 200
        assert self.ask()[1]["databases"] == ["b"]

    def test_only_operators_change_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        signed_in = new_world(AUTH_MODE="easyauth", WEBSITE_AUTH_ENABLED="True")
        monkeypatch.setattr(responses, "settings", lambda: signed_in.settings)
        with use(signed_in):
            body: Json = {"databases": ["b"]}
            assert self.ask(headers=principal("ada"))[0] == 200
            assert self.ask(body, headers=principal("ada"))[0] == 403
            assert signed_in.preferences.texts == {}
            assert self.ask(body, headers=principal("olga", "operator"))[0] == 200
