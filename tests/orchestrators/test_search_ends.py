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
    """The search has failed, was written so, then its Jobs were stopped and those that wait for its slot woken."""
    assert played.result == {"phase": "failed"}
    assert played.context.names()[-3:] == [names.ADVANCE_SEARCH, names.STOP_SEARCH_JOBS, names.WAKE_WAITING]
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
        played = search(create_search_jobs={"error": BROKEN}, stop_search_jobs=BUSY, wake_waiting=BUSY)
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
        assert_cancelled(played)
        assert played.context.calls(names.CHECK_RESULTS) == []


def assert_cancelled(played: Play) -> None:
    """Everything was removed first, and only then it was written that the search is cancelled."""
    assert played.result == {"phase": "cancelled"}
    assert played.context.names()[-3:] == [names.REMOVAL_ORCHESTRATOR, names.ADVANCE_SEARCH, names.WAKE_WAITING]
    assert played.context.calls(names.REMOVAL_ORCHESTRATOR) == [REF]
    assert played.context.calls(names.ADVANCE_SEARCH)[-1]["phase"] == "cancelled"


class TestCancelMarker:
    PHASES = ("warming_up", "configuring", "submitting", "submitted", "results_pending", "exporting")

    @pytest.mark.parametrize("at", PHASES)
    def test_whichever_step_sees_it_is_the_last(self, at: str) -> None:
        def marked(data: dict[str, Any]) -> dict[str, Any]:
            if data.get("phase") == at:
                return {"phase": "cancelling", "cancelled": True}
            return advanced(data)

        played = search(check_admission=COLD, advance_search=marked)
        assert_cancelled(played)
        assert [change.get("phase") for change in played.context.calls(names.ADVANCE_SEARCH)][-2] == at

    def test_admission_sees_it_too(self) -> None:
        played = search(check_admission={"decision": "cancelled"})
        assert_cancelled(played)
        assert played.context.seconds == 0

    def test_a_search_that_waits_stops_waiting(self) -> None:
        waiting = {"decision": "wait", "phase": "waiting_for_cluster", "reason": "stopped", "seconds": 1800}
        verdicts = in_turn(waiting, {"decision": "cancelled"})
        played = play(search_orchestrator, SEARCH, answers(check_admission=verdicts), wakes=(4.0,))
        assert_cancelled(played)
        assert played.context.seconds == 4

    def test_a_search_that_is_being_warmed_does_not_wait_for_the_end_of_it(self) -> None:
        def marked(data: dict[str, Any]) -> dict[str, Any]:
            return advanced(data) if "phase" in data else {"phase": "cancelling", "cancelled": True}

        going_on = answers(check_admission=COLD, advance_search=marked)
        played = play(search_orchestrator, SEARCH, going_on, takes={names.WARMUP_ORCHESTRATOR: 600.0}, wakes=(7.0,))
        assert_cancelled(played)
        assert played.context.seconds == 7

    def test_it_is_not_said_while_the_removal_has_not_ended(self) -> None:
        """The orchestration ends, and the reconcile gives the search a new one, which tries again."""
        crashed = ActivityFailedError("job-1: Sub-orchestration task #3 failed: it broke")
        with pytest.raises(Exception, match="step_failed"):
            search(check_admission={"decision": "cancelled"}, removal_orchestrator=crashed)

    def test_it_wins_over_a_failure(self) -> None:
        def marked(data: dict[str, Any]) -> dict[str, Any]:
            return {"phase": "cancelling", "cancelled": True} if "error" in data else advanced(data)

        assert_cancelled(search(create_search_jobs={"error": BROKEN}, advance_search=marked))

    @pytest.mark.parametrize("step", STEPS)
    def test_a_failure_that_comes_while_it_is_cancelled_leads_to_cancelled(self, step: str) -> None:
        """The row then refuses the error (``cancelling`` does not become ``failed``) and answers as it stands."""

        def marked(data: dict[str, Any]) -> dict[str, Any]:
            return {"phase": "cancelling", "cancelled": True} if "error" in data else advanced(data)

        played = search(advance_search=marked, **{step: {"error": BROKEN}})
        assert_cancelled(played)
        assert played.context.calls(names.STOP_SEARCH_JOBS) == []

    def test_results_that_were_published_before_it_stay(self) -> None:
        def marked(data: dict[str, Any]) -> dict[str, Any]:
            return {"phase": data["phase"], "cancelled": data["phase"] == "completed"}

        played = search(advance_search=marked)
        assert played.result == {"phase": "completed"}
        assert played.context.calls(names.REMOVAL_ORCHESTRATOR) == []


