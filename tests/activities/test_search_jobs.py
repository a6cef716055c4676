"""Making and removing the Jobs of a search: bounded, the same every time, never somebody else's, never half a set."""

from __future__ import annotations

import gzip
import json
import threading
from dataclasses import replace
from typing import Any

import pytest

from activities.registry import errors_as_data
from activities.results import merge_search_batch
from activities.search_jobs import create_search_jobs, stop_search_jobs
from shared.clients.jobs import PARALLEL_JOBS
from shared.clients.provider import use
from shared.domain.errors import PermanentError, TransientError
from shared.domain.results import DATABASES_CONTAINER, RESULTS_CONTAINER, piece_blob
from shared.domain.search import Search, fail, retried
from tests.activities.fakes import World
from tests.activities.worlds import (
    DB,
    Json,
    ago,
    hit,
    job_id,
    new_world,
    put_batches,
    put_database,
    put_job,
    put_piece,
    put_raw_piece,
    put_search,
    put_warm_cluster,
    ref,
    status_of,
)


@pytest.fixture
def search(world: World) -> Search:
    """A search of two batches on a warm cluster with two shards."""
    put_warm_cluster(world)
    return put_search(world, plan={"batches": 2, "sequences": 3})


def own_jobs(world: World) -> list[str]:
    """Names of the search's Jobs; warmup Jobs are left out."""
    return [name for name in world.cluster.names("jobs") if not name.startswith("warm-")]


def layout_version(world: World) -> str:
    """The database version of the layout in storage."""
    return str(json.loads(world.store.read(DATABASES_CONTAINER, f"{DB}/shards/2.json"))["source_version"])


def row(world: World, search: Search) -> Search:
    """The search's row as it is now."""
    return world.searches.get(search.owner, search.job_id)


