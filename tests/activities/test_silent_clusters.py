"""What a look leaves that could not be taken: rows that say that they are old, an end only when it is certain."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from shared.clients import observer
from shared.domain.errors import ElbError, NotFoundError, PermanentError, TransientError
from shared.domain.failures import Failure
from shared.domain.schedule import as_of
from shared.domain.search import Search
from shared.domain.states import Phase
from tests.activities.fakes import World
from tests.activities.test_observation import lists, look, row
from tests.activities.worlds import CLUSTER, ago, put_job, put_running_search


def shown(world: World, search: Search) -> Search:
    """The search as a list shows it now."""
    return as_of(row(world, search), world.clusters.read(CLUSTER), world.now())


class TestUnreachable:
    ERRORS: tuple[ElbError, ...] = (
        TransientError("kube_unreachable", "the cluster did not answer"),
        TransientError("kube_denied", "403"),
        PermanentError("kube_refused", "400"),
        NotFoundError("cluster_not_found", "there is no cluster"),
    )

    @pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.code)
    @pytest.mark.parametrize("kind", ["jobs", "pods"])
    def test_no_state_changes_but_every_row_says_that_it_is_old_and_why(
        self, world: World, kind: str, error: ElbError
    ) -> None:
        searches = [put_running_search(world, number, phase=Phase.SUBMITTED) for number in (1, 2)]
        world.cluster.fail("list", kind, error)
        assert look(world, searches[0]) == {"state": "active"}
        for before in searches:
            assert row(world, before) == before, "nothing is written into the rows"
            assert shown(world, before).stale_reason == error.message
        assert world.durable.woken == []

    def test_the_first_success_makes_them_fresh_again(self, world: World) -> None:
        search = put_running_search(world)
        world.cluster.fail("list", "jobs", self.ERRORS[0])
        look(world, search)
        world.cluster.errors.clear()
        world.clusters.set(CLUSTER, observed_at=ago(10))
        look(world, search)
        after = shown(world, search)
        assert after.stale_reason is None
        assert after.observed_at is not None

    def test_an_episode_is_one_line_in_the_log_and_its_end_another(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO", "elb")
        search = put_running_search(world)
        world.cluster.fail("list", "jobs", self.ERRORS[0])
        for _ in range(4):
            world.clusters.set(CLUSTER, observed_at=ago(20))
            look(world, search)
        assert lists(world) == 4
        world.cluster.errors.clear()
        for _ in range(2):
            world.clusters.set(CLUSTER, observed_at=ago(20))
            look(world, search)
        events = [json.loads(record.message)["event"] for record in caplog.records]
        assert [e for e in events if "reachable" in e] == ["cluster_unreachable", "cluster_reachable_again"]

    @pytest.mark.parametrize(("since", "age", "looks"), [(200, 9.9, 0), (200, 10, 1), (400, 59, 0), (400, 60, 1)])
    @pytest.mark.parametrize("follow_up", [False, True])
    @pytest.mark.proves("T5", "N4")
    def test_it_gets_single_probes(self, world: World, since: float, age: float, looks: int, follow_up: bool) -> None:
        search = put_running_search(world)
        world.cluster.fail("list", "jobs", self.ERRORS[0])
        world.clusters.set(CLUSTER, observed_at=ago(age), unreachable_since=ago(since))
        world.clusters.request_wake(CLUSTER, ago(0))
        look(world, search, follow_up=follow_up)
        assert lists(world) == looks

    def test_a_server_that_is_busy_for_a_moment_is_asked_once_more(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One 500 or 429 must not leave everybody without news for ten seconds."""
        search = put_running_search(world, jobs=1)
        put_job(world, search, 0, "succeeded")
        world.cluster.fail("list", "jobs", TransientError("kube_busy", "429"))
        monkeypatch.setattr(observer, "sleep", lambda seconds: world.cluster.errors.clear())
        assert look(world, search) == {"state": "done"}

    def test_it_is_not_asked_more_often_for_it(self, world: World) -> None:
        search = put_running_search(world)
        world.cluster.fail("list", "jobs", self.ERRORS[0])
        for _ in range(5):
            look(world, search)
        assert lists(world) == 1


