"""Searches begun outside, through the clients: found by a look, given a row and an orchestration once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest

from shared.clients import registration
from shared.clients.discovery import OLDEST_LOOK, discover
from shared.clients.observer import look_at_cluster, take_snapshot
from shared.clients.orchestrations import DurableOrchestrations
from shared.clients.registration import RememberedJobs, register_unknown
from shared.clients.starting import EXTERNAL_DEADLINE_SECONDS
from shared.domain.errors import NotFoundError, TransientError
from shared.domain.manifests import MANAGED_BY
from shared.domain.search import ClusterRef, Search
from shared.domain.snapshot import JobView, read_job
from shared.domain.states import Phase
from tests.activities.external_worlds import ID, put_outside, put_pod_of
from tests.activities.fakes import World
from tests.activities.worlds import CLUSTER, OTHER_CLUSTER, ago, put_running_search, put_search
from triggers.start import start_missing


@pytest.fixture
def remembered() -> RememberedJobs:
    """A cache of the test's own."""
    return RememberedJobs()


@pytest.fixture
def register(world: World, remembered: RememberedJobs) -> Callable[[], int]:
    """Look, and register what was seen."""

    def look(cluster: ClusterRef = CLUSTER) -> int:
        active = [search for search in world.searches.unfinished(cluster.key) if search.is_active]
        orchestrations = DurableOrchestrations(world.durable)
        return register_unknown(take_snapshot(cluster), cluster, orchestrations, active, remembered)

    return look


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of what the registration logs."""
    names: list[str] = []
    monkeypatch.setattr(registration, "log_event", lambda name, **fields: names.append(name))
    return names


def outside(world: World, job_id: str = ID) -> Search:
    """The search's row."""
    return world.searches.find(job_id)


