"""The changes of a search: each may be made twice, and none may be made to a search that has ended."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from shared.domain.progress import Progress
from shared.domain.search import (
    ClusterRef,
    Search,
    cancelled,
    complete,
    enter_phase,
    fail,
    finish_step,
    request_cancel,
    retried,
)
from shared.domain.states import TERMINAL, WAITING, Phase, Status, StepName, StepStatus
from tests.unit.domain.objects import CLUSTER, JOB_ID, NOW, search

LATER = NOW + timedelta(seconds=10)
EXPIRES = NOW + timedelta(days=30)
ERROR = {"code": "bad_database", "message": "m", "hint": "h"}
WHOLE_WAY = [
    Phase.PREPARING,
    Phase.WAITING_FOR_CLUSTER,
    Phase.WARMING_UP,
    Phase.CONFIGURING,
    Phase.STAGING_DB,
    Phase.SUBMITTING,
    Phase.CREATING,
    Phase.SUBMITTED,
    Phase.RUNNING,
    Phase.RESULTS_PENDING,
    Phase.EXPORTING,
]


def statuses(found: Search) -> dict[str, str]:
    return {step.name.value: step.status.value for step in found.steps}


def test_the_whole_way() -> None:
    found = search()
    for second, phase in enumerate(WHOLE_WAY):
        found = enter_phase(found, phase, NOW + timedelta(seconds=second))
        assert found.phase is phase
        assert found.started_at == NOW
    assert found.status is Status.RUNNING
    assert set(statuses(found).values()) == {"completed", "running"}
    found = complete(found, LATER, EXPIRES)
    assert set(statuses(found).values()) == {"completed"}
    assert (found.completed_at, found.results_expire_at, found.status) == (LATER, EXPIRES, Status.COMPLETED)
    assert all(step.started_at is not None and step.completed_at is not None for step in found.steps)
    times = [(step.started_at, step.completed_at) for step in found.steps]
    assert all(end == start for (_, end), (start, _) in pairwise(times)), "each step ends as the next begins"


@pytest.mark.parametrize("phase", WHOLE_WAY)
def test_entering_twice_changes_nothing_but_when_a_waiting_search_was_last_seen(phase: Phase) -> None:
    once = enter_phase(search(), phase, NOW)
    assert enter_phase(once, phase, LATER) == replace(once, checked_at=LATER if phase in WAITING else None)


@pytest.mark.parametrize("phase", sorted(WAITING))
def test_each_time_it_asks_is_kept_while_it_waits(phase: Phase) -> None:
    waiting = enter_phase(enter_phase(search(), phase, NOW), phase, LATER)
    assert waiting.checked_at == LATER
    assert waiting.started_at == NOW
    assert enter_phase(waiting, Phase.CONFIGURING, LATER + timedelta(1)).checked_at == LATER


def test_a_late_phase_changes_nothing() -> None:
    for early, late in pairwise(WHOLE_WAY[2:]):
        found = enter_phase(search(), late, NOW)
        if late is not Phase.EXPORTING:
            assert enter_phase(found, early, LATER) == found


@pytest.mark.parametrize("end", sorted(TERMINAL))
def test_nothing_changes_what_has_ended(end: Phase) -> None:
    found = search(phase=end, completed_at=NOW)
    for phase in set(Phase) - {end, Phase.DELETING}:
        assert enter_phase(found, phase, LATER) == found
    assert complete(found, LATER, EXPIRES) == found
    assert fail(found, ERROR, LATER) == found


def test_waiting_says_for_what_and_stops_saying_it() -> None:
    found = enter_phase(search(), Phase.WAITING_FOR_CLUSTER, NOW, "cluster aks is starting")
    assert (found.status, found.waiting_reason) == (Status.PENDING, "cluster aks is starting")
    assert statuses(found)["preparing"] == "running"
    assert enter_phase(found, Phase.CONFIGURING, LATER).waiting_reason is None


@pytest.mark.parametrize("phase", sorted(set(Phase) - {Phase.EXPORTING, Phase.CANCELLING}))
def test_completed_from_nowhere_but_the_results_gate(phase: Phase) -> None:
    found = search(phase=phase)
    assert complete(found, LATER, EXPIRES) == found


def test_completing_twice_keeps_the_first_times() -> None:
    once = complete(enter_phase(search(), Phase.EXPORTING, NOW), NOW, EXPIRES)
    assert complete(once, LATER, EXPIRES + timedelta(days=1)) == once


@pytest.mark.parametrize(
    "phase", sorted(set(Phase) - TERMINAL - {Phase.DELETING, Phase.DELETE_FAILED, Phase.CANCELLING})
)
def test_failing(phase: Phase) -> None:
    once = fail(enter_phase(search(), phase, NOW, "reason"), ERROR, LATER)
    assert (once.status, once.error, once.completed_at, once.waiting_reason) == (Status.FAILED, ERROR, LATER, None)
    assert "running" not in statuses(once).values()
    assert list(statuses(once).values()).count("failed") == 1
    assert fail(once, {"code": "other"}, LATER + timedelta(1)) == once
    assert complete(once, LATER, EXPIRES) == once


@pytest.mark.parametrize("phase", [Phase.DELETING, Phase.DELETE_FAILED, Phase.CANCELLING])
def test_a_search_that_is_being_deleted_or_cancelled_does_not_fail(phase: Phase) -> None:
    found = search(phase=phase)
    assert fail(found, ERROR, LATER) == found


def test_a_cancel_during_which_something_fails_is_still_a_cancel() -> None:
    cancelling = request_cancel(enter_phase(search(), Phase.RUNNING, NOW), NOW)
    found = cancelled(fail(cancelling, ERROR, LATER), LATER)
    assert (found.phase, found.error) == (Phase.CANCELLED, None)


class TestUnfinished:
    @pytest.mark.parametrize("phase", Phase)
    def test_what_somebody_must_still_bring_to_its_end(self, phase: Phase) -> None:
        found = search(phase=phase)
        ended = phase in TERMINAL
        assert found.is_active == (not ended and phase not in (Phase.DELETING, Phase.DELETE_FAILED))
        assert found.is_unfinished == (not ended and phase is not Phase.DELETE_FAILED)


def test_a_step_with_what_it_did() -> None:
    staging = enter_phase(search(), Phase.STAGING_DB, NOW)
    found = finish_step(staging, StepName.STAGING_DB, LATER, "0 s", StepStatus.SKIPPED)
    assert found.steps[3].detail == "0 s"
    assert found.steps[3].status is StepStatus.SKIPPED
    assert finish_step(found, StepName.STAGING_DB, LATER + timedelta(1), "again") == found


def test_references_carry_no_contents() -> None:
    assert search(run=3).ref == {"job_id": JOB_ID, "owner": "ada", "run": 3}


class TestCancel:
    @pytest.mark.parametrize("phase", sorted(set(Phase) - TERMINAL - {Phase.DELETING, Phase.DELETE_FAILED}))
    def test_in_every_phase_that_is_no_end_and_twice_is_once(self, phase: Phase) -> None:
        once = request_cancel(search(phase=phase), NOW)
        assert (once.phase, once.cancel_requested_at, once.status) == (Phase.CANCELLING, NOW, Status.RUNNING)
        assert request_cancel(once, LATER) == once
        found = cancelled(once, LATER)
        assert (found.phase, found.completed_at) == (Phase.CANCELLED, LATER)
        assert cancelled(found, LATER + timedelta(1)) == found

    @pytest.mark.parametrize("phase", sorted(TERMINAL | {Phase.DELETING, Phase.DELETE_FAILED}))
    def test_what_has_ended_stays(self, phase: Phase) -> None:
        found = search(phase=phase)
        assert request_cancel(found, NOW) == found

    @pytest.mark.parametrize("phase", sorted(set(Phase) - {Phase.CANCELLING}))
    def test_nothing_is_cancelled_without_the_marker(self, phase: Phase) -> None:
        found = search(phase=phase)
        assert cancelled(found, LATER) == found

    def test_open_steps_end(self) -> None:
        found = cancelled(request_cancel(enter_phase(search(), Phase.RUNNING, NOW), NOW), LATER)
        assert statuses(found)["running"] == "cancelled"

    def test_nothing_is_shown_as_running_any_more(self) -> None:
        jobs = tuple({"name": state, "state": state} for state in ("pending", "running", "succeeded", "failed"))
        before = replace(search(phase=Phase.CANCELLING), progress=Progress(4, 1, 1, 1, 1), jobs=jobs)
        found = cancelled(before, LATER)
        assert found.progress == Progress(4, 0, 0, 1, 1)
        assert [job["name"] for job in found.jobs] == ["succeeded", "failed"]


class TestRetry:
    @pytest.mark.parametrize("phase", sorted(set(Phase) - {Phase.FAILED, Phase.CANCELLED}))
    def test_only_after_a_failure_or_a_cancel(self, phase: Phase) -> None:
        found = search(phase=phase)
        assert retried(found, NOW) == found

    @pytest.mark.parametrize("phase", [Phase.FAILED, Phase.CANCELLED])
    def test_a_new_attempt_begins_clean(self, phase: Phase) -> None:
        before = search(phase=phase, error=ERROR, cancel_requested_at=NOW, completed_at=NOW, attempt=2, run=4)
        again = retried(before, LATER)
        assert (again.phase, again.attempt, again.run, again.job_id) == (Phase.PREPARING, 3, 5, JOB_ID)
        cleared = (again.error, again.cancel_requested_at, again.completed_at, again.expected_jobs)
        assert cleared == (None, None, None, None)
        assert again.jobs_created_at is None
        assert again.attempt_started_at == LATER
        assert again.created_at == before.created_at
        assert statuses(again)["preparing"] == "running"
        assert retried(again, LATER) == again

    @pytest.mark.parametrize("phase", [Phase.FAILED, Phase.CANCELLED])
    def test_never_once_it_is_to_be_deleted(self, phase: Phase) -> None:
        """The delete waits for its end, and would take the new attempt apart."""
        found = search(phase=phase, delete_run=1)
        assert retried(found, LATER) == found


class TestClusterRef:
    def test_names_of_azure_are_case_insensitive(self) -> None:
        assert ClusterRef("SUB", "Group", "AKS", "x").key == CLUSTER.key == "sub|group|aks"

    def test_there_and_back(self) -> None:
        assert ClusterRef.from_dict({**CLUSTER.to_dict(), "later": 1}) == CLUSTER
        assert ClusterRef.from_dict({}) == ClusterRef("", "", "", "")


class TestProgress:
    @pytest.mark.parametrize(
        ("succeeded", "total", "pct"), [(0, 0, 0.0), (0, 3, 0.0), (1, 3, 33.3), (27, 40, 67.5), (3, 3, 100.0)]
    )
    def test_percent(self, succeeded: int, total: int, pct: float) -> None:
        assert Progress(total=total, succeeded=succeeded).pct == pct

    def test_there_and_back(self) -> None:
        progress = Progress(40, 3, 10, 27, 0)
        assert progress.to_dict() == {
            "total": 40, "pending": 3, "running": 10, "succeeded": 27, "failed": 0, "pct": 67.5,
        }  # fmt: skip
        assert Progress.from_dict(progress.to_dict()) == progress
        assert Progress.from_dict({}) == Progress()
