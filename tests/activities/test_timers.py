"""The timers: who is served when, what the verdicts do, what is purged, and what a failing timer leaves behind."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest

from shared.clients.cluster_rows import Slots
from shared.clients.orchestrations import DurableOrchestrations
from shared.clients.search_payloads import STATE_CONTAINER
from shared.clients.starting import start_orchestration
from shared.domain.errors import ElbError, NotFoundError, TransientError
from shared.domain.ids import new_job_id
from shared.domain.search import ClusterRef, Search, retried
from shared.domain.states import Phase
from shared.domain.stats import submitted
from tests.activities.fakes import World
from tests.activities.worlds import (
    CLUSTER,
    OTHER_CLUSTER,
    Json,
    ago,
    job_id,
    put_job,
    put_running_search,
    put_search,
)
from triggers import timers
from triggers.start import start_missing
from triggers.timers import discovery, turns, verdicts
from triggers.timers import reconcile as reconciling
from triggers.timers.reconcile import LEFT_OVER_BLOB, reconcile

DOWN = TransientError("state_unavailable", "the state store did not answer")
SILENT = TransientError("kube_unreachable", "no answer")


def turn(world: World, clock: Callable[[], float] | None = None, parallel: int = 1) -> dict[str, int]:
    """One turn of the reconcile."""
    usual = {} if clock is None else {"clock": clock}
    return reconcile(DurableOrchestrations(world.durable), parallel=parallel, **usual)


def fire(name: str, world: World) -> None:
    """Let a timer fire."""
    timer: Any = None
    getattr(timers, name)(timer, world.durable)


def put_many(world: World, number: int, *, started: bool = False) -> list[Search]:
    """Searches that never began, or whose orchestrations run; the first one is the oldest."""
    made = [put_search(world, job_id(n), created_at=ago(5000 - n)) for n in range(number)]
    for search in made if started else ():
        start_orchestration(search, DurableOrchestrations(world.durable))
    world.durable.asked.clear()
    return made


class Steps:
    """A clock that goes on by so many seconds whenever it is read."""

    def __init__(self, seconds: float) -> None:
        self.now, self.seconds = 0.0, seconds

    def __call__(self) -> float:
        self.now += self.seconds
        return self.now


class TestTurn:
    def test_oldest_first(self, world: World) -> None:
        searches = put_many(world, 5)
        assert turn(world)["started"] == 5
        assert list(world.durable.started) == [s.job_id for s in searches]

    def test_it_says_what_it_did(self, world: World) -> None:
        put_many(world, 2)
        put_running_search(world, 7, phase=Phase.DELETING)
        ended = put_running_search(world, 8)
        start_orchestration(ended, DurableOrchestrations(world.durable))
        world.durable.ended[ended.job_id] = "FAILED"
        said = turn(world)
        assert said == {"clusters": 1, "searches": 4, "left_over": 0, "started": 2, "deleting": 1, "replaced": 1}

    def test_who_was_left_over_comes_first_at_the_next_turn(self, world: World) -> None:
        searches = [s.job_id for s in put_many(world, 10, started=True)]
        # Every check of the time costs 5 s: 45 s are enough for the cluster and a few searches.
        said = turn(world, Steps(5))
        first = world.durable.asked[:]
        assert said["left_over"] > 2
        assert first == searches[: len(first)]
        world.durable.asked.clear()
        turn(world, Steps(5))
        in_turn = searches[len(first) :] + searches[: len(first)]
        assert world.durable.asked == in_turn[: len(world.durable.asked)]

    @pytest.mark.proves("F6")
    def test_nobody_starves_however_little_a_turn_gets_done(self, world: World) -> None:
        searches = {s.job_id for s in put_many(world, 23, started=True)}
        turns_needed = 0
        while set(world.durable.asked) != searches:
            turn(world, Steps(10))
            turns_needed += 1
            assert turns_needed <= 23
        assert turns_needed > 3
        assert turn(world)["left_over"] == 0

    def test_a_turn_that_serves_everybody_forgets_who_was_left_over(self, world: World) -> None:
        searches = [s.job_id for s in put_many(world, 10, started=True)]
        turn(world, Steps(5))
        turn(world)
        world.durable.asked.clear()
        turn(world)
        assert world.durable.asked == searches

    def test_nothing_is_written_while_nobody_is_left_over(self, world: World) -> None:
        put_many(world, 3)
        turn(world)
        assert (STATE_CONTAINER, LEFT_OVER_BLOB) not in world.store.blobs

    @pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"cluster": "", "search": [1]}', b"\xff"])
    def test_what_cannot_be_read_is_nobody(self, world: World, content: bytes) -> None:
        searches = put_many(world, 3)
        world.store.blobs[STATE_CONTAINER, LEFT_OVER_BLOB] = content
        turn(world)
        assert list(world.durable.started) == [s.job_id for s in searches]

    def test_clusters_have_their_turns_too(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        looked: list[str] = []
        clusters = [ClusterRef("sub", "group", f"c{n}", "store") for n in range(6)]
        for number, cluster in enumerate(clusters):
            put_search(world, job_id(number), cluster=cluster)
            world.clusters.remember(cluster)
        del world.clusters.refs[CLUSTER.key]
        monkeypatch.setattr(reconciling, "PARALLEL_CLUSTERS", 1)
        monkeypatch.setattr(reconciling, "look_at_cluster", lambda cluster, _: looked.append(cluster.cluster_name))
        for _ in range(3):  # a look takes 20 s
            turn(world, lambda: 20.0 * len(looked))
        assert looked == ["c0", "c1", "c2", "c3", "c4", "c5", "c0", "c1", "c2"]

    def test_two_at_once_start_one_run_each(self, world: World) -> None:
        searches = put_many(world, 20, started=True)
        for search in searches:
            world.durable.ended[search.job_id] = "FAILED"
        with ThreadPoolExecutor(2) as pool:
            both = list(pool.map(lambda _: turn(world, parallel=8), range(2)))
        assert sum(said.get("replaced", 0) for said in both) == 20
        assert {world.searches.get(s.owner, s.job_id).run for s in searches} == {2}
        assert len(world.durable.started) == 40

    @pytest.mark.proves("F6")
    def test_a_killed_host_loses_no_search(self, world: World) -> None:
        """500 active searches, and nothing is left of any orchestration."""
        searches = [put_running_search(world, n, jobs=1, created_at=ago(5000 - n)) for n in range(500)]
        assert turn(world, parallel=8)["started"] == 500
        assert set(world.durable.started) == {s.job_id for s in searches}
        assert turn(world, parallel=8).get("started", 0) == 0


class TestTrouble:
    """One's trouble is nobody else's."""

    def test_of_a_cluster_whose_rows_cannot_be_read(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        put_running_search(world, 1)
        other = put_running_search(world, 2, cluster=OTHER_CLUSTER)
        world.clusters.remember(OTHER_CLUSTER)
        real = world.searches.unfinished_rows

        def unfinished_rows(key: str) -> list[Search]:
            if key == CLUSTER.key:
                raise DOWN
            return real(key)

        monkeypatch.setattr(world.searches, "unfinished_rows", unfinished_rows)
        said = turn(world)
        assert (said["clusters"], said["failed"]) == (1, 1)
        assert world.cluster.calls["list jobs"] == 1
        assert list(world.durable.started) == [other.job_id]

    def test_of_a_search(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        first, second = put_many(world, 2)

        def start_all_but_the_first(search: Search, orchestrations: DurableOrchestrations) -> bool:
            if search.job_id == first.job_id:
                raise TransientError("storage_denied", "no")
            return start_missing(search, orchestrations)

        monkeypatch.setattr(verdicts, "start_missing", start_all_but_the_first)
        assert turn(world)["failed"] == 1
        assert list(world.durable.started) == [second.job_id]

    def test_that_nobody_expected_is_raised_after_all_were_served(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, second = put_many(world, 2)

        def attend_to(search: Search, orchestrations: DurableOrchestrations) -> str:
            if search.job_id == first.job_id:
                raise ZeroDivisionError
            return verdicts.attend_to(search, orchestrations)

        monkeypatch.setattr(reconciling, "attend_to", attend_to)
        with pytest.raises(ZeroDivisionError):
            fire("reconcile_stale_jobs", world)
        assert second.job_id in world.durable.started
        assert world.stats.runs["reconcile_stale_jobs"].failed

    def test_a_cluster_that_does_not_answer_for_long_holds_up_no_search(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (search,) = put_many(world, 1)
        started = threading.Event()
        real = world.durable.schedule_new_orchestration

        def schedule(name: str, *, input: Any, instance_id: str) -> str:
            started.set()
            return real(name, input=input, instance_id=instance_id)

        monkeypatch.setattr(world.durable, "schedule_new_orchestration", schedule)
        waited: list[bool] = []
        monkeypatch.setattr(reconciling, "look_at_cluster", lambda *_: waited.append(started.wait(10)))
        turn(world)
        assert waited == [True]
        assert search.job_id in world.durable.started

    def test_of_the_blob_that_says_who_is_next(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        put_many(world, 10, started=True)

        def read(container: str, name: str) -> bytes:
            raise DOWN

        monkeypatch.setattr(world.store, "read", read)
        world.store.failing = DOWN
        assert turn(world, Steps(5))["left_over"] > 0

    def test_without_the_list_of_clusters_there_is_no_turn(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        def known() -> list[ClusterRef]:
            raise DOWN

        monkeypatch.setattr(world.clusters, "known", known)
        with pytest.raises(TransientError):
            fire("reconcile_stale_jobs", world)
        run = world.stats.runs["reconcile_stale_jobs"]
        assert (run.failed, run.result) == (True, {"error": "state_unavailable"})


def put_old_run(world: World, search: Search, *, status: str = "", quiet: float = 4000) -> None:
    """Parent and monitor of a search's present run, of long ago."""
    start_orchestration(search, DurableOrchestrations(world.durable))
    parent = list(world.durable.started)[-1]
    monitor = f"monitor-{parent}"
    world.durable.started[monitor] = "monitor_orchestrator", {}
    for instance in (parent, monitor):
        world.durable.created[instance] = ago(4000)
        world.durable.updated[instance] = ago(quiet)
        if status:
            world.durable.ended[instance] = status