@pytest.mark.proves("F7")
class TestFound:
    def test_it_gets_a_row_an_orchestration_and_an_event(self, world: World, register: Callable[[], int]) -> None:
        put_outside(world)
        assert register() == 1
        row = outside(world)
        assert (row.job_id, row.owner, row.engine, row.source) == (ID, "dev@localhost", "external", "external")
        assert (row.program, row.database, row.phase) == ("blastn", "nt", Phase.SUBMITTED)
        assert (row.progress.total, row.cluster) == (1, CLUSTER)
        assert [(event.kind, event.who, event.why) for event in world.events.events[ID]] == [
            ("registered", "system", "begun outside")
        ]
        (entry,) = world.stats.entries.values()
        assert (entry.kind, ID in entry.key) == ("registered", False)
        name, data = world.durable.started[f"external-{ID}"]
        assert name == "search_orchestrator"
        assert (data["job_id"], data["engine"], data["deadline_seconds"]) == (ID, "external", EXTERNAL_DEADLINE_SECONDS)

    def test_its_state_is_that_of_the_look_that_found_it(self, world: World, register: Callable[[], int]) -> None:
        job = put_outside(world, state="running")
        put_pod_of(world, job)
        put_outside(world, "blastn-2", state="succeeded")
        register()
        row = outside(world)
        assert row.phase is Phase.RUNNING
        assert (row.progress.total, row.progress.running, row.progress.succeeded) == (2, 1, 1)
        assert len(row.jobs) == 2

    def test_one_that_has_failed_already_says_so(self, world: World, register: Callable[[], int]) -> None:
        put_outside(world, state="failed")
        register()
        row = outside(world)
        assert (row.outcome, (row.failure or {}).get("job")) == ("failed", "blastn-batch-nt-job-000-1")

    def test_every_look_does_it(self, world: World) -> None:
        put_outside(world, uid="")
        seen = look_at_cluster(CLUSTER, DurableOrchestrations(world.durable))
        assert (seen.taken, seen.registered) == (True, 1)
        assert outside(world).job_id == ID

    def test_again_it_is_known(self, world: World, register: Callable[[], int]) -> None:
        put_outside(world)
        assert [register(), register()] == [1, 0]
        put_outside(world, "blastn-2")
        assert register() == 0
        assert len(world.searches.rows) == 1

    def test_the_product_s_own_are_not(self, world: World, register: Callable[[], int]) -> None:
        search = put_running_search(world)
        put_outside(world, job_id="of-another-instance", labels={"app.kubernetes.io/managed-by": MANAGED_BY})
        assert register() == 0
        assert list(world.searches.rows) == [(search.owner, search.job_id)]

    def test_jobs_that_carry_the_id_of_a_row_are_that_search_s(self, world: World, register: Callable[[], int]) -> None:
        ended = put_search(world, "ended-1", phase=Phase.COMPLETED)
        put_outside(world, "a", job_id=ended.job_id)
        active = put_running_search(world, 2, aliases=("alias-2",))
        put_outside(world, "b", job_id="alias-2")
        world.searches.add_alias(active.owner, active.job_id, "alias-3")
        put_outside(world, "c", job_id="alias-3")
        assert register() == 0

    @pytest.mark.parametrize(("seconds", "found"), [(14, 1), (16, 0)])
    def test_what_a_look_that_hung_saw_may_be_gone(
        self, world: World, remembered: RememberedJobs, seconds: float, found: int
    ) -> None:
        put_outside(world)
        old = replace(take_snapshot(CLUSTER), observed_at=ago(seconds))
        assert register_unknown(old, CLUSTER, DurableOrchestrations(world.durable), (), remembered) == found

    def test_its_owner_is_a_setting(self, world: World, register: Callable[[], int]) -> None:
        world.settings = replace(world.settings, external_owner="ops")
        put_outside(world)
        register()
        assert outside(world).owner == "ops"

    @pytest.mark.proves("T7")
    def test_another_id_of_its_jobs_leads_to_it(self, world: World, register: Callable[[], int]) -> None:
        put_pod_of(world, put_outside(world, job_id="label-1"), "env-1")
        register()
        assert outside(world, "env-1") == outside(world, "label-1")
        assert (outside(world, "env-1").job_id, outside(world, "env-1").aliases) == ("env-1", ("label-1",))

    @pytest.mark.proves("T7")
    @pytest.mark.parametrize("phase", [None, Phase.COMPLETED])
    def test_also_one_that_comes_later_with_a_pod(
        self, world: World, register: Callable[[], int], phase: Phase | None
    ) -> None:
        job = put_outside(world, job_id="label-1")
        register()
        if phase is not None:
            world.searches.put(replace(outside(world, "label-1"), phase=phase))
        put_pod_of(world, job, "env-1")
        assert [register(), register()] == [0, 0]
        assert outside(world, "env-1") == outside(world, "label-1")
        assert (outside(world, "env-1").job_id, outside(world, "env-1").aliases) == ("label-1", ("env-1",))

    def test_a_search_by_the_command_line_notes_its_alias_by_itself(
        self, world: World, register: Callable[[], int]
    ) -> None:
        search = put_search(world, "own-1", engine="cli", phase=Phase.RUNNING, jobs_created_at=ago(9))
        put_pod_of(world, put_outside(world, job_id="own-1"), "env-1")
        assert register() == 0
        assert world.searches.find("own-1") == search


