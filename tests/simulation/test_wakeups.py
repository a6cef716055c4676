"""Wake-ups that are lost, come twice, early, late or from a stranger: no harm, and no more than a few looks."""

from __future__ import annotations

import pytest

from shared.domain import functions as names
from shared.domain.states import Phase
from tests.simulation.cluster import JobPlan
from tests.simulation.product import Simulation

POLL = 10


def is_whole(simulation: Simulation, job_id: str) -> bool:
    """Whether the search is completed, and nothing was done twice for it."""
    calls = simulation.engine.calls_of(job_id)
    once = calls[names.PUBLISH_RESULTS] == 1 and calls[names.CREATE_SEARCH_JOBS] == 1
    return once and simulation.is_whole(job_id)


def seconds_of(simulation: Simulation, job_id: str) -> float:
    """From the end of the Jobs to completed."""
    seen = simulation.flip(job_id)
    assert seen is not None
    return seen.seconds


@pytest.mark.proves("F5")
class TestCallBacks:
    @pytest.mark.parametrize("copies", [0, 1, 2, 5])
    def test_an_event_that_is_lost_or_repeated(self, copies: int) -> None:
        """Without the event the monitor's own poll finds out."""
        with Simulation() as simulation:
            simulation.engine.copies = lambda instance_id, event: copies
            own = simulation.submit(JobPlan(44.4, lead=0.5))
            simulation.run_to_end(own, seconds=100)
            assert is_whole(simulation, own)
            assert seconds_of(simulation, own) <= (1 if copies else POLL + 2)

    @pytest.mark.parametrize("early", [0.0, 0.05, 5, 20])
    def test_one_that_comes_long_before_the_end(self, early: float) -> None:
        """Also before there is a monitor."""
        with Simulation() as simulation:
            own = simulation.submit(JobPlan(44.4))
            simulation.agenda.at(early, lambda: simulation.notify(own))
            simulation.run_for(early + 15)
            assert simulation.row(own).phase in (Phase.SUBMITTED, Phase.RUNNING)
            simulation.run_to_end(own, seconds=100)
            assert is_whole(simulation, own)
            assert seconds_of(simulation, own) <= POLL + 2

    def test_one_that_comes_after_the_end(self) -> None:
        with Simulation() as simulation:
            own = simulation.submit(JobPlan(44.4))
            simulation.run_to_end(own, seconds=100)
            before, asked = simulation.row(own), len(simulation.kube.record)
            assert simulation.notify(own) == 202
            simulation.run_for(60)
            assert simulation.row(own) == before
            assert len(simulation.kube.record) == asked

    @pytest.mark.parametrize("apart", [0.01, 0.1, 0.3, 0.6])
    def test_a_storm_costs_at_most_two_looks_a_second(self, apart: float) -> None:
        with Simulation() as simulation:
            own = simulation.submit(JobPlan(44.4))
            simulation.run_for(20)
            storm = simulation.agenda.every(apart, lambda: simulation.notify(own))
            simulation.run_for(10)
            storm.cancel()
            assert len(simulation.kube.lists(20)) <= 21
            simulation.run_to_end(own, seconds=100)
            assert is_whole(simulation, own)
            assert seconds_of(simulation, own) <= POLL + 2

    @pytest.mark.parametrize("apart", [0.01, 0.1, 0.3, 0.6])
    def test_one_that_does_not_end_delays_no_end(self, apart: float) -> None:
        """Beyond what the monitor's own poll would take."""
        with Simulation() as simulation:
            own = simulation.submit(JobPlan(44.4))
            simulation.agenda.every(apart, lambda: simulation.notify(own), first=30)
            simulation.run_to_end(own, seconds=100)
            assert is_whole(simulation, own)
            assert seconds_of(simulation, own) <= POLL + 2

    @pytest.mark.parametrize("token", ["", "forged"])
    def test_one_of_a_stranger(self, token: str) -> None:
        with Simulation() as simulation:
            own = simulation.submit(JobPlan(44.4))
            simulation.run_for(22)
            asked = len(simulation.kube.record)
            row = simulation.cluster_row
            assert {simulation.notify(own, token) for _ in range(20)} == {403}
            simulation.run_for(5)
            assert len(simulation.kube.record) == asked
            assert simulation.cluster_row == row
            simulation.run_to_end(own, seconds=100)
            assert is_whole(simulation, own)

    def test_that_of_one_search_says_nothing_about_another(self) -> None:
        with Simulation() as simulation:
            own, other = simulation.submit(JobPlan(44.4, lead=0.3), 1), simulation.submit(JobPlan(300), 2)
            simulation.run_for(60)
            assert is_whole(simulation, own)
            assert simulation.row(other).phase is Phase.RUNNING


@pytest.mark.proves("F5", "T3")
@pytest.mark.parametrize("lead", [None, 0.5])
def test_a_call_back_carries_no_truth(lead: float | None) -> None:
    """Jobs that ended without results: completed is never said, however often they call."""
    with Simulation() as simulation:
        own = simulation.submit(JobPlan(44.4, lead=lead, pieces=False))
        simulation.run_to_end(own, seconds=400)
        row = simulation.row(own)
        assert (row.phase, (row.error or {}).get("code")) == (Phase.FAILED, "results_lost")
        waited = simulation.agenda.seconds - simulation.kube.ended[own]
        assert 120 <= waited <= 120 + POLL + 5


@pytest.mark.proves("F5", "T6")
def test_failed_jobs_that_call_back_fail_at_once() -> None:
    with Simulation() as simulation:
        own = simulation.submit(JobPlan(44.4, lead=0.5, ends="failed"))
        simulation.run_to_end(own, seconds=100)
        row = simulation.row(own)
        assert (row.phase, (row.error or {}).get("code")) == (Phase.FAILED, "bad_database")
        assert simulation.agenda.seconds <= simulation.kube.ended[own] + 1