def assert_ended_quietly(played: Play) -> None:
    """Nothing was stopped, removed or published for a search that is not this run's any more."""
    assert played.result == {"phase": "superseded"}
    touching = (names.STOP_SEARCH_JOBS, names.REMOVAL_ORCHESTRATOR, names.PUBLISH_RESULTS, names.WAKE_WAITING)
    assert not set(played.context.names()) & set(touching)


class TestSuperseded:
    """The search has another run, or has ended otherwise."""

    def test_admission_says_so(self) -> None:
        played = search(check_admission={"decision": "superseded"})
        assert_ended_quietly(played)
        assert played.context.names() == [names.CHECK_ADMISSION]

    @pytest.mark.parametrize(
        "row",
        [
            {"phase": "preparing", "cancelled": False, "superseded": True},
            {"phase": "cancelling", "cancelled": False, "superseded": True},
            {"phase": "failed", "cancelled": False, "superseded": False},
            {"phase": "cancelled", "cancelled": True, "superseded": False},
            {"phase": "completed", "cancelled": False, "superseded": False},
            {"phase": "deleting", "cancelled": False, "superseded": False},
        ],
        ids=["retried", "revived to be cancelled", "failed", "cancelled", "completed", "deleted"],
    )
    @pytest.mark.parametrize("at", TestCancelMarker.PHASES)
    def test_whichever_step_hears_it_is_the_last(self, at: str, row: dict[str, Any]) -> None:
        def superseded(data: dict[str, Any]) -> dict[str, Any]:
            return row if data.get("phase") == at else advanced(data)

        played = search(check_admission=COLD, advance_search=superseded)
        assert_ended_quietly(played)
        assert played.context.calls(names.ADVANCE_SEARCH)[-1]["phase"] == at

    def test_while_it_waits(self) -> None:
        waiting = {"decision": "wait", "phase": "waiting_for_cluster", "reason": "stopped", "seconds": 1800}
        played = search(check_admission=in_turn(waiting, waiting, {"decision": "superseded"}))
        assert_ended_quietly(played)
        assert played.context.seconds == 30

    def test_while_it_is_warmed(self) -> None:
        def superseded(data: dict[str, Any]) -> dict[str, Any]:
            return advanced(data) if "phase" in data else {"phase": "preparing", "superseded": True}

        going_on = answers(check_admission=COLD, advance_search=superseded)
        played = play(search_orchestrator, SEARCH, going_on, takes={names.WARMUP_ORCHESTRATOR: 600.0}, wakes=(7.0,))
        assert_ended_quietly(played)
        assert played.context.seconds == 7

    def test_at_its_very_end(self) -> None:
        def superseded(data: dict[str, Any]) -> dict[str, Any]:
            return {"phase": "running", "superseded": True} if data.get("phase") == "completed" else advanced(data)

        assert search(advance_search=superseded).result == {"phase": "superseded"}

    def test_a_failure_is_not_held_against_the_next_run(self) -> None:
        def superseded(data: dict[str, Any]) -> dict[str, Any]:
            return {"phase": "preparing", "superseded": True} if "error" in data else advanced(data)

        played = search(create_search_jobs={"error": BROKEN}, advance_search=superseded)
        assert played.result == {"phase": "superseded"}
        assert played.context.calls(names.STOP_SEARCH_JOBS) == []

    def test_a_failure_that_is_written_again_is_still_this_runs(self) -> None:
        """The engine may deliver the write twice: the second one finds the search failed."""
        played = search(create_search_jobs={"error": BROKEN})
        assert_failed(played)
