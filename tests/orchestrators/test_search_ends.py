"""How a search ends when something goes wrong or somebody cancels it: at every step of its way."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrators.search import search_orchestrator
from shared.domain import functions as names
from tests.orchestrators.fake_context import ActivityFailedError, Play, in_turn, play
from tests.orchestrators.searches import BROKEN, REF, SEARCH, advanced, answers

COLD = {"decision": "admit", "warm": False, "layout": 2}
STEPS = (
    names.CHECK_ADMISSION,
    names.CLEANUP_STALE_JOBS,
    names.ENSURE_SCRIPTS,
    names.STAGE_QUERIES,
    names.CREATE_SEARCH_JOBS,
    names.CHECK_RESULTS,
    names.MERGE_BATCH,
    names.PUBLISH_RESULTS,
)
BUSY = ActivityFailedError("job-1: Activity task #3 failed: kube_busy: list of jobs: slow down")


def search(data: dict[str, Any] = SEARCH, **others: Any) -> Play:
    """Play the search, all going well but for what is given."""
    return play(search_orchestrator, data, answers(**others))


def error_of(played: Play) -> dict[str, Any]:
    """The error that was written into the row."""
    [error] = [change["error"] for change in played.context.calls(names.ADVANCE_SEARCH) if "error" in change]
    return dict(error)


def assert_failed(played: Play) -> None:
    """The search has failed, was written so, and then its Jobs were stopped; nothing came after."""
    assert played.result == {"phase": "failed"}
    assert played.context.names()[-2:] == [names.ADVANCE_SEARCH, names.STOP_SEARCH_JOBS]
    assert played.context.calls(names.STOP_SEARCH_JOBS) == [REF]


class TestPermanentErrors:
    @pytest.mark.parametrize("parallel", [True, False], ids=["parallel", "one after another"])
    @pytest.mark.parametrize("step", STEPS)
    def test_the_search_fails_with_the_very_error_of_the_step(self, step: str, parallel: bool) -> None:
        played = search(SEARCH | {"parallel": parallel}, **{step: {"error": BROKEN}})
        assert_failed(played)
        assert error_of(played) == BROKEN

    def test_one_batch_of_several_is_enough(self) -> None:
        played = search(merge_batch=lambda data: {"error": BROKEN} if data["batch"] == 1 else {"batch": data["batch"]})
        assert error_of(played) == BROKEN
        assert played.context.calls(names.PUBLISH_RESULTS) == []

    def test_a_row_that_cannot_be_advanced_fails_the_search(self) -> None:
        def gone(data: dict[str, Any]) -> dict[str, Any]:
            return {"error": BROKEN} if data.get("phase") == "submitting" else advanced(data)

        assert error_of(search(advance_search=gone)) == BROKEN


class TestTransientErrorsThatStay:
    @pytest.mark.parametrize("step", STEPS)
    def test_the_code_survives_the_way_as_text(self, step: str) -> None:
        answers_of: dict[str, Any] = {step: BUSY}
        played = search(**answers_of)
        assert_failed(played)
        assert error_of(played)["code"] == "kube_busy"
        assert error_of(played)["message"] == "list of jobs: slow down"
        assert error_of(played)["hint"]

    @pytest.mark.parametrize("child", [names.WARMUP_ORCHESTRATOR, names.MONITOR_ORCHESTRATOR])
    def test_a_child_that_crashed_fails_the_search(self, child: str) -> None:
        crashed = ActivityFailedError("job-1: Sub-orchestration task #3 failed: it broke")
        answers_of: dict[str, Any] = {names.CHECK_ADMISSION: COLD, child: crashed}
        played = search(**answers_of)
        assert_failed(played)
        assert error_of(played)["code"] == "step_failed"

    def test_jobs_that_cannot_be_stopped_do_not_hide_the_failure(self) -> None:
        played = search(create_search_jobs={"error": BROKEN}, stop_search_jobs=BUSY)
        assert_failed(played)
        assert error_of(played) == BROKEN

    def test_a_failure_that_cannot_be_written_ends_the_orchestration_so_that_the_reconcile_begins_anew(self) -> None:
        with pytest.raises(Exception, match="state_unavailable"):
            search(advance_search=ActivityFailedError("x: Activity task #1 failed: state_unavailable: no"))


class TestWarmupFails:
    def test_the_search_has_the_error_of_the_warmup(self) -> None:
        played = search(check_admission=COLD, warmup_orchestrator={"status": "failed", "error": BROKEN})
        assert_failed(played)
        assert error_of(played) == BROKEN
        assert played.context.calls(names.CREATE_SEARCH_JOBS) == []


class TestMonitorSays:
    def test_failed_with_the_failing_job_and_its_log(self) -> None:
        error = {**BROKEN, "job": "blastn-1", "exit_code": 2, "log_tail": "BLAST Database error"}
        played = search(monitor_orchestrator={"state": "failed", "error": error})
        assert_failed(played)
        assert error_of(played) == error

    @pytest.mark.parametrize("state", ["missing", "ended"])
    def test_the_row_is_gone_or_was_ended_by_somebody_else(self, state: str) -> None:
        played = search(monitor_orchestrator={"state": state})
        assert_failed(played)
        assert error_of(played)["code"] == "lost"
        assert {"message", "hint"} <= error_of(played).keys()

    def test_cancelled(self) -> None:
        played = search(monitor_orchestrator={"state": "cancelled"})
        assert played.result == {"phase": "cancelling"}
        assert played.context.calls(names.CHECK_RESULTS) == []


class TestCancelMarker:
    PHASES = ("warming_up", "configuring", "submitting", "submitted", "results_pending", "exporting", "completed")

    @pytest.mark.parametrize("at", PHASES)
    def test_whichever_step_sees_it_is_the_last(self, at: str) -> None:
        def marked(data: dict[str, Any]) -> dict[str, Any]:
            return {"phase": data["phase"], "cancelled": data["phase"] == at}

        played = search(check_admission=COLD, advance_search=marked)
        assert played.result == {"phase": "cancelling"}
        assert played.context.calls(names.ADVANCE_SEARCH)[-1]["phase"] == at
        assert played.context.names()[-1] == names.ADVANCE_SEARCH

    def test_a_search_that_waits_stops_waiting(self) -> None:
        waiting = {"decision": "wait", "phase": "waiting_for_cluster", "reason": "stopped", "seconds": 1800}
        later = in_turn({"phase": "x", "cancelled": False}, {"phase": "x", "cancelled": True})
        played = search(check_admission=waiting, advance_search=later)
        assert played.result == {"phase": "cancelling"}
        assert played.context.seconds == 15

    def test_a_failure_is_still_written_and_its_jobs_stopped(self) -> None:
        def marked(data: dict[str, Any]) -> dict[str, Any]:
            return {"phase": "failed", "cancelled": "error" in data}

        played = search(create_search_jobs={"error": BROKEN}, advance_search=marked)
        assert_failed(played)
