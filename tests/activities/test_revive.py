"""What the reconcile does for searches that nobody drives any more: one new run each, whoever notices.

Which verdict is passed when is tested in ``tests/unit/domain/test_reconcile.py``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import grpc
import pytest

from shared.clients.orchestrations import DurableOrchestrations
from shared.clients.starting import start_orchestration
from shared.domain.errors import TransientError
from shared.domain.search import Search, retried
from shared.domain.states import Phase
from shared.domain.times import format_time
from tests.activities.fakes import World
from tests.activities.worlds import (
    CLUSTER,
    ago,
    put_job,
    put_running_search,
    put_search,
    ref,
)
from triggers import timers
from triggers.start import start_deletion
from triggers.timers.verdicts import attend_to


def run(world: World, search: Search) -> bool:
    """Attend to one search; whether anything was done."""
    return attend_to(search, DurableOrchestrations(world.durable)) != ""


def end(world: World, instance: str, status: str = "FAILED", *, after: float = 3600) -> None:
    """Let an orchestration end that began so many seconds ago."""
    world.durable.ended[instance] = status
    world.durable.created[instance] = ago(after)


def reconcile(world: World) -> None:
    """Let the timer fire."""
    timer: Any = None
    timers.reconcile_stale_jobs(timer, world.durable)


@pytest.fixture
def search(world: World) -> Search:
    """A search with an orchestration that runs."""
    found = put_running_search(world)
    start_orchestration(found, DurableOrchestrations(world.durable))
    return found


class TestRevive:
    def test_one_that_runs_is_left_alone(self, world: World, search: Search) -> None:
        assert run(world, search) is False
        assert list(world.durable.started) == [search.job_id]

    def test_one_that_never_began_is_started_with_the_same_id(self, world: World) -> None:
        search = put_search(world)
        assert run(world, search) is True
        name, data = world.durable.started[search.job_id]
        assert name == "search_orchestrator"
        assert data["run"] == 1
        assert world.searches.get(search.owner, search.job_id).run == 1

    @pytest.mark.parametrize("status", ["COMPLETED", "FAILED", "TERMINATED"])
    def test_one_that_ended_without_ending_the_search_gets_the_next_run(
        self, world: World, search: Search, status: str
    ) -> None:
        world.durable.ended[search.job_id] = status
        assert run(world, search) is True
        assert world.searches.get(search.owner, search.job_id).run == 2
        assert world.durable.started[f"{search.job_id}-2"][1]["run"] == 2

    def test_and_the_one_after_that(self, world: World, search: Search) -> None:
        end(world, search.job_id, after=0)
        assert run(world, search)
        for number, pause in ((3, 60), (4, 120)):
            search = world.searches.get(search.owner, search.job_id)
            instance = list(world.durable.started)[-1]
            end(world, instance, after=pause - 1)
            assert not run(world, search)
            end(world, instance, after=pause + 1)
            assert run(world, search)
            assert list(world.durable.started)[-1] == f"{search.job_id}-{number}"

    @pytest.mark.parametrize("phase", [Phase.COMPLETED, Phase.FAILED, Phase.CANCELLED])
    @pytest.mark.parametrize("began", [True, False], ids=["ended", "never began"])
    def test_a_search_that_has_ended_gets_nothing(self, world: World, phase: Phase, began: bool) -> None:
        search = put_search(world, phase=phase)
        if began:
            start_orchestration(search, DurableOrchestrations(world.durable))
            world.durable.ended[search.job_id] = "COMPLETED"
        before = dict(world.durable.started)
        assert run(world, search) is False
        assert world.durable.started == before
        assert world.searches.get(search.owner, search.job_id) == search

    def test_a_search_that_ended_since_it_was_read_gets_nothing(self, world: World, search: Search) -> None:
        world.durable.ended[search.job_id] = "COMPLETED"
        ended = world.searches.put(replace(search, phase=Phase.COMPLETED))
        assert run(world, search) is False
        assert world.searches.get(search.owner, search.job_id) == ended
        assert list(world.durable.started) == [search.job_id]

    def test_two_timers_at_once_start_one_run(self, world: World, search: Search) -> None:
        world.durable.ended[search.job_id] = "FAILED"
        answers: list[bool] = []
        world.searches.meanwhile = lambda: answers.append(run(world, search))
        answers.append(run(world, search))
        assert sorted(answers) == [False, True]
        assert list(world.durable.started) == [search.job_id, f"{search.job_id}-2"]
        assert world.searches.get(search.owner, search.job_id).run == 2

    def test_a_run_that_began_since_it_was_read_is_not_taken_back(self, world: World, search: Search) -> None:
        world.durable.ended[search.job_id] = "FAILED"
        world.searches.put(replace(search, run=3))
        assert run(world, search) is False
        assert world.searches.get(search.owner, search.job_id).run == 3
        assert list(world.durable.started) == [search.job_id]

    def test_a_start_that_failed_is_made_up_for_at_the_next_time(self, world: World, search: Search) -> None:
        world.durable.ended[search.job_id] = "FAILED"
        row = world.searches.put(replace(search, run=2))  # written, and then the host died
        assert run(world, row) is True
        assert list(world.durable.started)[-1] == f"{search.job_id}-2"

    def test_what_is_left_of_the_old_run_is_ended(self, world: World, search: Search) -> None:
        old = [search.job_id, f"monitor-{search.job_id}"]
        world.durable.started[old[1]] = "monitor_orchestrator", {}
        world.durable.created[old[1]] = world.durable.updated[old[1]] = ago(4000)
        world.durable.created[old[0]] = world.durable.updated[old[0]] = ago(4000)
        assert attend_to(search, DurableOrchestrations(world.durable)) == "replaced"
        assert world.durable.terminated == old
        assert f"{search.job_id}-2" in world.durable.started

    def test_a_cancel_whose_orchestration_died_is_brought_to_its_end(self, world: World, search: Search) -> None:
        world.durable.ended[search.job_id] = "FAILED"
        cancelling = world.searches.put(replace(search, phase=Phase.CANCELLING, cancel_requested_at=ago(5)))
        assert run(world, cancelling) is True
        assert f"{search.job_id}-2" in world.durable.started


class TestInterruptedSubmit:
    """The row was written, and then the host died before the query was stored."""

    def put_without_query(self, world: World, age: float) -> Search:
        search = put_search(world, created_at=ago(age))
        world.store.blobs.clear()
        return search

    def test_its_caller_may_still_repeat_it(self, world: World) -> None:
        search = self.put_without_query(world, 590)
        assert run(world, search) is False
        assert world.searches.get(search.owner, search.job_id) == search

    def test_after_ten_minutes_it_fails_and_says_why(self, world: World) -> None:
        search = self.put_without_query(world, 610)
        assert run(world, search) is False
        after = world.searches.get(search.owner, search.job_id)
        assert after.phase is Phase.FAILED
        assert after.error is not None
        assert after.error["code"] == "query_missing"
        assert world.durable.started == {}


class TestCancelWithoutQuery:
    @pytest.mark.parametrize("delete_run", [0, 1])
    def test_a_search_that_never_got_its_query_can_still_be_cancelled(self, world: World, delete_run: int) -> None:
        marked: Any = {"phase": Phase.CANCELLING, "cancel_requested_at": ago(10), "created_at": ago(7200)}
        search = put_search(world, **marked, delete_run=delete_run)
        world.store.blobs.clear()
        assert run(world, search) is True
        assert search.job_id in world.durable.started


class TestDeletion:
    """A deletion is brought to its end as a search is."""

    @pytest.fixture
    def deleting(self, world: World) -> Search:
        """A search that is being deleted, with an orchestration that runs."""
        found = put_search(world, phase=Phase.DELETING)
        assert start_deletion(found, DurableOrchestrations(world.durable))
        return world.searches.get(found.owner, found.job_id)

    def test_it_is_started_with_what_it_needs(self, world: World, deleting: Search) -> None:
        name, data = world.durable.started[f"delete-{deleting.job_id}-1"]
        assert name == "deletion_orchestrator"
        assert data == ref(deleting, delete_run=1)
        assert deleting.delete_run == 1

    def test_one_that_runs_is_left_alone(self, world: World, deleting: Search) -> None:
        assert run(world, deleting) is False
        assert list(world.durable.started) == [f"delete-{deleting.job_id}-1"]

    def heard(self, world: World, instance: str, seconds: float) -> None:
        """It last wrote so many seconds ago."""
        world.durable.started.setdefault(instance, ("removal_orchestrator", {}))
        world.durable.created[instance] = ago(5000)
        world.durable.updated[instance] = ago(seconds)

    @pytest.mark.parametrize("child", [None, 1300])
    @pytest.mark.parametrize(("silent", "is_replaced"), [(1190, False), (1210, True)])
    def test_one_that_is_stuck_gets_the_next(
        self, world: World, deleting: Search, child: float | None, silent: float, is_replaced: bool
    ) -> None:
        left = [f"delete-{deleting.job_id}-1"]
        self.heard(world, left[0], silent)
        if child is not None:
            left.append(f"removal-{left[0]}")
            self.heard(world, left[1], child)
        assert attend_to(deleting, DurableOrchestrations(world.durable)) == ("deleting" if is_replaced else "")
        assert world.durable.terminated == (left if is_replaced else [])
        assert (f"delete-{deleting.job_id}-2" in world.durable.started) is is_replaced
        assert world.searches.get(deleting.owner, deleting.job_id).delete_run == (2 if is_replaced else 1)

    def test_one_whose_cluster_does_not_answer_waits_for_it(self, world: World, deleting: Search) -> None:
        """Its child looks again every 30 s, for as long as that takes, and it says nothing itself."""
        self.heard(world, f"delete-{deleting.job_id}-1", 4000)
        self.heard(world, f"removal-delete-{deleting.job_id}-1", 60)
        assert run(world, deleting) is False
        assert world.durable.terminated == []

    def test_one_that_never_began_is_started(self, world: World) -> None:
        """The delete wrote the phase, and then the host died."""
        search = put_search(world, phase=Phase.DELETING)
        assert run(world, search) is True
        assert list(world.durable.started) == [f"delete-{search.job_id}-1"]

    @pytest.mark.parametrize("status", ["COMPLETED", "FAILED", "TERMINATED"])
    def test_one_that_ended_without_deleting_gets_the_next(self, world: World, deleting: Search, status: str) -> None:
        world.durable.ended[f"delete-{deleting.job_id}-1"] = status
        assert run(world, deleting) is True
        assert list(world.durable.started)[-1] == f"delete-{deleting.job_id}-2"
        assert world.searches.get(deleting.owner, deleting.job_id).delete_run == 2

    def test_two_at_once_start_one(self, world: World, deleting: Search) -> None:
        world.durable.ended[f"delete-{deleting.job_id}-1"] = "FAILED"
        answers: list[bool] = []
        world.searches.meanwhile = lambda: answers.append(run(world, deleting))
        answers.append(run(world, deleting))
        assert sorted(answers) == [False, True]
        assert len(world.durable.started) == 2

    def test_the_reconcile_does_it(self, world: World, deleting: Search) -> None:
        world.durable.ended[f"delete-{deleting.job_id}-1"] = "FAILED"
        reconcile(world)
        reconcile(world)
        assert list(world.durable.started) == [f"delete-{deleting.job_id}-{number}" for number in (1, 2)]

    def test_one_that_could_not_be_deleted_is_left_to_people(self, world: World) -> None:
        assert run(world, put_search(world, phase=Phase.DELETE_FAILED, delete_run=1)) is False
        reconcile(world)
        assert world.durable.started == {}


class TestAge:
    def test_a_monitor_counts_from_the_beginning_of_the_attempt(self, world: World) -> None:
        """A search that is retried a day later has not been running for a day."""
        failed = put_search(world, phase=Phase.FAILED, created_at=ago(86_400 * 2), attempt_started_at=ago(86_400 * 2))
        now = ago(0)
        again = world.searches.put(retried(failed, now))
        start_orchestration(again, DurableOrchestrations(world.durable))
        _, data = world.durable.started[f"{again.job_id}-2"]
        assert data["created_at"] == format_time(now)

    def test_of_a_row_of_before_it_counts_from_the_submit(self, world: World) -> None:
        search = put_search(world, created_at=ago(50))
        start_orchestration(search, DurableOrchestrations(world.durable))
        assert world.durable.started[search.job_id][1]["created_at"] == format_time(search.created_at)


class TestReconcile:
    def test_every_cluster_is_looked_at_once(self, world: World, search: Search) -> None:
        put_job(world, search, 0, "succeeded")
        put_running_search(world, 2)
        reconcile(world)
        assert world.cluster.calls["list jobs"] == 1
        assert world.searches.get(search.owner, search.job_id).progress.succeeded == 1

    def test_the_monitor_of_a_search_that_is_done_is_woken(self, world: World, search: Search) -> None:
        for shard in range(2):
            put_job(world, search, shard, "succeeded")
        reconcile(world)
        assert world.durable.woken == [f"monitor-{search.job_id}"]

    def test_a_cluster_without_active_searches_costs_no_call(self, world: World) -> None:
        world.clusters.remember(CLUSTER)
        put_search(world, phase=Phase.COMPLETED)
        reconcile(world)
        assert not world.cluster.calls

    @pytest.mark.parametrize(("age", "started"), [(29, 0), (31, 1)])
    def test_a_submit_that_may_still_go_on_is_given_time(self, world: World, age: float, started: int) -> None:
        world.clusters.remember(CLUSTER)
        put_search(world, created_at=ago(age))
        reconcile(world)
        assert len(world.durable.started) == started

    def test_a_search_whose_orchestration_is_gone_gets_a_new_one(self, world: World, search: Search) -> None:
        world.durable.ended[search.job_id] = "FAILED"
        reconcile(world)
        reconcile(world)
        assert list(world.durable.started) == [search.job_id, f"{search.job_id}-2"]

    def test_also_while_the_cluster_does_not_answer(self, world: World, search: Search) -> None:
        world.cluster.fail("list", "jobs", TransientError("kube_unreachable", "no answer"))
        world.durable.ended[search.job_id] = "FAILED"
        reconcile(world)
        assert f"{search.job_id}-2" in world.durable.started

    def test_a_durable_service_that_does_not_answer_is_survived(self, world: World, search: Search) -> None:
        world.durable.failing = grpc.StatusCode.UNAVAILABLE
        reconcile(world)
        assert world.stats.runs["reconcile_stale_jobs"].result["failed"] > 0
