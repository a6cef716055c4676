"""Reading the state of a search begun outside: its Jobs may go while it is looked at, and it may have no finalizer."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.functions import monitor_instance, search_instance
from shared.domain.observation import QUIET_OUTSIDE, Outcome, observe
from shared.domain.progress import Progress
from shared.domain.search import Search
from tests.unit.domain.objects import COMPLETE, FAILED, JOB_ID, NOW, Json, ago, job, search, snapshot

DONE = [job(name, COMPLETE, completed=ago(minutes=1)) for name in ("a", "b", "c")]
FINALIZER = job("elb-finalizer", COMPLETE, app="finalizer")


def row(seen: int = 0, **fields: Any) -> Search:
    given = {"engine": "external", "source": "external", "expected_jobs": None, "progress": Progress(total=seen)}
    return search(**given | fields)


def looks(jobs: list[Json], before: Search, count: int = 2, *, marker: bool = False) -> list[Outcome]:
    """The outcomes of looks that all see the same."""
    outcomes = []
    for _ in range(count):
        seen = observe(snapshot(jobs), before, success_marker=marker)
        outcomes.append(seen.outcome)
        before = replace(before, progress=seen.progress, all_succeeded_looks=seen.all_succeeded_looks)
    return outcomes


@pytest.mark.proves("T4")
class TestJobsThatWent:
    """Their TTL, or somebody, removed them: then the results decide."""

    def test_all_of_them(self) -> None:
        seen = observe(snapshot([]), row(3))
        assert (seen.outcome, seen.progress.total) == (Outcome.MISSING_JOBS, 3)

    def test_some_of_them(self) -> None:
        seen = observe(snapshot([*DONE[:2], FINALIZER]), row(3))
        assert (seen.outcome, seen.progress.total, seen.progress.succeeded) == (Outcome.MISSING_JOBS, 3, 2)

    def test_not_while_others_are_at_it(self) -> None:
        seen = observe(snapshot([DONE[0], job("b", active=1)]), row(3))
        assert (seen.outcome, seen.progress.total) == (Outcome.RUNNING, 3)

    def test_how_many_there_were_does_not_make_new_ones_missing(self) -> None:
        seen = observe(snapshot([*DONE, job("d", active=1)]), row(3))
        assert (seen.outcome, seen.progress.total) == (Outcome.RUNNING, 4)

    def test_a_failure_among_those_that_are_left_is_one(self) -> None:
        assert observe(snapshot([DONE[0], job("b", FAILED)]), row(3)).outcome is Outcome.FAILED


class TestDone:
    def test_two_looks_and_the_finalizer(self) -> None:
        assert looks([*DONE, FINALIZER], row()) == [Outcome.RUNNING, Outcome.DONE]

    def test_two_looks_and_the_marker(self) -> None:
        assert looks(DONE, row(), marker=True) == [Outcome.RUNNING, Outcome.DONE]

    def test_never_without_either_while_more_may_come(self) -> None:
        assert set(looks(DONE, row(), 4)) == {Outcome.RUNNING}


class TestQuiet:
    """kubectl alone makes no finalizer, and writes no marker."""

    def ended(self, **since: float) -> list[Json]:
        return [job("a", COMPLETE, completed=ago(hours=9)), job("b", COMPLETE, completed=ago(**since))]

    @pytest.mark.parametrize(
        ("seconds", "outcome"), [(599, Outcome.RUNNING), (600, Outcome.DONE), (9999, Outcome.DONE)]
    )
    def test_ten_minutes_after_the_last_success(self, seconds: float, outcome: Outcome) -> None:
        assert timedelta(seconds=600) == QUIET_OUTSIDE
        assert looks(self.ended(seconds=seconds), row()) == [Outcome.RUNNING, outcome]

    def test_by_the_clock_of_the_cluster(self) -> None:
        jobs = snapshot(self.ended(seconds=599))
        ahead = replace(jobs, server_time=NOW + timedelta(seconds=1))
        assert observe(ahead, row(2, all_succeeded_looks=1)).outcome is Outcome.DONE
        assert observe(jobs, row(2, all_succeeded_looks=1)).outcome is Outcome.RUNNING

    def test_a_finalizer_that_still_runs_has_more_to_say(self) -> None:
        running = job("elb-finalizer", app="finalizer", active=1)
        assert set(looks([*self.ended(hours=2), running], row(), 3)) == {Outcome.RUNNING}

    def test_an_end_without_a_time_says_nothing(self) -> None:
        assert set(looks([job("a", COMPLETE)], row(), 3)) == {Outcome.RUNNING}

    def test_only_for_a_search_begun_outside(self) -> None:
        assert set(looks(self.ended(hours=2), row(engine="cli", source="api"), 3)) == {Outcome.RUNNING}


class TestInstances:
    """An id that others made may look like an instance of ours."""

    IDS = (JOB_ID, f"{JOB_ID}-2", f"monitor-{JOB_ID}", "a", "a-2", "external-a", "external2-a", "2-a", "cli-a", "job-")

    def test_no_two_runs_of_any_searches_are_one(self) -> None:
        runs = [(job_id, run) for job_id in self.IDS for run in (1, 2, 3, 22)]
        instances = [name(*one) for one in runs for name in (search_instance, monitor_instance)]
        assert len(set(instances)) == len(instances)

    def test_ours_are_as_they_were(self) -> None:
        assert [search_instance(JOB_ID, run) for run in (1, 2)] == [JOB_ID, f"{JOB_ID}-2"]

    def test_of_others_the_first_word_says_so(self) -> None:
        assert [search_instance("a", run) for run in (1, 2)] == ["external-a", "external2-a"]