class TestWake:
    def test_both_are_woken_and_nothing_is_written(self, world: World) -> None:
        search = put_running_search(world, outcome="done", outcome_at=ago(61))
        put_old_run(world, search, quiet=5)
        assert verdicts.attend_to(search, DurableOrchestrations(world.durable)) == "woken"
        assert sorted(world.durable.woken) == [search.job_id, f"monitor-{search.job_id}"]
        assert world.searches.get(search.owner, search.job_id) == search


@pytest.mark.proves("F6")
class TestLost:
    @pytest.fixture
    def given_up(self, world: World) -> Search:
        """A search that was revived in vain too often; one of its Jobs is said to run, one has ended."""
        search = put_running_search(world, run=6, outcome="done", outcome_at=ago(4000), created_at=ago(9000))
        put_job(world, search, 0, "running")
        put_job(world, search, 1, "succeeded")
        put_old_run(world, search, status="FAILED")
        return search

    def lose(self, world: World, search: Search) -> str:
        return verdicts.attend_to(search, DurableOrchestrations(world.durable))

    def row(self, world: World, search: Search) -> Search:
        return world.searches.get(search.owner, search.job_id)

    def test_it_fails_with_its_reason(self, world: World, given_up: Search) -> None:
        assert self.lose(world, given_up) == "lost"
        row = self.row(world, given_up)
        assert (row.phase, row.run) == (Phase.FAILED, 6)
        assert row.error is not None
        assert row.error["code"] == "lost"
        assert row.error["hint"]
        assert [(e.kind, e.why) for e in world.events.events[given_up.job_id]] == [("failed", "lost")]
        assert [e.code for e in world.stats.entries.values()] == ["lost"]

    def test_its_jobs_that_still_run_are_removed(self, world: World, given_up: Search) -> None:
        self.lose(world, given_up)
        left = [job["metadata"]["labels"]["shard"] for job in world.cluster.objects["jobs"].values()]
        assert left == ["01"]

    def test_twice_is_once(self, world: World, given_up: Search) -> None:
        now = ago(0)
        world.clock = lambda: now
        assert self.lose(world, given_up) == "lost"
        self.lose(world, given_up)  # by another turn that read the row before, in the same moment
        later = now + timedelta(seconds=1)
        world.clock = lambda: later
        assert self.lose(world, given_up) == ""
        assert len(world.events.events[given_up.job_id]) == len(world.stats.entries) == 1

    def test_who_waits_for_its_slot_is_woken(self, world: World, given_up: Search) -> None:
        waiting = put_search(world, job_id(9), phase=Phase.WAITING_FOR_CAPACITY, checked_at=ago(1), owner="berta")
        world.clusters.write_slots(CLUSTER, Slots({f"{given_up.job_id}-1": "anna"}))
        self.lose(world, given_up)
        assert world.durable.woken == [waiting.job_id]

    def test_a_cluster_that_cannot_be_reached_to_remove_them_changes_nothing(
        self, world: World, given_up: Search
    ) -> None:
        world.cluster.fail("list", "jobs", SILENT)
        assert self.lose(world, given_up) == "lost"
        assert self.row(world, given_up).phase is Phase.FAILED

    def test_not_while_its_cluster_is_known_not_to_answer(self, world: World, given_up: Search) -> None:
        world.clusters.unreachable(CLUSTER, ago(100), "no answer")
        assert self.lose(world, given_up) == ""
        assert self.row(world, given_up) == given_up
        world.clusters.seen(CLUSTER, ago(0))
        assert self.lose(world, given_up) == "lost"

    @pytest.mark.parametrize("change", [{"phase": Phase.COMPLETED}, {"run": 7}, {"phase": Phase.CANCELLING}])
    def test_a_search_that_has_moved_on_is_left_alone(self, world: World, given_up: Search, change: Json) -> None:
        moved = replace(given_up, **change)
        world.searches.meanwhile = lambda: world.searches.put(moved)
        assert self.lose(world, given_up) == ""
        assert self.row(world, given_up).phase is moved.phase
        assert len(world.cluster.objects["jobs"]) == 2

    def test_the_retry_has_all_its_chances_again(self, world: World, given_up: Search) -> None:
        self.lose(world, given_up)
        again = world.searches.put(retried(self.row(world, given_up), ago(3000)))
        put_old_run(world, again, status="FAILED")
        assert self.lose(world, again) == "replaced"


