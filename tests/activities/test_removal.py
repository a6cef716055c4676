"""Taking a search apart: all of its own objects, nobody else's, and never "nothing left" without having looked."""

from __future__ import annotations

import pytest

from activities.removal import (
    check_deletion,
    delete_search_blobs,
    delete_search_row,
    remove_search_objects,
    wake_waiting,
)
from shared.clients.provider import use
from shared.domain.errors import TransientError
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


class TestObjects:
    def test_all_jobs_whatever_their_state(self, world: World) -> None:
        search = put_running_search(world, jobs=4)
        for shard, state in enumerate(("pending", "running", "succeeded", "failed")):
            put_job(world, search, shard, state)
        assert remove_search_objects(ref(search)) == {"left": 4}
        assert world.cluster.names("jobs") == []
        assert remove_search_objects(ref(search)) == {"left": 0}

    def test_a_job_that_is_being_deleted_is_still_left(self, world: World) -> None:
        search = put_running_search(world, jobs=1)
        put_job(world, search, 0, deletionTimestamp=ago(1).isoformat())
        assert remove_search_objects(ref(search)) == {"left": 1}
        assert world.cluster.deleted == []

    def test_a_pod_that_outlives_its_job_is_removed_too(self, world: World) -> None:
        search = put_running_search(world, jobs=1)
        job = put_job(world, search, 0, "running")
        put_pod(world, job, "Running")
        del world.cluster.objects["jobs"][job["metadata"]["name"]]
        assert remove_search_objects(ref(search)) == {"left": 1}
        assert world.cluster.names("pods") == []

    def test_those_of_others_stay(self, world: World) -> None:
        search, other = put_running_search(world), put_running_search(world, 2)
        helper = put_job(world, put_search(world, job_id(3)), 0)
        helper["metadata"]["labels"]["app"] = "elb-db-warmup"
        remove_search_objects(ref(search))
        assert {job["metadata"]["labels"]["elb-job-id"] for job in world.cluster.objects["jobs"].values()} == {
            other.job_id,
            job_id(3),
        }

    @pytest.mark.parametrize("kind", ["jobs", "pods"])
    def test_a_cluster_that_does_not_answer_is_not_empty(self, world: World, kind: str) -> None:
        search = put_running_search(world)
        world.cluster.fail("list", kind, TransientError("kube_unreachable", "no answer"))
        with pytest.raises(TransientError):
            remove_search_objects(ref(search))


class TestDeletion:
    @pytest.mark.parametrize("phase", Phase)
    def test_only_a_search_that_has_ended_is_taken_apart(self, world: World, phase: Phase) -> None:
        ended = {Phase.COMPLETED, Phase.FAILED, Phase.CANCELLED, Phase.DELETING, Phase.DELETE_FAILED}
        search = put_search(world, phase=phase)
        assert check_deletion(ref(search)) == {"ready": phase in ended}

    def test_a_row_that_is_gone_is_no_hindrance(self, world: World) -> None:
        search = put_search(world)
        assert delete_search_row(ref(search)) == {"deleted": True}
        assert delete_search_row(ref(search)) == {"deleted": False}
        assert check_deletion(ref(search)) == {"ready": True}

    def test_every_blob_of_the_search_and_none_of_another(self, world: World) -> None:
        search = put_finished_search(world)
        world.store.blobs["elb-state", f"{search.job_id}/payload-1.json"] = b"{}"
        other = {("results", f"{job_id(2)}/results.tsv"): b"x", ("queries", f"{job_id(2)}/query.fa"): b"x"}
        world.store.blobs |= other
        delete_search_blobs(ref(search))
        assert world.store.blobs == other


class TestSlots:
    def test_those_that_wait_are_woken_when_a_slot_is_free(self) -> None:
        world = new_world(ELB_ACTIVE_SEARCHES="1")
        with use(world):
            done = put_search(world, phase=Phase.COMPLETED)
            first = put_search(world, job_id(2), phase=Phase.WAITING_FOR_CAPACITY, created_at=ago(20), run=2)
            put_search(world, job_id(3), phase=Phase.WAITING_FOR_CAPACITY, created_at=ago(10))
            assert wake_waiting(ref(done), world.durable) == {"woken": 1}
            assert world.durable.woken == [f"{first.job_id}-2"]
