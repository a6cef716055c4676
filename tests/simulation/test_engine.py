"""The virtual engine keeps to the rules of the real one: timers, retries, groups, children, generations, histories."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from orchestrators.monitor import monitor_orchestrator
from shared.domain import functions as names
from shared.domain.errors import PermanentError, TransientError
from tests.orchestrators import histories
from tests.orchestrators.fake_context import ActivityFailedError, in_turn
from tests.simulation.agenda import START
from tests.simulation.engine import VirtualEngine
from tests.simulation.toys import Steps, answering, attempts, elapsed, run, timer


class TestTimers:
    def test_it_fires_at_its_time(self) -> None:
        def orchestrator(context: Any) -> Steps:
            yield timer(context, 7.5)
            return elapsed(context)

        assert run(orchestrator)[0].result == 7.5

    def test_one_that_was_given_up_is_complete_and_still_fires_into_the_history(self) -> None:
        def orchestrator(context: Any) -> Steps:
            pause = timer(context, 5)
            assert pause.cancel()
            yield timer(context, 10)
            assert not pause.cancel()
            return pause.is_complete

        instance, _ = run(orchestrator)
        assert instance.result is True
        assert instance.history.kinds["timerFired"] == 2

    def test_one_of_an_older_generation_goes_unheard(self) -> None:
        def orchestrator(context: Any) -> Steps:
            if context.get_input() == "first":
                timer(context, 5)
                yield timer(context, 1)
                context.continue_as_new("second")
                return None
            yield timer(context, 10)
            return elapsed(context)

        instance, _ = run(orchestrator, data="first")
        assert instance.result == 11
        assert instance.history.kinds["timerFired"] == 1


class TestActivities:
    def test_what_it_does_happens_at_once_and_its_result_comes_later(self) -> None:
        def orchestrator(context: Any) -> Steps:
            answer = yield context.call_activity("a", {"x": 1})
            return [answer, elapsed(context)]

        did: list[Any] = []

        def activity(data: Any) -> Any:
            did.append(data)
            return data

        instance, engine = run(orchestrator, activities={"a": activity}, takes={"a": 0.5})
        assert (instance.result, did) == ([{"x": 1}, 0.5], [{"x": 1}])
        [seen] = engine.runs
        assert (seen.instance_id, seen.name, seen.began, seen.ended, seen.result) == ("i", "a", 0, 0.5, {"x": 1})

    def test_a_failure_is_tried_again_with_growing_pauses(self) -> None:
        def orchestrator(context: Any) -> Steps:
            policy = attempts(6)
            return (yield context.call_activity_with_retry("a", policy, None))

        busy = TransientError("busy", "later")
        instance, engine = run(orchestrator, activities={"a": answering(busy, busy, "done")})
        assert instance.result == "done"
        assert [run.began for run in engine.runs_of("a", "i")] == [0, 1, 3]
        assert engine.calls_of("i") == {"a": 3}
        assert [run.error for run in engine.runs] == ["busy", "busy", ""]

    def test_the_last_failure_is_raised_as_text_with_the_code_in_it(self) -> None:
        def orchestrator(context: Any) -> Steps:
            policy = attempts(3)
            try:
                yield context.call_activity_with_retry("a", policy, None)
            except ActivityFailedError as error:
                return [str(error), elapsed(context)]

        instance, _ = run(orchestrator, activities={"a": answering(PermanentError("broken", "for good"))})
        assert instance.result == ["i: Activity task #1 failed: PermanentError: broken: for good", 3]

    def test_what_no_retry_should_see_ends_the_simulation(self) -> None:
        def orchestrator(context: Any) -> Steps:
            yield context.call_activity("a", None)

        with pytest.raises(ZeroDivisionError):
            run(orchestrator, activities={"a": lambda data: 1 / 0})

    def test_data_go_through_json(self) -> None:
        def orchestrator(context: Any) -> Steps:
            return (yield context.call_activity("a", {1: (2, 3)}))

        assert run(orchestrator, activities={"a": lambda data: data})[0].result == {"1": [2, 3]}


class TestGroups:
    def test_all_wait_for_the_last_and_keep_the_order(self) -> None:
        def orchestrator(context: Any) -> Steps:
            results = yield context.task_all([context.call_activity(name, name) for name in ("slow", "quick")])
            return [results, elapsed(context)]

        activities = dict.fromkeys(("slow", "quick"), lambda data: data)
        instance, _ = run(orchestrator, activities=activities, takes={"slow": 5, "quick": 1})
        assert instance.result == [["slow", "quick"], 5]

    def test_all_fail_only_after_the_last(self) -> None:
        def orchestrator(context: Any) -> Steps:
            tasks = [context.call_activity("bad", None), context.call_activity("slow", None)]
            try:
                yield context.task_all(tasks)
            except ActivityFailedError as error:
                return ["bad" in str(error), elapsed(context)]

        activities = {"bad": answering(TransientError("bad", "")), "slow": lambda data: data}
        assert run(orchestrator, activities=activities, takes={"slow": 5})[0].result == [True, 5]

    def test_any_is_there_at_once_when_one_of_its_tasks_is(self) -> None:
        def orchestrator(context: Any) -> Steps:
            done = timer(context, 1)
            yield done
            first = yield context.task_any([timer(context, 50), done])
            return [first is done, elapsed(context)]

        assert run(orchestrator)[0].result == [True, 1]


class TestChildren:
    def test_its_result_comes_back(self) -> None:
        def parent(context: Any) -> Steps:
            answer = yield context.call_sub_orchestrator("child", {"x": 1}, "c")
            return [answer, elapsed(context)]

        def child(context: Any) -> Steps:
            yield timer(context, 4)
            return context.get_input()

        instance, engine = run(parent, others={"child": child})
        assert instance.result == [{"x": 1}, 4]
        assert engine.instances["c"].status == "COMPLETED"

    def test_through_all_of_its_generations(self) -> None:
        def parent(context: Any) -> Steps:
            return (yield context.call_sub_orchestrator("child", 0, "c"))

        def child(context: Any) -> Steps:
            turn = context.get_input()
            yield timer(context, 1)
            if turn < 3:
                context.continue_as_new(turn + 1)
                return None
            return elapsed(context)

        instance, engine = run(parent, others={"child": child})
        assert instance.result == 4
        assert engine.instances["c"].history.generations == 4

    def test_its_failure_is_raised(self) -> None:
        def parent(context: Any) -> Steps:
            try:
                yield context.call_sub_orchestrator("child", 0, "c")
            except ActivityFailedError as error:
                return str(error)

        def child(context: Any) -> Steps:
            yield timer(context, 1)
            raise ValueError("no")

        instance, engine = run(parent, others={"child": child})
        assert instance.result == "Sub-orchestration task #1 failed: ValueError: no"
        assert engine.instances["c"].status == "FAILED"

    def test_one_that_is_ended_from_outside_has_failed(self) -> None:
        def parent(context: Any) -> Steps:
            try:
                yield context.call_sub_orchestrator("child", 0, "c")
            except ActivityFailedError as error:
                return [str(error), elapsed(context)]

        def child(context: Any) -> Steps:
            yield timer(context, 50)

        engine = VirtualEngine({"parent": parent, "child": child})
        instance = engine.start("parent", "p", None)
        engine.agenda.at(7, lambda: engine.client.terminate_orchestration("c", recursive=False))
        engine.run_for(100)
        assert instance.result == ["Sub-orchestration task #1 failed: terminated", 7]

    def test_an_id_that_runs_already_is_refused(self) -> None:
        def parent(context: Any) -> Steps:
            try:
                yield context.call_sub_orchestrator("child", 0, "i")
            except ActivityFailedError as error:
                return str(error)

        assert "there already" in run(parent)[0].result


class TestGenerations:
    def test_an_event_that_nobody_took_is_dropped(self) -> None:
        def orchestrator(context: Any) -> Steps:
            if context.get_input() == "first":
                yield timer(context, 5)
                context.continue_as_new("second")
                return None
            yield context.wait_for_external_event("wake")
            return elapsed(context)

        assert run(orchestrator, data="first", events=(1, 8))[0].result == 8

    def test_the_history_begins_anew_and_the_longest_one_is_remembered(self) -> None:
        def orchestrator(context: Any) -> Steps:
            turn = context.get_input()
            for _ in range(3 - turn):
                yield timer(context, 1)
            if turn == 2:
                return None
            context.continue_as_new(turn + 1)
            return None

        history = run(orchestrator, data=0)[0].history
        # 3 for the start, 2 for the end, of which a generation that ends in a step has written one already; 4 a timer
        assert history.length == 3 + 1 * 4 + 1
        assert history.longest == 3 + 3 * 4 + 1
        assert history.total == (3 + 3 * 4 + 1) + (3 + 2 * 4 + 1) + (3 + 1 * 4 + 1)
        assert history.generations == 3


class TestCounting:
    """The same events as a real engine wrote for the same course of things."""

    def test_a_monitor_with_a_poll_a_wake_up_and_an_end(self) -> None:
        saved = histories.load("monitor_failed")
        looks = in_turn({"state": "active"}, {"state": "active"}, {"state": "failed", "error": {"code": "x"}})
        data = {"job_id": "j", "owner": "o", "run": 1, "created_at": START.isoformat(), "deadline_seconds": 86_400}
        instance, _ = run(
            monitor_orchestrator, data=data, events=(11,), seconds=30, activities={names.OBSERVE_CLUSTER: looks}
        )
        assert instance.status == "COMPLETED"
        assert instance.history.kinds == Counter(histories.kind_of(event) for event in saved)
