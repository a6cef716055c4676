"""How soon a search is completed after its Jobs have ended: by polling, by a call-back, by somebody who looks."""

from __future__ import annotations

import pytest

from tests.simulation.cluster import JobPlan
from tests.simulation.figures import flip, flips_by_lists, flips_by_poll, flips_by_push

LEADS = [tenth / 10 for tenth in range(31)]
"""Seconds before its Job's end at which a call-back comes."""


@pytest.mark.proves("F4", "N3")
@pytest.mark.parametrize(
    ("seconds", "interval"), [(30, 10), (270, 10), (360, 30), (3000, 30), (7200, 60)], ids=lambda value: f"{value} s"
)
def test_nobody_looks_and_nobody_calls(seconds: float, interval: float) -> None:
    """The monitor's own poll finds out."""
    assert [seen for seen in flips_by_poll(seconds, interval) if seen.seconds > interval + 2] == []


@pytest.mark.proves("F6")
@pytest.mark.parametrize("seconds", [30, 7200])
def test_the_reconcile_does_no_harm_to_it(seconds: float) -> None:
    assert flip(JobPlan(seconds), reconcile=True).seconds <= 62


@pytest.mark.proves("F5")
@pytest.mark.parametrize("seconds", [23.3, 47.5, 360, 3000.7])
def test_a_call_back_completes_it_within_a_second(seconds: float) -> None:
    """Whenever in the last three seconds of the Job it comes."""
    flips = dict(zip(LEADS, flips_by_push(seconds, LEADS), strict=True))
    assert {lead: seen.seconds for lead, seen in flips.items() if seen.seconds > 1} == {}


@pytest.mark.proves("F5")
def test_also_right_after_a_poll() -> None:
    """A poll just before counts as one of the two looks that a second allows, so the next one comes a little later."""
    assert [seen for seen in flips_by_push(50.4, LEADS) if seen.seconds > 1.2] == []


@pytest.mark.proves("F1")
@pytest.mark.parametrize("seconds", [30, 360, 3000])
def test_somebody_who_keeps_the_list_open_sees_the_end_within_six_seconds(seconds: float) -> None:
    assert [seen for seen in flips_by_lists(seconds) if seen.seconds > 6] == []
