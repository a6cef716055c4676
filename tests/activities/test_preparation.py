"""Before the Jobs: old Jobs out of the way, scripts in place, queries cut into batches."""

from __future__ import annotations

import gzip

import pytest

from activities.preparation import cleanup_stale_jobs, ensure_scripts, stage_queries
from shared.domain.errors import ConflictError, ElbError, NotFoundError, PermanentError, TransientError
from shared.domain.manifests import SCRIPTS_CONFIG_MAP, scripts_config_map
from shared.domain.states import Phase
from shared.scripts import load_scripts
from tests.activities.fakes import World
from tests.activities.worlds import (
    CLUSTER,
    JOB_ID,
    Json,
    ago,
    job_id,
    put_job,
    put_pod,
    put_running_search,
    put_search,
    ref,
)

HALF_AN_HOUR = 1800


@pytest.mark.proves("S4")
class TestStaleJobs:
    def old_job(self, world: World, state: str = "succeeded", age: float = HALF_AN_HOUR + 5, **labels: str) -> Json:
        """A Job of a search that nobody knows any more."""
        job = put_job(world, put_search(world, job_id(7), phase=Phase.COMPLETED), 0, state)
        job["metadata"]["creationTimestamp"] = ago(age).isoformat()
        job["metadata"]["labels"] |= labels
        return job

    def clean(self, world: World) -> list[str]:
        """Run it for a new search; what was deleted."""
        deleted = cleanup_stale_jobs(ref(put_search(world)))["deleted"]
        assert deleted == len(world.cluster.deleted)
        return world.cluster.deleted

    @pytest.mark.parametrize("app", ["blast", "submit", "setup", "finalizer"])
    @pytest.mark.parametrize("state", ["succeeded", "failed"])
    def test_old_ended_jobs_go(self, world: World, app: str, state: str) -> None:
        job = self.old_job(world, state, app=app)
        assert self.clean(world) == [job["metadata"]["name"]]

    @pytest.mark.parametrize(("age", "gone"), [(HALF_AN_HOUR - 5, 0), (HALF_AN_HOUR + 5, 1)])
    def test_only_those_older_than_half_an_hour(self, world: World, age: float, gone: int) -> None:
        self.old_job(world, age=age)
        assert len(self.clean(world)) == gone

    @pytest.mark.parametrize("app", ["elb-db-warmup", "elb-submit", "web"])
    def test_jobs_of_anything_else_stay(self, world: World, app: str) -> None:
        self.old_job(world, app=app)
        assert self.clean(world) == []

    def test_a_running_job_stays_whatever_its_age(self, world: World) -> None:
        self.old_job(world, "running", age=10 * HALF_AN_HOUR)
        assert self.clean(world) == []

    @pytest.mark.parametrize("phase", ["Pending", "Running", "Unknown"])
    def test_a_job_with_an_active_pod_stays(self, world: World, phase: str) -> None:
        put_pod(world, self.old_job(world), phase)
        assert self.clean(world) == []

    @pytest.mark.parametrize("time", ["", "yesterday", None])
    def test_an_unreadable_time_says_nothing_about_the_age(self, world: World, time: str | None) -> None:
        self.old_job(world)["metadata"]["creationTimestamp"] = time
        assert self.clean(world) == []

    def test_the_jobs_of_active_searches_stay(self, world: World) -> None:
        """Two submits at once do not touch each other, nor does a search that was revived touch its own."""
        other = put_running_search(world, 2, jobs=1)
        for job in (put_job(world, other, 0, "succeeded"), put_job(world, put_search(world), 0, "succeeded")):
            job["metadata"]["creationTimestamp"] = ago(10 * HALF_AN_HOUR).isoformat()
        assert self.clean(world) == []

    def test_also_those_that_carry_another_of_their_ids(self, world: World) -> None:
        """The command line labels its Jobs with an id of its own."""
        other = put_running_search(world, 2, jobs=0, engine="cli", aliases=("its-own-id",))
        job = put_job(world, other, 0, "succeeded")
        job["metadata"]["labels"]["elb-job-id"] = "its-own-id"
        job["metadata"]["creationTimestamp"] = ago(10 * HALF_AN_HOUR).isoformat()
        assert self.clean(world) == []

    @pytest.mark.parametrize("error", [TransientError("kube_busy", "429"), PermanentError("kube_denied", "403")])
    def test_one_that_cannot_be_deleted_keeps_nobody_waiting(self, world: World, error: ElbError) -> None:
        stuck = self.old_job(world)
        other = put_job(world, put_search(world, job_id(8), phase=Phase.FAILED), 0, "failed")
        other["metadata"]["creationTimestamp"] = ago(HALF_AN_HOUR + 5).isoformat()
        world.cluster.fail("delete", stuck["metadata"]["name"], error)
        assert self.clean(world) == [other["metadata"]["name"]]