class TestCreating:
    @pytest.mark.proves("N15")
    @pytest.mark.parametrize(("setting", "seconds"), [({}, 3600), ({"ELB_JOB_TTL_SECONDS": "120"}, 120)])
    def test_each_is_kept_for_a_while_when_it_has_ended(self, setting: dict[str, str], seconds: int) -> None:
        world = new_world(**setting)
        with use(world):
            put_warm_cluster(world)
            create_search_jobs(ref(put_search(world, plan={"batches": 1, "sequences": 3})))
            kept = {world.cluster.objects["jobs"][name]["spec"]["ttlSecondsAfterFinished"] for name in own_jobs(world)}
        assert kept == {seconds}

    @pytest.mark.proves("S5")
    def test_batches_times_shards(self, world: World, search: Search) -> None:
        assert create_search_jobs(ref(search)) == {"jobs": 4}
        places = {
            (job["metadata"]["labels"]["batch"], job["metadata"]["labels"]["shard"])
            for job in map(world.cluster.objects["jobs"].get, own_jobs(world))
            if job is not None
        }
        assert places == {("000", "00"), ("000", "01"), ("001", "00"), ("001", "01")}

    def test_each_is_pinned_to_the_node_of_its_shard(self, world: World, search: Search) -> None:
        create_search_jobs(ref(search))
        for name in own_jobs(world):
            job = world.cluster.objects["jobs"][name]
            affinity = job["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]
            [term] = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
            wanted = {"00": "node-a", "01": "node-b"}[job["metadata"]["labels"]["shard"]]
            assert term["matchFields"][0]["values"] == [wanted]

    def test_a_pod_may_read_its_batch_and_write_its_piece_and_nothing_else(self, world: World, search: Search) -> None:
        create_search_jobs(ref(search))
        job = world.cluster.objects["jobs"][own_jobs(world)[0]]
        [container] = job["spec"]["template"]["spec"]["containers"]
        env = {item["name"]: item["value"] for item in container["env"]}
        assert "/queries/" in env["ELB_QUERY_URL"]
        assert "sp=r&" in env["ELB_QUERY_URL"]
        assert "/results/" in env["ELB_RESULT_URL"]
        assert "sp=cw&" in env["ELB_RESULT_URL"]
        assert env["ELB_CALLBACK_URL"] == f"http://localhost:7071/api/blast/jobs/{search.job_id}/notify"

    def test_the_row_learns_how_many_and_when(self, world: World, search: Search) -> None:
        create_search_jobs(ref(search))
        after = row(world, search)
        assert after.expected_jobs == 4
        assert after.jobs_created_at is not None
        assert after.plan["shards"] == 2
        assert after.plan["batches"] == 2
        assert after.plan["sequences_in_database"] == 10

    def test_when_is_kept_on_the_second_run(self, world: World, search: Search) -> None:
        create_search_jobs(ref(search))
        first = row(world, search)
        create_search_jobs(ref(search))
        assert row(world, search) == first

    @pytest.mark.proves("S5")
    def test_bounded_in_parallel(self, world: World, search: Search) -> None:
        """More than one at a time, and never more than the limit: as many as the limit meet inside the API server."""
        many = put_search(world, job_id(9), plan={"batches": 30, "sequences": 3})
        present, most, lock = 0, 0, threading.Lock()
        meeting = threading.Barrier(PARALLEL_JOBS)

        def inside(name: str) -> None:
            nonlocal present, most
            with lock:
                present += 1
                most = max(most, present)
            meeting.wait(timeout=20)  # 60 Jobs in three meetings: it breaks if fewer are ever in flight
            with lock:
                present -= 1

        world.cluster.on_create = inside
        assert create_search_jobs(ref(many)) == {"jobs": 3 * PARALLEL_JOBS}
        assert most == PARALLEL_JOBS == 20

    def test_how_many_is_kept_on_the_second_run(self, world: World, search: Search) -> None:
        """In a second attempt it finds pieces that the Jobs of its own first run have written meanwhile."""
        plan = {**search.plan, "shards": 2, "source_version": layout_version(world)}
        again = world.searches.put(replace(search, attempt=2, run=2, plan=plan))
        assert create_search_jobs(ref(again)) == {"jobs": 4}
        world.store.blobs[RESULTS_CONTAINER, piece_blob(search.job_id, 0, 0)] = b"x" * 100
        assert create_search_jobs(ref(again)) == {"jobs": 3}
        assert row(world, search).expected_jobs == 4

    def test_a_new_attempt_counts_anew(self, world: World, search: Search) -> None:
        create_search_jobs(ref(search))
        world.store.blobs[RESULTS_CONTAINER, piece_blob(search.job_id, 0, 0)] = b"x" * 100
        failed = fail(row(world, search), {"code": "x"}, ago(0))
        again = world.searches.put(retried(failed, ago(0)))
        assert create_search_jobs(ref(again)) == {"jobs": 3}
        assert row(world, search).expected_jobs == 3

    @pytest.mark.proves("X3")
    @pytest.mark.parametrize("damage", [b"<html>The proxy says no, at some length</html>", gzip.compress(b"no row\n")])
    def test_a_retry_makes_the_job_of_the_piece_that_was_not_valid_and_no_other(
        self, world: World, search: Search, damage: bytes
    ) -> None:
        create_search_jobs(ref(search))
        put_batches(world, search, [["q1", "q2"], ["q3"]])
        for batch, query in enumerate(("q1", "q3")):
            for shard in range(2):
                put_piece(world, search, batch, shard, [hit(query, "s")])
        put_raw_piece(world, search, 0, 1, damage)
        merged = [errors_as_data(merge_search_batch)(ref(search, batch=batch)) for batch in range(2)]
        assert [answer.get("error", {}).get("code") for answer in merged] == ["results_invalid", None]
        again = world.searches.put(retried(fail(row(world, search), merged[0]["error"], ago(0)), ago(0)))
        world.cluster.objects["jobs"] = {n: job for n, job in world.cluster.objects["jobs"].items() if "warm" in n}
        assert create_search_jobs(ref(again)) == {"jobs": 1}
        [made] = own_jobs(world)
        labels = world.cluster.objects["jobs"][made]["metadata"]["labels"]
        assert (labels["batch"], labels["shard"]) == ("000", "01")

    def test_a_database_that_cooled_meanwhile_is_tried_again(self, world: World, search: Search) -> None:
        world.cluster.objects["jobs"]["warm-db-01"]["status"] = status_of("running")
        with pytest.raises(TransientError, match="database_not_warm"):
            create_search_jobs(ref(search))
        assert own_jobs(world) == []

    def test_each_says_which_version_it_is_for(self, world: World, search: Search) -> None:
        create_search_jobs(ref(search))
        [container] = world.cluster.objects["jobs"][own_jobs(world)[0]]["spec"]["template"]["spec"]["containers"]
        env = {item["name"]: item["value"] for item in container["env"]}
        assert env["ELB_SOURCE_VERSION"] == layout_version(world)
        assert env["ELB_MARKER"] == f"/blast/blastdb/{DB}/.warm-02-00"

    @pytest.mark.proves("W9")
    def test_none_on_another_version_than_the_layout_s(self, world: World, search: Search) -> None:
        put_database(world, updated="2030-01-01")
        with pytest.raises(TransientError, match="database_changed"):
            create_search_jobs(ref(search))
        assert own_jobs(world) == []


@pytest.mark.proves("S5")
class TestConflicts:
    """409: ours already, ours but going, somebody else's."""

    @pytest.fixture
    def taken(self, world: World, search: Search) -> Json:
        """One of the names is taken: a Job of before."""
        create_search_jobs(ref(search))
        first, *others = own_jobs(world)
        for name in others:
            del world.cluster.objects["jobs"][name]
        return world.cluster.objects["jobs"][first]

    def test_our_own_job_is_success(self, world: World, search: Search, taken: Json) -> None:
        assert create_search_jobs(ref(search)) == {"jobs": 4}
        assert len(own_jobs(world)) == 4

    def test_one_that_is_being_deleted_is_waited_for(self, world: World, search: Search, taken: Json) -> None:
        taken["metadata"]["deletionTimestamp"] = ago(1).isoformat()
        with pytest.raises(TransientError, match="job_terminating"):
            create_search_jobs(ref(search))

    def test_one_that_has_gone_meanwhile_is_tried_again(self, world: World, search: Search, taken: Json) -> None:
        name = taken["metadata"]["name"]
        world.cluster.fail("get", name, _not_found(name))
        with pytest.raises(TransientError, match="job_terminating"):
            create_search_jobs(ref(search))

    def test_somebody_elses_is_a_permanent_error_and_stays(self, world: World, search: Search, taken: Json) -> None:
        taken["metadata"]["labels"]["elb-job-id"] = job_id(5)
        error = errors_as_data(create_search_jobs)(ref(search))["error"]
        assert error["code"] == "job_name_taken"
        assert own_jobs(world) == [taken["metadata"]["name"]]
        assert world.cluster.deleted.count(taken["metadata"]["name"]) == 0


def _not_found(name: str) -> Any:
    from shared.domain.errors import NotFoundError

    return NotFoundError("kube_not_found", f"jobs {name}: not found")


@pytest.mark.proves("S5")
class TestRefused:
    """422 or quota in the middle of the set."""

    @pytest.fixture
    def refused(self, world: World, search: Search) -> str:
        """The API server refuses the last Job of the set."""
        create_search_jobs(ref(search))
        names = own_jobs(world)
        for name in names:
            del world.cluster.objects["jobs"][name]
        world.searches.put(search)
        error = PermanentError("quota_refused", f"jobs {names[-1]}: exceeded quota: jobs, used: 3, limited: 3")
        world.cluster.fail("create", names[-1], error)
        return names[-1]

    def test_the_error_carries_the_api_servers_message(self, world: World, search: Search, refused: str) -> None:
        error = errors_as_data(create_search_jobs)(ref(search))["error"]
        assert error["code"] == "quota_refused"
        assert "exceeded quota: jobs, used: 3, limited: 3" in error["message"]

    def test_what_was_made_is_removed(self, world: World, search: Search, refused: str) -> None:
        errors_as_data(create_search_jobs)(ref(search))
        assert own_jobs(world) == []
        assert len(world.cluster.deleted) == 3

    def test_jobs_of_others_stay(self, world: World, search: Search, refused: str) -> None:
        other = put_job(world, put_search(world, job_id(5)), 0)
        errors_as_data(create_search_jobs)(ref(search))
        assert own_jobs(world) == [other["metadata"]["name"]]
        assert set(world.cluster.names("jobs")) > {"warm-db-00", "warm-db-01"}

    def test_the_row_does_not_say_that_jobs_were_created(self, world: World, search: Search, refused: str) -> None:
        errors_as_data(create_search_jobs)(ref(search))
        assert row(world, search).jobs_created_at is None
        assert row(world, search).expected_jobs is None

    def test_a_busy_api_server_leaves_what_is_made_for_the_next_try(self, world: World, search: Search) -> None:
        create_search_jobs(ref(search))
        last = own_jobs(world)[-1]
        del world.cluster.objects["jobs"][last]
        world.cluster.fail("create", last, TransientError("kube_busy", "429"))
        with pytest.raises(TransientError):
            create_search_jobs(ref(search))
        assert len(own_jobs(world)) == 3
        world.cluster.errors.clear()
        create_search_jobs(ref(search))
        assert len(own_jobs(world)) == 4


class TestStopping:
    def test_the_command_lines_jobs_are_found_by_the_id_that_it_uses(self, world: World) -> None:
        alias = f"job-{77:032x}"
        search = put_search(world, engine="cli", aliases=(alias,))
        other = put_search(world, job_id(5))
        for owner, name in ((alias, "own"), (other.job_id, "others")):
            labels = {"app": "blast", "elb-job-id": owner}
            metadata = {"name": name, "labels": labels, "creationTimestamp": ago(60).isoformat()}
            world.cluster.put("jobs", {"metadata": metadata, "spec": {}, "status": status_of("running")})
        assert stop_search_jobs(ref(search)) == {"deleted": 1}
        assert world.cluster.names("jobs") == ["others"]

    def test_what_still_runs_is_removed_and_what_has_ended_stays(self, world: World, search: Search) -> None:
        jobs = [put_job(world, search, n, s) for n, s in enumerate(("pending", "running", "succeeded", "failed"))]
        assert stop_search_jobs(ref(search)) == {"deleted": 2}
        assert own_jobs(world) == sorted(job["metadata"]["name"] for job in jobs[2:])

    def test_those_of_another_attempt_stay(self, world: World, search: Search) -> None:
        other = put_job(world, search, 0, "running")
        again = world.searches.put(replace(search, attempt=2, run=2))
        own = put_job(world, again, 0, "running")
        assert stop_search_jobs(ref(search)) == {"deleted": 0}
        assert stop_search_jobs(ref(again)) == {"deleted": 1}
        assert own_jobs(world) == [other["metadata"]["name"]]
        assert own["metadata"]["name"] in world.cluster.deleted

    def test_jobs_of_others_stay(self, world: World, search: Search) -> None:
        other = put_job(world, put_search(world, job_id(5)), 0, "running")
        assert stop_search_jobs(ref(search)) == {"deleted": 0}
        assert own_jobs(world) == [other["metadata"]["name"]]
