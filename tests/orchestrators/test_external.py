"""A search that was begun outside: it is watched, its results are registered, and nothing is begun for it."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrators.search import search_orchestrator
from shared.domain import functions as names
from tests.orchestrators.fake_context import Play, in_turn, play
from tests.orchestrators.searches import BROKEN, SEARCH, advanced, answers

ID = "blast-of-ada"
EXTERNAL: dict[str, Any] = {**SEARCH, "job_id": ID, "engine": "external"}
REF = {"job_id": ID, "owner": SEARCH["owner"], "run": 1}
SHUT = {"open": False, "batches": 1, "missing": ["1 of 2 results"], "empty": [], "hint": "look there"}
OPEN = {"open": True, "batches": 2, "missing": [], "empty": [], "hint": "look there"}


def external(data: dict[str, Any] = EXTERNAL, **others: Any) -> Play:
    """Play it, all going well but for what is given."""
    return play(search_orchestrator, data, answers(check_results=OPEN, **others))


def changes(played: Play) -> list[dict[str, Any]]:
    """What was written into the row."""
    return [
        {name: value for name, value in change.items() if name not in (*REF, "at")}
        for change in played.context.calls(names.ADVANCE_SEARCH)
    ]


def test_it_begins_with_its_monitor_and_ends_with_its_results() -> None:
    played = external()
    assert played.result == {"phase": "completed"}
    assert played.context.names() == [
        names.MONITOR_ORCHESTRATOR,
        names.ADVANCE_SEARCH,
        names.CHECK_RESULTS,
        names.ADVANCE_SEARCH,
        names.REGISTER_RESULTS,
        names.ADVANCE_SEARCH,
        names.WAKE_WAITING,
    ]
    assert played.context.calls(names.REGISTER_RESULTS) == [REF]
    assert changes(played) == [
        {"phase": "results_pending", "finish": [{"step": "running"}]},
        {"phase": "exporting"},
        {"phase": "completed", "finish": [{"step": "exporting", "detail": "3 files, 99 bytes"}]},
    ]


@pytest.mark.parametrize(("run", "instance"), [(1, f"monitor-external-{ID}"), (3, f"monitor-external3-{ID}")])
def test_its_monitor_cannot_be_taken_for_another_s(run: int, instance: str) -> None:
    played = external({**EXTERNAL, "run": run})
    [monitor] = [task for task in played.context.scheduled if task.name == names.MONITOR_ORCHESTRATOR]
    assert monitor.instance == instance


def test_jobs_that_went_leave_it_to_the_results() -> None:
    assert external(monitor_orchestrator={"state": "missing_jobs"}).result == {"phase": "completed"}


def test_it_waits_for_results_and_fails_with_what_is_missing() -> None:
    played = play(search_orchestrator, EXTERNAL, answers(check_results=SHUT))
    assert played.result == {"phase": "failed"}
    assert played.context.seconds >= EXTERNAL["results_grace_seconds"]
    [error] = [change["error"] for change in changes(played) if "error" in change]
    assert (error["code"], error["hint"]) == ("results_lost", "look there")
    assert "1 of 2 results" in error["message"]


def test_results_that_come_late_are_good() -> None:
    played = play(search_orchestrator, EXTERNAL, answers(check_results=in_turn(SHUT, SHUT, OPEN)))
    assert played.result == {"phase": "completed"}
    assert len(played.context.calls(names.CHECK_RESULTS)) == 3


@pytest.mark.parametrize("step", [names.CHECK_RESULTS, names.REGISTER_RESULTS])
def test_it_fails_with_the_error_of_the_step(step: str) -> None:
    played = play(search_orchestrator, EXTERNAL, answers(check_results=OPEN) | {step: {"error": BROKEN}})
    assert played.result == {"phase": "failed"}
    assert [change["error"] for change in changes(played) if "error" in change] == [BROKEN]


def test_a_failed_job_is_its_failure() -> None:
    played = external(monitor_orchestrator={"state": "failed", "error": BROKEN})
    assert played.result == {"phase": "failed"}
    assert played.context.calls(names.CHECK_RESULTS) == []


@pytest.mark.proves("X1")
@pytest.mark.parametrize("when", ["watched", "exported"])
def test_a_cancel_removes_everything_before_it_says_so(when: str) -> None:
    def cancelled(data: dict[str, Any]) -> dict[str, Any]:
        if data.get("phase") == "cancelled" or (when == "exported" and data.get("phase") == "results_pending"):
            return advanced(data)
        return {"phase": "cancelling", "cancelled": True, "superseded": False}

    seen = {"state": "cancelled"} if when == "watched" else {"state": "done"}
    played = external(monitor_orchestrator=seen, advance_search=cancelled)
    assert played.result == {"phase": "cancelled"}
    [removal] = [task for task in played.context.scheduled if task.name == names.REMOVAL_ORCHESTRATOR]
    assert (removal.data, removal.instance) == (REF, f"removal-external-{ID}")
    assert played.context.calls(names.REGISTER_RESULTS) == []
