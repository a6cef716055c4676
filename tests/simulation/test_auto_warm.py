"""Auto-warm in virtual time: a cluster that errs for ten minutes, one that is started, and warmups that always fail."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import azure.functions as func
import pytest

from orchestrators.calls import MAX_ATTEMPTS
from shared.domain import functions as names
from shared.domain.auto_warm import pause_after
from shared.domain.errors import ElbError, TransientError
from shared.domain.preference import PreferenceChange
from tests.activities.worlds import CLUSTER, DB, status_of
from tests.simulation.product import Simulation
from triggers import timers

TURN = 60.0
OUTAGE = 600.0
LOAD_SECONDS = 20.0
BROKEN = TransientError("kube_unavailable", "the API server answered 500")


class Warming:
    """A cold database on a cluster that answers, its preference, and the timer, which fires every minute."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        simulation.kube.objects["jobs"].clear()
        simulation.kube.calls.clear()
        simulation.kube.record.clear()
        simulation.kube.on_create = self._load
        simulation.world.durable = simulation.engine.client  # type: ignore[assignment]  # the virtual one
        simulation.world.preferences.save(CLUSTER, PreferenceChange((DB,), enabled=True))
        simulation.agenda.every(TURN, self.turn)

    def turn(self) -> None:
        """One run of the timer."""
        timers.reconcile_auto_warm(func.TimerRequest(), self.simulation.engine.client)

    def _load(self, name: str) -> None:
        """A warmup Job that was created succeeds after a while."""

        def succeed() -> None:
            job = self.simulation.kube.objects["jobs"].get(name)
            if job is not None:
                job["status"] = status_of("succeeded")

        self.simulation.agenda.after(LOAD_SECONDS, succeed)

    def refuse(self, verb: str, what: str, error: ElbError, until: float) -> None:
        """Let a call fail from now until a second."""
        errors = self.simulation.kube.errors
        errors[verb, what] = error
        self.simulation.agenda.at(until, lambda: errors.pop((verb, what)))

    def tries(self) -> list[float]:
        """The seconds in which a warmup began."""
        first: dict[str, float] = {}
        for run in self.simulation.engine.runs_of(names.PLAN_WARMUP):
            first.setdefault(run.instance_id, run.began)
        return sorted(first.values())

    def jobs(self) -> list[str]:
        """The warmup Jobs that are there."""
        return [name for name in self.simulation.kube.names("jobs") if name.startswith("warm-")]


@pytest.fixture
def warming() -> Iterator[Warming]:
    """Time stands at 0."""
    with Simulation() as simulation:
        yield Warming(simulation)


@pytest.mark.proves("W8")
def test_with_no_page_open_it_is_warm_after_one_turn_and_then_left_alone(warming: Warming) -> None:
    warming.simulation.run_for(2 * TURN + LOAD_SECONDS)
    assert warming.jobs() == [f"warm-{DB}-00", f"warm-{DB}-01"]
    warming.simulation.run_for(3600)
    assert len(warming.tries()) == 1


@pytest.mark.proves("W8", "T5")
def test_a_silent_cluster_is_asked_once_a_turn_and_nothing_is_begun(warming: Warming) -> None:
    simulation = warming.simulation
    simulation.kube.go_silent(0.0, OUTAGE)
    simulation.run_for(OUTAGE - 1)
    turns = int(OUTAGE / TURN)
    assert warming.tries() == []
    assert len(simulation.kube.record) <= turns
    simulation.run_for(TURN + 2)
    assert len(warming.tries()) == 1


@pytest.mark.proves("W8")
@pytest.mark.parametrize("what", ["jobs", "pods"])
def test_one_that_lists_its_nodes_and_nothing_else_is_not_taken_for_cold(warming: Warming, what: str) -> None:
    simulation = warming.simulation
    if what == "pods":  # which are asked for where there are Jobs
        simulation.run_for(2 * TURN + LOAD_SECONDS)
    before = len(warming.tries())
    warming.refuse("list", what, BROKEN, simulation.agenda.seconds + OUTAGE)
    simulation.run_for(OUTAGE - 1)
    assert len(warming.tries()) == before


@pytest.mark.proves("W8")
def test_one_that_makes_no_job_gets_one_try_for_each_step_of_the_backoff(warming: Warming) -> None:
    simulation = warming.simulation
    for shard in range(2):
        warming.refuse("create", f"warm-{DB}-{shard:02d}", BROKEN, OUTAGE)
    simulation.run_for(OUTAGE)
    tries = warming.tries()
    gaps = [later - earlier for earlier, later in pairwise(tries)]
    assert 2 <= len(tries) <= 4
    assert all(gap >= pause_after(number).total_seconds() for number, gap in enumerate(gaps, 1))
    asked = simulation.kube.calls["create jobs"]
    assert asked <= 2 * MAX_ATTEMPTS * len(tries), "each try asks so often for each of two Jobs"
    simulation.run_for(pause_after(len(tries)).total_seconds() + 2 * TURN)
    assert len(warming.jobs()) == 2
    assert len(warming.tries()) == len(tries) + 1


@pytest.mark.proves("W8")
def test_a_cluster_that_is_started_by_anybody_is_warmed_within_two_turns(warming: Warming) -> None:
    simulation, arm = warming.simulation, warming.simulation.world.arm
    arm.power = "Stopped"
    simulation.run_for(OUTAGE)
    assert simulation.kube.record == []
    began = simulation.agenda.seconds
    arm.power = "Running"
    simulation.run_for(2 * TURN)
    assert len(warming.jobs()) == 2
    assert warming.tries()[0] - began <= TURN + 1