class TestCertainEnd:
    """A cluster that does not answer, and of which Azure says for certain that it will not."""

    SILENT = TransientError("kube_unreachable", "the cluster did not answer")

    @pytest.fixture(autouse=True)
    def silent(self, world: World) -> None:
        world.cluster.fail("list", "jobs", self.SILENT)

    def deleted(self, world: World) -> None:
        """The cluster is not there any more."""
        world.arm.failing = NotFoundError("cluster_not_found", "there is no cluster")

    def stopped(self, world: World) -> None:
        """Somebody stopped the cluster."""
        world.arm.power = "Stopped"

    @pytest.mark.parametrize("end", ["deleted", "stopped"])
    @pytest.mark.parametrize("phase", [Phase.CREATING, Phase.SUBMITTED, Phase.RUNNING])
    def test_a_search_on_it_fails_and_says_why(self, world: World, end: str, phase: Phase) -> None:
        search = put_running_search(world, phase=phase)
        getattr(self, end)(world)
        seen = look(world, search)
        assert (seen["state"], seen["error"]["code"]) == ("failed", f"cluster_{end}")
        assert seen["error"]["hint"]
        assert row(world, search).phase is phase, "its own orchestration writes the end"

    @pytest.mark.parametrize("end", ["deleted", "stopped"])
    def test_the_monitors_of_the_others_are_woken_to_ask_for_themselves(self, world: World, end: str) -> None:
        own, other = put_running_search(world), put_running_search(world, 2, run=3)
        getattr(self, end)(world)
        look(world, own)
        assert world.durable.woken == [f"monitor-{other.job_id}-3"]
        assert look(world, other)["error"]["code"] == f"cluster_{end}"

    def test_one_that_is_not_watched_is_only_said_to_be_old(self, world: World) -> None:
        own, exporting = put_running_search(world), put_running_search(world, 2, phase=Phase.EXPORTING)
        self.stopped(world)
        look(world, own)
        assert shown(world, exporting).stale_reason == self.SILENT.message
        assert world.durable.woken == []

    @pytest.mark.parametrize("power", ["Running", ""])
    @pytest.mark.parametrize("provisioning", ["Succeeded", "Starting", "Stopping", "Failed", "Updating"])
    def test_while_it_may_come_back_nothing_ends(self, world: World, power: str, provisioning: str) -> None:
        search = put_running_search(world)
        world.arm.power, world.arm.provisioning = power, provisioning
        assert look(world, search) == {"state": "active"}
        assert shown(world, search).stale_reason == self.SILENT.message

    @pytest.mark.parametrize(
        "error", [TransientError("arm_unavailable", "503"), PermanentError("arm_denied", "403")], ids=lambda e: e.code
    )
    def test_an_azure_that_does_not_tell_ends_nothing(self, world: World, error: ElbError) -> None:
        search = put_running_search(world)
        world.arm.failing = error
        assert look(world, search) == {"state": "active"}

    def test_azure_is_not_asked_about_a_cluster_that_answers(self, world: World) -> None:
        world.cluster.errors.clear()
        self.deleted(world)
        assert look(world, put_running_search(world)) == {"state": "active"}


class TestNotConfirmed:
    """A failure that must be seen twice is not confirmed by a cluster that does not answer any more."""

    def search_without_a_place(self, world: World) -> Search:
        search = put_running_search(world, jobs=1, phase=Phase.SUBMITTED)
        failure = Failure("cannot_be_scheduled", "no node takes it", "scale the pool", "j", "", None)
        return world.searches.put(
            replace(search, outcome="failed", outcome_at=ago(300), failure=failure.to_dict(), seen_digest="x")
        )

    def test_by_a_look_that_fails(self, world: World) -> None:
        search = self.search_without_a_place(world)
        world.cluster.fail("list", "jobs", TestUnreachable.ERRORS[0])
        assert look(world, search) == {"state": "active"}
        assert lists(world) == 1

    def test_by_a_look_of_before(self, world: World) -> None:
        search = self.search_without_a_place(world)
        world.clusters.set(CLUSTER, observed_at=ago(1), seen_at=ago(299))
        assert look(world, search) == {"state": "active"}

    def test_but_by_one_of_a_minute_later(self, world: World) -> None:
        search = self.search_without_a_place(world)
        world.clusters.set(CLUSTER, observed_at=ago(1), seen_at=ago(1))
        assert look(world, search)["error"]["code"] == "cannot_be_scheduled"


def test_a_look_that_hung_says_nothing_of_a_cluster_that_has_answered_since(world: World) -> None:
    search = put_running_search(world)
    world.cluster.before_list = lambda: world.clusters.seen(CLUSTER, world.now())  # another host's look
    world.cluster.fail("list", "pods", TestUnreachable.ERRORS[0])
    look(world, search)
    assert lists(world) == 1
    assert world.clusters.read(CLUSTER).unreachable_since is None
