"""The stale reconcile over hours: it leaves a healthy search alone, and brings every other one to its end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.clients.orchestrations import DurableOrchestrations
from shared.domain.states import Phase
from tests.activities.worlds import status_of
from tests.simulation.cluster import JobPlan
from tests.simulation.figures import HOUR
from tests.simulation.product import Simulation
from triggers.start import start_deletion

SECONDS = 100
SUBMITTING = [part * 0.02 + 0.01 for part in range(12)]
"""Between any two steps of a submit, which take 0.02 s each."""
EXPORTING = [SECONDS + 0.09 + part * 0.02 for part in range(14)]
"""And of the end."""
MOMENTS = [*SUBMITTING, 5.0, 50.0, 95.0, *EXPORTING]
PATIENCE = 1200 + 2 * 60 + 1
"""Seconds: 600 until something silent is woken, as many until it is replaced, and a minute for each to be noticed."""


@pytest.mark.proves("F6")
class TestHealthy:
    def test_a_search_that_runs_for_hours_is_left_alone(self) -> None:
        with Simulation() as simulation:
            simulation.run_timers()
            own = simulation.submit(JobPlan(6 * HOUR))
            simulation.run_for(6 * HOUR - 60)
            assert simulation.row(own).run == 1
            assert len(simulation.engine.instances) == 2
            assert simulation.engine.raised == []
            simulation.run_to_end(own, seconds=200)
            assert simulation.is_whole(own)

    @pytest.mark.parametrize(("setting", "waits"), [("ELB_CLUSTER_WAIT_SECONDS", 1), ("ELB_CAPACITY_WAIT_SECONDS", 3)])
    def test_so_is_one_that_waits_for_hours(self, setting: str, waits: int) -> None:
        """For its cluster; or as the third one for a slot."""
        with Simulation({"ELB_ACTIVE_SEARCHES": "2", setting: f"{6 * HOUR:.0f}"}) as simulation:
            simulation.run_timers()
            if waits == 1:
                simulation.world.arm.power = "Stopped"
            *_, own = simulation.submit_many(JobPlan(2 * HOUR), waits)
            simulation.run_for(1.5 * HOUR)
            assert simulation.row(own).phase.startswith("waiting_for_")
            simulation.world.arm.power = "Running"
            simulation.run_for(3 * HOUR)
            assert simulation.row(own).run == 1
            assert simulation.is_whole(own)

    def test_and_one_whose_database_warms_up_for_longer_than_a_search_may_be_silent(self) -> None:
        """Its parent waits for a child, and says nothing by itself; asked, it answers."""
        with Simulation() as simulation:
            simulation.run_timers()
            own = begin_cold(simulation, warm_at=2400)
            simulation.run_for(2390)
            assert simulation.row(own).phase is Phase.WARMING_UP
            assert len({at for at, instance, _ in simulation.engine.raised if instance == own}) == 3
            simulation.run_for(10 + SECONDS + 60)
            assert simulation.row(own).run == 1
            assert simulation.is_whole(own)


def begin_cold(simulation: Simulation, warm_at: float) -> str:
    """A search whose database has to be warmed first, which takes until that second."""
    jobs = simulation.kube.objects["jobs"]
    jobs.clear()
    own = simulation.submit(JobPlan(SECONDS))

    def warm() -> None:
        for job in jobs.values():
            job["status"] = status_of("succeeded")

    simulation.agenda.at(warm_at, warm)
    return own


@pytest.mark.proves("F6")
class TestDisasters:
    """At any moment of a search; each moment is a simulation of its own."""

    @pytest.mark.parametrize("which", ["all", "monitor-job", "job"])
    def test_orchestrations_that_act_on_nothing_any_more(self, which: str) -> None:
        for moment in MOMENTS:
            with Simulation() as simulation:
                own = self.begin(simulation)
                simulation.run_for(moment)
                ids = [i for i in simulation.engine.instances if which == "all" or i.startswith(which)]
                if ids:
                    simulation.engine.freeze(*ids)
                self.come_to_the_end(simulation, own, moment)

    def test_a_task_hub_that_is_lost(self) -> None:
        for moment in MOMENTS:
            with Simulation() as simulation:
                own = self.begin(simulation)
                simulation.run_for(moment)
                simulation.engine.forget()
                self.come_to_the_end(simulation, own, moment, patience=2 * 60 + 1)

    @pytest.mark.parametrize("phase", [Phase.WAITING_FOR_CLUSTER, Phase.WAITING_FOR_CAPACITY, Phase.WARMING_UP])
    def test_one_that_acts_on_nothing_any_more_while_it_waits(self, phase: Phase) -> None:
        """The deadline of what it waits for is a timer of its own, and does not end it either."""
        for moment in (5.0, 30.0, 59.0):
            with Simulation({"ELB_ACTIVE_SEARCHES": "1"}) as simulation:
                own = self.begin_waiting(simulation, phase, 60)
                simulation.run_for(moment)
                assert simulation.row(own).phase is phase
                simulation.engine.freeze(own)
                patience = PATIENCE + SECONDS + 60
                self.come_to_the_end(simulation, own, moment, patience)

    @pytest.mark.parametrize("silent", [False, True], ids=["cluster answers", "cluster silent for an hour"])
    def test_a_deletion_that_acts_on_nothing_any_more(self, silent: bool) -> None:
        """One that waits for its cluster is left alone meanwhile, and stuck at any moment it is begun again."""
        for moment in (0.01, 0.03, 0.05, 0.07, 0.09):
            with Simulation() as simulation:
                own = self.begin(simulation)
                simulation.run_for(SECONDS + 60)
                deleting = simulation.world.searches.put(replace(simulation.row(own), phase=Phase.DELETING))
                if silent:
                    simulation.kube.go_silent(simulation.agenda.seconds, simulation.agenda.seconds + HOUR)
                start_deletion(deleting, DurableOrchestrations(simulation.engine.client))
                simulation.run_for(HOUR - 1 if silent else 0)
                if silent:
                    assert simulation.row(own).delete_run == 1
                simulation.run_for(moment)
                simulation.engine.freeze()
                simulation.run_for(PATIENCE + (60 if silent else 0))
                assert list(simulation.world.searches.rows) == [], moment
                assert simulation.kube.jobs_of(own, "1") == []

    def begin_waiting(self, simulation: Simulation, phase: Phase, until: float) -> str:
        """A search that has to wait in this phase until that second, or a little longer."""
        simulation.run_timers()
        if phase is Phase.WARMING_UP:
            return begin_cold(simulation, until)
        if phase is Phase.WAITING_FOR_CLUSTER:
            simulation.world.arm.power = "Stopped"
            simulation.agenda.at(until, lambda: setattr(simulation.world.arm, "power", "Running"))
        else:
            simulation.submit(JobPlan(until), number=2)
            simulation.run_for(0.1)
        return simulation.submit(JobPlan(SECONDS))

    def begin(self, simulation: Simulation) -> str:
        """A search under the eyes of the reconcile."""
        simulation.run_timers()
        return simulation.submit(JobPlan(SECONDS))

    def come_to_the_end(self, simulation: Simulation, own: str, moment: float, patience: float = PATIENCE) -> None:
        """It is completed in time, with one set of Jobs."""
        simulation.engine.run_for(SECONDS + patience, lambda: simulation.is_whole(own))
        seen = f"after {moment:.2f} s: {simulation.row(own).phase} at {simulation.agenda.seconds:.1f} s"
        assert simulation.is_whole(own), seen
        assert simulation.agenda.seconds <= max(moment, SECONDS) + patience, seen
        assert len(simulation.kube.jobs_of(own, "1")) == 2
