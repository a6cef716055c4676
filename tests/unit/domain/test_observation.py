"""Reading a search's state: the rules of docs/kubernetes.md, and every way known to get the status wrong."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from shared.domain.observation import Observation, Outcome, jobs_of_search, observe
from shared.domain.progress import Progress
from shared.domain.search import Search
from tests.unit.domain.objects import (
    COMPLETE,
    FAILED,
    JOB_ID,
    NOW,
    OTHER_ID,
    Json,
    ago,
    condition,
    job,
    pod,
    search,
    snapshot,
)

NOT_MADE_YET = {"expected_jobs": None, "jobs_created_at": None}
UNSCHEDULABLE = condition("PodScheduled", "False", reason="Unschedulable", message="no node fits")


def seen(jobs: list[Json], pods: list[Json] | None = None, of: Search | None = None) -> Observation:
    return observe(snapshot(jobs, pods), of or search())


def done(name: str, **fields: Any) -> Json:
    return job(name, COMPLETE, succeeded=1, **fields)


@pytest.mark.proves("T1")
class TestWhichJobsCount:
    def names(self, jobs: list[Json], pods: list[Json] | None = None) -> list[str]:
        return [found.name for found in jobs_of_search(snapshot(jobs, pods), frozenset({JOB_ID}))]

    @pytest.mark.parametrize("app", ["elb-submit", "submit", "setup", "finalizer", "elb-db-warmup", ""])
    def test_helpers_never_do(self, app: str) -> None:
        helper = job("helper", COMPLETE, app=app)
        assert self.names([helper], [pod("helper", "Succeeded", env_id=JOB_ID, app=app)]) == []

    def test_another_search_s_jobs_never_do(self) -> None:
        assert self.names([done("a", job_id=OTHER_ID)], [pod("a", env_id=OTHER_ID)]) == []

    def test_jobs_without_any_id_never_do(self) -> None:
        assert self.names([done("a", job_id=None)], [pod("a")]) == []

    def test_by_the_label(self) -> None:
        assert self.names([done("a")]) == ["a"]

    def test_by_the_environment_of_a_pod(self) -> None:
        assert self.names([done("a", job_id=None), done("b", job_id=None)], [pod("a", env_id=JOB_ID)]) == ["a"]

    def test_an_id_that_only_begins_alike_is_another(self) -> None:
        assert self.names([done("a", job_id=JOB_ID + "0"), done("b", job_id=JOB_ID[:-1])]) == []


class TestCreating:
    @pytest.mark.proves("T2")
    @pytest.mark.parametrize(
        "jobs",
        [
            [],
            [job("helper", COMPLETE, app="elb-submit")],
            [done("a", job_id=OTHER_ID), done("b", job_id=OTHER_ID)],
            [job("warm-x-00", COMPLETE, app="elb-db-warmup")],
        ],
    )
    def test_nothing_of_this_search_there_yet(self, jobs: list[Json]) -> None:
        found = seen(jobs, of=search(**NOT_MADE_YET))
        assert found.outcome is Outcome.CREATING
        assert found.progress == Progress()

    def test_half_of_the_jobs_made_and_all_of_them_succeeded_is_not_the_end(self) -> None:
        found = seen([done("a")], of=search(**NOT_MADE_YET))
        assert found.outcome in (Outcome.CREATING, Outcome.SUBMITTED, Outcome.RUNNING)

    def test_a_helper_that_finished_first_ends_nothing(self) -> None:
        helper = job("helper", COMPLETE, app="elb-submit", succeeded=1)
        found = seen([helper, job("a", active=1), job("b", active=1)], [pod("a"), pod("b", "Pending")])
        assert found.outcome is Outcome.RUNNING
        assert found.progress == Progress(total=2, pending=1, running=1)


class TestStuck:
    def test_a_pod_without_an_image_fails_the_search(self) -> None:
        waiting = pod("a", "Pending", created=ago(minutes=11), waiting=("ImagePullBackOff", "no such image"))
        found = seen([job("a", active=1), done("b")], [waiting])
        assert found.outcome is Outcome.FAILED
        assert found.failure is not None
        assert found.failure.code == "image_pull_failed"

    def test_a_pod_that_no_node_takes_fails_it_too(self) -> None:
        waiting = pod("a", "Pending", created=ago(minutes=31), conditions=[UNSCHEDULABLE])
        found = seen([job("a", active=1), done("b")], [waiting])
        assert found.failure is not None
        assert found.failure.code == "cannot_be_scheduled"

    def test_while_there_is_hope_it_says_what_it_waits_for(self) -> None:
        waiting = pod("a", "Pending", created=ago(minutes=9), waiting=("ImagePullBackOff", "no such image"))
        found = seen([job("a", active=1), done("b")], [waiting])
        assert (found.outcome, found.waiting_reason) == (Outcome.RUNNING, "ImagePullBackOff: no such image")

    def test_a_job_that_failed_is_the_better_reason(self) -> None:
        waiting = pod("a", "Pending", created=ago(minutes=31), conditions=[UNSCHEDULABLE])
        found = seen([job("a", active=1), job("b", FAILED, failed=1)], [waiting])
        assert found.failure is not None
        assert found.failure.code != "cannot_be_scheduled"


class TestSubmittedAndRunning:
    def test_no_pod_runs_yet(self) -> None:
        found = seen([job("a", active=1), job("b")], [pod("a", "Pending")])
        assert found.outcome is Outcome.SUBMITTED
        assert found.progress == Progress(total=2, pending=2)

    def test_a_pod_runs(self) -> None:
        found = seen([job("a", active=1), job("b", active=1)], [pod("a"), pod("b", "Pending")])
        assert found.outcome is Outcome.RUNNING
        assert found.progress == Progress(total=2, pending=1, running=1)

    def test_one_of_two_is_done(self) -> None:
        found = seen([done("a"), job("b", active=1)], [pod("b")])
        assert found.outcome is Outcome.RUNNING
        assert found.progress.pct == 50.0

    @pytest.mark.parametrize("kind", ["SuccessCriteriaMet", "FailureTarget"])
    def test_a_condition_that_announces_an_end_is_not_the_end(self, kind: str) -> None:
        jobs = [done("a"), job("b", condition(kind), active=1)]
        assert seen(jobs, [pod("b")]).outcome is Outcome.RUNNING
        assert seen([done("a"), job("b", condition(kind))]).outcome is Outcome.RUNNING

    def test_a_retried_pod_does_not_fail_the_search(self) -> None:
        found = seen([done("a"), job("b", active=1, failed=1)], [pod("b", "Failed", ended=(5, "Error"))])
        assert found.outcome is Outcome.RUNNING
        assert found.progress.failed == 0

    def test_more_jobs_than_expected_must_all_succeed(self) -> None:
        """A Job of the search that is there counts, whatever the row says."""
        found = seen([done("a"), done("b"), job("c", active=1)], [pod("c")])
        assert (found.outcome, found.progress) == (Outcome.RUNNING, Progress(total=3, running=1, succeeded=2))
        assert seen([done("a"), done("b"), done("c")]).outcome is Outcome.DONE

    def test_fewer_jobs_than_expected_while_some_run(self) -> None:
        found = seen([job("a", active=1)], [pod("a")], search(expected_jobs=3))
        assert found.outcome is Outcome.RUNNING
        assert found.progress == Progress(total=3, pending=2, running=1)

    def test_a_pod_being_deleted_does_not_run(self) -> None:
        found = seen([job("a", active=1), job("b", active=1)], [pod("a", deleting=True), pod("b", "Pending")])
        assert found.outcome is Outcome.SUBMITTED
        assert found.progress.running == 0


class TestDone:
    def test_all_expected_jobs_succeeded(self) -> None:
        found = seen([done("a"), done("b")])
        assert (found.outcome, found.progress) == (Outcome.DONE, Progress(total=2, succeeded=2))

    def test_pods_that_were_retried_on_the_way_are_a_success(self) -> None:
        jobs = [done("a", failed=1), job("b", condition("SuccessCriteriaMet"), COMPLETE, succeeded=1, failed=3)]
        found = seen(jobs, [pod("a", "Failed", ended=(137, "OOMKilled"), created=ago(minutes=9))])
        assert (found.outcome, found.failure) == (Outcome.DONE, None)

    def test_another_search_s_success_does_not_make_up_the_number(self) -> None:
        assert seen([done("a"), done("b", job_id=OTHER_ID)]).outcome is not Outcome.DONE

    def test_a_helper_s_success_does_not_make_up_the_number(self) -> None:
        assert seen([done("a"), done("b", app="finalizer")]).outcome is not Outcome.DONE


class TestMissingJobs:
    @pytest.mark.parametrize("jobs", [[], [done("a")], [job("helper", COMPLETE, app="submit")]])
    def test_made_and_gone_is_for_the_results_to_decide(self, jobs: list[Json]) -> None:
        assert seen(jobs).outcome is Outcome.MISSING_JOBS

    def test_never_creating_again(self) -> None:
        assert seen([], of=search(jobs_created_at=NOW - timedelta(days=1))).outcome is Outcome.MISSING_JOBS


class TestFailed:
    @pytest.mark.parametrize(
        "others",
        [
            [],
            [done("b")],
            [job("b", active=1)],
            [job("b", active=1), job("c"), done("d")],
        ],
    )
    @pytest.mark.parametrize("row", [{}, NOT_MADE_YET, {"expected_jobs": 1}])
    def test_a_failed_job_beats_all(self, others: list[Json], row: Json) -> None:
        found = seen([*others, job("a", FAILED, failed=4)], [pod("a", "Failed", ended=(3, "Error"))], search(**row))
        assert found.outcome is Outcome.FAILED
        assert found.failure is not None
        assert (found.failure.code, found.failure.job, found.failure.exit_code) == ("blast_engine_error", "a", 3)

    def test_the_first_to_fail_is_the_one_that_is_told(self) -> None:
        jobs = [
            job("c", FAILED),
            job("b", FAILED, completed=ago(minutes=1)),
            job("a", FAILED, completed=ago(minutes=2)),
        ]
        failure = seen(jobs).failure
        assert failure is not None
        assert failure.job == "a"

    def test_another_search_s_failure_is_not_ours(self) -> None:
        jobs = [done("a"), done("b"), job("c", FAILED, job_id=OTHER_ID), job("d", FAILED, app="elb-submit")]
        assert seen(jobs).outcome is Outcome.DONE


class TestAttempts:
    @pytest.mark.parametrize("end", [COMPLETE, FAILED])
    def test_what_an_earlier_attempt_left_says_nothing_about_this_one(self, end: Json) -> None:
        left = [job(f"old{i}", end, labels={"elb-attempt": "1"}) for i in range(2)]
        again = search(attempt=2)
        assert seen(left, of=search(attempt=2, **NOT_MADE_YET)).outcome is Outcome.CREATING
        new = [job("a", active=1, labels={"elb-attempt": "2"}), done("b", labels={"elb-attempt": "2"})]
        found = seen([*left, *new], [pod("a")], again)
        assert (found.outcome, found.progress) == (Outcome.RUNNING, Progress(total=2, running=1, succeeded=1))


class TestWaitingReason:
    @pytest.mark.parametrize(
        ("waiting", "reason"),
        [
            (pod("a", "Pending", waiting=("ImagePullBackOff", "no such tag")), "ImagePullBackOff: no such tag"),
            (pod("a", "Pending", conditions=[UNSCHEDULABLE]), "Unschedulable: no node fits"),
            (pod("a", "Pending", waiting=("ContainerCreating", "")), None),
            (pod("a", "Pending", waiting=("ImagePullBackOff", "x"), deleting=True), None),
        ],
    )
    def test_why_it_waits(self, waiting: Json, reason: str | None) -> None:
        found = seen([job("a", active=1), job("b", active=1)], [waiting, pod("b", "Pending")])
        assert found.waiting_reason == reason
        assert found.jobs[0]["reason"] == reason

    def test_one_pod_s_reason_shows_while_the_others_run(self) -> None:
        pods = [pod("a"), pod("b", "Pending", waiting=("ErrImagePull", "denied"))]
        found = seen([job("a", active=1), job("b", active=1)], pods)
        assert (found.outcome, found.waiting_reason) == (Outcome.RUNNING, "ErrImagePull: denied")


class TestRows:
    def test_one_per_job_in_order_of_batch_and_shard(self) -> None:
        places = [("000", "00"), ("000", "01"), ("001", "00"), ("002", "99"), ("002", "100"), ("1000", "00")]
        jobs = [done(f"j{i}", labels={"batch": b, "shard": s}) for i, (b, s) in enumerate(places)]
        rows = seen(list(reversed(jobs))).jobs
        assert [row["name"] for row in rows] == ["j0", "j1", "j2", "j3", "j4", "j5"]
        assert rows[3] == {
            "name": "j3", "shard": 99, "batch": 2, "state": "succeeded", "reason": None, "exit_code": None,
        }  # fmt: skip

    def test_labels_of_others_may_be_no_numbers(self) -> None:
        (row,) = seen([done("a", labels={"shard": "²", "batch": "x"})]).jobs
        assert (row["shard"], row["batch"]) == (None, None)

    def test_how_the_newest_pod_ended_is_told(self) -> None:
        pods = [
            pod("a", "Failed", name="old", ended=(5, "Error"), created=ago(minutes=9)),
            pod("a", "Failed", name="new", ended=(137, "OOMKilled"), created=ago(minutes=1)),
        ]
        (row,) = seen([job("a", failed=2)], pods).jobs
        assert (row["state"], row["reason"], row["exit_code"]) == ("pending", "OOMKilled", 137)

    def test_a_success_needs_no_reason(self) -> None:
        (row,) = seen([done("a")], [pod("a", "Succeeded", ended=(0, "Completed"))]).jobs
        assert (row["state"], row["reason"], row["exit_code"]) == ("succeeded", None, 0)

    def test_a_failed_job_says_why(self) -> None:
        (row,) = seen([job("a", FAILED)], [pod("a", "Failed", ended=(1, "Error"))]).jobs
        assert (row["state"], row["reason"], row["exit_code"]) == ("failed", "BackoffLimitExceeded", 1)
