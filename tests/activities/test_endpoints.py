"""What the other endpoints do with the clients: a call-back that only wakes, warmups and shards as started work."""

from __future__ import annotations

import json
from typing import Any

import azure.functions as func
import pytest

from shared import responses
from shared.domain.callback import callback_token
from shared.domain.errors import TransientError
from shared.domain.search import Search
from shared.domain.states import Phase
from tests.activities.fakes import World
from tests.activities.worlds import (
    CLUSTER,
    DB,
    JOB_ID,
    Json,
    job_id,
    put_database,
    put_file,
    put_running_search,
    put_warm_cluster,
)
from triggers import databases, jobs, warmup, warmup_changes


@pytest.fixture(autouse=True)
def app(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """One user on loopback, who is an operator too."""
    monkeypatch.setattr(responses, "settings", lambda: world.settings)


def ask(
    function: Any, *bindings: Any, body: Json | None = None, headers: Json | None = None, **route: str
) -> tuple[int, Json]:
    """Call an endpoint; the status and the body of the answer."""
    request = func.HttpRequest(
        "POST" if body is not None else "GET",
        "http://localhost:7071/api",
        headers={"Host": "localhost:7071"} | (headers or {}),
        params={name: value for name, value in route.items() if name == "database"},
        route_params=route,
        body=json.dumps(body or {}).encode(),
    )
    answer = function(request, *bindings)
    return answer.status_code, json.loads(answer.get_body())


class TestNotify:
    @pytest.fixture
    def search(self, world: World) -> Search:
        return put_running_search(world, run=2)

    def notify(self, world: World, job_id: str, token: str) -> int:
        """Call back as a Job does."""
        return ask(jobs.notify, world.durable, body={}, headers={"X-Elb-Token": token}, id=job_id)[0]

    def test_a_look_is_asked_for_and_the_monitor_of_this_run_woken(self, world: World, search: Search) -> None:
        assert self.notify(world, search.job_id, callback_token("secret", search.job_id)) == 202
        assert world.clusters.read(CLUSTER).wake_requested_at is not None
        assert world.durable.woken == [f"monitor-{search.job_id}-2"]

    def test_it_changes_nothing_in_the_row(self, world: World, search: Search) -> None:
        self.notify(world, search.job_id, callback_token("secret", search.job_id))
        assert world.searches.get(search.owner, search.job_id) == search

    @pytest.mark.parametrize("token", ["", "forged", callback_token("secret", job_id(2)), callback_token("", JOB_ID)])
    def test_a_forged_one_does_nothing(self, world: World, search: Search, token: str) -> None:
        assert self.notify(world, search.job_id, token) == 403
        assert world.durable.woken == []
        assert world.clusters.read(CLUSTER).wake_requested_at is None

    def test_one_that_comes_late_wakes_nobody(self, world: World) -> None:
        search = put_running_search(world, phase=Phase.COMPLETED)
        assert self.notify(world, search.job_id, callback_token("secret", search.job_id)) == 202
        assert world.durable.woken == []


class TestWarmups:
    def test_it_is_started_as_work_of_its_own(self, world: World) -> None:
        status, body = ask(warmup_changes.start_warmup, world.durable, body={"database": DB})
        assert status == 202
        name, data = world.durable.started[body["instance_id"]]
        assert name == "warmup_orchestrator"
        assert data == {"database": DB, "cluster": CLUSTER.to_dict(), "force": False}
        assert body["status_url"] == f"/api/warmup/{body['instance_id']}/status"

    def test_the_same_key_starts_it_once(self, world: World) -> None:
        headers = {"Idempotency-Key": "warm-1"}
        first = ask(warmup_changes.start_warmup, world.durable, body={"database": DB}, headers=headers)
        assert ask(warmup_changes.start_warmup, world.durable, body={"database": DB}, headers=headers) == first
        assert len(world.durable.started) == 1

    @pytest.mark.parametrize("key", ["", "a\tb", "k" * 201, "\xe4"])
    def test_a_wrong_key_starts_nothing(self, world: World, key: str) -> None:
        headers = {"Idempotency-Key": key}
        status, body = ask(warmup_changes.start_warmup, world.durable, body={"database": DB}, headers=headers)
        assert (status, body["error"]["code"]) == (422, "invalid_idempotency_key")
        assert world.durable.started == {}

    @pytest.mark.parametrize("instance", ["warmup-none", "", "job-1", "warmup-../x"])
    def test_work_that_is_not_there(self, world: World, instance: str) -> None:
        world.durable.started["job-1"] = "search_orchestrator", {}
        status, body = ask(warmup.show_warmup, world.durable, instance_id=instance)
        assert (status, body["error"]["code"]) == (404, "instance_not_found")

    def test_what_is_warm(self, world: World) -> None:
        put_warm_cluster(world)
        status, body = ask(warmup.show_warmth)
        assert (status, body["stale"]) == (200, False)
        assert [(item["database"], item["status"]) for item in body["items"]] == [(DB, "ready")]

    def test_what_is_warm_of_another_version_is_stale(self, world: World) -> None:
        put_warm_cluster(world)
        put_file(world, DB, f"{DB}.00.nsq", b"newer")
        assert ask(warmup.show_warmth, database=DB)[1]["items"][0]["status"] == "stale"

    def test_a_cluster_that_does_not_answer_is_not_cold(self, world: World) -> None:
        put_warm_cluster(world)
        world.cluster.fail("list", "jobs", TransientError("kube_unreachable", "no answer"))
        body = ask(warmup.show_warmth)[1]
        assert (body["items"], body["stale"], body["stale_reason"]) == ([], True, "no answer")


class TestDatabases:
    def test_sharded_downloaded_and_incomplete_ones(self, world: World) -> None:
        put_database(world, "a")
        put_database(world, "b", shards=0)
        put_file(world, "c", "c.00.nin", b"x")
        items = ask(databases.show_databases)[1]["items"]
        assert [(item["name"], item["storage_state"]) for item in items] == [
            ("a", "sharded"),
            ("b", "downloaded"),
            ("c", "incomplete"),
        ]
        assert items[0]["shards"] == [2]
        assert items[2]["error"]["code"] == "database_incomplete"

    def test_preparing_shards_is_started_as_work_of_its_own(self, world: World) -> None:
        put_database(world, shards=0)
        status, body = ask(databases.prepare_shards, world.durable, body={"shards": 2}, db=DB)
        assert status == 202
        assert world.durable.started[body["instance_id"]] == (
            "shards_orchestrator",
            {"database": DB, "shards": 2, "storage_account": "store"},
        )

    @pytest.mark.parametrize("name", ["other", "../db", ""])
    def test_of_an_unknown_database_nothing_is_started(self, world: World, name: str) -> None:
        put_database(world)
        status, body = ask(databases.prepare_shards, world.durable, body={"shards": 2}, db=name)
        assert (status, body["error"]["code"]) == (422, "unknown_database")
        assert world.durable.started == {}
