"""Taking a search apart: all of its own objects, nobody else's, and never "nothing left" without having looked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from activities.removal import (
    check_deletion,
    delete_search_blobs,
    delete_search_row,
    remove_search_objects,
    wake_waiting,
)
from shared.clients.provider import use
from shared.domain.errors import NotFoundError, TransientError
from shared.domain.history import Event
from shared.domain.search import Search
from shared.domain.states import Phase
from tests.activities.fakes import World
from tests.activities.worlds import (
    ago,
    job_id,
    new_world,
    put_finished_search,
    put_job,
    put_pod,
    put_running_search,
    put_search,
    ref,
)


def put_cancelled_search(world: World, number: int = 1, **fields: Any) -> Search:
    """A search with Jobs that is being cancelled."""
    return put_running_search(world, number, **({"phase": Phase.CANCELLING} | fields))


class TestObjects:
    def test_all_jobs_whatever_their_state(self, world: World) -> None:
        search = put_cancelled_search(world, jobs=4)
        for shard, state in enumerate(("pending", "running", "succeeded", "failed")):
            put_job(world, search, shard, state)
        assert remove_search_objects(ref(search)) == {"left": 4}
        assert world.cluster.names("jobs") == []
        assert remove_search_objects(ref(search)) == {"left": 0}

    def test_a_job_that_is_being_deleted_is_still_left(self, world: World) -> None:
        search = put_cancelled_search(world, jobs=1)
        put_job(world, search, 0, deletionTimestamp=ago(1).isoformat())
        assert remove_search_objects(ref(search)) == {"left": 1}
        assert world.cluster.deleted == []

    def test_a_pod_that_outlives_its_job_is_removed_too(self, world: World) -> None:
        search = put_cancelled_search(world, jobs=1)
        job = put_job(world, search, 0, "running")
        put_pod(world, job, "Running")
        del world.cluster.objects["jobs"][job["metadata"]["name"]]
        assert remove_search_objects(ref(search)) == {"left": 1}
        assert world.cluster.names("pods") == []

    def test_those_of_others_stay(self, world: World) -> None:
        search, other = put_cancelled_search(world), put_running_search(world, 2)
        helper = put_job(world, put_search(world, job_id(3)), 0)
        helper["metadata"]["labels"]["app"] = "elb-db-warmup"
        remove_search_objects(ref(search))
        assert {job["metadata"]["labels"]["elb-job-id"] for job in world.cluster.objects["jobs"].values()} == {
            other.job_id,
            job_id(3),
        }

    @pytest.mark.parametrize("kind", ["jobs", "pods"])
    def test_a_cluster_that_does_not_answer_is_not_empty(self, world: World, kind: str) -> None:
        search = put_cancelled_search(world)
        world.cluster.fail("list", kind, TransientError("kube_unreachable", "no answer"))
        with pytest.raises(TransientError):
            remove_search_objects(ref(search))

    def test_a_search_that_is_being_deleted_loses_them_too(self, world: World) -> None:
        assert remove_search_objects(ref(put_cancelled_search(world, phase=Phase.DELETING))) == {"left": 2}
        assert world.cluster.names("jobs") == []

    @pytest.mark.parametrize("phase", sorted(set(Phase) - {Phase.CANCELLING, Phase.DELETING}))
    def test_in_no_other_phase_is_anything_touched(self, world: World, phase: Phase) -> None:
        assert remove_search_objects(ref(put_cancelled_search(world, phase=phase))) == {"left": 0}
        assert len(world.cluster.names("jobs")) == 2
        assert not world.cluster.calls

    def test_nor_for_another_run(self, world: World) -> None:
        search = put_cancelled_search(world, run=2)
        assert remove_search_objects(ref(search, run=1)) == {"left": 0}
        assert len(world.cluster.names("jobs")) == 2

    def test_of_a_search_whose_row_is_gone_nothing_is_left(self, world: World) -> None:
        search = put_cancelled_search(world)
        world.searches.rows.clear()
        assert remove_search_objects(ref(search)) == {"left": 0}
        assert not world.cluster.calls

    def test_a_cluster_that_is_gone_has_nothing_left(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        def gone(cluster: Any) -> Any:
            raise NotFoundError("cluster_not_found", "there is no cluster")

        monkeypatch.setattr(world, "kube", gone)
        assert remove_search_objects(ref(put_cancelled_search(world))) == {"left": 0}

    def test_a_pod_that_comes_between_the_two_lists_counts(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """Jobs are listed first: whatever they make until the second list is seen there."""
        search = put_cancelled_search(world, jobs=1)
        list_jobs = world.cluster.jobs

        def jobs(selector: str) -> list[Any]:
            found = list_jobs(selector)
            put_pod(world, put_job(world, search, 0, "running"), "Running")
            return found

        monkeypatch.setattr(world.cluster, "jobs", jobs)
        assert remove_search_objects(ref(search)) == {"left": 2}


class TestDeletion:
    @pytest.mark.parametrize("phase", Phase)
    def test_only_a_search_that_has_ended_is_taken_apart(self, world: World, phase: Phase) -> None:
        ended = {Phase.COMPLETED, Phase.FAILED, Phase.CANCELLED, Phase.DELETING, Phase.DELETE_FAILED}
        search = put_search(world, phase=phase)
        assert check_deletion(ref(search)) == {"ready": phase in ended, "gone": False, "run": 1}

    def test_a_revival_before_the_end_of_a_cancel_is_told(self, world: World) -> None:
        assert check_deletion(ref(put_search(world, phase=Phase.CANCELLED, run=2), run=1))["run"] == 2

    def test_a_row_that_is_gone_is_no_hindrance(self, world: World) -> None:
        search = put_deleting_search(world)
        assert delete_search_row(ref(search)) == {"deleted": True}
        assert delete_search_row(ref(search)) == {"deleted": False}
        assert delete_search_blobs(ref(search)) == {"deleted": 0}
        assert check_deletion(ref(search)) == {"ready": False, "gone": True}

    def test_every_blob_of_the_search_and_none_of_another(self, world: World) -> None:
        search = put_deleting_search(world)
        other = {("results", f"{job_id(2)}/results.tsv"): b"x", ("queries", f"{job_id(2)}/query.fa"): b"x"}
        world.store.blobs |= other
        delete_search_blobs(ref(search))
        assert world.store.blobs == other

    @pytest.mark.parametrize("row", ["there", "gone"])
    def test_the_payloads_of_the_row_go_after_it(self, world: World, row: str) -> None:
        """Before it, a look at the search would find its row without its contents."""
        search = put_deleting_search(world)
        world.events.add(search.job_id, Event(ago(1), "submitted", "anna", "", 1))
        mine, other = ("elb-state", f"{search.job_id}/payload-1.json"), ("elb-state", f"{job_id(2)}/payload-1.json")
        world.store.blobs |= {mine: b"{}", other: b"{}"}
        delete_search_blobs(ref(search))
        assert mine in world.store.blobs
        if row == "gone":
            world.searches.rows.clear()
        delete_search_row(ref(search))
        assert mine not in world.store.blobs
        assert other in world.store.blobs
        assert world.events.events.keys() == (set() if row == "there" else {search.job_id})

    @pytest.mark.proves("X2")
    def test_a_row_that_cannot_be_deleted_keeps_its_payloads(self, world: World) -> None:
        search = put_deleting_search(world)
        world.store.blobs["elb-state", f"{search.job_id}/payload-1.json"] = b"{}"
        world.searches.failing = TransientError("state_unavailable", "no answer")
        with pytest.raises(TransientError):
            delete_search_row(ref(search))
        assert ("elb-state", f"{search.job_id}/payload-1.json") in world.store.blobs

    @pytest.mark.parametrize("phase", sorted(set(Phase) - {Phase.DELETING}))
    def test_only_a_search_that_is_being_deleted_loses_anything(self, world: World, phase: Phase) -> None:
        search = put_finished_search(world)
        search = world.searches.put(replace(search, phase=phase))
        before = dict(world.store.blobs)
        assert delete_search_blobs(ref(search)) == {"deleted": 0}
        assert delete_search_row(ref(search)) == {"deleted": False}
        assert world.store.blobs == before
        assert world.searches.get(search.owner, search.job_id) == search


def put_deleting_search(world: World) -> Search:
    """A search that had run to its end, and now is being deleted."""
    return world.searches.put(replace(put_finished_search(world), phase=Phase.DELETING))


class TestSlots:
    def test_those_that_wait_are_woken_when_a_slot_is_free(self) -> None:
        world = new_world(ELB_ACTIVE_SEARCHES="1")
        with use(world):
            done = put_search(world, phase=Phase.COMPLETED)
            waiting = {"phase": Phase.WAITING_FOR_CAPACITY, "checked_at": ago(30)}
            first = put_search(world, job_id(2), **waiting, created_at=ago(20), run=2)
            put_search(world, job_id(3), **waiting, created_at=ago(10))
            assert wake_waiting(ref(done), world.durable) == {"woken": 1}
            assert world.durable.woken == [f"{first.job_id}-2"]

    def test_one_that_has_not_asked_for_a_while_is_passed_over(self) -> None:
        """Its host is gone; the slot must not wait for it."""
        world = new_world(ELB_ACTIVE_SEARCHES="1")
        with use(world):
            done = put_search(world, phase=Phase.COMPLETED)
            waiting = Phase.WAITING_FOR_CAPACITY
            silent = put_search(world, job_id(2), phase=waiting, created_at=ago(900), checked_at=ago(91))
            asking = put_search(world, job_id(3), phase=waiting, created_at=ago(300), checked_at=ago(89))
            assert wake_waiting(ref(done), world.durable) == {"woken": 1}
            assert world.durable.woken == [asking.job_id]
            world.searches.put(replace(silent, checked_at=ago(1)))
            wake_waiting(ref(done), world.durable)
            assert world.durable.woken == [asking.job_id, silent.job_id]
