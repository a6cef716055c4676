"""The orchestrator that submits by the command line: start, look until the end, one more after a passing trouble."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrators.cli_submit import HELPERS, LOOKS_PER_GENERATION, REMOVALS, cli_submit_orchestrator
from shared.domain import functions as names
from shared.domain.cli_engine import openapi_missing
from tests.orchestrators.fake_context import ActivityFailedError, Play, in_turn, play
from tests.orchestrators.searches import BROKEN, REF

START, CHECK, REMOVE = names.START_CLI_SUBMIT, names.CHECK_CLI_SUBMIT, names.REMOVE_CLI_SUBMIT
RUNNING: dict[str, Any] = {"state": "running", "reasons": [], "may_try_again": False}
STUCK = {"state": "stuck", "reasons": ["ImagePullBackOff: denied"], "may_try_again": False}
SUCCEEDED = {"state": "succeeded", "alias": "", "code": 0, "may_try_again": False}
REFUSED = {"state": "failed", "code": 1, "error": BROKEN, "may_try_again": False}
TROUBLE = {"state": "failed", "code": 8, "error": BROKEN, "may_try_again": True}
GONE = {"state": "gone", "error": None, "may_try_again": True}
BUSY = ActivityFailedError("c: Activity task #3 failed: kube_busy: Job elb-submit: 429")
LAST_LOG = {"log": "pod p: phase Pending"}


def submit(*looks: Any, wakes: tuple[float, ...] = (), **fields: Any) -> Play:
    """Play all generations: all goes well but for what is given; the last look stays."""
    others = {key: fields.pop(key) for key in (START, REMOVE) if key in fields}
    answers = {START: {"helper": "h"}, CHECK: in_turn(*looks), REMOVE: {"deleted": ["h"]}} | others
    played = play(cli_submit_orchestrator, {**REF, **fields}, answers, wakes=wakes)
    calls = list(played.context.scheduled)
    while played.continued is not None:
        played = play(cli_submit_orchestrator, played.continued, answers, now=played.context.now)
        calls += played.context.scheduled
    played.context.scheduled[:] = calls
    return played


class TestSuccess:
    @pytest.mark.proves("S7")
    def test_start_and_check_are_separate_steps(self) -> None:
        played = submit(SUCCEEDED)
        assert played.result == {"status": "submitted", "alias": ""}
        assert played.context.names() == [START, CHECK]

    def test_the_alias_is_handed_on(self) -> None:
        assert submit({**SUCCEEDED, "alias": "job-x"}).result == {"status": "submitted", "alias": "job-x"}

    def test_it_looks_every_5_seconds(self) -> None:
        played = submit(RUNNING, RUNNING, STUCK, SUCCEEDED)
        assert played.result["status"] == "submitted"
        assert played.context.waits() == [5, 5, 5]

    def test_the_start_is_told_everything(self) -> None:
        (start,) = submit(SUCCEEDED, parallel=False, deadline_seconds=7).context.calls(START)
        assert start == {**REF, "number": 1, "parallel": False, "deadline_seconds": 7}

    def test_a_look_that_could_not_be_taken_changes_nothing(self) -> None:
        def check(data: Any, turn: list[int] = []) -> Any:  # noqa: B006 - counts over all calls of one test
            turn.append(1)
            return BUSY if len(turn) < 3 else SUCCEEDED

        played = play(cli_submit_orchestrator, REF, {START: {"helper": "h"}, CHECK: check})
        assert played.result["status"] == "submitted"


class TestFailure:
    def test_an_exit_code_that_is_no_passing_trouble(self) -> None:
        played = submit(RUNNING, REFUSED)
        assert played.result == {"status": "failed", "error": BROKEN}
        assert played.context.names() == [START, CHECK, CHECK]

    @pytest.mark.proves("S8")
    def test_no_elb_openapi(self) -> None:
        played = submit(SUCCEEDED, start_cli_submit={"error": openapi_missing()})
        assert played.result["error"]["code"] == "openapi_missing"
        assert played.context.calls(CHECK) == []

    def test_a_start_that_fails_for_good_leaves_nothing(self) -> None:
        played = submit(SUCCEEDED, start_cli_submit=BUSY)
        assert (played.result["status"], played.result["error"]["code"]) == ("failed", "kube_busy")
        assert played.context.names() == [START, REMOVE]

    def test_a_permanent_error_of_a_look_ends_it(self) -> None:
        played = submit(RUNNING, {"error": BROKEN})
        assert played.result == {"status": "failed", "error": BROKEN}
        assert played.context.names()[-1] == REMOVE

    @pytest.mark.parametrize("state", ["missing", "ended"])
    def test_the_row_is_gone_or_ended(self, state: str) -> None:
        played = submit(RUNNING, {"state": state})
        assert (played.result["status"], played.result["error"]["code"]) == ("failed", "lost")
        assert played.context.names()[-1] == REMOVE


class TestAgain:
    @pytest.mark.parametrize("first", [TROUBLE, GONE], ids=["passing trouble", "somebody removed it"])
    def test_one_more_helper_after_a_pause(self, first: Any) -> None:
        played = submit(first, SUCCEEDED)
        assert played.result == {"status": "submitted", "alias": ""}
        assert [call["number"] for call in played.context.calls(START)] == [1, 2]
        assert [call["number"] for call in played.context.calls(CHECK)] == [1, 2]
        assert played.context.waits() == [30]

    def test_not_more_than_one(self) -> None:
        played = submit(TROUBLE)
        assert played.result == {"status": "failed", "error": BROKEN}
        assert len(played.context.calls(START)) == HELPERS

    def test_removed_twice_before_its_end_was_seen(self) -> None:
        assert submit(GONE).result["error"]["code"] == "helper_lost"

    def test_the_second_one_has_as_much_time_as_the_first(self) -> None:
        played = submit(*[RUNNING] * 50, TROUBLE, *[RUNNING] * 100, SUCCEEDED)
        assert played.result["status"] == "submitted"


@pytest.mark.proves("S7")
class TestTimeout:
    @pytest.mark.proves("N12")
    def test_the_helper_is_removed_before_it_is_said(self) -> None:
        played = submit(STUCK | LAST_LOG)
        assert played.result["status"] == "failed"
        error = played.result["error"]
        assert error["code"] == "submit_timeout"
        assert error["message"] == "elastic-blast submit did not end within 600 s: ImagePullBackOff: denied"
        assert error["log_tail"] == LAST_LOG["log"]
        assert played.context.names()[-2:] == [CHECK, REMOVE]
        assert sum(played.context.waits()) == 600

    def test_the_log_is_asked_for_once_at_the_end(self) -> None:
        looks = submit(RUNNING, deadline_seconds=20).context.calls(CHECK)
        assert [look["with_log"] for look in looks] == [False] * 4 + [True]

    @pytest.mark.proves("N12")
    @pytest.mark.parametrize(("looks", "status"), [(119, "submitted"), (120, "submitted"), (121, "failed")])
    def test_just_at_the_limit_and_just_beyond_it(self, looks: int, status: str) -> None:
        assert submit(*[RUNNING] * looks, SUCCEEDED).result["status"] == status

    def test_a_cluster_that_does_not_answer_is_asked_again(self) -> None:
        played = submit(RUNNING, deadline_seconds=0, remove_cli_submit=in_turn(BUSY, BUSY, {"deleted": []}))
        assert played.context.names() == [START, CHECK, REMOVE, REMOVE, REMOVE]
        assert "could not be removed" not in played.result["error"]["message"]

    def test_a_removal_that_is_not_certain_is_not_claimed(self) -> None:
        played = submit(RUNNING, deadline_seconds=0, remove_cli_submit=BUSY)
        assert len(played.context.calls(REMOVE)) == REMOVALS
        assert "could not be removed" in played.result["error"]["message"]

    def test_the_quick_times_of_tests(self) -> None:
        played = submit(RUNNING, deadline_seconds=2, poll_seconds=1)
        assert played.context.waits() == [1, 1]


class TestCancel:
    def test_it_removes_the_helper_and_says_so(self) -> None:
        played = submit(RUNNING, {"state": "cancelled"})
        assert played.result == {"status": "cancelled"}
        assert played.context.names() == [START, CHECK, CHECK, REMOVE]

    def test_a_wake_up_makes_it_look_at_once(self) -> None:
        played = submit(RUNNING, RUNNING, {"state": "cancelled"}, wakes=(1.0, 1.5))
        assert played.result == {"status": "cancelled"}
        assert played.context.seconds == 1.5

    def test_a_wake_up_during_the_pause_makes_no_second_helper_that_stays(self) -> None:
        played = submit(TROUBLE, {"state": "cancelled"}, wakes=(3.0,))
        assert played.result == {"status": "cancelled"}
        assert played.context.seconds == 3.0
        assert played.context.names()[-1] == REMOVE


class TestGenerations:
    def test_it_continues_as_new_and_starts_nothing_again(self) -> None:
        answers = {START: {"helper": "h"}, CHECK: RUNNING}
        played = play(cli_submit_orchestrator, REF, answers)
        assert played.result is None
        assert len(played.context.calls(CHECK)) == LOOKS_PER_GENERATION
        after = play(cli_submit_orchestrator, played.continued, answers, now=played.context.now)
        assert after.context.calls(START) == []
        assert after.continued["began"] == played.continued["began"]

    def test_each_generation_has_one_wait_for_the_wake_up(self) -> None:
        played = play(cli_submit_orchestrator, REF, {START: {"helper": "h"}, CHECK: RUNNING})
        assert len([task for task in played.context.scheduled if task.kind == "event"]) == 1
