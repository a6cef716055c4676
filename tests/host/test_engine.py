"""What the engine mends in durabletask's in-memory backend, one defect after the other."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from durabletask.internal import orchestrator_service_pb2 as pb
from durabletask.internal import orchestrator_service_pb2_grpc as stubs

from local.host.work_items import WorkKind
from tests.host.engine_driver import (
    CallAbortedError,
    Driver,
    child,
    complete,
    continue_as_new,
    fail,
    kinds,
    orchestrations,
    schedule,
    timer,
)

# mypy: allow-untyped-calls


class TestChildren:
    def test_a_parent_hears_of_its_child_however_long_it_takes(self, driver: Driver) -> None:
        driver.start("p")
        before = threading.active_count()
        driver.step(child(1, "c"))
        driver.step(timer(1, driver.clock.at(86_400)))
        assert threading.active_count() == before, "nothing waits, so no wait can run out"
        assert not driver.engine._state_waiters
        driver.advance(86_401)
        driver.step(complete('"a day"'))
        request = driver.take()
        assert kinds(request) == ["subOrchestrationInstanceCompleted"]
        assert request is not None
        assert request.newEvents[-1].subOrchestrationInstanceCompleted.result.value == '"a day"'

    def test_a_failed_child_keeps_its_reason(self, driver: Driver) -> None:
        driver.start("p")
        driver.step(child(1, "c"))
        driver.step(fail("two\nlines"))
        request = driver.take()
        assert request is not None
        details = request.newEvents[-1].subOrchestrationInstanceFailed.failureDetails
        assert (details.errorType, details.errorMessage) == ("ValueError", "two\nlines")

    def test_a_terminated_child_is_a_failure_with_its_name(self, driver: Driver) -> None:
        driver.start("p")
        driver.step(child(1, "c"))
        driver.step(complete_terminated())
        request = driver.take()
        assert request is not None
        assert "c was terminated" in request.newEvents[-1].subOrchestrationInstanceFailed.failureDetails.errorMessage

    def test_a_child_that_a_client_has_replaced_is_no_child_any_more(self, driver: Driver) -> None:
        driver.start("p")
        driver.step(child(1, "c"))
        policy = pb.OrchestrationIdReusePolicy(replaceableStatus=[pb.ORCHESTRATION_STATUS_PENDING])
        request = pb.CreateInstanceRequest(instanceId="c", name="orchestrator", orchestrationIdReusePolicy=policy)
        driver.engine.StartInstance(request, driver.call)
        assert driver.step(complete()).instanceId == "c"
        assert driver.take() is None

    def test_a_child_of_a_parent_that_ended_is_heard_by_nobody(self, driver: Driver) -> None:
        driver.start("p")
        driver.step(child(1, "c"), complete())
        driver.step(complete())
        assert driver.take() is None


def complete_terminated() -> pb.OrchestratorAction:
    action = complete()
    action.completeOrchestration.orchestrationStatus = pb.ORCHESTRATION_STATUS_TERMINATED
    return action


class TestGenerations:
    def test_an_activity_of_an_older_generation_is_dropped(self, driver: Driver) -> None:
        driver.start("o")
        driver.step(schedule(1), continue_as_new())
        late = driver.take_activity()
        assert late is not None
        driver.step(schedule(1))
        driver.answer(late, '"of the old one"')
        assert driver.take() is None
        now = driver.take_activity()
        assert now is not None
        driver.answer(now, '"of the new one"')
        assert kinds(driver.take()) == ["taskCompleted"]

    def test_a_timer_of_an_older_generation_is_dropped(self, driver: Driver) -> None:
        driver.start("o")
        driver.step(timer(1, driver.clock.at(10)), continue_as_new())
        driver.step(timer(1, driver.clock.at(100)))
        driver.advance(11)
        assert driver.take() is None
        driver.advance(100)
        assert kinds(driver.take()) == ["timerFired"]

    def test_a_child_of_an_older_generation_is_dropped(self, driver: Driver) -> None:
        driver.start("o")
        driver.step(child(1, "c"), continue_as_new())
        first = driver.step(complete())
        assert first.instanceId == "c"
        request = driver.step()
        assert request.instanceId == "o"
        assert kinds(request) == ["executionStarted"]
        assert driver.take() is None

    def test_of_what_arrives_during_continue_as_new_events_stay_and_answers_go(self, driver: Driver) -> None:
        driver.start("o")
        driver.step(schedule(1), timer(2, driver.clock.at(10)))
        driver.raise_event("o", "first")
        request = driver.take()
        activity = driver.take_activity()
        assert request is not None
        assert activity is not None
        driver.answer(activity)
        driver.advance(11)
        driver.raise_event("o", "second")
        driver.complete("o", continue_as_new())
        assert kinds(driver.take()) == ["executionStarted", "eventRaised"]

    def test_an_instance_with_the_id_of_a_purged_one_gets_nothing_of_it(self, driver: Driver) -> None:
        driver.start("o")
        driver.step(schedule(1), timer(2, driver.clock.at(10)))
        late = driver.take_activity()
        assert late is not None
        driver.raise_event("o", "end")
        driver.step(complete())
        driver.purge("o")
        driver.start("o")
        driver.step(schedule(1))
        driver.answer(late)
        driver.advance(11)
        assert driver.take() is None

    def test_an_ended_orchestration_is_not_replayed_for_a_late_answer(self, driver: Driver) -> None:
        driver.start("o")
        driver.step(schedule(1), schedule(2), timer(3, driver.clock.at(10)), complete())
        for _ in range(2):
            activity = driver.take_activity()
            assert activity is not None
            driver.answer(activity)
        driver.advance(11)
        driver.raise_event("o", "late")
        driver.engine.SuspendInstance(pb.SuspendRequest(instanceId="o"), driver.call)
        assert driver.take() is None
        assert not [e for e in driver.engine._instances["o"].pending_events if e.HasField("eventRaised")]
        assert driver.status("o").orchestrationStatus == pb.ORCHESTRATION_STATUS_COMPLETED


class TestTimers:
    def test_one_thread_serves_500_timers(self, driver: Driver) -> None:
        driver.engine.start()
        before = threading.active_count()
        for number in range(500):
            driver.start(f"o{number}")
            driver.step(timer(1, driver.clock.at(60 + number)))
        assert threading.active_count() <= before
        assert len(driver.engine.timers) == 500

    def test_timers_fire_in_the_order_of_their_times(self, driver: Driver) -> None:
        for name, seconds in (("late", 30), ("early", 10), ("middle", 20)):
            driver.start(name)
            driver.step(timer(1, driver.clock.at(seconds)))
        driver.advance(60)
        order = [driver.step(complete()).instanceId for _ in range(3)]
        assert order == ["early", "middle", "late"]

    def test_the_thread_fires_by_itself(self, driver: Driver) -> None:
        driver.engine.start()
        driver.start("o")
        driver.step(timer(1, driver.clock.at(-1)))
        item = driver.engine.take_work_item(orchestrations, 10) or driver.engine.take_work_item(orchestrations, 10)
        assert item is not None
        assert kinds(item.orchestratorRequest) == ["timerFired"]


class TestListening:
    def test_only_on_the_loopback_interface_and_on_a_port_of_its_own(self, driver: Driver) -> None:
        host, port = driver.engine.start().split(":")
        assert host == "127.0.0.1"
        with socket.create_connection((host, int(port)), timeout=5):
            pass
        with socket.socket() as second:
            second.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            with pytest.raises(OSError, match="in use"):
                second.bind(("127.0.0.1", int(port)))
        with socket.socket(socket.AF_INET6) as other, pytest.raises(ConnectionRefusedError):
            other.connect(("::1", int(port)))

    def test_clients_that_wait_do_not_keep_others_from_an_answer(self, driver: Driver) -> None:
        driver.start("o")
        with grpc.insecure_channel(driver.engine.start()) as channel, ThreadPoolExecutor(24) as pool:
            stub = stubs.TaskHubSidecarServiceStub(channel)
            request = pb.GetInstanceRequest(instanceId="o")
            waiting = [pool.submit(stub.WaitForInstanceCompletion, request, timeout=20) for _ in range(24)]
            assert stub.GetInstance(request, timeout=5).exists
            driver.step(complete())
            states = {future.result().orchestrationState.orchestrationStatus for future in waiting}
        assert states == {pb.ORCHESTRATION_STATUS_COMPLETED}


class TestQueue:
    def test_an_event_during_a_replay_is_delivered_when_the_replay_ends(self, driver: Driver) -> None:
        driver.start("o")
        driver.start("behind")
        assert driver.take() is not None
        driver.raise_event("o", "go")
        token = driver._token
        assert driver.step(complete()).instanceId == "behind", "it does not hold up those behind it"
        assert driver.take() is None, "nor is it replayed twice at a time"
        driver._token = token
        driver.complete("o")
        assert kinds(driver.take()) == ["eventRaised"]

    def test_a_resumption_during_a_replay_is_delivered_too(self, driver: Driver) -> None:
        driver.start("o")
        driver.step(schedule(1))
        driver.engine.SuspendInstance(pb.SuspendRequest(instanceId="o"), driver.call)
        driver.step()
        activity = driver.take_activity()
        assert activity is not None
        driver.answer(activity)
        assert kinds(driver.take()) == ["taskCompleted"]
        token = driver._token
        driver.engine.ResumeInstance(pb.ResumeRequest(instanceId="o"), driver.call)
        assert driver.take() is None
        driver._token = token
        driver.complete("o")
        assert kinds(driver.take()) == ["executionResumed"]

    def test_events_that_gather_are_delivered_together(self, driver: Driver) -> None:
        driver.start("o")
        driver.step(*(schedule(number) for number in range(1, 201)))
        for _ in range(200):
            activity = driver.take_activity()
            assert activity is not None
            driver.answer(activity)
        assert len(kinds(driver.take())) == 200
        assert driver.take() is None

    def test_room_that_is_made_is_seen_at_once(self, driver: Driver) -> None:
        def made_meanwhile() -> frozenset[WorkKind]:
            driver.engine.wake()
            return frozenset()

        began = time.monotonic()
        assert driver.engine.take_work_item(made_meanwhile, 10) is None
        assert time.monotonic() - began < 5


class TestUsedIds:
    """As on Azure with its default, `overridableExistingInstanceStates` = `NonRunningStates`."""

    @pytest.mark.parametrize("end", [complete(), fail("no"), complete_terminated()], ids=["done", "failed", "killed"])
    def test_an_ended_instance_is_replaced(self, driver: Driver, end: pb.OrchestratorAction) -> None:
        driver.start("o", "1")
        driver.step(schedule(1), end)
        driver.start("o", "2")
        assert driver.status("o").orchestrationStatus == pb.ORCHESTRATION_STATUS_PENDING
        request = driver.step(complete())
        assert not request.pastEvents
        assert request.newEvents[-1].executionStarted.input.value == "2"

    def test_a_running_one_refuses(self, driver: Driver) -> None:
        driver.start("o")
        with pytest.raises(CallAbortedError, match="ALREADY_EXISTS"):
            driver.start("o")
        driver.step(timer(1, driver.clock.at(10)))
        with pytest.raises(CallAbortedError, match="ALREADY_EXISTS"):
            driver.start("o")
        driver.engine.SuspendInstance(pb.SuspendRequest(instanceId="o"), driver.call)
        driver.step()
        with pytest.raises(CallAbortedError, match="ALREADY_EXISTS"):
            driver.start("o")

    @pytest.mark.parametrize("restart", [False, True], ids=["same process", "restarted"])
    def test_the_new_one_gets_nothing_that_the_old_one_waited_for(self, driver: Driver, restart: bool) -> None:
        driver.start("o")
        driver.step(schedule(1), timer(2, driver.clock.at(10)), child(3, "c"), complete())
        late = driver.take_activity()
        assert late is not None
        driver.start("o")
        heir = driver.restarted() if restart else driver
        heir.answer(late)
        heir.advance(11)
        assert {heir.step(*actions).instanceId for actions in ((complete(),), (complete(),))} == {"c", "o"}
        assert heir.take() is None, "the child has told nobody"

        heir.start("o")
        heir.step(schedule(1), timer(2, heir.clock.at(100)), child(3, "c"))
        heir.answer(late)
        heir.advance(50)
        assert heir.step(complete()).instanceId == "c"
        assert kinds(heir.take()) == ["subOrchestrationInstanceCompleted"], "its own child's, and nothing else"
