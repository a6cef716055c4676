"""The monitor: when it looks, what wakes it, when it ends, and that its history stays bounded."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from orchestrators.monitor import monitor_orchestrator
from shared.domain import functions as names
from shared.domain.schedule import AFTER_WAKE, POLLS_PER_GENERATION
from tests.orchestrators.fake_context import START, ActivityFailedError, Play, in_turn, play
from tests.orchestrators.searches import BROKEN, REF

WATCHED: dict[str, Any] = {**REF, "created_at": START.isoformat(), "deadline_seconds": 86_400}
ACTIVE = {"state": "active"}
DONE = {"state": "done"}
HOURS = 3600.0


def monitor(*looks: Any, age: float = 0, wakes: tuple[float, ...] = (), **more: Any) -> Play:
    """Play one generation.

    Args:
        looks: what each look gives; the last one stays.
        age: seconds that the search is old when it begins.
        wakes: seconds after the beginning at which a wake-up comes.
    """
    answers = {names.OBSERVE_CLUSTER: in_turn(*looks)}
    return play(monitor_orchestrator, WATCHED | more, answers, now=START + timedelta(seconds=age), wakes=wakes)


def looks_of(played: Play) -> list[dict[str, Any]]:
    """The inputs of all looks."""
    return played.context.calls(names.OBSERVE_CLUSTER)


@pytest.mark.proves("F4")
class TestLooking:
    def test_it_looks_before_it_waits(self) -> None:
        played = monitor(DONE)
        assert played.context.names() == [names.OBSERVE_CLUSTER]
        assert played.context.seconds == 0

    def test_it_asks_for_its_own_search(self) -> None:
        assert looks_of(monitor(DONE)) == [{**REF, "follow_up": False, "max_age": 9.5}]

    @pytest.mark.parametrize(("age", "max_age"), [(0, 9.5), (299, 9.5), (300, 29.5), (3600, 59.5)])
    def test_it_puts_up_with_a_look_as_old_as_its_interval(self, age: float, max_age: float) -> None:
        assert looks_of(monitor(DONE, age=age))[0]["max_age"] == max_age

    def test_it_looks_again_until_it_sees_the_end(self) -> None:
        played = monitor(ACTIVE, ACTIVE, DONE)
        assert len(looks_of(played)) == 3
        assert played.result == DONE

    @pytest.mark.parametrize("state", ["done", "missing_jobs", "ended", "missing", "cancelled"])
    def test_what_it_saw_is_its_result(self, state: str) -> None:
        assert monitor(ACTIVE, {"state": state}).result == {"state": state}

    def test_a_failure_that_was_seen_is_its_result_with_the_error(self) -> None:
        failed = {"state": "failed", "error": {**BROKEN, "job": "blastn-1", "exit_code": 2, "log_tail": "..."}}
        assert monitor(ACTIVE, failed).result == failed


class TestFailedLooks:
    @pytest.mark.parametrize(
        "look",
        [
            ActivityFailedError("m: Activity task #1 failed: kube_busy: list of jobs: 429"),
            ActivityFailedError("m: Activity task #1 failed: something unheard of"),
            {"error": BROKEN},
        ],
        ids=["transient", "crashed", "permanent"],
    )
    def test_a_look_that_could_not_be_taken_changes_nothing(self, look: Any) -> None:
        played = monitor(look, look, DONE)
        assert played.result == DONE
        assert played.context.waits() == [10, 10]


@pytest.mark.proves("F4", "N3")
class TestSchedule:
    @pytest.mark.parametrize(
        ("age", "seconds"),
        [(0, 10), (299, 10), (300, 30), (3599, 30), (3600, 60), (23 * HOURS, 60)],
    )
    def test_the_interval_goes_by_the_age_of_the_search(self, age: float, seconds: float) -> None:
        assert monitor(ACTIVE, DONE, age=age).context.waits() == [seconds]

    def test_it_stretches_while_the_monitor_watches(self) -> None:
        assert monitor(*[ACTIVE] * 4, DONE, age=285).context.waits() == [10, 10, 30, 30]


class TestWakeUps:
    def test_a_wake_up_makes_it_look_at_once(self) -> None:
        played = monitor(ACTIVE, DONE, wakes=(3.5,))
        assert played.context.seconds == 3.5
        assert [look["follow_up"] for look in looks_of(played)] == [False, False]  # it only reads what is known

    def test_it_looks_again_soon_after_because_the_job_that_called_has_not_ended_yet(self) -> None:
        played = monitor(ACTIVE, wakes=(1.0,))
        assert played.context.waits()[1:] == list(AFTER_WAKE)
        assert [look["follow_up"] for look in looks_of(played)] == [False, False, *[True] * 6]
        assert played.continued["after_wake"] == len(AFTER_WAKE)

    def test_after_the_quick_looks_it_goes_by_its_schedule_again(self) -> None:
        last = monitor(*[ACTIVE] * 2, DONE, after_wake=len(AFTER_WAKE))
        assert [look["follow_up"] for look in looks_of(last)] == [True, False, False]
        assert last.context.waits() == [10, 10]

    def test_calls_in_quick_succession_do_not_put_the_looks_off(self) -> None:
        """A call each 0.1 s: after half a second the first quick look comes all the same, in whatever generation."""
        data, seconds, found = WATCHED, 0.0, False
        while not found and seconds < 3:
            played = play(
                monitor_orchestrator, data, {names.OBSERVE_CLUSTER: ACTIVE}, wakes=tuple(n / 10 for n in range(40))
            )
            found = any(look["follow_up"] for look in looks_of(played))
            data, seconds = played.continued, seconds + played.context.seconds
        assert found
        assert seconds < 1.5

    def test_another_wake_up_begins_the_quick_looks_anew(self) -> None:
        played = monitor(*[ACTIVE] * 5, DONE, wakes=(1.0, 1.5))
        assert played.context.waits()[1:] == [0.2, 0.5, 0.2, 0.5]

    def test_one_that_came_early_is_not_lost(self) -> None:
        """It may come before the first look ends; the wait is there from the beginning."""
        assert monitor(ACTIVE, DONE, wakes=(0.0,)).context.seconds == 0

    def test_one_wait_is_reused_until_it_fires(self) -> None:
        """Made anew for each poll, 35 of 40 wake-ups were lost."""
        played = monitor(*[ACTIVE] * 6, DONE, wakes=(34.0,))
        waited = [task.children[0] for task in played.context.yielded if task.kind == "any"]
        first, second = waited[0], waited[-1]
        assert waited == [first] * 4 + [second] * 2
        assert first is not second

    def test_there_is_never_more_than_one_wait_outstanding(self) -> None:
        events = [task for task in monitor(ACTIVE, wakes=(1, 2)).context.scheduled if task.kind == "event"]
        assert [event.name for event in events] == [names.WAKE_EVENT] * 3
        assert [event.is_complete for event in events] == [True, True, False]


@pytest.mark.proves("F4")
class TestGenerations:
    def test_it_continues_as_new_after_so_many_polls(self) -> None:
        played = monitor(ACTIVE)
        assert len(looks_of(played)) == POLLS_PER_GENERATION == 8
        assert played.result is None
        assert played.continued == WATCHED | {"after_wake": None, "woken_at": None}

    def test_a_search_that_ends_at_the_last_poll_needs_no_further_generation(self) -> None:
        played = monitor(*[ACTIVE] * 7, DONE)
        assert played.result == DONE
        assert played.continued is None

    def test_the_next_generation_looks_when_this_one_would_have(self) -> None:
        assert monitor(ACTIVE).context.seconds == 80

    def test_quick_looks_go_on_in_the_next_generation(self) -> None:
        first = monitor(ACTIVE, wakes=(65.0,))
        assert first.continued["after_wake"] == 1
        second = play(monitor_orchestrator, first.continued, {names.OBSERVE_CLUSTER: in_turn(*[ACTIVE] * 7, DONE)})
        assert second.context.waits() == [*AFTER_WAKE[1:], 10]
        assert looks_of(second)[0]["follow_up"] is True

    def test_a_wake_up_in_the_last_wait_is_carried_over(self) -> None:
        played = monitor(ACTIVE, wakes=(75.0,))
        assert played.context.seconds == 75
        assert played.continued["after_wake"] == 0

    def test_wake_ups_alone_do_not_make_a_generation_longer(self) -> None:
        played = monitor(ACTIVE, wakes=tuple(range(1, 60)))
        assert len(looks_of(played)) == POLLS_PER_GENERATION

    def test_what_is_carried_over_does_not_grow(self) -> None:
        data: Any = WATCHED
        for _ in range(3):
            data = play(monitor_orchestrator, data, {names.OBSERVE_CLUSTER: ACTIVE}).continued
        assert data == WATCHED | {"after_wake": None, "woken_at": None}


@pytest.mark.proves("F4", "N13")
class TestDeadline:
    @pytest.mark.parametrize(("age", "state"), [(86_399, "done"), (86_400, "failed"), (86_401, "failed")])
    def test_a_search_that_is_too_old_ends(self, age: float, state: str) -> None:
        assert monitor(ACTIVE, DONE, age=age).result["state"] == state

    def test_the_failure_says_so(self) -> None:
        error = monitor(ACTIVE, age=86_400).result["error"]
        assert error["code"] == "search_timeout"
        assert "86400 s" in error["message"]
        assert error["hint"]

    def test_what_the_last_look_saw_counts_more(self) -> None:
        assert monitor(DONE, age=90_000).result == DONE

    def test_a_deadline_of_its_own(self) -> None:
        assert monitor(ACTIVE, deadline_seconds=60).result["state"] == "failed"
        assert monitor(*[ACTIVE] * 6, DONE, deadline_seconds=61).result == DONE
