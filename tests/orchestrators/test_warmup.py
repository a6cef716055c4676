"""The warmup's orchestrator: plan, scripts, one Job per shard, then looks until ready or failed."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrators.shards import shards_orchestrator
from orchestrators.warmup import LOOKS_PER_GENERATION, warmup_orchestrator
from shared.domain import functions as names
from tests.orchestrators.fake_context import ActivityFailedError, Play, in_turn, play
from tests.orchestrators.searches import BROKEN, CLUSTER

REQUEST: dict[str, Any] = {"database": "core_nt", "cluster": CLUSTER, "force": False}
PLAN = {"layout": 2, "nodes": ["node-a", "node-b"], "source_version": "v1"}
LOADING = {"status": "loading", "progress_pct": 35.0, "active_phase": "copying_files", "active_message": "copying"}
READY = {"status": "ready", "progress_pct": 100.0, "active_phase": "completed", "elapsed_seconds": 12.0}
UNKNOWN = {"status": "unknown", "stale": True, "stale_reason": "the cluster did not answer"}
BUSY = ActivityFailedError("w: Activity task #3 failed: kube_busy: Job warm-core_nt-00: 429")


def warmup(*looks: Any, request: dict[str, Any] = REQUEST, **others: Any) -> Play:
    """Play one generation: all goes well but for what is given; the last look stays."""
    answers = {
        names.PLAN_WARMUP: PLAN,
        names.ENSURE_SCRIPTS: {"written": True},
        names.CREATE_WARMUP_JOB: {"job": "warm", "created": True},
        names.OBSERVE_WARMUP: in_turn(*looks),
    }
    return play(warmup_orchestrator, request, answers | others)


class TestBeginning:
    def test_a_warm_database_needs_nothing(self) -> None:
        played = warmup(READY, plan_warmup={"warm": True, "layout": 2})
        assert played.result["status"] == "succeeded"
        assert played.context.names() == [names.PLAN_WARMUP]

    def test_plan_scripts_then_all_jobs_at_once(self) -> None:
        played = warmup(READY)
        assert played.context.names() == [
            names.PLAN_WARMUP,
            names.ENSURE_SCRIPTS,
            names.CREATE_WARMUP_JOB,
            names.CREATE_WARMUP_JOB,
            names.OBSERVE_WARMUP,
        ]
        [group] = [task for task in played.context.yielded if task.kind == "all"]
        assert [(task.data["shard"], task.data["node"]) for task in group.children] == [(0, "node-a"), (1, "node-b")]
        assert {task.data["source_version"] for task in group.children} == {"v1"}

    def test_what_does_not_fit_ends_before_anything_is_created(self) -> None:
        played = warmup(READY, plan_warmup={"error": BROKEN})
        assert played.result == {"status": "failed", "database": "core_nt", "error": BROKEN}
        assert played.context.names() == [names.PLAN_WARMUP]

    @pytest.mark.parametrize("failure", [{"error": BROKEN}, BUSY], ids=["permanent", "transient that stays"])
    def test_a_job_that_cannot_be_made_fails_the_warmup(self, failure: Any) -> None:
        played = warmup(READY, create_warmup_job=lambda data: failure if data["shard"] else {"job": "w"})
        assert played.result["status"] == "failed"
        assert played.result["error"]["code"] in ("broken", "kube_busy")
        assert played.context.calls(names.OBSERVE_WARMUP) == []

    def test_scripts_that_cannot_be_written_fail_the_warmup(self) -> None:
        assert warmup(READY, ensure_scripts={"error": BROKEN}).result["error"] == BROKEN


class TestWatching:
    def test_it_looks_until_it_is_ready(self) -> None:
        played = warmup(LOADING, LOADING, READY)
        assert played.result == {"status": "succeeded", "database": "core_nt", "seconds": 12.0}
        assert played.context.waits() == [1, 1]

    def test_the_look_knows_the_version_that_is_wanted(self) -> None:
        [look] = warmup(READY).context.calls(names.OBSERVE_WARMUP)
        assert look["source_version"] == "v1"

    def test_a_cluster_that_does_not_answer_is_not_cold(self) -> None:
        played = warmup(UNKNOWN, UNKNOWN, READY)
        assert played.result["status"] == "succeeded"
        assert played.context.calls(names.PLAN_WARMUP) == [REQUEST | {"instance": "fake"}]

    def test_the_status_shows_how_far_it_is(self) -> None:
        statuses = warmup(LOADING, READY).context.statuses
        assert [status["phase"] for status in statuses] == ["planning", "copying_files", "completed"]
        assert statuses[1]["progress_pct"] == 35.0

    def test_quick_looks_first_then_slower_ones(self) -> None:
        assert warmup(LOADING, READY, request=REQUEST | {"looks": 29}).context.waits() == [1]
        assert warmup(LOADING, READY, request=REQUEST | {"looks": 30}).context.waits() == [10]


class TestFailure:
    def test_the_cause_is_the_code_where_the_shard_said_one(self) -> None:
        message = "storage_denied: AuthorizationFailure"
        failed = {"status": "failed", "active_phase": "failed", "active_message": message, "active_last_log": "403"}
        played = warmup(LOADING, failed)
        error = played.result["error"]
        assert played.result["status"] == "failed"
        assert error["code"] == "storage_denied"
        assert error["message"] == "database core_nt could not be warmed: AuthorizationFailure"
        assert error["log_tail"] == "403"
        assert played.context.statuses[-1]["phase"] == "failed"

    @pytest.mark.parametrize("message", ["BackoffLimitExceeded", "Image: cannot be pulled", "", None])
    def test_any_other_message_is_kept(self, message: str | None) -> None:
        error = warmup({"status": "failed", "active_message": message}).result["error"]
        assert error["code"] == "warmup_failed"
        assert (message or "a shard failed") in error["message"]
        assert error["hint"]


class TestGenerations:
    def test_it_continues_as_new_with_its_plan(self) -> None:
        played = warmup(LOADING)
        assert played.result is None
        assert len(played.context.calls(names.OBSERVE_WARMUP)) == LOOKS_PER_GENERATION
        assert played.continued["plan"] == PLAN
        assert played.continued["looks"] == LOOKS_PER_GENERATION

    def test_the_next_generation_plans_and_creates_nothing(self) -> None:
        played = warmup(READY, request=warmup(LOADING).continued)
        assert played.context.names() == [names.OBSERVE_WARMUP]
        assert played.result["status"] == "succeeded"


class TestDeadline:
    @pytest.mark.parametrize(("wait", "status"), [(9, "failed"), (10, "succeeded")])
    def test_it_does_not_look_for_ever(self, wait: int, status: str) -> None:
        played = warmup(*[LOADING] * 10, READY, request=REQUEST | {"wait_seconds": wait})
        assert played.result["status"] == status

    @pytest.mark.parametrize(
        ("look", "reason"),
        [
            (LOADING, "copying"),
            (UNKNOWN, "the cluster did not answer"),
            ({"status": "stale", "stale_reason": "node a is gone"}, "node a is gone"),
            ({"status": "cold", "active_message": ""}, "it is cold"),
        ],
    )
    def test_the_failure_says_what_was_waited_for(self, look: dict[str, Any], reason: str) -> None:
        error = warmup(look, request=REQUEST | {"wait_seconds": 5}).result["error"]
        assert error["code"] == "wait_timeout"
        assert error["message"] == f"waited 5 s for database core_nt to be warm: {reason}"

    def test_it_counts_over_all_generations(self) -> None:
        first = warmup(LOADING, request=REQUEST | {"wait_seconds": 30})
        second = play(warmup_orchestrator, first.continued, {names.OBSERVE_WARMUP: LOADING}, now=first.context.now)
        assert second.result["error"]["code"] == "wait_timeout"
        assert second.context.seconds == 30

    def test_without_a_limit_in_the_request_the_jobs_own_deadline_counts(self) -> None:
        request, seconds = REQUEST, 0.0
        played = warmup(LOADING)
        while played.result is None:
            request, seconds = played.continued, played.context.seconds
            played = play(warmup_orchestrator, request, {names.OBSERVE_WARMUP: LOADING}, now=played.context.now)
        assert played.result["error"]["code"] == "wait_timeout"
        assert 3600 < seconds < 4500


class TestShards:
    REQUEST = {"database": "core_nt", "shards": 2, "storage_account": "store"}  # noqa: RUF012

    def test_a_layout_that_was_prepared(self) -> None:
        layout = {"database": "core_nt", "shards": 2, "source_version": "v1", "volumes": [2, 2]}
        played = play(shards_orchestrator, self.REQUEST, {names.PREPARE_SHARDS: layout})
        assert played.result == {"status": "succeeded", **layout}
        assert played.context.calls(names.PREPARE_SHARDS) == [self.REQUEST]

    @pytest.mark.parametrize("failure", [{"error": BROKEN}, ActivityFailedError("broken_too: it is broken")])
    def test_work_that_finishes_with_a_failure_is_failed(self, failure: Any) -> None:
        played = play(shards_orchestrator, self.REQUEST, {names.PREPARE_SHARDS: failure})
        assert played.result["status"] == "failed"
        assert played.result["error"]["message"] == "it is broken"
