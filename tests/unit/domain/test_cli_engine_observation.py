"""Reading the state of a search whose Jobs others made: the command line's, or one begun outside."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shared.domain.observation import Observation, Outcome, needs_success_marker, observe
from shared.domain.search import Search
from tests.unit.domain.objects import COMPLETE, FAILED, OTHER_ID, Json, job, pod, search, snapshot

ALIAS = "job-" + "cd" * 16


def cli_search(**fields: Any) -> Search:
    """A search that the command line has submitted."""
    return search(**({"engine": "cli", "expected_jobs": None} | fields))


def after(seen: Observation, before: Search) -> Search:
    """The row after a look."""
    return replace(before, progress=seen.progress, all_succeeded_looks=seen.all_succeeded_looks)


def looks(jobs: list[Json], count: int, row: Search | None = None, *, marker: bool = False) -> list[Outcome]:
    """The outcomes of looks at the same cluster."""
    row, outcomes = row or cli_search(), []
    for _ in range(count):
        seen = observe(snapshot(jobs), row, success_marker=marker)
        outcomes.append(seen.outcome)
        row = after(seen, row)
    return outcomes


DONE_JOBS = [job("b0", COMPLETE), job("b1", COMPLETE)]
FINALIZER = job("elb-finalizer", COMPLETE, app="finalizer")
RUNNING_FINALIZER = job("elb-finalizer", app="finalizer", active=1)


class TestDone:
    def test_two_looks_in_a_row_and_the_marker(self) -> None:
        assert looks(DONE_JOBS, 3, marker=True) == [Outcome.RUNNING, Outcome.DONE, Outcome.DONE]

    @pytest.mark.parametrize("end", [COMPLETE, FAILED])
    def test_two_looks_in_a_row_and_all_finalizers_ended(self, end: Json) -> None:
        jobs = [*DONE_JOBS, job("elb-finalizer", end, app="finalizer")]
        assert looks(jobs, 2) == [Outcome.RUNNING, Outcome.DONE]

    @pytest.mark.parametrize("more", [[], [RUNNING_FINALIZER], [FINALIZER, RUNNING_FINALIZER]])
    def test_never_without_the_command_s_word(self, more: list[Json]) -> None:
        assert set(looks([*DONE_JOBS, *more], 5)) == {Outcome.RUNNING}

    def test_one_finalizer_that_still_runs_is_enough_to_wait(self) -> None:
        second = job("elb-finalizer-2", app="finalizer", active=1)
        assert set(looks([*DONE_JOBS, FINALIZER, second], 3)) == {Outcome.RUNNING}

    def test_a_job_that_came_meanwhile_begins_the_count_anew(self) -> None:
        row = cli_search()
        row = after(observe(snapshot(DONE_JOBS), row, success_marker=True), row)
        more = [*DONE_JOBS, job("b2", COMPLETE)]
        assert looks(more, 2, row, marker=True) == [Outcome.RUNNING, Outcome.DONE]

    def test_an_unfinished_job_between_two_looks_begins_the_count_anew(self) -> None:
        row = cli_search()
        row = after(observe(snapshot(DONE_JOBS), row, success_marker=True), row)
        row = after(observe(snapshot([DONE_JOBS[0], job("b1", active=1)]), row, success_marker=True), row)
        assert row.all_succeeded_looks == 0
        assert looks(DONE_JOBS, 2, row, marker=True) == [Outcome.RUNNING, Outcome.DONE]

    def test_the_marker_is_asked_for_only_when_it_decides(self) -> None:
        assert needs_success_marker(snapshot(DONE_JOBS), cli_search())
        assert not needs_success_marker(snapshot(DONE_JOBS), search())
        assert not needs_success_marker(snapshot([job("b0", active=1)]), cli_search())
        assert not needs_success_marker(snapshot(), cli_search())

    def test_a_search_begun_outside_is_read_like_one_of_the_command_line(self) -> None:
        row = cli_search(engine="native", source="external")
        assert looks([*DONE_JOBS, FINALIZER], 2, row) == [Outcome.RUNNING, Outcome.DONE]


class TestNotDone:
    def test_before_the_helper_has_ended_nothing_counts(self) -> None:
        row = cli_search(jobs_created_at=None)
        assert observe(snapshot(DONE_JOBS), row, success_marker=True).outcome is Outcome.CREATING

    @pytest.mark.parametrize("app", ["setup", "submit"])
    def test_no_job_while_the_command_still_makes_them(self, app: str) -> None:
        assert observe(snapshot([job("x", app=app, active=1)]), cli_search()).outcome is Outcome.CREATING

    @pytest.mark.parametrize("app", ["setup", "submit"])
    def test_the_command_could_not_make_them(self, app: str) -> None:
        seen = observe(snapshot([job("x", FAILED, app=app)]), cli_search())
        assert (seen.outcome, seen.progress.total) == (Outcome.FAILED, 0)
        assert seen.failure is not None
        assert (seen.failure.code, seen.failure.job) == ("command_line_failed", "x")

    def test_no_job_any_more(self) -> None:
        assert observe(snapshot([job("x", COMPLETE, app="setup")]), cli_search()).outcome is Outcome.MISSING_JOBS

    def test_pods_that_run_and_pods_that_do_not(self) -> None:
        jobs = [job("b0", active=1), job("b1")]
        assert observe(snapshot(jobs), cli_search()).outcome is Outcome.SUBMITTED
        seen = observe(snapshot(jobs, [pod("b0", "Running")]), cli_search())
        assert (seen.outcome, seen.progress.total) == (Outcome.RUNNING, 2)

    def test_any_failed_job_is_the_end(self) -> None:
        seen = observe(snapshot([job("b0", COMPLETE), job("b1", FAILED)]), cli_search(), success_marker=True)
        assert (seen.outcome, seen.all_succeeded_looks) == (Outcome.FAILED, 0)


@pytest.mark.proves("T1")
class TestWhatCounts:
    def test_only_blast_jobs_are_work(self) -> None:
        others = [job(app, FAILED, app=app) for app in ("setup", "submit", "finalizer", "elb-submit")]
        seen = observe(snapshot([*DONE_JOBS, *others]), cli_search())
        assert (seen.progress.total, seen.progress.failed) == (2, 0)

    def test_jobs_under_an_alias_by_label_or_by_the_pods_environment(self) -> None:
        jobs = [job("b0", COMPLETE, job_id=ALIAS), job("b1", COMPLETE, job_id=None), job("b2", job_id=OTHER_ID)]
        seen = observe(snapshot(jobs, [pod("b1", "Succeeded", env_id=ALIAS)]), cli_search(aliases=(ALIAS,)))
        assert [row["name"] for row in seen.jobs] == ["b0", "b1"]

    def test_a_finalizer_of_another_search_says_nothing(self) -> None:
        other = job("elb-finalizer", COMPLETE, app="finalizer", job_id=OTHER_ID)
        assert set(looks([*DONE_JOBS, other], 3)) == {Outcome.RUNNING}

    def test_of_the_products_own_only_those_of_the_present_attempt(self) -> None:
        first, second = {"elb-attempt": "1"}, {"elb-attempt": "2"}
        jobs = [job("b0", FAILED, labels=first), job("b1", labels=second), job("unlabelled", FAILED)]
        seen = observe(snapshot(jobs), search(attempt=2))
        assert [row["name"] for row in seen.jobs] == ["b1"]
        assert [row["name"] for row in observe(snapshot(jobs), search()).jobs] == ["b0", "unlabelled"]

    def test_the_command_line_does_not_label_attempts(self) -> None:
        assert observe(snapshot([job("b0", labels={})]), cli_search(attempt=2)).progress.total == 1


def test_the_id_of_the_search_is_always_one_of_its_ids() -> None:
    assert observe(snapshot(DONE_JOBS), cli_search(aliases=(ALIAS,))).progress.total == 2
