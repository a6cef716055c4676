"""The virtual engine from outside: events that come early, late or not at all; instances started, ended, forgotten."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import grpc
import pytest

from shared.clients.orchestrations import DurableOrchestrations
from tests.activities.fake_durable import RefusedError
from tests.simulation.agenda import START
from tests.simulation.engine import VirtualEngine
from tests.simulation.toys import Steps, elapsed, run, timer


class TestEvents:
    def test_one_that_came_before_it_was_waited_for_is_kept(self) -> None:
        def orchestrator(context: Any) -> Steps:
            yield timer(context, 10)
            yield context.wait_for_external_event("WAKE")
            return elapsed(context)

        assert run(orchestrator, events=(3,))[0].result == 10

    def test_each_wait_takes_one(self) -> None:
        def orchestrator(context: Any) -> Steps:
            yield timer(context, 10)
            for _ in range(3):
                yield context.wait_for_external_event("wake")
            return elapsed(context)

        assert run(orchestrator, events=(3, 4, 20))[0].result == 20

    def test_a_wait_that_nobody_holds_any_more_swallows_one(self) -> None:
        """As the real engine does: a wait made anew in every turn loses wake-ups."""

        def orchestrator(context: Any) -> Steps:
            context.wait_for_external_event("wake")
            yield context.wait_for_external_event("wake")
            return elapsed(context)

        assert run(orchestrator, events=(1, 5))[0].result == 5

    def test_one_wait_serves_many_groups(self) -> None:
        def orchestrator(context: Any) -> Steps:
            wake = context.wait_for_external_event("wake")
            firsts = []
            for _ in range(3):
                pause = timer(context, 10)
                first = yield context.task_any([wake, pause])
                firsts.append("wake" if first is wake else "timer")
            return [firsts, elapsed(context), wake.is_complete]

        assert run(orchestrator, events=(25,))[0].result == [["timer", "timer", "wake"], 25, True]

    @pytest.mark.parametrize(("copies", "ended_at"), [(0, None), (1, 5), (2, 1)])
    def test_one_may_be_lost_or_come_twice(self, copies: int, ended_at: float | None) -> None:
        def orchestrator(context: Any) -> Steps:
            for _ in range(2):
                yield context.wait_for_external_event("wake")
            return elapsed(context)

        instance, _ = run(orchestrator, events=(1, 5), copies=lambda instance_id, event: copies)
        assert instance.result == ended_at

    def test_one_for_an_ended_or_unknown_instance_is_refused_as_by_the_sdk(self) -> None:
        def orchestrator(context: Any) -> Steps:
            yield timer(context, 1)

        _, engine = run(orchestrator)
        with pytest.raises(RefusedError) as unknown:
            engine.client.raise_orchestration_event("other", "wake")
        with pytest.raises(RefusedError) as ended:
            engine.client.raise_orchestration_event("i", "wake")
        assert (unknown.value.code(), ended.value.code()) == (
            grpc.StatusCode.NOT_FOUND,
            grpc.StatusCode.FAILED_PRECONDITION,
        )
        DurableOrchestrations(engine.client).wake("other", "wake")


class TestClient:
    @pytest.fixture
    def engine(self) -> VirtualEngine:
        def orchestrator(context: Any) -> Steps:
            context.set_custom_status({"phase": "x"})
            yield timer(context, 5)
            if context.get_input() == "bad":
                raise ValueError("no")
            return 7

        return VirtualEngine({"o": orchestrator})

    def test_an_instance_is_started_once(self, engine: VirtualEngine) -> None:
        orchestrations = DurableOrchestrations(engine.client)
        assert orchestrations.start("o", "i", None)
        assert not orchestrations.start("o", "i", None)
        with pytest.raises(RefusedError):
            engine.client.schedule_new_orchestration("o", input=None, instance_id="i")

    def test_how_it_stands(self, engine: VirtualEngine) -> None:
        orchestrations = DurableOrchestrations(engine.client)
        assert orchestrations.find("i") is None
        for instance_id, data in (("i", None), ("b", "bad")):
            orchestrations.start("o", instance_id, data)
        engine.run_for(1)
        running = orchestrations.find("i")
        assert running is not None
        assert (running.runtime_status, running.custom_status, running.has_ended) == ("running", {"phase": "x"}, False)
        engine.run_for(10)
        ended, failed = orchestrations.find("i"), orchestrations.find("b")
        assert ended is not None
        assert failed is not None
        assert (ended.runtime_status, ended.output) == ("completed", 7)
        assert (failed.runtime_status, failed.error) == ("failed", "ValueError: no")

    def test_ending_one_from_outside(self, engine: VirtualEngine) -> None:
        orchestrations = DurableOrchestrations(engine.client)
        orchestrations.start("o", "i", None)
        engine.run_for(1)
        orchestrations.terminate("i")
        engine.run_for(10)
        view = orchestrations.find("i")
        assert view is not None
        assert (view.runtime_status, view.output, view.has_ended) == ("terminated", None, True)
        assert view.created_at == START
        assert view.updated_at == START + timedelta(seconds=1)
        orchestrations.terminate("i")
        orchestrations.terminate("other")

    def test_one_that_has_not_begun_yet_never_does(self, engine: VirtualEngine) -> None:
        orchestrations = DurableOrchestrations(engine.client)
        orchestrations.start("o", "i", None)
        orchestrations.terminate("i")
        engine.run_for(10)
        assert engine.instances["i"].history.total == 0

    def test_forgetting_the_old_ones(self, engine: VirtualEngine) -> None:
        orchestrations = DurableOrchestrations(engine.client)
        for instance_id in ("old", "young"):
            orchestrations.start("o", instance_id, None)
            engine.run_for(10)
        assert orchestrations.purge(START + timedelta(seconds=5)) == 1
        assert list(engine.instances) == ["young"]

    @pytest.mark.parametrize("frozen", [("i",), ()])
    def test_one_that_acts_on_nothing_any_more_looks_as_if_it_went_on(
        self, engine: VirtualEngine, frozen: tuple[str, ...]
    ) -> None:
        orchestrations = DurableOrchestrations(engine.client)
        orchestrations.start("o", "i", None)
        engine.run_for(1)
        engine.freeze(*frozen)
        engine.run_for(100)
        orchestrations.wake("i", "wake")
        engine.run_for(100)
        view = orchestrations.find("i")
        assert view is not None
        assert (view.runtime_status, view.updated_at) == ("running", START)

    def test_one_that_is_lost_was_never_there(self, engine: VirtualEngine) -> None:
        orchestrations = DurableOrchestrations(engine.client)
        orchestrations.start("o", "i", None)
        engine.run_for(1)
        engine.forget()
        engine.run_for(100)
        assert orchestrations.find("i") is None
        assert orchestrations.start("o", "i", None)
        engine.run_for(100)
        assert engine.instances["i"].result == 7
