"""Which old Jobs a submit may remove, and which it must leave alone."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.domain.stale_jobs import stale_jobs
from shared.domain.times import format_time
from tests.unit.domain.objects import COMPLETE, FAILED, JOB_ID, NOW, OTHER_ID, Json, ago, condition, job, pod, snapshot


def removed(jobs: list[Json], pods: list[Json] | None = None, active: tuple[str, ...] = ()) -> list[str]:
    return [found.name for found in stale_jobs(snapshot(jobs, pods), active)]


@pytest.mark.parametrize("app", ["blast", "submit", "setup", "finalizer"])
@pytest.mark.parametrize("end", [COMPLETE, FAILED])
@pytest.mark.parametrize(("minutes", "goes"), [(0, False), (29, False), (30, False), (31, True), (400, True)])
@pytest.mark.parametrize("job_id", [OTHER_ID, "foreign", None])
def test_finished_jobs_by_age(app: str, end: Json, minutes: int, goes: bool, job_id: str | None) -> None:
    found = job("a", end, app=app, created=ago(minutes=minutes), job_id=job_id)
    assert removed([found]) == (["a"] if goes else [])


def test_just_beyond_the_limit() -> None:
    created = format_time(NOW - timedelta(minutes=30, milliseconds=1))
    assert removed([job("a", COMPLETE, created=created)]) == ["a"]


@pytest.mark.parametrize("minutes", [29, 31, 400])
class TestSomebodyElsesRunningJobStays:
    def test_with_an_active_pod(self, minutes: int) -> None:
        assert removed([job("a", created=ago(minutes=minutes), active=1, job_id="foreign")]) == []

    @pytest.mark.parametrize("phase", ["Pending", "Running", "Unknown"])
    def test_with_a_pod_that_has_not_ended(self, minutes: int, phase: str) -> None:
        found = job("a", COMPLETE, created=ago(minutes=minutes), job_id="foreign")
        assert removed([found], [pod("a", phase)]) == []

    def test_between_two_tries(self, minutes: int) -> None:
        found = job("a", created=ago(minutes=minutes), failed=1, job_id="foreign")
        assert removed([found], [pod("a", "Failed", ended=(5, "Error"))]) == []

    @pytest.mark.parametrize("kind", ["SuccessCriteriaMet", "FailureTarget", "Suspended"])
    def test_while_its_end_is_only_announced(self, minutes: int, kind: str) -> None:
        assert removed([job("a", condition(kind), created=ago(minutes=minutes), job_id="foreign")]) == []


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_pods_that_ended_do_not_hold_a_finished_job(phase: str) -> None:
    assert removed([job("a", COMPLETE, created=ago(hours=9))], [pod("a", phase)]) == ["a"]


@pytest.mark.parametrize("created", ["", "yesterday", "2026-99-99T00:00:00Z", "0001-01-01T00:00:00+14:00"])
def test_an_unreadable_timestamp_says_nothing_about_the_age(created: str) -> None:
    found = job("a", COMPLETE)
    found["metadata"]["creationTimestamp"] = created
    assert removed([found]) == []
    del found["metadata"]["creationTimestamp"]
    assert removed([found]) == []


def test_a_timestamp_in_the_future_is_not_old() -> None:
    assert removed([job("a", COMPLETE, created=ago(minutes=-60))]) == []


class TestActiveSearches:
    def test_by_the_label(self) -> None:
        jobs = [job("a", COMPLETE, created=ago(hours=9)), job("b", COMPLETE, created=ago(hours=9), job_id=OTHER_ID)]
        assert removed(jobs, active=(JOB_ID,)) == ["b"]

    def test_by_the_environment_of_a_pod(self) -> None:
        found = job("a", COMPLETE, created=ago(hours=9), job_id=None)
        assert removed([found], [pod("a", "Succeeded", env_id=JOB_ID)], active=(JOB_ID,)) == []


@pytest.mark.parametrize("app", ["elb-db-warmup", "elb-submit", "db-warmup", "web", ""])
def test_other_apps_are_nobody_s_business(app: str) -> None:
    assert removed([job("a", COMPLETE, app=app, created=ago(hours=9))]) == []


def test_what_is_going_already_is_left_to_go() -> None:
    assert removed([job("a", COMPLETE, created=ago(hours=9), deleting=True)]) == []
