"""What the alerts are for is made to happen, and the events that come of it are those that their queries look for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from activities.cli_engine import check_cli_submit
from local.host.ncrontab import Schedule, parse_schedule
from orchestrators.registry import ORCHESTRATORS, blueprint, telling
from shared.clients.orchestrations import DurableOrchestrations
from shared.clients.recording import timer_run
from shared.clients.starting import start_orchestration
from shared.domain.errors import TransientError
from shared.domain.lifecycle import Lifecycle
from shared.domain.states import Phase
from tests.activities.fakes import World
from tests.activities.test_cli_engine import put_cli_search, put_helper
from tests.activities.worlds import ago, put_running_search, put_search, ref
from tests.orchestrators.fake_context import FakeContext
from tests.portal.events import QUERIES, ROOT, queries
from triggers.timers.reconcile import reconcile

Told = Callable[[str], list[dict[str, Any]]]
_UNITS = {"m": "minutes", "h": "hours"}


def seen_by(alert: str, event: dict[str, Any]) -> dict[str, Any]:
    """What an alert's query reads of an event; the alert looks for it by name."""
    query = queries()[f"alert_{alert}.kql"]
    assert event["event"] in query.events
    return {name: event[name] for name in query.fields if name in event and name != "event"}


def silences() -> dict[str, timedelta]:
    """How long each timer may be silent, as the alert has it."""
    rows = re.findall(r'"(\w+)", (\d+)([mh]),', (QUERIES / "alert_timer_missed.kql").read_text())
    return {name: timedelta(**{_UNITS[unit]: int(number)}) for name, number, unit in rows}


def timers() -> dict[str, timedelta | None]:
    """Whatever the app tells of as a timer's run, with its interval where it is a function of its own."""
    now, found = datetime(2026, 1, 1, tzinfo=UTC), {}
    for path in sorted((ROOT / "triggers" / "timers").glob("*.py")):
        text = path.read_text()
        name, schedule = (
            re.search(r'^NAME = "(\w+)"', text, re.MULTILINE),
            re.search(r'^@timer\("([^"]+)"', text, re.MULTILINE),
        )
        if name is None or "timer_run(NAME)" not in text:
            continue
        found[name[1]] = None if schedule is None else interval(parse_schedule(schedule[1]), now)
    return found


def registered() -> dict[str, Callable[[Any], Generator[Any, Any, Any]]]:
    """The orchestrators as the host gets them, by name."""
    functions = [builder._function for builder in blueprint._function_builders]
    orchestrators = [each for each in functions if each.get_trigger().type == "orchestrationTrigger"]
    return {each.get_trigger().orchestration: each._func.orchestrator_function for each in orchestrators}


def interval(schedule: Schedule, now: datetime) -> timedelta:
    """From one time of a timer to the next."""
    first = schedule.next_after(now)
    return schedule.next_after(first) - first


@pytest.mark.proves("P5")
class TestExitMarker:
    def test_missing(self, world: World, told: Told) -> None:
        search = put_cli_search(world)
        put_helper(world, "succeeded", "x" * 1234)
        check_cli_submit(ref(search))
        (event,) = told("cli_exit_marker_missing")
        assert seen_by("exit_marker_missing", event) == {
            "bytes": 1234,
            "job": event["job"],
            "job_id": search.job_id,
        }

    def test_there(self, world: World, told: Told) -> None:
        put_helper(world, "succeeded", "EXIT_CODE=0\n")
        check_cli_submit(ref(put_cli_search(world)))
        assert told("cli_exit_marker_missing") == []


@pytest.mark.proves("P5")
class TestMonitor:
    def turn(self, world: World, silent_for: float) -> str:
        """A turn of the reconcile, with a search whose orchestrations were last heard of so long ago."""
        search = put_running_search(world, 1)
        start_orchestration(search, DurableOrchestrations(world.durable))
        monitor = f"monitor-{search.job_id}"
        world.durable.started[monitor] = "monitor_orchestrator", {}
        for instance in (search.job_id, monitor):
            world.durable.created[instance] = world.durable.updated[instance] = ago(silent_for)
        reconcile(DurableOrchestrations(world.durable), parallel=1)
        return search.job_id

    def test_stalled(self, world: World, told: Told) -> None:
        job_id = self.turn(world, 700)
        (event,) = told("search_woken")
        assert seen_by("monitor_stalled", event) == {"job_id": job_id, "phase": "running"}

    def test_at_work(self, world: World, told: Told) -> None:
        self.turn(world, 20)
        assert told("search_woken") == []