class TestDiscovery:
    @pytest.fixture
    def asked(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """Names of the clusters that were asked; each has one search, one of them does not answer."""
        names: list[str] = []

        def discover(cluster: ClusterRef, orchestrations: DurableOrchestrations) -> int:
            names.append(cluster.cluster_name)
            if cluster == OTHER_CLUSTER:
                raise TransientError("arm_unavailable", "no answer")
            return 1

        monkeypatch.setattr(discovery, "discover", discover)
        return names

    def test_the_default_cluster_is_asked_although_nobody_submitted_to_it(self, world: World, asked: list[str]) -> None:
        fire("discover_external", world)
        assert asked == ["cluster"]

    def test_every_known_cluster_is_asked_once(self, world: World, asked: list[str]) -> None:
        world.clusters.remember(CLUSTER)
        world.clusters.remember(OTHER_CLUSTER)
        fire("discover_external", world)
        assert sorted(asked) == ["cluster", "other"]
        run = world.stats.runs["discover_external"]
        assert (run.failed, run.result) == (False, {"clusters": 2, "found": 1, "failed": 1})


class TestPurge:
    NOW = datetime(2026, 5, 20, 3, 10, tzinfo=UTC)

    @pytest.fixture(autouse=True)
    def at_ten_past_three(self, world: World) -> None:
        world.clock = world.durable.clock = lambda: self.NOW

    def put_history(self, world: World, instance: str, days: float, status: str = "COMPLETED") -> None:
        """An orchestration that was created so many days ago; it runs when its status is empty."""
        world.durable.started[instance] = "any_orchestrator", {}
        world.durable.created[instance] = world.durable.updated[instance] = self.NOW - timedelta(days=days)
        if status:
            world.durable.ended[instance] = status

    def test_histories_past_their_time_go(self, world: World) -> None:
        for status in ("COMPLETED", "FAILED", "TERMINATED", ""):
            self.put_history(world, f"old {status}", 7.01, status)
            self.put_history(world, f"young {status}", 6.99, status)
        fire("purge_history", world)
        kept = {"young COMPLETED", "young FAILED", "young TERMINATED", "young ", "old "}
        assert set(world.durable.started) == kept
        assert world.stats.runs["purge_history"].result["histories"] == 3

    def test_none_of_an_active_search_goes_however_old_it_is(self, world: World) -> None:
        put_search(world, phase=Phase.CANCELLING, created_at=self.NOW - timedelta(days=20))
        self.put_history(world, "before it", 20.01)
        self.put_history(world, "perhaps its own", 19.99, "FAILED")
        fire("purge_history", world)
        assert set(world.durable.started) == {"perhaps its own"}

    def test_statistics_past_their_time_go(self, world: World) -> None:
        for days in (1.9, 2.2):
            world.stats.add(submitted(f"job {days}", self.NOW - timedelta(days=days)))
        fire("purge_history", world)
        assert [name for _, name in world.stats.entries] == [submitted("job 1.9", self.NOW).key]

    def test_payloads_of_searches_that_are_gone_go(self, world: World) -> None:
        def own_id(hours: float) -> str:
            at = self.NOW - timedelta(hours=hours)
            return new_job_id(int(at.timestamp() * 1000), bytes(10))

        there = put_search(world, own_id(50)).job_id
        names = [f"{name}/payload-1.json" for name in (there, own_id(30), own_id(23.9), "of-others")]
        names += [f"{own_id(30)}/payload-2.json", LEFT_OVER_BLOB]
        for name in names:
            world.store.blobs[STATE_CONTAINER, name] = b"{}"
        fire("purge_history", world)
        left = {name for container, name in world.store.blobs if container == STATE_CONTAINER}
        assert left == set(names) - {names[1], names[4]}
        assert world.stats.runs["purge_history"].result["payloads"] == 2

    def test_one_duty_that_fails_keeps_no_other_from_being_done(self, world: World) -> None:
        world.durable.failing = grpc.StatusCode.UNAVAILABLE
        world.stats.add(submitted("job", self.NOW - timedelta(days=9)))
        with pytest.raises(ElbError):
            fire("purge_history", world)
        run = world.stats.runs["purge_history"]
        assert run.failed
        done = {"results": 0, "stats": 1, "payloads": 0, "uploads": 0}
        assert run.result == done | {"error": "durable_unavailable"}

    def test_a_store_that_does_not_answer_loses_no_payload(self, world: World) -> None:
        job = new_job_id(1, bytes(10))
        world.store.blobs[STATE_CONTAINER, f"{job}/payload-1.json"] = b"{}"
        world.searches.failing = DOWN
        with pytest.raises(TransientError):
            fire("purge_history", world)
        assert (STATE_CONTAINER, f"{job}/payload-1.json") in world.store.blobs


class TestServe:
    def test_what_is_begun_comes_to_its_end_and_the_rest_is_left(self) -> None:
        seconds = iter([0.0, 1.0, 2.0, 3.0])
        done: list[str] = []
        budget = turns.Budget(2.0, lambda: next(seconds))
        assert turns.serve("abcde", done.append, parallel=1, budget=budget) == ["c", "d", "e"]
        assert done == ["a", "b"]

    def test_an_error_is_raised_after_everybody_was_served(self) -> None:
        done: list[int] = []

        def work(number: int) -> None:
            done.append(number)
            if number == 1:
                raise NotFoundError("gone", "it is gone")

        with pytest.raises(NotFoundError):
            turns.serve(range(5), work, parallel=1, budget=turns.Budget(1, lambda: 0))
        assert done == [0, 1, 2, 3, 4]

    def test_so_many_at_a_time(self) -> None:
        meeting = threading.Barrier(3)
        met: list[int] = []
        turns.serve(range(6), lambda _: met.append(meeting.wait(10)), parallel=3, budget=turns.Budget(1, lambda: 0))
        assert sorted(met) == [0, 0, 1, 1, 2, 2]


def test_auto_warm_says_that_it_ran(world: World) -> None:
    fire("reconcile_auto_warm", world)
    assert world.stats.runs["reconcile_auto_warm"].result["clusters"] == 1
