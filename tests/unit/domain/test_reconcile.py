"""What the stale reconcile does about a search: each verdict at its limit and just before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.domain.progress import Progress
from shared.domain.reconcile import (
    MOST_REVIVALS,
    decide,
    in_turn,
    pause_before,
    revivals,
    turn_of,
)
from shared.domain.search import ClusterRef, Search, fail, retried
from shared.domain.states import ON_THE_CLUSTER, TERMINAL, WAITING, WATCHED, Phase

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LIVING = [phase for phase in Phase if phase not in TERMINAL | {Phase.DELETING, Phase.DELETE_FAILED}]
WITHOUT_MONITOR = [*sorted(WAITING), Phase.WARMING_UP]


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


@dataclass(frozen=True)
class Standing:
    """An orchestration that began and last wrote so many seconds ago."""

    began: float = 5000
    wrote: float = 10
    runtime_status: str = "running"

    @property
    def has_ended(self) -> bool:
        return self.runtime_status in ("completed", "failed", "terminated")

    @property
    def created_at(self) -> datetime:
        return ago(self.began)

    @property
    def updated_at(self) -> datetime:
        return ago(self.wrote)


def a_search(**fields: Any) -> Search:
    """A search of an hour and a half ago whose Jobs run."""
    usual: dict[str, Any] = {"phase": Phase.RUNNING, "created_at": ago(5000), "jobs_created_at": ago(4900)}
    return replace(Search("job-1", "anna", "blastn", "db", ClusterRef("s", "g", "c", "a"), NOW), **(usual | fields))


def the_verdict(search: Search, parent: Standing | None, monitor: Standing | None = Standing()) -> str:
    return decide(search, parent, monitor, NOW).value


class TestLeftAlone:
    @pytest.mark.parametrize("phase", [p for p in Phase if p not in LIVING])
    @pytest.mark.parametrize("parent", [None, Standing(runtime_status="failed")], ids=["none", "failed"])
    def test_a_search_that_is_not_active(self, phase: Phase, parent: Standing | None) -> None:
        assert the_verdict(a_search(phase=phase), parent, None) == "leave"

    @pytest.mark.parametrize("phase", LIVING)
    def test_one_whose_orchestrations_live(self, phase: Phase) -> None:
        assert the_verdict(a_search(phase=phase), Standing()) == "leave"

    @pytest.mark.parametrize("parent", [None, Standing(0, 0, "failed"), Standing(0, 0, "pending")])
    @pytest.mark.parametrize(("age", "left"), [(29.9, True), (30, False)])
    def test_a_submit_that_may_still_go_on(self, parent: Standing | None, age: float, left: bool) -> None:
        verdict = the_verdict(a_search(created_at=ago(age), phase=Phase.PREPARING), parent, None)
        assert (verdict == "leave") is (left or (parent is not None and parent.runtime_status == "pending"))

    @pytest.mark.parametrize(("age", "verdict"), [(29.9, "leave"), (30, "start")])
    def test_a_retry_that_may_still_go_on(self, age: float, verdict: str) -> None:
        again = retried(a_search(phase=Phase.FAILED), ago(age))
        assert the_verdict(again, None, None) == verdict

    @pytest.mark.parametrize("phase", WITHOUT_MONITOR)
    @pytest.mark.parametrize("since", [60, 2700, 14 * 86_400])
    def test_one_that_waits_or_warms_up_for_long_and_was_heard_of(self, phase: Phase, since: float) -> None:
        search = a_search(phase=phase, created_at=ago(since + 30), jobs_created_at=None)
        assert the_verdict(search, Standing(since, 60), None) == "leave"


class TestMissing:
    @pytest.mark.parametrize("phase", LIVING)
    def test_is_started(self, phase: Phase) -> None:
        assert the_verdict(a_search(phase=phase), None, None) == "start"

    def test_however_often_it_was_revived(self) -> None:
        assert the_verdict(a_search(run=9), None, None) == "start"


class TestEnded:
    @pytest.mark.parametrize("phase", LIVING)
    @pytest.mark.parametrize("status", ["completed", "failed", "terminated"])
    def test_the_first_time_it_is_replaced_at_once(self, phase: Phase, status: str) -> None:
        assert the_verdict(a_search(phase=phase), Standing(31, 0, status)) == "replace"

    @pytest.mark.parametrize(("run", "pause"), [(2, 60), (3, 120), (4, 240), (5, 480)])
    def test_then_the_pauses_grow(self, run: int, pause: int) -> None:
        search = a_search(run=run)
        assert the_verdict(search, Standing(pause - 0.1, 0, "failed")) == "leave"
        assert the_verdict(search, Standing(pause, 0, "failed")) == "replace"

    @pytest.mark.proves("F6", "N5")
    @pytest.mark.parametrize(("wrote", "verdict"), [(599.9, "leave"), (600, "lost")])
    def test_at_last_it_is_lost_when_it_has_been_quiet(self, wrote: float, verdict: str) -> None:
        search = a_search(run=1 + MOST_REVIVALS)
        assert the_verdict(search, Standing(4000, wrote, "failed"), Standing(4000, 2000, "running")) == verdict

    @pytest.mark.parametrize("sign", ["monitor", "cluster"])
    @pytest.mark.parametrize(("age", "verdict"), [(599.9, "leave"), (600, "lost")])
    def test_its_monitor_and_its_jobs_count_as_signs(self, sign: str, age: float, verdict: str) -> None:
        search = a_search(run=1 + MOST_REVIVALS, observed_at=ago(age if sign == "cluster" else 900))
        monitor = Standing(4000, age if sign == "monitor" else 900)
        assert the_verdict(search, Standing(4000, 900, "failed"), monitor) == verdict

    def test_a_cancel_is_never_lost(self) -> None:
        search = a_search(run=1 + MOST_REVIVALS, phase=Phase.CANCELLING)
        assert the_verdict(search, Standing(599.9, 599.9, "failed"), None) == "leave"
        assert the_verdict(search, Standing(600, 600, "failed"), None) == "replace"
        assert the_verdict(replace(search, run=4000), Standing(600, 600, "failed"), None) == "replace"

    @pytest.mark.parametrize("progress", [Progress(2, running=1, succeeded=1), Progress(2, pending=1, failed=1)])
    def test_nor_one_whose_jobs_were_seen_at_work(self, progress: Progress) -> None:
        search = a_search(run=1 + MOST_REVIVALS, progress=progress)
        assert the_verdict(search, Standing(5000, 5000, "failed"), None) == "replace"
        ended = replace(search, outcome="done", outcome_at=ago(900))
        assert the_verdict(ended, Standing(5000, 5000, "failed"), None) == "lost"
        exporting = replace(search, phase=Phase.EXPORTING)
        assert the_verdict(exporting, Standing(5000, 5000, "failed"), None) == "lost"


class TestRevivals:
    def test_of_the_first_attempt(self) -> None:
        assert [revivals(a_search(run=run)) for run in (1, 2, 3)] == [0, 1, 2]

    def test_a_retry_begins_to_count_anew(self) -> None:
        lost = fail(a_search(run=6), {"code": "lost"}, NOW)
        again = retried(lost, NOW)
        assert (again.run, again.attempt, revivals(again)) == (7, 2, 0)
        assert revivals(replace(again, run=9)) == 2

    def test_pauses_never_become_longer_than_ten_minutes(self) -> None:
        seconds = [pause_before(n).total_seconds() for n in range(8)]
        assert seconds == [0, 60, 120, 240, 480, 600, 600, 600]
        assert pause_before(10_000).total_seconds() == 600


class TestPending:
    @pytest.mark.parametrize("phase", [Phase.PREPARING, Phase.WAITING_FOR_CLUSTER, Phase.RUNNING])
    @pytest.mark.parametrize(("age", "verdict"), [(599.9, "leave"), (600, "replace")])
    def test_one_that_nobody_took_up_is_replaced(self, phase: Phase, age: float, verdict: str) -> None:
        assert the_verdict(a_search(phase=phase), Standing(age, age, "pending"), None) == verdict

    def test_but_never_lost(self) -> None:
        """Durable itself does not work then, and that is no reason to fail a search."""
        assert the_verdict(a_search(run=1 + MOST_REVIVALS), Standing(5000, 5000, "pending"), None) == "leave"


class TestSilent:
    @pytest.mark.parametrize("phase", LIVING)
    @pytest.mark.parametrize(
        ("wrote", "verdict"), [(599.9, "leave"), (600, "wake"), (1199.9, "wake"), (1200, "replace")]
    )
    def test_first_woken_then_replaced(self, phase: Phase, wrote: float, verdict: str) -> None:
        silent = Standing(5000, wrote)
        assert the_verdict(a_search(phase=phase), silent, silent) == verdict

    @pytest.mark.parametrize("phase", WITHOUT_MONITOR)
    @pytest.mark.parametrize("days", [5, 400])
    def test_also_one_that_has_waited_for_ever(self, phase: Phase, days: float) -> None:
        """The deadline of what it waits for is a timer of the orchestration that is stuck."""
        search = a_search(phase=phase, created_at=ago(500 * 86_400), jobs_created_at=None)
        assert the_verdict(search, Standing(450 * 86_400, days * 86_400), None) == "replace"

    def test_the_monitor_s_checkpoints_are_enough(self) -> None:
        """A parent is silent for hours while its monitor watches."""
        assert the_verdict(a_search(), Standing(5000, 4900), Standing(5000, 60)) == "leave"

    def test_after_too_many_it_is_lost(self) -> None:
        silent = Standing(5000, 1200)
        assert the_verdict(a_search(run=1 + MOST_REVIVALS), silent, silent) == "lost"


class TestWithoutMonitor:
    @pytest.mark.parametrize("phase", sorted(WATCHED))
    @pytest.mark.parametrize(("age", "verdict"), [(119.9, "leave"), (120, "wake"), (719.9, "wake"), (720, "replace")])
    def test_one_that_ended_unheard(self, phase: Phase, age: float, verdict: str) -> None:
        """Also when the parent answers every wake-up: it waits for a word that was lost."""
        assert the_verdict(a_search(phase=phase), Standing(), Standing(5000, age, "completed")) == verdict

    @pytest.mark.parametrize(("age", "verdict"), [(119.9, "leave"), (120, "wake"), (719.9, "wake"), (720, "replace")])
    @pytest.mark.parametrize("counted", ["from the Jobs", "from the run"])
    def test_one_that_is_not_there(self, counted: str, age: float, verdict: str) -> None:
        jobs, run = (age, 5000) if counted == "from the Jobs" else (5000, age)
        assert the_verdict(a_search(jobs_created_at=ago(jobs)), Standing(began=run), None) == verdict

    @pytest.mark.parametrize("phase", sorted(ON_THE_CLUSTER - WATCHED))
    def test_it_is_not_missed_once_it_has_seen_the_end(self, phase: Phase) -> None:
        assert the_verdict(a_search(phase=phase), Standing(), Standing(5000, 4000, "completed")) == "leave"
        assert the_verdict(a_search(phase=phase), Standing(), None) == "leave"


class TestOutcome:
    @pytest.mark.parametrize("outcome", ["done", "failed", "missing_jobs"])
    @pytest.mark.parametrize(("age", "verdict"), [(59.9, "leave"), (60, "wake"), (659.9, "wake"), (660, "replace")])
    def test_that_nobody_acts_on(self, outcome: str, age: float, verdict: str) -> None:
        assert the_verdict(a_search(outcome=outcome, outcome_at=ago(age)), Standing()) == verdict

    @pytest.mark.parametrize(("began", "verdict"), [(59.9, "leave"), (60, "wake"), (659.9, "wake"), (660, "replace")])
    def test_a_new_run_has_its_own_time_for_it(self, began: float, verdict: str) -> None:
        search = a_search(outcome="done", outcome_at=ago(4000), jobs_created_at=ago(4900))
        assert the_verdict(search, Standing(began=began), Standing(began=began)) == verdict

    @pytest.mark.parametrize("phase", sorted(ON_THE_CLUSTER - WATCHED))
    def test_that_was_acted_on(self, phase: Phase) -> None:
        assert the_verdict(a_search(phase=phase, outcome="done", outcome_at=ago(4000)), Standing()) == "leave"

    def test_before_the_next_run_is_due_it_is_woken_on(self) -> None:
        search = a_search(run=1 + MOST_REVIVALS, phase=Phase.RUNNING, outcome="", progress=Progress(1, running=1))
        gone = Standing(5000, 720, "completed")
        assert the_verdict(search, Standing(began=599), gone) == "wake"
        assert the_verdict(search, Standing(began=600), gone) == "replace"


def searches(*ages: float) -> list[Search]:
    return [a_search(job_id=f"job-{n}", created_at=ago(age)) for n, age in enumerate(ages)]


def ids(line: Sequence[Search]) -> list[str]:
    return [search.job_id for search in line]


class TestLine:
    def test_oldest_first(self) -> None:
        assert ids(in_turn(searches(1, 3, 2), None)) == ["job-1", "job-2", "job-0"]

    def test_of_the_same_age_by_id(self) -> None:
        assert ids(in_turn(reversed(searches(5, 5, 5)), None)) == ["job-0", "job-1", "job-2"]

    def test_who_was_left_over_comes_first(self) -> None:
        line = searches(4, 3, 2, 1)
        assert ids(in_turn(line, turn_of(line[2]))) == ["job-2", "job-3", "job-0", "job-1"]

    def test_also_when_that_one_is_gone(self) -> None:
        line = searches(4, 3, 2, 1)
        assert ids(in_turn([*line[:2], line[3]], turn_of(line[2]))) == ["job-3", "job-0", "job-1"]

    @pytest.mark.parametrize("served", [1, 3, 4, 9])
    def test_everybody_has_a_turn_however_few_are_served_at_a_time(self, served: int) -> None:
        line, seen, begin_with = searches(*range(10)), list[str](), None
        for _ in range(-(-10 // served)):
            now = in_turn(line, begin_with)
            seen += ids(now[:served])
            begin_with = turn_of(now[served])
        assert set(seen) == set(ids(line))
