"""Histories stay short, however long a search runs or waits."""

from __future__ import annotations

import pytest

from tests.simulation.figures import HOUR, monitor_history, waiting_history

HOURS = 6
BOUND = 100


@pytest.mark.proves("F4")
@pytest.mark.parametrize(
    ("hours", "wake_every"), [(HOURS, None), (HOURS, 60), (1, 7), (0.25, 1)], ids=["quiet", "60 s", "7 s", "1 s"]
)
def test_a_monitor_s_history_is_bounded(hours: float, wake_every: float | None) -> None:
    """Of a search of so many hours whose Jobs call back every so many seconds."""
    history = monitor_history(hours, wake_every)
    assert history.longest < BOUND
    assert history.generations > 7 * hours


@pytest.mark.proves("F4")
@pytest.mark.parametrize("wake_every", [0.01, 0.1, 0.3])
def test_even_in_a_storm_of_call_backs(wake_every: float) -> None:
    """Each turn then has a timer that is given up and an event that comes while nobody waits."""
    assert monitor_history(60 / HOUR, wake_every).longest < BOUND


@pytest.mark.proves("F4", "S6")
def test_so_is_that_of_a_search_that_waits_to_be_admitted() -> None:
    history = waiting_history(HOURS)
    assert history.longest < BOUND
    assert history.generations > HOURS
