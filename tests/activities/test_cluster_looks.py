"""When a look at a cluster is taken, that one look serves all of its searches, and what a failed one leaves."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import grpc
import pytest

from activities.observation import observe_cluster
from shared.clients import observer
from shared.clients.observer import Look, look_at_cluster
from shared.clients.orchestrations import DurableOrchestrations
from shared.clients.single_flight import SingleFlight
from shared.domain.progress import Progress
from shared.domain.search import Search, fail, retried
from shared.domain.states import Phase
from tests.activities.fakes import World
from tests.activities.test_observation import lists, look, row
from tests.activities.worlds import CLUSTER, OTHER_CLUSTER, Json, ago, put_job, put_running_search, ref


def ask(world: World) -> Look:
    """Ask for a look as a list does."""
    return look_at_cluster(CLUSTER, DurableOrchestrations(world.durable))


@pytest.mark.proves("F2")
class TestThrottle:
    def test_a_fresh_row_means_no_list(self, world: World) -> None:
        search = put_running_search(world)
        world.clusters.set(CLUSTER, observed_at=ago(1))
        assert look(world, search) == {"state": "active"}
        assert not world.cluster.calls

    @pytest.mark.parametrize("age", [0.1, 4.9])
    def test_a_fresh_row_is_all_that_is_read(self, world: World, monkeypatch: pytest.MonkeyPatch, age: float) -> None:
        """The usual case, for every list and every monitor: the searches of the cluster are not even listed."""
        put_running_search(world)
        world.clusters.set(CLUSTER, observed_at=ago(age))

        def unfinished(cluster_key: str) -> list[Search]:
            raise AssertionError("the searches were read")

        monkeypatch.setattr(world.searches, "unfinished", unfinished)
        world.clusters.reads = 0
        assert not ask(world).taken
        assert world.clusters.reads == 1

    @pytest.mark.parametrize(
        ("phase", "age", "looks"),
        [
            (Phase.RUNNING, 4, 0),
            (Phase.RUNNING, 5.1, 1),
            (Phase.RESULTS_PENDING, 5.1, 1),
            (Phase.EXPORTING, 5.1, 1),
            (Phase.SUBMITTED, 5.1, 0),
            (Phase.SUBMITTED, 19, 0),
            (Phase.SUBMITTED, 20.1, 1),
            (Phase.CREATING, 20.1, 1),
        ],
    )
    def test_a_look_is_good_for_as_long_as_the_phase_says(
        self, world: World, phase: Phase, age: float, looks: int
    ) -> None:
        put_running_search(world, phase=phase)
        world.clusters.set(CLUSTER, observed_at=ago(age))
        ask(world)
        assert lists(world) == looks

    @pytest.mark.parametrize(("age", "looks"), [(9.4, 0), (9.6, 1)])
    def test_a_monitor_puts_up_with_a_look_as_old_as_its_own_interval(
        self, world: World, age: float, looks: int
    ) -> None:
        """So that many monitors, each in its turn, take no more looks than one."""
        search = put_running_search(world)
        world.clusters.set(CLUSTER, observed_at=ago(age))
        observe_cluster(ref(search, max_age=9.5), world.durable)
        assert lists(world) == looks

    def test_the_most_impatient_search_of_the_cluster_decides(self, world: World) -> None:
        put_running_search(world, phase=Phase.SUBMITTED)
        put_running_search(world, 2, phase=Phase.RUNNING)
        world.clusters.set(CLUSTER, observed_at=ago(6))
        ask(world)
        assert lists(world) == 1

    def test_a_search_of_another_cluster_does_not(self, world: World) -> None:
        put_running_search(world, phase=Phase.SUBMITTED)
        put_running_search(world, 2, phase=Phase.RUNNING, cluster=OTHER_CLUSTER)
        world.clusters.set(CLUSTER, observed_at=ago(6))
        ask(world)
        assert lists(world) == 0

    def test_a_wake_up_does_not_wait(self, world: World) -> None:
        search = put_running_search(world)
        world.clusters.set(CLUSTER, observed_at=ago(1))
        world.clusters.request_wake(CLUSTER, ago(0.2))
        look(world, search)
        assert lists(world) == 1

    def test_a_wake_up_of_before_the_last_look_is_served(self, world: World) -> None:
        search = put_running_search(world)
        world.clusters.set(CLUSTER, observed_at=ago(1), wake_requested_at=ago(2))
        look(world, search)
        assert lists(world) == 0

    def test_the_looks_after_a_wake_up_do_not_wait_either(self, world: World) -> None:
        search = put_running_search(world)
        world.clusters.set(CLUSTER, observed_at=ago(0.3))
        look(world, search, follow_up=True)
        assert lists(world) == 1

    def test_but_two_in_a_second_are_enough(self, world: World) -> None:
        search = put_running_search(world)
        for _ in range(10):
            look(world, search, follow_up=True)
        assert lists(world) == 2

    @pytest.mark.parametrize("looked_before", [False, True])
    def test_a_wake_up_that_comes_between_read_and_write_does_not_lose_the_look(
        self, world: World, looked_before: bool
    ) -> None:
        search = put_running_search(world)
        if looked_before:
            world.clusters.set(CLUSTER, observed_at=ago(30), previous_look_at=ago(60))
        world.clusters.meanwhile = lambda: world.clusters.request_wake(CLUSTER, datetime.now(UTC))
        look(world, search)
        assert lists(world) == 1

    def test_of_two_hosts_with_one_row_only_one_looks(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """The other one reads what the first one wrote."""
        search = put_running_search(world, jobs=1)
        put_job(world, search, 0, "succeeded")
        answers: list[Json] = []

        def other_host() -> None:
            with monkeypatch.context() as patch:
                patch.setattr(observer, "_FLIGHTS", SingleFlight())
                answers.append(look(world, search))

        world.clusters.meanwhile = other_host
        answers.append(look(world, search))
        assert lists(world) == 1
        assert answers == [{"state": "done"}, {"state": "done"}]


@pytest.mark.proves("F2")
class TestOneLookForAll:
    def test_every_active_search_of_the_cluster_is_written(self, world: World) -> None:
        searches = [put_running_search(world, number) for number in range(1, 6)]
        for search in searches:
            put_job(world, search, 1, "succeeded")
        look(world, searches[0])
        assert [row(world, search).progress.succeeded for search in searches] == [1] * 5
        assert world.cluster.calls == {"list jobs": 1, "list pods": 1}

    def test_searches_of_other_clusters_are_not(self, world: World) -> None:
        search, other = put_running_search(world), put_running_search(world, 2, cluster=OTHER_CLUSTER)
        look(world, search)
        assert row(world, other) == other

    def test_the_monitors_of_others_that_are_done_failed_or_lost_are_woken(self, world: World) -> None:
        own, done, failed, lost, busy = (put_running_search(world, number, jobs=1) for number in range(1, 6))
        for search in (own, done):
            put_job(world, search, 0, "succeeded")
        put_job(world, failed, 0, "failed")
        del world.cluster.objects["jobs"][put_job(world, lost, 0)["metadata"]["name"]]
        put_job(world, busy, 0, "running")
        look(world, own)
        assert sorted(world.durable.woken) == [f"monitor-{s.job_id}" for s in (done, failed, lost)]

    def test_a_second_runs_monitor_is_the_one_that_is_woken(self, world: World) -> None:
        own, done = put_running_search(world), put_running_search(world, 2, jobs=1, run=3)
        put_job(world, done, 0, "succeeded")
        look(world, own)
        assert world.durable.woken == [f"monitor-{done.job_id}-3"]

    def test_a_timers_look_wakes_all(self, world: World) -> None:
        done = put_running_search(world, jobs=1)
        put_job(world, done, 0, "succeeded")
        assert ask(world).taken
        assert world.durable.woken == [f"monitor-{done.job_id}"]

    @pytest.mark.parametrize("phase", [p for p in Phase if p not in (Phase.CREATING, Phase.SUBMITTED, Phase.RUNNING)])
    def test_only_a_search_that_is_watched_has_a_monitor_to_wake(self, world: World, phase: Phase) -> None:
        done = put_running_search(world, jobs=1, phase=phase)
        put_job(world, done, 0, "succeeded")
        ask(world)
        assert world.durable.woken == []

    def test_a_wake_that_fails_keeps_nobody_from_being_looked_at(self, world: World) -> None:
        own, first, last = (put_running_search(world, number, jobs=1) for number in range(1, 4))
        for search in (own, first, last):
            put_job(world, search, 0, "succeeded")
        world.durable.failing = grpc.StatusCode.UNAVAILABLE
        assert look(world, own) == {"state": "done"}
        assert [row(world, search).progress.succeeded for search in (own, first, last)] == [1, 1, 1]

    def test_a_late_snapshot_does_not_overwrite_a_newer_one(self, world: World) -> None:
        """A host that was slow between its LIST and its write."""
        search = put_running_search(world, jobs=1)
        put_job(world, search, 0, "succeeded")
        newer = replace(search, observed_at=ago(-5), progress=Progress(total=1, running=1))
        world.searches.meanwhile = lambda: world.searches.put(newer)
        look(world, search)
        assert replace(row(world, search), etag="") == replace(newer, etag="")

    def test_nor_what_a_retry_has_begun_meanwhile(self, world: World) -> None:
        search = put_running_search(world, jobs=1)
        put_job(world, search, 0, "succeeded")
        again = retried(fail(search, {"code": "x"}, ago(1)), ago(0))
        world.searches.meanwhile = lambda: world.searches.put(again)
        look(world, search)
        assert replace(row(world, search), etag="") == replace(again, etag="")

    def test_a_search_that_is_being_deleted_is_left_alone(self, world: World) -> None:
        search = put_running_search(world, jobs=1, phase=Phase.DELETING)
        put_job(world, search, 0, "failed")
        ask(world)
        assert row(world, search) == search

    def test_a_search_that_ends_meanwhile_is_left_as_it_ended(self, world: World) -> None:
        search = put_running_search(world, jobs=1)
        put_job(world, search, 0, "failed")
        ended: list[Search] = []

        def end() -> None:
            ended.append(put_running_search(world, jobs=1, phase=Phase.COMPLETED, progress=search.progress))

        world.searches.meanwhile = end
        put_job(world, search, 0, "failed")
        look(world, search)
        assert row(world, search) == ended[0]