@pytest.mark.proves("P5")
class TestOrchestration:
    def orchestrator(self, context: Any) -> Generator[Any, Any, Any]:
        yield context.create_timer(context.current_utc_datetime)
        raise ValueError("what nobody expected")

    def run(self, context: FakeContext) -> None:
        steps = telling("some_orchestrator", self.orchestrator)(context)
        next(steps)
        with pytest.raises(ValueError, match="nobody expected"):
            steps.send(None)

    def test_failed(self, told: Told) -> None:
        self.run(FakeContext({}, instance_id="job-1"))
        (event,) = told("orchestration_failed")
        assert seen_by("orchestration_failed", event) == {"instance": "job-1"}
        assert (event["orchestrator"], event["error"]) == ("some_orchestrator", "ValueError")

    def test_not_told_again_by_a_replay(self, told: Told) -> None:
        self.run(FakeContext({}, is_replaying=True))
        assert told("orchestration_failed") == []

    def test_what_goes_well_is_as_without(self, told: Told) -> None:
        def returns(context: Any) -> Generator[Any, Any, Any]:
            return (yield context.create_timer(context.current_utc_datetime))

        steps = telling("some_orchestrator", returns)(FakeContext({}))
        next(steps)
        with pytest.raises(StopIteration) as end:
            steps.send(3)
        assert end.value.value == 3
        assert told("orchestration_failed") == []

    @pytest.mark.parametrize("name", sorted(ORCHESTRATORS))
    def test_every_orchestrator_tells(self, name: str, told: Told) -> None:
        """What is registered is the telling one: an input that cannot be read fails any of them."""

        class Unreadable(FakeContext):
            def get_input(self) -> Any:
                raise ValueError("no input")

        with pytest.raises(ValueError, match="no input"):
            next(registered()[name](Unreadable({})))
        assert [event["orchestrator"] for event in told("orchestration_failed")] == [name]

    def test_one_of_a_search_that_ended_without_ending_it(self, world: World, told: Told) -> None:
        search = put_running_search(world, 1)
        start_orchestration(search, DurableOrchestrations(world.durable))
        world.durable.ended[search.job_id] = "FAILED"
        reconcile(DurableOrchestrations(world.durable), parallel=1)
        (event,) = told("search_revived")
        assert seen_by("orchestration_failed", event) == {"job_id": search.job_id}

    def test_one_that_nobody_takes_up(self, world: World, told: Told) -> None:
        search = put_search(world, created_at=ago(700), phase=Phase.PREPARING)
        start_orchestration(search, DurableOrchestrations(world.durable))
        world.durable.pending.add(search.job_id)
        world.durable.created[search.job_id] = ago(601)
        reconcile(DurableOrchestrations(world.durable), parallel=1)
        (event,) = told("orchestration_pending")
        assert seen_by("instance_pending", event)["instance"] == search.job_id
        assert event["seconds"] > 600


@pytest.mark.proves("P5")
class TestTimer:
    def test_one_that_ran(self, world: World, told: Told) -> None:
        with timer_run("reconcile_stale_jobs"):
            pass
        (event,) = told("timer_run")
        assert seen_by("timer_missed", event) == {"timer": "reconcile_stale_jobs", "ended": True}

    def test_one_that_fails_is_as_one_that_does_not_run(self, world: World, told: Told) -> None:
        with pytest.raises(TransientError), timer_run("reconcile_stale_jobs"):
            raise TransientError("state_unavailable", "no answer")
        (event,) = told("timer_run")
        assert seen_by("timer_missed", event)["ended"] is False

    def test_the_alert_knows_every_timer_and_no_other(self) -> None:
        assert len(timers()) >= 4
        assert timers().keys() == silences().keys(), "the rows of alert_timer_missed.kql"

    @pytest.mark.parametrize(("name", "interval"), [each for each in timers().items() if each[1] is not None])
    def test_and_waits_for_two_of_its_intervals(self, name: str, interval: timedelta) -> None:
        an_alert_sees_two_days = timedelta(hours=47)
        assert silences()[name] == min(2 * interval + timedelta(minutes=5), an_alert_sees_two_days)


class TestCluster:
    def test_with_nothing_to_do(self, world: World, told: Told) -> None:
        put_search(world, phase=Phase.COMPLETED)
        reconcile(DurableOrchestrations(world.durable), parallel=1)
        (event,) = told("cluster_load")
        assert seen_by("cluster_idle", event) == {"cluster": "cluster", "unfinished": 0}

    def test_its_nodes(self, told: Told) -> None:
        from shared.clients.cluster_events import tell_state
        from shared.domain.lifecycle import ClusterState
        from shared.domain.readiness import Pool
        from tests.activities.worlds import CLUSTER

        pools = (Pool("system", "System", "D4", 1), Pool("blast", "User", "E16", 3))
        for lifecycle, nodes in ((Lifecycle.RUNNING, 4), (Lifecycle.STOPPED, 0)):
            tell_state(CLUSTER, ClusterState(lifecycle, "Succeeded", ""), pools)
            event = told("cluster_state")[-1]
            assert seen_by("cluster_idle", event) == {"cluster": "cluster", "nodes": nodes}
            assert json.dumps(event["lifecycle"]) == f'"{lifecycle.value}"'