class TestOnce:
    def test_two_hosts_at_once_make_one(self, world: World, register: Callable[[], int]) -> None:
        put_outside(world)
        snapshot, orchestrations = take_snapshot(CLUSTER), DurableOrchestrations(world.durable)
        later = replace(snapshot, observed_at=snapshot.observed_at + timedelta(seconds=1))
        counts = [register_unknown(s, CLUSTER, orchestrations, (), RememberedJobs()) for s in (snapshot, later)]
        assert counts == [1, 0]
        asked = {"find": 0}
        found = world.searches.find

        def find(job_id: str, owner: str | None = None) -> Search:
            asked["find"] += 1
            if asked["find"] == 1:
                raise NotFoundError("row_not_found", "the other host has not written it yet")
            return found(job_id, owner)

        world.searches.find = find  # type: ignore[method-assign]  # both asked before either wrote
        assert register_unknown(later, CLUSTER, orchestrations, (), RememberedJobs()) == 0
        assert (len(world.searches.rows), len(world.durable.started), len(world.events.events[ID])) == (1, 1, 1)

    def test_what_a_host_that_died_left_undone_is_done(self, world: World, register: Callable[[], int]) -> None:
        """Its row is there: the reconcile starts it, without asking for a query."""
        put_outside(world)
        world.durable.failing = grpc.StatusCode.UNAVAILABLE
        assert register() == 0
        assert outside(world).is_active
        world.durable.failing = None
        assert start_missing(outside(world), DurableOrchestrations(world.durable))
        assert world.store.blobs == {}

    def test_one_that_was_deleted_and_begun_again_is_found_again(
        self, world: World, register: Callable[[], int]
    ) -> None:
        put_outside(world)
        register()
        world.searches.delete(outside(world))
        assert register() == 0  # the same Jobs: they were seen before the deletion
        put_outside(world, uid="uid-new")
        assert register() == 1

    def test_an_id_that_is_a_search_of_another_cluster_is_left_to_it(
        self, world: World, register: Callable[[], int], events: list[str]
    ) -> None:
        put_search(world, ID, cluster=OTHER_CLUSTER)
        put_outside(world)
        assert [register(), register()] == [0, 0]
        assert outside(world).cluster == OTHER_CLUSTER
        assert events == ["external_id_taken"]


class TestCosts:
    def test_jobs_that_are_known_are_not_asked_for_again(self, world: World, register: Callable[[], int]) -> None:
        put_outside(world)
        world.searches.put(replace(put_search(world, ID), phase=Phase.COMPLETED))
        asked: list[str] = []
        found = world.searches.find

        def find(job_id: str, owner: str | None = None) -> Search:
            asked.append(job_id)
            return found(job_id, owner)

        world.searches.find = find  # type: ignore[method-assign]
        for _ in range(3):
            register()
        assert asked == [ID]
        put_outside(world, "blastn-2")
        register()
        assert asked == [ID, ID]

    def test_nor_are_those_of_an_active_search(self, world: World, register: Callable[[], int]) -> None:
        put_outside(world)
        put_search(world, ID, engine="external", phase=Phase.RUNNING)
        world.searches.find = None  # type: ignore[method-assign, assignment]  # whoever asks, fails
        assert register() == 0

    def test_it_forgets_the_oldest_and_after_an_hour_all(self, world: World) -> None:
        def views(*names: str) -> list[JobView]:
            return [read_job({"metadata": {"name": name, "uid": name}}) for name in names]

        now, ids = datetime(2030, 1, 1, tzinfo=UTC), frozenset({"x"})
        world.clock = lambda: now
        cache = RememberedJobs(most=2)
        cache.add(views("a", "b", "c"), ids)
        assert [cache.has_all(views(name), ids) for name in "abc"] == [False, True, True]
        assert not cache.has_all(views("a", "b"), ids)
        assert not cache.has_all(views("b"), ids | {"another"})
        now += timedelta(minutes=59, seconds=59)
        assert cache.has_all(views("b", "c"), ids)
        now += timedelta(seconds=1)
        assert not cache.has_all(views("b"), ids)

    def test_jobs_without_a_uid_are_not_remembered(self, world: World) -> None:
        cache = RememberedJobs()
        nameless = read_job({"metadata": {"name": "a"}})
        cache.add([nameless], frozenset())
        assert not cache.has_all([nameless], frozenset())


class TestTrouble:
    @pytest.mark.parametrize("code", ["state_unavailable", "row_contended"])
    def test_it_never_fails_the_look_and_the_next_look_does_it(
        self, world: World, register: Callable[[], int], events: list[str], code: str
    ) -> None:
        put_outside(world)
        snapshot, orchestrations = take_snapshot(CLUSTER), DurableOrchestrations(world.durable)
        world.searches.failing = TransientError(code, "no")
        assert register_unknown(snapshot, CLUSTER, orchestrations, (), RememberedJobs()) == 0
        assert events == ["discovery_failed"]
        world.searches.failing = None
        assert register() == 1

    def test_an_id_that_is_not_safe_is_told_once_and_never_used(
        self, world: World, register: Callable[[], int], events: list[str]
    ) -> None:
        job = put_outside(world)
        job["metadata"]["labels"].pop("elb-job-id")
        put_pod_of(world, job, "../job-1")
        assert [register(), register()] == [0, 0]
        assert (events, world.searches.rows) == (["external_id_refused"], {})