class TestScripts:
    DATA = {"cluster": CLUSTER.to_dict()}  # noqa: RUF012

    def test_written_where_there_are_none(self, world: World) -> None:
        assert ensure_scripts(self.DATA) == {"written": True}
        assert set(world.cluster.objects["configmaps"][SCRIPTS_CONFIG_MAP]["data"]) == {
            "blast.sh",
            "clean.sh",
            "warm.sh",
        }

    def test_not_written_again_while_unchanged(self, world: World) -> None:
        ensure_scripts(self.DATA)
        world.cluster.calls.clear()
        assert ensure_scripts(self.DATA) == {"written": False}
        assert world.cluster.calls == {"get configmaps": 1}

    def test_replaced_when_they_changed(self, world: World) -> None:
        world.cluster.put("configmaps", scripts_config_map({"blast.sh": "old"}))
        assert ensure_scripts(self.DATA) == {"written": True}
        assert world.cluster.objects["configmaps"][SCRIPTS_CONFIG_MAP]["data"] == load_scripts()

    def test_one_without_our_annotation_is_replaced(self, world: World) -> None:
        world.cluster.put("configmaps", {"metadata": {"name": SCRIPTS_CONFIG_MAP}, "data": {}})
        assert ensure_scripts(self.DATA) == {"written": True}

    def test_two_at_once(self, world: World) -> None:
        answers = []
        world.cluster.meanwhile = lambda: answers.append(ensure_scripts(self.DATA))
        answers.append(ensure_scripts(self.DATA))
        assert answers == [{"written": True}, {"written": False}]

    @pytest.mark.parametrize(
        "error",
        [
            ConflictError("conflict", "the object has been modified"),
            NotFoundError("kube_not_found", "configmaps elb-control-scripts: not found"),
        ],
        ids=["changed", "removed"],
    )
    def test_somebody_elses_write_just_now_is_tried_again(self, world: World, error: ElbError) -> None:
        world.cluster.put("configmaps", scripts_config_map({"blast.sh": "old"}))
        world.cluster.fail("replace", "configmaps", error)
        with pytest.raises(TransientError) as caught:
            ensure_scripts(self.DATA)
        assert caught.value.code == error.code

    def test_elastic_blasts_own_scripts_are_not_touched(self, world: World) -> None:
        foreign = world.cluster.put("configmaps", {"metadata": {"name": "elb-scripts"}, "data": {"a": "b"}})
        ensure_scripts(self.DATA)
        assert world.cluster.objects["configmaps"]["elb-scripts"] == foreign


class TestQueries:
    def batches(self, world: World) -> list[bytes]:
        """Content of the batches in storage."""
        names = [item.name for item in world.store.listing("queries", f"{JOB_ID}/batch_")]
        assert names == [f"{JOB_ID}/batch_{n:03d}.fa.gz" for n in range(len(names))]
        return [gzip.decompress(world.store.read("queries", name)) for name in names]

    def test_cut_as_planned(self, world: World) -> None:
        plan = stage_queries(ref(put_search(world)))
        assert plan == {"batches": 2, "sequences": 3, "letters": 30}
        assert self.batches(world) == [b">q1\nACGTACGTAC\n>q2\nACGTACGTAC\n", b">q3\nACGTACGTAC\n"]

    @pytest.mark.parametrize(("batch_len", "batches"), [(9, 3), (10, 3), (19, 3), (20, 2), (29, 2), (30, 1), (31, 1)])
    def test_by_the_batch_length(self, world: World, batch_len: int, batches: int) -> None:
        search = put_search(world)
        search = put_search(world, query={**search.query, "batch_len": batch_len})
        assert stage_queries(ref(search))["batches"] == batches
        assert len(self.batches(world)) == batches

    def test_the_row_learns_the_plan_and_keeps_the_rest(self, world: World) -> None:
        search = put_search(world, plan={"of_before": 1})
        stage_queries(ref(search))
        plan = world.searches.get(search.owner, search.job_id).plan
        assert plan == {"of_before": 1, "batches": 2, "sequences": 3, "letters": 30}

    def test_the_same_bytes_each_time(self, world: World) -> None:
        search = put_search(world)
        stage_queries(ref(search))
        first = dict(world.store.blobs)
        stage_queries(ref(search))
        assert world.store.blobs == first

    def test_windows_line_ends_and_blank_lines(self, world: World) -> None:
        search = put_search(world)
        world.store.blobs["queries", str(search.query["blob"])] = b">q1\r\nACGT\r\n\r\nACGT\r\n"
        stage_queries(ref(search))
        assert self.batches(world) == [b">q1\nACGT\nACGT\n"]

    def test_a_query_that_is_gone_is_a_permanent_error(self, world: World) -> None:
        search = put_search(world)
        world.store.blobs.clear()
        with pytest.raises(PermanentError, match="blob_not_found"):
            stage_queries(ref(search))
