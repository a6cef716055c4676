"""The warmup's steps from roles to the end: what is tolerated, what is made anew, and what ends it."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from orchestrators.warmup import LOOKS_PER_GENERATION, warmup_orchestrator
from shared.domain import functions as names
from tests.orchestrators.fake_context import ActivityFailedError, Play, in_turn, play
from tests.orchestrators.searches import BROKEN, CLUSTER

REQUEST: dict[str, Any] = {"database": "core_nt", "cluster": CLUSTER, "force": False}
PLAN: dict[str, Any] = {
    "layout": 2,
    "nodes": ["node-a", "node-b"],
    "touch_limits": [100, 200],
    "source_version": "v1",
    "force": False,
    "history": "warmup%00003as",
    "steps": 2,
}
SEEN = {"pods": {"warm-core-nt-00": ["uid", "pod"]}, "read": [], "lost": []}
LOADING = {"status": "loading", "active_phase": "copying_files", "active_message": "copying", "seen": SEEN}
READY = {"status": "ready", "progress_pct": 100.0, "active_phase": "completed", "elapsed_seconds": 12.0, "seen": SEEN}
COLD = {"status": "cold", "active_message": "", "seen": SEEN, "pod_statuses": [], "shards": 0, "source_version": None}
HALF = LOADING | {"pod_statuses": [{"shard": 0}], "shards": 2, "source_version": "v1"}
SETTLED = HALF | {"status": "stale", "stale_reason": "Jobs of shards 1 are missing", "lost_nodes": []}
REMOVED = {"error": {"code": "warmup_removed", "message": "released while it was being warmed", "hint": "again"}}
WARNING = {
    "role": "Storage Blob Data Reader",
    "code": "not_allowed",
    "hint": "somebody who may: az role assignment create",
}
PULLING = LOADING | {"active_message": "ImagePullBackOff: back-off"}
ROLE = {"status": "failed", "active_phase": "failed", "active_message": "storage_role_missing: the role is missing"}
RELEASING = {"error": {"code": "operation_in_progress", "message": "a release is under way", "hint": "wait"}}
PREPARING = {names.ENSURE_SCRIPTS, names.ENSURE_ROLES, names.ENSURE_PROBE}
BUSY = ActivityFailedError("w: Activity task #3 failed: kube_busy: 429")


def warmup(*looks: Any, request: dict[str, Any] = REQUEST, **others: Any) -> Play:
    """Play one generation: all goes well but for what is given; the last look stays."""
    answers = {
        names.PLAN_WARMUP: PLAN,
        names.ENSURE_SCRIPTS: {"written": True},
        names.ENSURE_ROLES: {"created": True, "warnings": []},
        names.ENSURE_PROBE: {"written": True},
        names.REMOVE_WARMUP_LEFTOVERS: {"deleted": []},
        names.CREATE_WARMUP_JOB: {"job": "warm", "created": True},
        names.END_WARMUP: {},
        names.OBSERVE_WARMUP: in_turn(*looks),
    }
    return play(warmup_orchestrator, request, answers | others)


def to_the_end(*looks: Any, **others: Any) -> tuple[Play, float]:
    """Play all generations; the last one, and the seconds of all."""
    played = warmup(*looks, **others)
    for _ in range(200):
        if played.continued is None:
            return played, played.context.seconds
        answers = {
            names.OBSERVE_WARMUP: looks[-1],
            names.END_WARMUP: {},
            names.ENSURE_SCRIPTS: {"written": False},
            names.CREATE_WARMUP_JOB: {"job": "warm", "created": True},
        } | others
        played = play(warmup_orchestrator, played.continued, answers, now=played.context.now)
    raise AssertionError("it did not end")


@pytest.mark.proves("W2")
class TestBeginning:
    def test_roles_scripts_and_probe_at_once_then_leftovers_then_the_jobs(self) -> None:
        called = warmup(READY).context.names()
        assert called[0] == names.PLAN_WARMUP
        assert set(called[1:4]) == PREPARING
        assert called[4:] == [
            names.REMOVE_WARMUP_LEFTOVERS,
            names.CREATE_WARMUP_JOB,
            names.CREATE_WARMUP_JOB,
            names.OBSERVE_WARMUP,
            names.END_WARMUP,
        ]

    def test_they_are_asked_for_before_any_is_waited_for(self) -> None:
        played = warmup(READY)
        first = next(task for task in played.context.yielded if task.name in PREPARING)
        before = played.context.scheduled[: played.context.scheduled.index(first) + 3]
        assert {task.name for task in before} >= PREPARING

    def test_each_job_knows_its_node_its_limit_and_who_made_it(self) -> None:
        jobs = warmup(READY).context.calls(names.CREATE_WARMUP_JOB)
        assert [(j["shard"], j["node"], j["touch_limit_bytes"]) for j in jobs] == [
            (0, "node-a", 100),
            (1, "node-b", 200),
        ]
        assert {(j["made_by"], j["force"], j["source_version"]) for j in jobs} == {("fake", False, "v1")}

    @pytest.mark.parametrize(
        ("plan", "forced"),
        [({"force": True}, [True, True]), ({"again": [1]}, [False, True]), ({"again": []}, [False, False])],
    )
    def test_the_plan_says_which_are_made_anew(self, plan: dict[str, Any], forced: list[bool]) -> None:
        played = warmup(READY, plan_warmup=PLAN | plan)
        assert [job["force"] for job in played.context.calls(names.CREATE_WARMUP_JOB)] == forced

    @pytest.mark.parametrize("name", [names.ENSURE_ROLES, names.ENSURE_PROBE])
    @pytest.mark.parametrize("failure", [{"error": BROKEN}, BUSY], ids=["permanent", "transient that stays"])
    def test_without_roles_or_probe_it_goes_on(self, name: str, failure: Any) -> None:
        assert warmup(READY, **{name: failure}).result["status"] == "succeeded"

    @pytest.mark.parametrize("name", [names.ENSURE_SCRIPTS, names.REMOVE_WARMUP_LEFTOVERS, names.CREATE_WARMUP_JOB])
    @pytest.mark.parametrize("failure", [{"error": BROKEN}, BUSY], ids=["permanent", "transient that stays"])
    def test_without_anything_else_it_fails_and_leaves(self, name: str, failure: Any) -> None:
        played = warmup(READY, **{name: failure})
        assert played.result["status"] == "failed"
        assert played.context.names()[-1] == names.END_WARMUP

    def test_that_it_could_not_leave_changes_nothing(self) -> None:
        assert warmup(READY, end_warmup=BUSY).result["status"] == "succeeded"

    def test_what_is_refused_by_the_plan_has_left_already(self) -> None:
        assert warmup(READY, plan_warmup={"error": BROKEN}).context.names() == [names.PLAN_WARMUP]


class TestRelease:
    def test_it_waits_for_the_end_of_a_release(self) -> None:
        played = warmup(READY, plan_warmup=in_turn(RELEASING, RELEASING, PLAN))
        assert played.result["status"] == "succeeded"
        assert len(played.context.calls(names.PLAN_WARMUP)) == 3
        assert "waiting_for_release" in [status["phase"] for status in played.context.statuses]

    def test_but_not_for_ever(self) -> None:
        played = warmup(READY, plan_warmup=RELEASING)
        assert played.result["error"]["code"] == "operation_in_progress"
        assert 900 <= played.context.seconds < 920


class TestWatching:
    def test_each_look_knows_what_the_one_before_has_seen(self) -> None:
        looks = warmup(LOADING, READY).context.calls(names.OBSERVE_WARMUP)
        assert [look["seen"] for look in looks] == [None, SEEN]
        assert {look["source_version"] for look in looks} == {"v1"}

    def test_the_pauses_grow_with_the_time_that_it_takes(self) -> None:
        waits = warmup(LOADING).context.waits()
        assert waits[:11] == [0.25] * 10 + [pytest.approx(0.25)]
        assert waits == sorted(waits)
        later = warmup(LOADING, request=REQUEST | {"plan": PLAN, "began": "2029-12-31T23:00:00.000Z"})
        assert set(later.context.waits()) == {10}

    def test_the_next_generation_knows_it_too(self) -> None:
        played = warmup(LOADING)
        assert played.continued["memory"]["seen"] == SEEN
        answers = {names.OBSERVE_WARMUP: READY, names.END_WARMUP: {}}
        second = play(warmup_orchestrator, played.continued, answers, now=played.context.now)
        assert second.context.calls(names.OBSERVE_WARMUP)[0]["seen"] == SEEN
        assert len(played.context.calls(names.OBSERVE_WARMUP)) == LOOKS_PER_GENERATION

    def test_the_status_says_where_the_incidents_are(self) -> None:
        played = warmup(LOADING, ROLE | {"active_message": "bad_database: broken"})
        assert {status.get("history") for status in played.context.statuses[1:]} == {PLAN["history"]}


@pytest.mark.proves("W4")
class TestRoles:
    def test_jobs_that_failed_for_a_missing_role_are_made_anew(self) -> None:
        played = warmup(ROLE, ROLE, LOADING, READY)
        assert played.result["status"] == "succeeded"
        assert len(played.context.calls(names.CREATE_WARMUP_JOB)) == 3 * 2
        assert played.context.waits() == [5, 10, 1.5]

    def test_as_long_as_a_role_may_take_to_act(self) -> None:
        played, seconds = to_the_end(ROLE)
        assert played.result["error"]["code"] == "storage_role_missing"
        assert "Storage Blob Data Reader" in played.result["error"]["hint"]
        assert 180 <= seconds < 215

    @pytest.mark.parametrize("warnings", [[WARNING], []])
    def test_the_line_that_assigns_a_role_which_the_app_could_not(self, warnings: list[dict[str, str]]) -> None:
        played, _ = to_the_end(ROLE, ensure_roles={"created": False, "warnings": warnings})
        assert played.context.statuses[-1].get("role_warnings", []) == warnings
        assert played.result["error"]["code"] == "storage_role_missing"
        assert ("az role assignment create" in played.result["error"]["hint"]) is bool(warnings)

    @pytest.mark.parametrize("code", ["storage_firewall", "bad_database", "node_memory_full", "disk_full"])
    def test_any_other_cause_is_final(self, code: str) -> None:
        played = warmup(ROLE | {"active_message": f"{code}: why", "subnet": "subnet /x/nodes"})
        assert played.result["error"]["code"] == code
        assert len(played.context.calls(names.CREATE_WARMUP_JOB)) == 2
        assert ("subnet /x/nodes" in played.result["error"]["hint"]) is (code == "storage_firewall")


@pytest.mark.proves("W4")
class TestMissingJobs:
    @pytest.mark.parametrize("look", [COLD, HALF, SETTLED], ids=["all", "one, others at work", "one, others done"])
    def test_they_and_the_scripts_are_made_anew(self, look: dict[str, Any]) -> None:
        made: list[int | str] = []

        def make(data: dict[str, Any]) -> dict[str, Any]:
            made.append(data.get("shard", "scripts"))
            return {}

        answers: dict[str, Any] = {
            names.ENSURE_SCRIPTS: make,
            names.CREATE_WARMUP_JOB: make,
            names.OBSERVE_WARMUP: lambda _: READY if len(made) > 3 else look,
        }
        played, seconds = to_the_end(look, **answers)
        assert played.result["status"] == "succeeded"
        assert made == ["scripts", 0, 1] * 2
        assert 5 <= seconds < 7

    def test_not_those_of_another_warmup_that_has_replaced_this_one(self) -> None:
        later = REQUEST | {"plan": PLAN, "began": "2029-12-31T23:00:00.000Z"}
        played = warmup(COLD, *[HALF | {"shards": 1}] * 10, READY, request=later)
        assert played.result["status"] == "succeeded"
        assert played.context.seconds > 60
        assert played.context.calls(names.CREATE_WARMUP_JOB) == []

    @pytest.mark.parametrize("look", [COLD, HALF], ids=["all", "one"])
    def test_nor_after_a_forced_release(self, look: dict[str, Any]) -> None:
        played, seconds = to_the_end(look, create_warmup_job=in_turn(*[{"job": "warm"}] * 2, REMOVED))
        assert seconds < 10
        assert played.result["error"]["message"] == REMOVED["error"]["message"]
        assert played.context.names()[-1] == names.END_WARMUP

    def test_they_are_not_made_anew_more_often_than_every_five_seconds(self) -> None:
        played = warmup(COLD)
        times = [task.due for task in played.context.scheduled if task.name == names.CREATE_WARMUP_JOB][2::2]
        assert times
        assert all((after - before).total_seconds() >= 5 for before, after in itertools.pairwise(times))


class TestEnds:
    @pytest.mark.parametrize(
        ("look", "code", "least", "most"),
        [
            (COLD, "warmup_removed", 30, 50),
            (HALF, "warmup_removed", 30, 50),
            (SETTLED, "warmup_removed", 30, 50),
            ({"status": "stale", "stale_reason": "node a is gone", "lost_nodes": ["a"]}, "node_lost", 60, 80),
            ({"status": "stale", "stale_reason": "two versions", "lost_nodes": []}, "warmup_superseded", 60, 80),
            ({"status": "cooled", "stale_reason": "pushed out"}, "node_memory_full", 60, 80),
            (PULLING, "image_pull_failed", 600, 620),
        ],
    )
    def test_what_does_not_mend_itself_ends_it(self, look: dict[str, Any], code: str, least: int, most: int) -> None:
        played, seconds = to_the_end(look)
        assert played.result["error"]["code"] == code
        assert played.result["error"]["hint"]
        assert least <= seconds <= most
        assert played.context.names()[-1] == names.END_WARMUP

    def test_what_mends_itself_does_not(self) -> None:
        looks = [COLD, LOADING, COLD, LOADING, {"status": "stale", "lost_nodes": ["a"]}, LOADING, PULLING, READY]
        assert warmup(*looks).result["status"] == "succeeded"

    def test_a_cluster_that_does_not_answer_ends_nothing(self) -> None:
        unknown = {"status": "unknown", "stale": True, "stale_reason": "no answer"}
        assert warmup(*[unknown] * 15, READY).result["status"] == "succeeded"
