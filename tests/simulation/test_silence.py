"""A cluster that does not answer for ten minutes, while ten lists a second are called."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from itertools import pairwise

import pytest

from shared.domain.search import Search
from shared.domain.states import Phase
from tests.simulation.cluster import SILENCE, JobPlan
from tests.simulation.product import Simulation

BEGINS, ENDS = 60.0, 660.0
LISTS_PER_SECOND = 10
LONGEST_PAUSE = 60.0


class Outage:
    """What was seen meanwhile."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self.shown: list[tuple[float, bool, str | None, str]] = []
        self.quiet = simulation.submit(JobPlan(36_000), 1)
        self.ending = simulation.submit(JobPlan(400), 2)  # its Jobs end while the cluster is silent
        simulation.run_for(BEGINS - 1)
        self.before = simulation.row(self.quiet), simulation.row(self.ending)
        simulation.kube.go_silent(BEGINS, ENDS)
        simulation.agenda.every(1 / LISTS_PER_SECOND, self.look)
        simulation.run_for(ENDS - simulation.agenda.seconds - 0.05)
        self.after = simulation.row(self.quiet), simulation.row(self.ending)
        simulation.run_for(LONGEST_PAUSE + 20)

    def look(self) -> None:
        """Call the list."""
        for item in self.simulation.list():
            seen = self.simulation.agenda.seconds, item["stale"], item["stale_reason"], item["phase"]
            self.shown.append(seen)

    def calls(self) -> list[float]:
        """Seconds of all calls that the API server got and did not answer, of whatever kind."""
        return [call.at for call in self.simulation.kube.record if not call.answered]

    @property
    def recovered(self) -> float:
        """The second at which it first answered again."""
        return next(call.at for call in self.simulation.kube.record if call.at >= ENDS)


@pytest.fixture(scope="module")
def log() -> Iterator[list[str]]:
    """The events that were logged, by name."""
    events: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            events.append(str(json.loads(record.getMessage())["event"]))

    handler, logger = Collector(), logging.getLogger("elb")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield events
    logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.fixture(scope="module")
def outage(log: list[str]) -> Iterator[Outage]:
    """One outage for all tests of this file, which only look at what was seen."""
    with Simulation() as simulation:
        yield Outage(simulation)


@pytest.mark.proves("T5", "F1")
def test_every_list_answers_and_says_that_it_is_old_and_why(outage: Outage) -> None:
    first = outage.calls()[0]
    meanwhile = [seen for seen in outage.shown if first < seen[0] < ENDS]
    assert len(meanwhile) >= 2 * LISTS_PER_SECOND * (ENDS - first - 1)
    assert {(stale, why) for _, stale, why, _ in meanwhile} == {(True, SILENCE.message)}


@pytest.mark.proves("T5", "N4")
def test_single_probes_whoever_asks(outage: Outage) -> None:
    calls = outage.calls()
    pauses = [round(later - earlier, 1) for earlier, later in pairwise(calls)]
    assert BEGINS <= calls[0] <= BEGINS + 10
    assert pauses == [10] * 29 + [60] * 5  # 30 probes in the first 5 minutes, the first one at their beginning


@pytest.mark.proves("T5")
def test_no_state_changes(outage: Outage) -> None:
    assert [_state(search) for search in outage.after] == [_state(search) for search in outage.before]
    meanwhile = {phase for at, _, _, phase in outage.shown if at < outage.recovered}
    assert meanwhile == {Phase.RUNNING.value}


@pytest.mark.proves("T5")
def test_the_first_answer_makes_all_fresh_again(outage: Outage) -> None:
    assert outage.recovered <= ENDS + LONGEST_PAUSE
    later = [stale for at, stale, _, _ in outage.shown if at > outage.recovered + 0.001]
    assert later
    assert not any(later)
    assert outage.simulation.cluster_row.unreachable_since is None


@pytest.mark.proves("T5", "T4")
def test_what_has_ended_meanwhile_is_completed_then(outage: Outage) -> None:
    seen = outage.simulation.flip(outage.ending)
    assert seen is not None
    assert outage.recovered < seen.completed < outage.recovered + 1
    assert outage.simulation.row(outage.quiet).phase is Phase.RUNNING


@pytest.mark.proves("T5")
def test_one_line_of_the_log_for_the_episode(outage: Outage, log: list[str]) -> None:
    assert log.count("cluster_unreachable") == 1
    assert log.count("cluster_reachable_again") == 1


def _state(search: Search) -> tuple[object, ...]:
    return search.phase, search.progress, search.jobs, search.outcome, search.steps, search.observed_at
