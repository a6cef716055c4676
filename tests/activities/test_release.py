"""Releasing a database: its Jobs and DaemonSets by its label, a clean-up Job on each node, and nobody else's things."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from activities.release import create_clean_job, end_release, observe_cleaning, plan_release, remove_warmup_objects
from shared import responses
from shared.clients.database_work import begin_release, begin_warmup, join_warmup, leave_work
from shared.clients.orchestrations import DurableOrchestrations
from shared.domain.database_work import RELEASE_LIFE
from shared.domain.errors import ConflictError, TransientError
from shared.domain.preference import PreferenceChange
from shared.domain.states import Phase
from tests.activities.fakes import World
from tests.activities.test_endpoints import ask
from tests.activities.worlds import (
    CLUSTER,
    DB,
    Json,
    job_id,
    put_node,
    put_pod,
    put_running_search,
    put_search,
    put_warm_cluster,
    status_of,
)
from triggers import warmup, warmup_changes

RELEASE: Json = {"database": DB, "cluster": CLUSTER.to_dict(), "instance": "release-1"}
CLEAN = "elb-cache-clean-db-node-a"
GONE = 'ELB_CLEAN {"removed_bytes":5,"left_bytes":0,"resident_bytes":0,"gone":true}'


@pytest.fixture
def releasing(world: World) -> None:
    """The release is at the database."""
    begin_release(CLUSTER, DB, "release-1", {}, DurableOrchestrations(world.durable))


def long_after(world: World) -> None:
    """The release has lasted longer than one may."""
    later = world.clock() + RELEASE_LIFE
    world.clock = lambda: later


class TestPlan:
    def test_user_nodes_only(self, world: World) -> None:
        put_node(world, "b")
        put_node(world, "a", ready=False)
        put_node(world, "s", pool="system")
        assert plan_release(RELEASE) == {"nodes": ["b"], "not_ready": ["a"], "force": False}

    @pytest.mark.proves("W6")
    @pytest.mark.parametrize(("force", "refused"), [(False, True), (True, False)])
    def test_not_while_a_search_uses_it(self, world: World, force: bool, refused: bool) -> None:
        put_running_search(world)
        put_search(world, job_id(2), phase=Phase.COMPLETED)
        data = RELEASE | {"force": force}
        if not refused:
            assert plan_release(data) == {"nodes": [], "not_ready": [], "force": True}
            return
        with pytest.raises(ConflictError, match=f"database_in_use.*{job_id(1)}") as raised:
            plan_release(data)
        assert job_id(2) not in raised.value.message


@pytest.mark.usefixtures("releasing")
class TestObjects:
    def test_everything_of_this_database_and_nothing_else(self, world: World) -> None:
        put_warm_cluster(world)
        for name, db in (("warmup-db", DB), ("warmup-other", "other")):
            metadata = {"name": name, "labels": {"app": "db-warmup", "db": db}}
            world.cluster.put("daemonsets", {"metadata": metadata})
        other = {"name": "warm-other-00", "labels": {"app": "elb-db-warmup", "db": "other"}}
        world.cluster.put("jobs", {"metadata": other, "spec": {}, "status": {}})
        removed = remove_warmup_objects(RELEASE)
        assert removed == {"deleted": ["job/warm-db-00", "job/warm-db-01", "daemonset/warmup-db"], "left": 3}
        assert remove_warmup_objects(RELEASE) == {"deleted": [], "left": 0}
        assert (world.cluster.names("jobs"), world.cluster.names("daemonsets")) == (["warm-other-00"], ["warmup-other"])

    def test_pods_that_are_still_there_are_left(self, world: World) -> None:
        put_warm_cluster(world)
        put_pod(world, world.cluster.objects["jobs"]["warm-db-00"], "Running")
        remove_warmup_objects(RELEASE)
        assert remove_warmup_objects(RELEASE) == {"deleted": [], "left": 1}

    @pytest.mark.parametrize("other", ["warmup", "release"])
    def test_one_that_came_too_late_removes_nothing_of_those_after_it(self, world: World, other: str) -> None:
        put_warm_cluster(world)
        long_after(world)
        if other == "warmup":
            join_warmup(CLUSTER, DB, "warmup-1")
        else:
            begin_release(CLUSTER, DB, "release-2", {}, DurableOrchestrations(world.durable))
        with pytest.raises(ConflictError, match="release_superseded"):
            remove_warmup_objects(RELEASE)
        with pytest.raises(ConflictError, match="release_superseded"):
            create_clean_job(RELEASE | {"node": "node-a"})
        assert world.cluster.names("jobs") == ["warm-db-00", "warm-db-01"]

    def test_late_but_with_nobody_after_it_it_goes_on(self, world: World) -> None:
        put_warm_cluster(world)
        long_after(world)
        assert remove_warmup_objects(RELEASE)["left"] == 2

    @pytest.mark.proves("W6")
    @pytest.mark.parametrize(("force", "refused"), [(False, True), (True, False), (None, False)])
    def test_a_search_that_was_let_in_just_before_stops_it(
        self, world: World, force: bool | None, refused: bool
    ) -> None:
        put_warm_cluster(world)
        put_running_search(world, phase=Phase.CONFIGURING, jobs=0)
        data = RELEASE if force is None else RELEASE | {"force": force}
        if not refused:
            assert remove_warmup_objects(data)["left"] == 2
            return
        with pytest.raises(ConflictError, match="database_in_use"):
            remove_warmup_objects(data)
        assert world.cluster.names("jobs") == ["warm-db-00", "warm-db-01"]


@pytest.mark.usefixtures("releasing")
class TestCleaning:
    DATA: Json = RELEASE | {"node": "node-a", "nodes": ["node-a"]}

    def test_made_once_for_its_node(self, world: World) -> None:
        assert [create_clean_job(self.DATA)["created"] for _ in range(2)] == [True, False]
        assert world.cluster.names("jobs") == [CLEAN]

    def test_one_of_another_release_makes_room(self, world: World) -> None:
        of_before(world, "node-a")
        with pytest.raises(TransientError, match="job_terminating"):
            create_clean_job(self.DATA)
        assert create_clean_job(self.DATA)["created"] is True

    @pytest.mark.parametrize(
        ("state", "log", "done", "error"),
        [
            ("running", "", False, ""),
            ("succeeded", GONE, True, ""),
            ("failed", "refused: a link", True, "refused: a link"),
            ("missing", "", True, "removed by somebody"),
        ],
    )
    def test_it_is_what_its_job_and_its_log_say(
        self, world: World, state: str, log: str, done: bool, error: str
    ) -> None:
        if state != "missing":
            create_clean_job(self.DATA)
            job = world.cluster.objects["jobs"][CLEAN]
            job["status"] = status_of(state)
            pod = put_pod(world, job, "Succeeded" if state == "succeeded" else "Failed")
            world.cluster.logs[pod["metadata"]["name"]] = log
        [cleaning] = observe_cleaning(self.DATA)["cleanings"]
        assert cleaning["done"] is done
        assert error in cleaning["error"]
        assert bool(cleaning["error"]) is bool(error)

    def test_the_end_removes_its_own_jobs_and_lets_others_in(self, world: World) -> None:
        create_clean_job(self.DATA)
        of_before(world, "node-b")
        for _ in range(2):
            end_release(self.DATA | {"nodes": ["node-a", "node-b"]})
        assert world.cluster.names("jobs") == ["elb-cache-clean-db-node-b"]
        assert world.clusters.works == {}

    def test_without_nodes_others_are_let_in_though_no_cluster_answers(self, world: World) -> None:
        world.kube = lambda *_, **__: pytest.fail("asked")  # type: ignore[method-assign]
        end_release(RELEASE | {"nodes": []})
        assert world.clusters.works == {}


def of_before(world: World, node: str) -> None:
    """The clean-up Job of a node that another release has left."""
    orchestrations = DurableOrchestrations(world.durable)
    leave_work(CLUSTER, DB, "release-1")
    begin_release(CLUSTER, DB, "release-0", {}, orchestrations)
    create_clean_job(RELEASE | {"node": node, "instance": "release-0"})
    leave_work(CLUSTER, DB, "release-0")
    begin_release(CLUSTER, DB, "release-1", {}, orchestrations)


@pytest.fixture
def app(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """One user on loopback, who is an operator too."""
    monkeypatch.setattr(responses, "settings", lambda: world.settings)


@pytest.mark.usefixtures("app")
class TestEndpoint:
    BODY: Json = {"database": DB}  # noqa: RUF012

    def release(self, world: World, **body: Any) -> tuple[int, Json]:
        """Ask for a release."""
        return ask(warmup_changes.release_database, world.durable, body=self.BODY | body)

    @pytest.fixture(autouse=True)
    def impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nobody waits here for an orchestration that a fake does not run."""
        monkeypatch.setattr(warmup_changes, "ANSWER_SECONDS", 0.0)

    def test_one_that_lasts_is_answered_with_202(self, world: World) -> None:
        status, body = self.release(world)
        assert (status, body["status_url"]) == (202, f"/api/warmup/{body['instance_id']}/status")
        name, data = world.durable.started[body["instance_id"]]
        assert (name, data) == (
            "release_orchestrator",
            {"database": DB, "cluster": CLUSTER.to_dict(), "force": False},
        )

    def test_twice_at_once_is_one_release(self, world: World) -> None:
        assert self.release(world) == self.release(world)
        assert len(world.durable.started) == 1

    @pytest.mark.parametrize("outcome", ["released", "partial", "nothing"])
    def test_one_that_has_ended_is_answered_with_what_it_did(self, world: World, outcome: str) -> None:
        instance = self.release(world)[1]["instance_id"]
        body = {"status": outcome, "deleted": ["job/x"], "errors": []}
        world.durable.outputs[instance] = {**body, "database": DB}
        original = world.durable.get_orchestration_state

        def end_then_tell(instance_id: str) -> Any:
            told = original(instance_id)
            world.durable.ended[instance] = "COMPLETED"
            return told

        world.durable.get_orchestration_state = end_then_tell  # type: ignore[method-assign]
        assert self.release(world) == (200, body | {"instance_id": instance})

    @pytest.mark.parametrize(
        ("code", "status"),
        [("kube_unreachable", 503), ("database_in_use", 409), ("broken", 422)],
    )
    def test_one_that_has_failed_says_why(self, world: World, code: str, status: int) -> None:
        instance = self.release(world)[1]["instance_id"]
        error = {"code": code, "message": "why", "hint": "what to do"}
        world.durable.outputs[instance] = {"status": "failed", "database": DB, "error": error}
        original = world.durable.get_orchestration_state

        def end_then_tell(instance_id: str) -> Any:
            told = original(instance_id)
            world.durable.ended[instance] = "COMPLETED"
            return told

        world.durable.get_orchestration_state = end_then_tell  # type: ignore[method-assign]
        answered, body = self.release(world)
        assert (answered, body["error"]["code"], body["error"]["hint"]) == (status, code, "what to do")

    def test_one_that_others_came_after_is_a_conflict(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        instance = self.release(world)[1]["instance_id"]
        world.durable.ended[instance] = "COMPLETED"
        error = {"code": "release_superseded", "message": "why", "hint": "what to do"}
        world.durable.outputs[instance] = {"status": "failed", "database": DB, "error": error}
        monkeypatch.setattr(warmup_changes, "begin_release", lambda *_: instance)
        status, body = self.release(world)
        assert (status, body["error"]["code"]) == (409, "release_superseded")

    def test_what_somebody_releases_is_not_warmed_by_itself_again(self, world: World) -> None:
        world.preferences.save(CLUSTER, PreferenceChange(databases=("other", DB)))
        assert self.release(world)[0] == 202
        assert world.preferences.read(CLUSTER).preference.databases == ("other",)

    def test_one_that_is_refused_leaves_the_list_as_it_is(self, world: World) -> None:
        world.preferences.save(CLUSTER, PreferenceChange(databases=(DB,)))
        put_running_search(world)
        assert self.release(world)[0] == 409
        assert world.preferences.read(CLUSTER).preference.databases == (DB,)

    def test_in_use_it_is_refused_and_nothing_is_started(self, world: World) -> None:
        put_running_search(world)
        status, body = self.release(world)
        assert (status, body["error"]["code"]) == (409, "database_in_use")
        assert [detail["message"] for detail in body["error"]["details"]] == [job_id(1)]
        assert world.durable.started == {}
        assert self.release(world, force=True)[0] == 202

    def test_not_while_a_warmup_is_at_it(self, world: World) -> None:
        started = ask(warmup_changes.start_warmup, world.durable, body=self.BODY)[1]["instance_id"]
        status, body = self.release(world)
        assert (status, body["error"]["code"]) == (409, "operation_in_progress")
        assert started in body["error"]["message"]
        assert self.release(world, force=True)[0] == 202
        assert world.clusters.work(CLUSTER, DB).warmups == {}

    def test_a_warmup_that_ended_without_a_word_holds_nobody_up(self, world: World) -> None:
        started = ask(warmup_changes.start_warmup, world.durable, body=self.BODY)[1]["instance_id"]
        world.durable.ended[started] = "FAILED"
        assert self.release(world)[0] == 202

    def test_one_that_never_began_holds_nobody_up_for_long(self, world: World) -> None:
        join_warmup(CLUSTER, DB, "warmup-x")
        assert self.release(world)[0] == 409
        later = world.clock() + timedelta(seconds=61)
        world.clock = lambda: later
        assert self.release(world)[0] == 202

    def test_a_warmup_waits_its_turn_while_it_is_released(self, world: World) -> None:
        instance = self.release(world)[1]["instance_id"]
        status, body = ask(warmup_changes.start_warmup, world.durable, body=self.BODY)
        assert (status, body["error"]["code"]) == (409, "operation_in_progress")
        assert instance in body["error"]["message"]

    @pytest.mark.parametrize("how", ["FAILED", "TERMINATED", "COMPLETED"])
    def test_a_release_that_ended_without_a_word_holds_no_warmup_up(self, world: World, how: str) -> None:
        world.durable.ended[self.release(world)[1]["instance_id"]] = how
        status, body = ask(warmup_changes.start_warmup, world.durable, body=self.BODY)
        assert status == 202
        work = world.clusters.work(CLUSTER, DB)
        assert (set(work.warmups), work.release) == ({body["instance_id"]}, "")

    def test_a_search_that_waits_keeps_nothing(self, world: World) -> None:
        put_search(world, phase=Phase.WAITING_FOR_CAPACITY)
        assert self.release(world)[0] == 202

    def test_a_release_that_died_before_it_was_started_is_started(self, world: World) -> None:
        instance = self.release(world)[1]["instance_id"]
        del world.durable.started[instance]
        assert self.release(world)[1]["instance_id"] == instance
        assert list(world.durable.started) == [instance]

    @pytest.mark.parametrize("name", ["", "../x", "a/b", ".", "x" * 61])
    def test_what_is_no_name_is_refused(self, world: World, name: str) -> None:
        assert self.release(world, database=name)[0] == 422
        assert world.durable.started == {}

    def test_how_it_stands_is_shown_with_the_incidents(self, world: World) -> None:
        instance = self.release(world)[1]["instance_id"]
        status, body = ask(warmup.show_warmup, world.durable, instance_id=instance)
        assert (status, body["incidents"], body["runtime_status"]) == (200, [], "running")


@pytest.mark.usefixtures("app")
class TestWarmups:
    BODY: Json = {"database": DB}  # noqa: RUF012

    def start(self, world: World, **body: Any) -> tuple[int, Json]:
        """Ask for a warmup."""
        return ask(warmup_changes.start_warmup, world.durable, body=self.BODY | body)

    def test_the_second_joins_the_first(self, world: World) -> None:
        assert self.start(world) == self.start(world)
        assert len(world.durable.started) == 1

    def test_a_rewarm_joins_nobody(self, world: World) -> None:
        instance = self.start(world)[1]["instance_id"]
        status, body = self.start(world, force=True)
        assert (status, body["error"]["code"]) == (409, "operation_in_progress")
        assert instance in body["error"]["message"]

    def test_a_key_belongs_to_one_request(self, world: World) -> None:
        def keyed(**body: Any) -> tuple[int, Json]:
            headers = {"Idempotency-Key": "k"}
            return ask(warmup_changes.start_warmup, world.durable, body=self.BODY | body, headers=headers)

        assert keyed() == keyed()
        status, body = keyed(force=True)
        assert (status, body["error"]["code"]) == (409, "idempotency_key_reused")
        assert len(world.durable.started) == 1

    def test_one_that_died_before_it_was_started_is_started_by_who_joins_it(self, world: World) -> None:
        instance = self.start(world)[1]["instance_id"]
        del world.durable.started[instance]
        assert self.start(world)[1]["instance_id"] == instance
        assert world.durable.started[instance][0] == "warmup_orchestrator"

    def test_a_key_leads_to_the_same_warmup_for_ever(self, world: World) -> None:
        """Also one that came while another warmup was under way: it meets that one in its Jobs, under its own id."""
        other = self.start(world)[1]["instance_id"]
        headers = {"Idempotency-Key": "k"}

        def keyed() -> tuple[int, Json]:
            return ask(warmup_changes.start_warmup, world.durable, body=self.BODY, headers=headers)

        first = keyed()
        assert set(world.clusters.work(CLUSTER, DB).warmups) == {other, first[1]["instance_id"]}
        for ended in (other, first[1]["instance_id"]):
            world.durable.ended[ended] = "COMPLETED"
            leave_work(CLUSTER, DB, ended)
            assert keyed() == first
        assert set(world.durable.started) == {other, first[1]["instance_id"]}

    def test_a_keyed_rewarm_joins_nobody_either(self, world: World) -> None:
        orchestrations = DurableOrchestrations(world.durable)
        data = self.BODY | {"cluster": CLUSTER.to_dict(), "force": True}
        self.start(world)
        with pytest.raises(ConflictError, match="operation_in_progress"):
            begin_warmup(CLUSTER, DB, "warmup-k", data, orchestrations, keyed=True)

    def test_after_the_first_has_ended_there_is_another_one(self, world: World) -> None:
        instance = self.start(world)[1]["instance_id"]
        world.durable.ended[instance] = "COMPLETED"
        assert self.start(world)[1]["instance_id"] != instance

    def test_another_database_is_other_work(self, world: World) -> None:
        self.start(world)
        assert self.start(world, database="other")[0] == 202
        assert len(world.durable.started) == 2
