"""What holds for every orchestrator: errors as text keep their code, and the same answers give the same calls."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrators.calls import StepFailedError, guarded, is_done, retry_policy
from orchestrators.deletion import deletion_orchestrator
from orchestrators.monitor import monitor_orchestrator
from orchestrators.removal import removal_orchestrator
from orchestrators.search import search_orchestrator
from orchestrators.shards import shards_orchestrator
from orchestrators.warmup import warmup_orchestrator
from shared.domain import functions as names
from tests.orchestrators.fake_context import ActivityFailedError, Play, in_turn, play
from tests.orchestrators.searches import BROKEN, REF, SEARCH, advanced, answers
from tests.orchestrators.test_monitor import ACTIVE, DONE, WATCHED
from tests.orchestrators.test_removal import NOT_YET
from tests.orchestrators.test_removal import READY as READY_TO_GO
from tests.orchestrators.test_warmup import LOADING, PLAN, READY, REQUEST


def error_of(text: str) -> dict[str, Any]:
    """The error object that a failure with this text becomes."""
    waiting = guarded(SimpleNamespace())
    next(waiting)
    with pytest.raises(StepFailedError) as raised:
        waiting.throw(ActivityFailedError(text))
    return raised.value.error


class TestErrorsAsText:
    @pytest.mark.parametrize(
        "text",
        [
            "kube_busy: list of jobs: HTTP 429",
            "job-01a2: Activity task #5 failed: kube_busy: list of jobs: HTTP 429",
            "monitor-job-01a2-2: Activity task #5 failed: TransientError: kube_busy: list of jobs: HTTP 429",
            "Activity function 'x' failed: Result: Failure\n"
            "Exception: TransientError: kube_busy: list of jobs: HTTP 429\nStack:   File x.py, line 3",
        ],
        ids=["bare", "version 2", "with the type", "from the platform's worker"],
    )
    def test_the_code_and_the_message_survive(self, text: str) -> None:
        error = error_of(text)
        assert error["code"] == "kube_busy"
        assert error["message"] == "list of jobs: HTTP 429"
        assert error["hint"]

    @pytest.mark.parametrize(
        "text", ["job-1: Activity task #5 failed: 'batches'", "KeyError: 'batches'", "", "a: b: c"]
    )
    def test_a_text_without_a_code_is_shown_as_it_is(self, text: str) -> None:
        error = error_of(text)
        assert error["code"] == "step_failed"
        assert error["message"] == text

    def test_a_long_text_is_cut(self) -> None:
        assert len(error_of("x" * 10_000)["message"]) == 500


class TestRetries:
    def test_they_last_about_half_a_minute(self) -> None:
        policy = retry_policy()
        pauses = [
            policy.first_retry_interval.total_seconds() * policy.backoff_coefficient**n
            for n in range(policy.max_number_of_attempts - 1)
        ]
        assert sum(pauses) == 31


class TestDoneTasks:
    @pytest.mark.parametrize("name", ["is_complete", "is_completed"])
    @pytest.mark.parametrize("done", [True, False])
    def test_both_versions_of_the_sdk_are_understood(self, name: str, done: bool) -> None:
        assert is_done(SimpleNamespace(**{name: done})) is done


WAITING = {"decision": "wait", "phase": "waiting_for_cluster", "reason": "stopped", "seconds": 1800}
PLAYS: dict[str, Callable[[], Play]] = {
    "search": lambda: play(search_orchestrator, SEARCH, answers()),
    "search one after another": lambda: play(search_orchestrator, SEARCH | {"parallel": False}, answers()),
    "search cold, after waiting": lambda: play(
        search_orchestrator, SEARCH, answers(check_admission=in_turn(WAITING, {"decision": "admit", "warm": False}))
    ),
    "search failing": lambda: play(search_orchestrator, SEARCH, answers(merge_batch={"error": BROKEN})),
    "monitor": lambda: play(monitor_orchestrator, WATCHED, {names.OBSERVE_CLUSTER: in_turn(ACTIVE, ACTIVE, DONE)}),
    "monitor woken": lambda: play(monitor_orchestrator, WATCHED, {names.OBSERVE_CLUSTER: ACTIVE}, wakes=(1, 2, 30)),
    "warmup": lambda: play(
        warmup_orchestrator,
        REQUEST,
        {
            names.PLAN_WARMUP: PLAN,
            names.ENSURE_SCRIPTS: {},
            names.CREATE_WARMUP_JOB: {},
            names.OBSERVE_WARMUP: in_turn(LOADING, READY),
        },
    ),
    "search cancelled": lambda: play(search_orchestrator, SEARCH, answers(check_admission={"decision": "cancelled"})),
    "removal": lambda: play(
        removal_orchestrator,
        REF,
        {
            names.REMOVE_SEARCH_OBJECTS: in_turn({"left": 2}, {"error": BROKEN}, {"left": 0}),
            names.ADVANCE_SEARCH: advanced,
        },
    ),
    "deletion": lambda: play(
        deletion_orchestrator,
        REF | {"delete_run": 1},
        {
            names.CHECK_DELETION: in_turn(NOT_YET, READY_TO_GO),
            names.ADVANCE_SEARCH: advanced,
            names.REMOVAL_ORCHESTRATOR: {"left": 0},
            names.DELETE_SEARCH_BLOBS: {},
            names.DELETE_SEARCH_ROW: {},
        },
    ),
    "shards": lambda: play(shards_orchestrator, {"database": "d", "shards": 1}, {names.PREPARE_SHARDS: {}}),
}


@pytest.mark.parametrize("name", PLAYS)
def test_the_same_answers_give_the_same_calls(name: str) -> None:
    """Orchestrators are replayed: nothing but the context may decide what they do."""
    first, second = PLAYS[name](), PLAYS[name]()
    assert [task.call for task in first.context.yielded] == [task.call for task in second.context.yielded]
    assert [task.call for task in first.context.scheduled] == [task.call for task in second.context.scheduled]
    assert first.context.statuses == second.context.statuses
    assert (first.result, first.continued) == (second.result, second.continued)
