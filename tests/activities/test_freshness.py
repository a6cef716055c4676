"""What a list or a detail does before it answers: a look where one is due, within a budget, and never a failure."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from shared.clients import observer
from shared.clients.orchestrations import DurableOrchestrations
from shared.domain.errors import TransientError
from shared.domain.search import Search
from shared.domain.states import ON_THE_CLUSTER, Phase
from tests.activities.fakes import World
from tests.activities.test_observation import lists
from tests.activities.worlds import CLUSTER, OTHER_CLUSTER, ago, put_job, put_running_search
from triggers import freshness
from triggers.freshness import BUDGET_SECONDS, refreshed

SILENT = TransientError("kube_unreachable", "no route to host")


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    """No test knows of another's silent clusters, and none leaves a look behind."""
    freshness._SILENT.clear()
    yield
    freshness._SILENT.clear()


class Page:
    """A page of searches, which counts how often it is read."""

    def __init__(self, world: World, *searches: Search) -> None:
        self.world, self.searches, self.reads = world, searches, 0

    def read(self) -> list[Search]:
        self.reads += 1
        return [self.world.searches.get(s.owner, s.job_id) for s in self.searches]

    def shown(self) -> list[Search]:
        """The page as a list shows it now."""
        return refreshed(self.read(), DurableOrchestrations(self.world.durable), self.read)


@pytest.mark.proves("F1")
class TestFresh:
    def test_what_a_look_finds_is_in_this_very_answer(self, world: World) -> None:
        search = put_running_search(world, phase=Phase.SUBMITTED, jobs=2)
        put_job(world, search, 0, "succeeded")
        page = Page(world, search)
        [shown] = page.shown()
        assert (shown.phase, shown.progress.succeeded) == (Phase.RUNNING, 1)
        assert shown.observed_at is not None
        assert shown.stale_reason is None
        assert page.reads == 2

    def test_a_page_is_read_once_where_no_look_was_due(self, world: World) -> None:
        page = Page(world, put_running_search(world))
        world.clusters.set(CLUSTER, observed_at=ago(1), seen_at=ago(1))
        [shown] = page.shown()
        assert (page.reads, lists(world)) == (1, 0)
        assert shown.observed_at == world.clusters.read(CLUSTER).seen_at, "as of the last look, whoever took it"

    @pytest.mark.parametrize("phase", sorted(set(Phase) - ON_THE_CLUSTER))
    def test_nobody_is_asked_for_searches_that_are_not_on_a_cluster(self, world: World, phase: Phase) -> None:
        page = Page(world, put_running_search(world, phase=phase))
        world.clusters.reads = 0
        assert page.shown() == page.read()
        assert (world.clusters.reads, lists(world)) == (0, 0)

    def test_one_look_for_a_page_of_many(self, world: World) -> None:
        page = Page(world, *(put_running_search(world, number) for number in range(1, 30)))
        assert all(search.observed_at for search in page.shown())
        assert (page.reads, lists(world)) == (2, 1)


@pytest.mark.proves("F1", "T5")
class TestNotFresh:
    def test_a_cluster_that_refuses(self, world: World) -> None:
        search = put_running_search(world)
        world.cluster.fail("list", "jobs", SILENT)
        [shown] = Page(world, search).shown()
        assert (shown.stale_reason, shown.phase, shown.observed_at) == (SILENT.message, search.phase, None)

    def test_a_state_store_that_fails_during_the_look_does_not_fail_the_list(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        page = Page(world, put_running_search(world))

        def unfinished(cluster_key: str) -> list[Search]:
            raise TransientError("state_unavailable", "the state store did not serve index rows")

        monkeypatch.setattr(world.searches, "unfinished", unfinished)
        assert [s.stale_reason for s in page.shown()] == ["the state store did not serve index rows"]

    def test_a_page_that_cannot_be_read_again_is_shown_as_it_was(self, world: World) -> None:
        search = put_running_search(world)

        def read_again() -> list[Search]:
            raise TransientError("state_unavailable", "the state store did not serve searches")

        [shown] = refreshed([search], DurableOrchestrations(world.durable), read_again)
        assert lists(world) == 1
        assert (shown.job_id, shown.stale_reason) == (search.job_id, "the state store did not serve searches")

    @pytest.mark.proves("N6")
    def test_one_that_hangs_holds_up_the_list_for_the_budget_and_no_longer(self, world: World) -> None:
        gate = threading.Event()
        hanging, other = put_running_search(world), put_running_search(world, 2, cluster=OTHER_CLUSTER)
        world.clusters.set(OTHER_CLUSTER, observed_at=ago(1), seen_at=ago(1))
        world.cluster.before_list = lambda: gate.wait(30)
        try:
            began = time.monotonic()
            slow, fine = Page(world, hanging, other).shown()
            seconds = time.monotonic() - began
            assert seconds >= BUDGET_SECONDS
            assert slow.stale_reason == "no answer of the cluster within 1.5 s"
            assert fine.stale_reason is None
        finally:
            gate.set()
            finish_looks()
        assert Page(world, hanging).shown()[0].stale_reason is None, "the look that was late has come"

    def test_nobody_waits_for_a_cluster_that_is_known_to_be_silent(self, world: World) -> None:
        search = put_running_search(world)
        world.cluster.fail("list", "jobs", SILENT)
        Page(world, search).shown()
        gate = threading.Event()
        world.cluster.before_list = lambda: gate.wait(30)
        world.clusters.set(CLUSTER, observed_at=ago(11))
        try:
            [shown] = Page(world, search).shown()  # its probe hangs, and is waited for in the background
            assert shown.stale_reason == SILENT.message
            assert not gate.is_set()
        finally:
            gate.set()
            finish_looks()

    def test_many_requests_during_one_look_are_one_look(self, world: World) -> None:
        search = put_running_search(world, jobs=1)
        put_job(world, search, 0, "succeeded")
        gate, inside = threading.Event(), threading.Event()

        def slow() -> None:
            inside.set()
            gate.wait(30)

        world.cluster.before_list = slow
        answers: list[list[Search]] = []
        threads = [threading.Thread(target=lambda: answers.append(Page(world, search).shown())) for _ in range(50)]
        for thread in threads:
            thread.start()
        assert inside.wait(10)
        gate.set()
        for thread in threads:
            thread.join()
        assert lists(world) == 1
        assert [answer[0].progress.succeeded for answer in answers] == [1] * 50


def finish_looks() -> None:
    """Wait for the looks that are under way."""
    for future in list(observer._FLIGHTS._under_way.values()):
        future.result(30)


def test_what_is_shown_is_never_stored(world: World) -> None:
    search = put_running_search(world)
    world.cluster.fail("list", "jobs", SILENT)
    Page(world, search).shown()
    assert world.searches.get(search.owner, search.job_id) == replace(search, stale_reason=None)
