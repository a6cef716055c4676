"""What a cluster is asked does not grow with its searches, nor with those who look."""

from __future__ import annotations

import pytest

from tests.simulation.cluster import JobPlan
from tests.simulation.figures import lists_of_a_cluster
from tests.simulation.product import Simulation


@pytest.mark.proves("F2")
def test_two_hundred_searches_are_looked_at_as_often_as_one() -> None:
    alone = lists_of_a_cluster(1)
    assert alone == 40  # each 10 s for 5 minutes, then each 30 s
    assert lists_of_a_cluster(201) <= alone * 1.1


@pytest.mark.proves("F2", "N1")
@pytest.mark.parametrize("lists_per_second", [1, 20])
def test_however_many_lists_are_open_the_cluster_is_looked_at_once_in_five_seconds(lists_per_second: int) -> None:
    with Simulation() as simulation:
        simulation.submit_many(JobPlan(3600), 3)
        simulation.run_for(40)
        began = simulation.agenda.seconds
        simulation.agenda.every(1 / lists_per_second, simulation.list)
        simulation.run_for(60)
        assert 10 <= len(simulation.kube.lists(began)) <= 13


@pytest.mark.proves("F1")
def test_what_a_list_shows_is_never_older_than_the_window() -> None:
    with Simulation() as simulation:
        simulation.submit_many(JobPlan(3600), 3)
        simulation.run_for(40)
        ages: list[float] = []

        def look() -> None:
            now = simulation.agenda.now()
            ages.extend((now - simulation.seen_at(item)).total_seconds() for item in simulation.list())

        simulation.agenda.every(0.7, look)
        simulation.run_for(120)
        assert len(ages) == 3 * 171
        assert max(ages) < 5.001
        assert any(age > 4 for age in ages)
