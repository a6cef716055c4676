"""What is in the file after each call: a second engine on it stands for the process after a SIGKILL."""

from typing import Any

import pytest
from durabletask.internal import orchestrator_service_pb2 as pb
from durabletask.testing.in_memory_backend import StateWaiter

from tests.host.engine_driver import Driver, child, complete, continue_as_new, kinds, schedule, timer


class TestContinuing:
    def test_a_started_orchestration_is_replayed(self, driver: Driver) -> None:
        driver.start("o", '{"a": 1}')
        request = driver.restarted().take()
        assert request is not None
        assert request.newEvents[-1].executionStarted.input.value == '{"a": 1}'

    def test_a_replay_that_was_cut_off_is_done_again(self, driver: Driver) -> None:
        driver.start("o")
        driver.step(schedule(1))
        driver.raise_event("o", "go")
        assert kinds(driver.take()) == ["eventRaised"]
        assert kinds(driver.restarted().take()) == ["eventRaised"]

    def test_a_replay_begins_with_its_own_time(self, driver: Driver) -> None:
        driver.start("o")
        driver.step(schedule(1))
        driver.raise_event("o", "go")
        first = driver.take()
        driver.raise_event("o", "again")
        request = driver.restarted().take()
        assert first is not None
        assert request is not None
        assert request.newEvents[0].timestamp.ToNanoseconds() > first.newEvents[0].timestamp.ToNanoseconds()
        assert [e.HasField("orchestratorStarted") for e in request.newEvents] == [True, False, False]

    def test_only_activities_without_answer_are_run_again(self, driver: Driver) -> None:
        driver.start("o")
        driver.step(schedule(1, "first"), schedule(2, "second"), schedule(3, "third"))
        first = driver.take_activity()
        second = driver.take_activity()
        assert first is not None
        assert second is not None
        driver.answer(first)
        heir = driver.restarted()
        again = [item.activityRequest.name for item in iter(heir.take_activity, None)]
        assert again == ["second", "third"]
        assert kinds(heir.take()) == ["taskCompleted"]

    def test_an_activity_that_is_run_again_answers_the_same_task(self, driver: Driver) -> None:
        driver.start("o")
        driver.step(schedule(7))
        heir = driver.restarted()
        item = heir.take_activity()
        assert item is not None
        heir.answer(item, "42")
        request = heir.take()
        assert request is not None
        assert request.newEvents[-1].taskCompleted.taskScheduledId == 7

    def test_a_timer_keeps_its_time(self, driver: Driver) -> None:
        driver.start("o")
        driver.step(timer(1, driver.clock.at(100)))
        heir = driver.restarted()
        heir.advance(99)
        assert heir.take() is None
        heir.advance(2)
        assert kinds(heir.take()) == ["timerFired"]

    def test_a_timer_that_became_due_meanwhile_fires(self, driver: Driver) -> None:
        driver.start("o")
        driver.step(timer(1, driver.clock.at(100)))
        driver.clock.seconds += 1000
        heir = driver.restarted()
        heir.advance(0)
        assert kinds(heir.take()) == ["timerFired"]

    def test_a_parent_still_hears_of_its_child(self, driver: Driver) -> None:
        driver.start("p")
        driver.step(child(1, "c"))
        heir = driver.restarted()
        assert heir.step(complete()).instanceId == "c"
        second = heir.restarted()
        assert kinds(second.take()) == ["subOrchestrationInstanceCompleted"]

    def test_generations_go_on(self, driver: Driver) -> None:
        driver.start("o")
        driver.step(schedule(1), continue_as_new("2"))
        heir = driver.restarted()
        request = heir.take()
        assert request is not None
        assert not request.pastEvents
        assert request.newEvents[-1].executionStarted.input.value == "2"
        assert heir.take_activity() is None, "what an older generation asked for is nobody's"

    def test_a_second_restart_changes_nothing(self, driver: Driver) -> None:
        driver.start("o")
        driver.step(schedule(1), timer(2, driver.clock.at(10)))
        heir = driver.restarted().restarted()
        assert heir.take_activity() is not None
        assert heir.take_activity() is None
        heir.advance(11)
        assert kinds(heir.take()) == ["timerFired"]