class TestWhileTheCommandLineSubmits:
    def put_submitting(self, world: World, **fields: Any) -> Search:
        return put_search(world, engine="cli", phase=Phase.SUBMITTING, created_at=ago(120), **fields)

    def test_new_jobs_may_be_its_own_and_wait(self, world: World, register: Callable[[], int]) -> None:
        search = self.put_submitting(world)
        put_outside(world)
        assert register() == 0
        world.searches.put(replace(search, jobs_created_at=ago(1)))
        assert register() == 1

    def test_its_alias_is_never_another_search(self, world: World, register: Callable[[], int]) -> None:
        search = self.put_submitting(world)
        put_outside(world)
        assert register() == 0
        world.searches.add_alias(search.owner, search.job_id, ID)
        world.searches.put(replace(search, jobs_created_at=ago(1), aliases=(ID,)))
        assert register() == 0

    def test_older_jobs_do_not_wait(self, world: World, register: Callable[[], int]) -> None:
        self.put_submitting(world)
        put_outside(world, creationTimestamp=ago(600).isoformat())
        assert register() == 1

    def test_its_row_counts_and_not_the_copy(self, world: World, remembered: RememberedJobs) -> None:
        behind = replace(self.put_submitting(world), phase=Phase.PREPARING)
        put_outside(world)
        snapshot, orchestrations = take_snapshot(CLUSTER), DurableOrchestrations(world.durable)
        assert register_unknown(snapshot, CLUSTER, orchestrations, [behind], remembered) == 0
        world.searches.delete(behind)
        assert register_unknown(snapshot, CLUSTER, orchestrations, [behind], remembered) == 1


class TestDiscover:
    """The timer's part: a look where nobody else takes one."""

    def run(self, world: World) -> int:
        return discover(CLUSTER, DurableOrchestrations(world.durable))

    def test_it_finds_what_was_begun_while_nobody_looked(self, world: World) -> None:
        put_outside(world, uid="")
        assert self.run(world) == 1
        assert outside(world).is_active

    def test_a_cluster_that_nobody_has_used_is_known_afterwards(self, world: World) -> None:
        self.run(world)
        assert world.clusters.rows[CLUSTER.key].seen_at is not None

    @pytest.mark.parametrize(("age", "lists"), [(0, 0), (OLDEST_LOOK - 1, 0), (OLDEST_LOOK + 1, 1)])
    def test_a_young_look_is_enough(self, world: World, age: float, lists: int) -> None:
        now = datetime(2030, 1, 1, tzinfo=UTC)
        world.clock = lambda: now
        self.run(world)
        now += timedelta(seconds=age)
        self.run(world)
        assert world.cluster.calls["list jobs"] == 1 + lists

    @pytest.mark.parametrize(
        ("provisioning", "power"), [("Succeeded", "Stopped"), ("Starting", "Running"), ("Deleting", "Running")]
    )
    def test_a_cluster_that_does_not_run_is_not_asked(self, world: World, provisioning: str, power: str) -> None:
        world.arm.provisioning, world.arm.power = provisioning, power
        assert self.run(world) == 0
        assert not world.cluster.calls

    def test_nor_is_one_that_is_gone(self, world: World) -> None:
        world.arm.failing = NotFoundError("cluster_not_found", "gone")
        assert self.run(world) == 0
        assert not world.cluster.calls

    def test_nor_while_azure_does_not_say(self, world: World) -> None:
        world.arm.failing = TransientError("arm_unavailable", "no")
        with pytest.raises(TransientError):
            self.run(world)
        assert not world.cluster.calls

    def test_azure_is_not_asked_for_nothing(self, world: World) -> None:
        self.run(world)
        world.arm.failing = TransientError("arm_unavailable", "no")
        assert self.run(world) == 0
