"""What the pages show of the warm cache: one row a database, one a node, bounded in time, and unknown where it is."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import azure.functions as func
import pytest

from shared import responses
from shared.clients import warm_cache
from shared.clients.provider import use
from shared.clients.warm_cache import look_at_cache, read_cache, read_views
from shared.clients.warmups import LOG_LINES, read_warmup
from shared.domain.errors import ConflictError, PermanentError, TransientError
from shared.domain.preference import PreferenceChange
from shared.domain.release import check_not_used
from shared.domain.residency import Residency
from shared.domain.states import Phase
from shared.domain.times import format_time
from shared.domain.warmth import Warmth
from tests.activities.fakes import World
from tests.activities.test_endpoints import ask
from tests.activities.worlds import (
    CLUSTER,
    DB,
    Json,
    new_world,
    put_database,
    put_file,
    put_node,
    put_running_search,
    put_warm_cluster,
    status_of,
)
from triggers import databases, nodes, warmup

UNANSWERED = TransientError("kube_unreachable", "no answer")


@pytest.fixture(autouse=True)
def app(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """One user on loopback."""
    monkeypatch.setattr(responses, "settings", lambda: world.settings)


def warm_job(world: World, shard: int) -> Json:
    """The warmup Job of a shard."""
    return world.cluster.objects["jobs"][f"warm-{DB}-{shard:02d}"]


def put_probe(world: World, node: str, shard: int, resident: int, **line: Any) -> None:
    """A probe that measured one shard of 600 bytes on a node, now."""
    version = warm_job(world, shard)["metadata"]["annotations"]["elb-control/source-version"]
    found = {"layout": 2, "shard": shard, "version": version, "bytes": 600, "resident": resident, "missing": 0}
    database = {"database": DB, "bytes": 600, "resident": resident, "shards": [found]}
    at = format_time(datetime.now(UTC))
    name = f"probe-{node}"
    world.cluster.logs[name] = json.dumps({"at": at, "databases": [database]} | line) + "\n"
    pod = {
        "metadata": {"name": name, "labels": {"app": "elb-cache-probe"}},
        "spec": {"nodeName": node, "containers": [{"name": "probe"}]},
        "status": {"phase": "Running"},
    }
    world.cluster.put("pods", pod)


def put_metrics(world: World, node: str, memory: str) -> None:
    """What the metrics server says of a node."""
    world.cluster.put("nodemetrics", {"metadata": {"name": node}, "usage": {"cpu": "1", "memory": memory}})


def rows(world: World) -> dict[str, Json]:
    """The databases table, by name."""
    status, body = ask(databases.show_databases)
    assert status == 200
    return {row["name"]: row for row in body["items"]}


@pytest.mark.proves("W1")
class TestDatabases:
    def test_a_warm_one(self, world: World) -> None:
        put_warm_cluster(world)
        put_probe(world, "node-a", 0, 600)
        put_probe(world, "node-b", 1, 590)
        row = rows(world)[DB]
        assert (row["storage_state"], row["shards"], row["in_use"]) == ("sharded", [2], 0)
        assert row["warmth"]["state"] == "ready"
        assert (row["warmth"]["bytes"], row["warmth"]["resident_bytes"]) == (1200, 1190)
        assert row["fit"]["verdict"] == "fits"
        assert [(n["name"], n["shards"], n["bytes"]) for n in row["fit"]["nodes"]] == [
            ("node-a", [0], 600),
            ("node-b", [1], 600),
        ]
        assert row["allowed_actions"] == ["rewarm", "release"]

    def test_one_that_was_pushed_out_of_memory(self, world: World) -> None:
        put_warm_cluster(world)
        put_probe(world, "node-a", 0, 600)
        put_probe(world, "node-b", 1, 100)
        row = rows(world)[DB]
        assert row["warmth"]["state"] == "cooled"
        assert row["warmth"]["reason"] == "100 of 600 bytes of shard 1 are in memory of node-b"
        assert row["allowed_actions"] == ["rewarm", "release"]

    def test_without_a_probe_it_is_warm_by_its_jobs_and_says_so(self, world: World) -> None:
        put_warm_cluster(world)
        row = rows(world)[DB]["warmth"]
        assert (row["state"], row["resident_bytes"]) == ("ready", None)
        assert row["residency_reason"] == "no probe runs on this cluster; the next warmup starts it"

    def test_a_cold_one(self, world: World) -> None:
        put_node(world, "node-a")
        put_database(world)
        row = rows(world)[DB]
        assert (row["warmth"]["state"], row["allowed_actions"]) == ("cold", ["warm"])

    def test_one_that_does_not_fit_says_how_many_nodes_would_do(self, world: World) -> None:
        put_node(world, "node-a", memory="1200")
        put_database(world)
        row = rows(world)[DB]
        assert (row["fit"]["verdict"], row["fit"]["nodes_needed"]) == ("cluster_too_small", 2)
        assert row["allowed_actions"] == []

    def test_the_room_that_another_one_takes_is_not_there(self, world: World) -> None:
        """Both fit alone on two nodes with room for 1000 bytes each; not both."""
        put_warm_cluster(world)
        for name in ("node-a", "node-b"):
            put_node(world, name, memory="2000")
        put_database(world, "other")
        found = rows(world)
        assert found[DB]["fit"]["verdict"] == "fits"
        assert found["other"]["fit"]["verdict"] == "cluster_too_small"
        assert "other databases hold" in found["other"]["fit"]["message"]
        assert found["other"]["allowed_actions"] == []

    def test_several_side_by_side_where_there_is_room(self, world: World) -> None:
        put_warm_cluster(world)
        put_database(world, "other")
        assert rows(world)["other"]["allowed_actions"] == ["warm"]

    def test_downloaded_incomplete_and_gone_ones(self, world: World) -> None:
        put_warm_cluster(world)
        put_database(world, "b", shards=0)
        put_file(world, "c", "c.00.nin", b"x")
        for container, name in list(world.store.blobs):
            if name.startswith(f"{DB}/"):
                del world.store.blobs[container, name]
        found = rows(world)
        assert {name: (row["storage_state"], row["warmth"]["state"]) for name, row in found.items()} == {
            "b": ("downloaded", "cold"),
            "c": ("incomplete", "cold"),
            DB: ("not_downloaded", "ready"),
        }
        assert (found["b"]["fit"]["verdict"], found["b"]["fit"]["shards_advised"]) == ("database_not_sharded", 2)
        assert found["c"]["error"]["code"] == "database_incomplete"
        assert found[DB]["allowed_actions"] == ["release"]

    def test_a_search_that_uses_it_keeps_it_from_being_released(self, world: World) -> None:
        put_warm_cluster(world)
        put_running_search(world)
        row = rows(world)[DB]
        assert (row["in_use"], row["allowed_actions"]) == (1, ["rewarm"])

    @pytest.mark.parametrize("phase", [Phase.WAITING_FOR_WARMUP, Phase.COMPLETED])
    def test_one_that_waits_or_has_ended_does_not(self, world: World, phase: Phase) -> None:
        put_warm_cluster(world)
        put_running_search(world, phase=phase)
        assert rows(world)[DB]["in_use"] == 0

    @pytest.mark.parametrize("phase", Phase)
    def test_what_is_offered_is_not_refused(self, world: World, phase: Phase) -> None:
        """One rule for both: whoever keeps a database is in its row, and the other way round."""
        put_warm_cluster(world)
        search = put_running_search(world, phase=phase)
        offered = "release" in rows(world)[DB]["allowed_actions"]
        try:
            check_not_used(DB, [search])
        except ConflictError:
            assert not offered
        else:
            assert offered

    def test_auto_warm(self, world: World) -> None:
        put_warm_cluster(world)
        assert rows(world)[DB]["auto_warm"] is False
        world.preferences.save(CLUSTER, PreferenceChange(databases=(DB,)))
        assert rows(world)[DB]["auto_warm"] is True
        world.preferences.save(CLUSTER, PreferenceChange(enabled=False))
        assert rows(world)[DB]["auto_warm"] is False


class TestUnknown:
    """A cluster that does not say: the storage part still shows, and nothing is called cold."""

    def check(self, world: World, reason: str) -> None:
        status, body = ask(databases.show_databases)
        assert (status, body["stale"]) == (200, True)
        assert reason in body["stale_reason"]
        row = body["items"][0]
        assert (row["name"], row["storage_state"], row["shards"]) == (DB, "sharded", [2])
        assert (row["warmth"], row["fit"], row["allowed_actions"]) == ({"state": "unknown"}, None, [])
        for show in (nodes.show_nodes, warmup.show_warmth):
            _, body = ask(show)
            assert (body["items"], body["capacity"], body["stale"]) == ([], None, True)
            assert reason in body["stale_reason"]

    @pytest.mark.parametrize(
        ("kind", "reason"), [("nodes", "it does not answer"), ("jobs", "no answer")], ids=["at all", "later"]
    )
    def test_one_that_does_not_answer(self, world: World, kind: str, reason: str) -> None:
        put_warm_cluster(world)
        world.cluster.fail("list", kind, UNANSWERED)
        self.check(world, reason)

    def test_one_that_is_stopped(self, world: World) -> None:
        put_warm_cluster(world)
        world.arm.power = "Stopped"
        self.check(world, "stopped")

    def test_one_that_takes_too_long(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        put_warm_cluster(world)
        going_on = threading.Event()
        monkeypatch.setattr(warm_cache, "BUDGET_SECONDS", 0.05)
        world.cluster.before_list = going_on.wait
        try:
            self.check(world, "no answer of cluster cluster within 0.05 s")
        finally:
            going_on.set()
            monkeypatch.setattr(warm_cache, "BUDGET_SECONDS", 5)
            look_at_cache(CLUSTER)  # the reading goes on: let it end within its test

    def test_no_cluster_at_all(self) -> None:
        world = new_world(ELB_DEFAULT_CLUSTER="")
        with use(world):
            put_database(world)
            body = ask(databases.show_databases)[1]
        assert body["stale_reason"] == "no cluster is named, and the app has no default one"
        assert body["items"][0]["warmth"] == {"state": "unknown"}


class TestNodes:
    def test_rows_and_their_sums(self, world: World) -> None:
        put_warm_cluster(world)
        put_node(world, "system-1", pool="system")
        put_probe(world, "node-a", 0, 600)
        put_probe(world, "node-b", 1, 100)
        for name in ("node-a", "node-b"):
            put_metrics(world, name, "1Gi")
        status, body = ask(nodes.show_nodes)
        assert (status, body["stale"]) == (200, False)
        assert [row["name"] for row in body["items"]] == ["node-a", "node-b", "system-1"]
        row = body["items"][1]
        assert (row["headroom_bytes"], row["cache_budget_bytes"]) == (7 * 2**30, 4 * 2**30)
        assert row["resident_bytes"] == 100
        assert [(s["database"], s["shard"], s["resident_bytes"]) for s in row["shards"]] == [(DB, 1, 100)]
        capacity = body["capacity"]
        assert (capacity["nodes"], capacity["nodes_for_databases"], capacity["resident_bytes"]) == (3, 2, 700)
        assert capacity["metrics_reason"] is None
        assert ask(warmup.show_warmth)[1]["capacity"] == capacity

    def test_a_cluster_without_a_metrics_server(self, world: World) -> None:
        put_warm_cluster(world)
        world.cluster.fail("list", "nodemetrics", PermanentError("kube_refused", "no such API"))
        body = ask(nodes.show_nodes)[1]
        assert body["items"][0]["headroom_bytes"] is None
        assert body["capacity"]["metrics_reason"] == "the nodes' metrics could not be read: no such API"


class TestWhichCluster:
    @pytest.mark.parametrize("show", [databases.show_databases, nodes.show_nodes, warmup.show_warmth])
    @pytest.mark.parametrize(
        ("params", "status", "code"),
        [
            ({"cluster_name": "a/../b"}, 422, "invalid_request"),
            ({"storage_account": "Not-An-Account"}, 422, "invalid_request"),
            ({"cluster_name": "other"}, 200, ""),
        ],
    )
    def test_it_is_checked_before_anything_is_asked(
        self, world: World, show: Any, params: dict[str, str], status: int, code: str
    ) -> None:
        put_warm_cluster(world)
        headers = {"Host": "localhost:7071"}
        url = "http://localhost:7071/api"
        answer = show(func.HttpRequest("GET", url, headers=headers, params=params, route_params={}, body=b""))
        body = json.loads(answer.get_body())
        assert (answer.status_code, body.get("error", {}).get("code", "")) == (status, code)
        assert status != 200 or body["cluster_name"] == "other"


class TestReading:
    def test_one_list_of_each_kind_for_all_databases(self, world: World) -> None:
        put_warm_cluster(world)
        put_database(world, "other")
        world.cluster.calls.clear()
        found = read_cache(world.cluster)
        assert found.databases == (DB,)
        assert {call: n for call, n in world.cluster.calls.items() if call.startswith("list")} == {
            "list jobs": 1,
            "list pods": 2,  # of the warmups and of the probes
            "list nodes": 1,
            "list nodemetrics": 1,
        }

    @pytest.mark.parametrize(
        "read", [lambda w: read_cache(w.cluster).status(DB, None), lambda w: read_warmup(w.cluster, DB, None)]
    )
    def test_all_logs_are_read(self, world: World, read: Callable[[World], Any]) -> None:
        """Twenty shards: the last one's log counts as much as the first one's."""
        put_node(world, "node-a")
        put_database(world, volumes=20, shards=20)
        for shard in range(20):
            put_loading(world, shard, 20, f'ELB_PHASE {{"phase":"copying_files","done":{shard},"total":19}}\n')
        found = read(world)
        assert [round(s.percent, 1) for s in found.shards] == [round(70 * n / 19, 1) for n in range(20)]

    def test_the_words_of_a_failed_copy_do_not_hide_the_phase(self, world: World) -> None:
        """AzCopy's last 20 lines stand between a marker and the next one."""
        put_node(world, "node-a")
        put_database(world, volumes=1, shards=1)
        log = 'ELB_PHASE {"phase":"copying_files","done":5,"total":10}\n' + "failed: GET\n" * 20 + "try 1: cause\n" * 2
        put_loading(world, 0, 1, log)
        assert LOG_LINES >= 40
        assert read_warmup(world.cluster, DB, None).progress_pct == 35

    def test_a_search_does_not_ask_what_is_in_memory(self, world: World) -> None:
        """What has cooled lies on the disk: it can be searched."""
        put_warm_cluster(world)
        put_probe(world, "node-a", 0, 0)
        version = warm_job(world, 0)["metadata"]["annotations"]["elb-control/source-version"]
        assert read_warmup(world.cluster, DB, version).state is Warmth.READY
        cooled = read_warmup(world.cluster, DB, version, read_cache(world.cluster).residency)
        assert cooled.state is Warmth.COOLED

    def test_a_measurement_from_before_the_warmup_says_nothing(self, world: World) -> None:
        put_warm_cluster(world)
        put_probe(world, "node-a", 0, 0)
        later = format_time(datetime.now(UTC) + timedelta(seconds=30))
        warm_job(world, 0)["status"]["completionTime"] = later
        assert read_cache(world.cluster).status(DB, None).state is Warmth.READY

    def test_what_the_planner_is_given(self, world: World) -> None:
        put_warm_cluster(world)
        alias = len(world.store.read("blast-db", f"{DB}/{DB}_02_00.nal"))
        assert {v.name: v.held_bytes for v in read_views(world.cluster, "other")} == dict.fromkeys(
            ("node-a", "node-b"), 600 + alias
        )
        assert {v.held_bytes for v in read_views(world.cluster, DB)} == {0}

    def test_a_reading_whose_probes_fail_is_a_reading(self, world: World) -> None:
        put_warm_cluster(world)
        put_probe(world, "node-a", 0, 600)
        world.cluster.fail("log", "pods", UNANSWERED)
        found = read_cache(world.cluster)
        assert found.status(DB, None).state is Warmth.READY
        assert found.residency == Residency(unknown={"node-a": "the probe's log could not be read: no answer"})


def put_loading(world: World, shard: int, layout: int, log: str) -> None:
    """A warmup Job that runs, with its pod's log."""
    name = f"warm-{DB}-{shard:02d}"
    labels = {"app": "elb-db-warmup", "db": DB, "shard": f"{shard:02d}"}
    annotations = {"elb-control/layout": str(layout), "elb-control/source-version": "v1"}
    status = status_of("running")
    world.cluster.put(
        "jobs", {"metadata": {"name": name, "labels": labels, "annotations": annotations}, "spec": {}, "status": status}
    )
    pod = {
        "metadata": {"name": f"{name}-pod", "labels": labels | {"job-name": name}},
        "spec": {"nodeName": "node-a"},
        "status": {"phase": "Running"},
    }
    world.cluster.put("pods", pod)
    world.cluster.logs[f"{name}-pod"] = log