class TestClientCalls:
    def test_nobody_is_told_of_a_state_before_it_is_written(
        self, driver: Driver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        driver.start("o")
        waiter = StateWaiter(lambda instance: instance.output is not None)
        driver.engine._state_waiters["o"] = [waiter]
        told_before: list[bool] = []
        write = driver.engine._store.write

        def watched(*given: Any) -> None:
            told_before.append(waiter.event.is_set())
            write(*given)

        monkeypatch.setattr(driver.engine._store, "write", watched)
        driver.step(complete())
        assert told_before == [False]
        assert waiter.event.is_set()

    def test_the_end_of_an_orchestration(self, driver: Driver) -> None:
        driver.start("o", "1")
        driver.step(complete('"end"'))
        state = driver.restarted().status("o")
        assert state.orchestrationStatus == pb.ORCHESTRATION_STATUS_COMPLETED
        assert (state.input.value, state.output.value) == ("1", '"end"')
        assert state.completedTimestamp.ToJsonString() == driver.status("o").completedTimestamp.ToJsonString()

    def test_events_of_a_suspended_orchestration(self, driver: Driver) -> None:
        driver.start("o")
        driver.step()
        driver.engine.SuspendInstance(pb.SuspendRequest(instanceId="o"), driver.call)
        assert kinds(driver.step()) == ["executionSuspended"]
        driver.raise_event("o", "go")
        heir = driver.restarted()
        assert heir.status("o").orchestrationStatus == pb.ORCHESTRATION_STATUS_SUSPENDED
        heir.engine.ResumeInstance(pb.ResumeRequest(instanceId="o"), heir.call)
        assert kinds(heir.take()) == ["eventRaised", "executionResumed"]

    def test_a_termination(self, driver: Driver) -> None:
        driver.start("o")
        driver.step()
        driver.engine.TerminateInstance(pb.TerminateRequest(instanceId="o", recursive=True), driver.call)
        assert kinds(driver.restarted().take()) == ["executionTerminated"]

    def test_a_purge(self, driver: Driver) -> None:
        driver.start("o")
        driver.step(complete())
        driver.purge("o")
        heir = driver.restarted()
        assert not heir.engine.GetInstance(pb.GetInstanceRequest(instanceId="o"), heir.call).exists

    def test_a_replacement_of_an_ended_orchestration(self, driver: Driver) -> None:
        driver.start("o", "1")
        driver.step(schedule(1), timer(2, driver.clock.at(10)), complete())
        driver.start("o", "2")
        heir = driver.restarted()
        assert heir.take_activity() is None, "what the old one asked for is nobody's"
        heir.advance(11)
        request = heir.step(schedule(1))
        assert not request.pastEvents
        assert request.newEvents[-1].executionStarted.input.value == "2"
        assert len(heir.restarted().engine._instances["o"].history) == len(heir.engine._instances["o"].history)

    def test_a_restart_of_an_ended_orchestration(self, driver: Driver) -> None:
        driver.start("o", "1")
        driver.step(complete())
        driver.engine.RestartInstance(pb.RestartInstanceRequest(instanceId="o"), driver.call)
        request = driver.restarted().take()
        assert request is not None
        assert request.newEvents[-1].executionStarted.input.value == "1"

    def test_an_entity(self, driver: Driver) -> None:
        signal = pb.SignalEntityRequest(instanceId="@counter@one", name="add", requestId="1")
        driver.engine.SignalEntity(signal, driver.call)
        assert driver.restarted().engine._entities["@counter@one"].pending_operations


class TestCost:
    def test_a_step_of_a_long_history_writes_its_new_events_only(self, driver: Driver) -> None:
        driver.start("o")
        driver.step(schedule(1))
        per_step = []
        for number in range(2, 200):
            before = driver.engine._store.rows_written
            activity = driver.take_activity()
            assert activity is not None
            driver.answer(activity)
            driver.step(schedule(number))
            per_step.append(driver.engine._store.rows_written - before)
        assert len(driver.engine._instances["o"].history) > 700
        assert max(per_step) <= 6

    def test_a_restored_history_is_appended_to(self, driver: Driver) -> None:
        driver.start("o")
        for number in range(1, 30):
            driver.step(schedule(number))
            activity = driver.take_activity()
            assert activity is not None
            driver.answer(activity)
        heir = driver.restarted()
        heir.step(complete())
        assert heir.engine._store.rows_written <= 6
        assert driver.restarted().engine._instances["o"].history == heir.engine._instances["o"].history
