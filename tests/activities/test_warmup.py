"""Warming a database: plan before anything is created, one Job per shard, and how far it is."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from activities.warmup import observe_warmup, plan_database_warmup, prepare_shards
from activities.warmup_jobs import create_warmup_job
from shared.domain.errors import ConflictError, NotFoundError, PermanentError, TransientError
from shared.domain.states import Phase
from tests.activities.fakes import World
from tests.activities.worlds import (
    CLUSTER,
    DB,
    Json,
    ago,
    put_database,
    put_file,
    put_node,
    put_pod,
    put_search,
    put_warm_cluster,
    status_of,
    warmup_data,
)

REQUEST: Json = {"database": DB, "cluster": CLUSTER.to_dict(), "force": False}


def present(world: World, shard: int = 0) -> Json:
    """The Job of a shard as the API server has it."""
    return world.cluster.objects["jobs"][f"warm-{DB}-{shard:02d}"]


class TestPlan:
    def test_a_node_for_each_shard(self, world: World) -> None:
        put_database(world)
        put_node(world, "node-b")
        put_node(world, "node-a")
        plan = plan_database_warmup(REQUEST)
        assert (plan["layout"], plan["nodes"]) == (2, ["node-a", "node-b"])
        assert plan["source_version"].startswith("2024-05-24-")

    def test_nothing_is_created(self, world: World) -> None:
        put_database(world)
        put_node(world, "node-a")
        plan_database_warmup(REQUEST)
        assert world.cluster.names("jobs") == []

    def test_a_warm_database_needs_nothing(self, world: World) -> None:
        put_warm_cluster(world)
        assert plan_database_warmup(REQUEST) == {"warm": True, "layout": 2}

    def test_unless_it_is_forced(self, world: World) -> None:
        put_warm_cluster(world)
        assert plan_database_warmup(REQUEST | {"force": True})["nodes"] == ["node-a", "node-b"]

    @pytest.mark.proves("W9")
    def test_no_other_version_while_searches_read_the_one_on_the_nodes(self, world: World) -> None:
        put_warm_cluster(world, version="2020-01-01-00000000")
        search = put_search(world, phase=Phase.RUNNING)
        with pytest.raises(ConflictError, match=search.job_id) as raised:
            plan_database_warmup(REQUEST | {"instance": "warmup-x"})
        assert raised.value.code == "database_in_use"
        assert not world.clusters.work(CLUSTER, DB).warmups
        assert plan_database_warmup(REQUEST | {"force": True})["layout"] == 2
        world.searches.put(replace(search, phase=Phase.COMPLETED))
        assert plan_database_warmup(REQUEST)["layout"] == 2

    def test_the_same_version_may_be_brought_while_they_do(self, world: World) -> None:
        put_warm_cluster(world)
        put_search(world, phase=Phase.RUNNING)
        present(world, 0)["status"] = status_of("failed")
        assert plan_database_warmup(REQUEST)["layout"] == 2

    def test_a_shard_stays_on_its_node(self, world: World) -> None:
        put_warm_cluster(world)
        present(world, 0)["status"] = status_of("failed")
        put_node(world, "a-new-node")
        assert plan_database_warmup(REQUEST)["nodes"] == ["node-a", "node-b"]

    @pytest.mark.parametrize(
        ("trouble", "code"),
        [
            ("unknown", "unknown_database"),
            ("unprepared", "database_not_sharded"),
            ("no node", "no_nodes"),
            ("system nodes only", "no_nodes"),
            ("small nodes", "node_sku_too_small"),
            ("few nodes", "cluster_too_small"),
        ],
    )
    def test_what_cannot_be_warmed_says_why(self, world: World, trouble: str, code: str) -> None:
        if trouble != "unknown":
            put_database(world, shards=0 if trouble == "unprepared" else 2)
        if trouble != "no node":
            memory = {"small nodes": "1000", "few nodes": "1500"}.get(trouble, "8Gi")
            put_node(world, "node-a", memory=memory, pool="system" if trouble == "system nodes only" else "blast")
        with pytest.raises(PermanentError) as raised:
            plan_database_warmup(REQUEST)
        assert raised.value.code == code
        assert raised.value.hint
        assert world.cluster.names("jobs") == []


class TestJobs:
    @pytest.fixture(autouse=True)
    def database(self, world: World) -> None:
        put_database(world)

    def test_made_for_its_shard_and_node(self, world: World) -> None:
        assert create_warmup_job(warmup_data()) == {"job": "warm-db-00", "created": True}
        job = present(world)
        assert job["metadata"]["annotations"]["elb-control/source-version"] == "v1"
        [container] = job["spec"]["template"]["spec"]["containers"]
        env = {item["name"]: item["value"] for item in container["env"]}
        assert env["ELB_VOLUMES"] == "db.00 db.01"
        assert "sp=rl&" in env["ELB_SOURCE_URL"]

    def test_the_files_of_the_shard_and_its_alias_with_their_sizes(self, world: World) -> None:
        create_warmup_job(warmup_data(shard=1, node="node-b"))
        [container] = present(world, 1)["spec"]["template"]["spec"]["containers"]
        env = {item["name"]: item["value"] for item in container["env"]}
        *files, alias = env["ELB_FILES"].splitlines()
        assert files == [f"100 db.{volume}.{part}" for volume in ("02", "03") for part in ("nhr", "nin", "nsq")]
        size = len(world.store.read("blast-db", "db/db_02_01.nal"))
        assert alias == f"{size} db_02_01.nal"

    @pytest.mark.parametrize("state", ["pending", "running", "succeeded"])
    def test_a_job_that_serves_is_kept(self, world: World, state: str) -> None:
        create_warmup_job(warmup_data())
        present(world)["status"] = status_of(state)
        assert create_warmup_job(warmup_data()) == {"job": "warm-db-00", "created": False}
        assert world.cluster.deleted == []

    @pytest.mark.parametrize("other", ["version", "node", "failed"])
    def test_one_that_does_not_is_deleted_and_made_anew(self, world: World, other: str) -> None:
        create_warmup_job(warmup_data())
        if other == "failed":
            present(world)["status"] = status_of("failed")
        wanted = {"version": warmup_data(source_version="v2"), "node": warmup_data(node="node-b")}
        data = wanted.get(other, warmup_data())
        assert create_warmup_job(data)["created"] is True
        assert world.cluster.deleted == ["warm-db-00"]
        assert create_warmup_job(data)["created"] is False

    def test_one_of_another_layout_is_replaced_too(self, world: World) -> None:
        create_warmup_job(warmup_data())
        put_database(world, shards=4)
        assert create_warmup_job(warmup_data(layout=4))["created"] is True

    def test_one_that_is_being_deleted_is_waited_for_and_not_deleted_again(self, world: World) -> None:
        create_warmup_job(warmup_data())
        present(world)["metadata"]["deletionTimestamp"] = ago(1).isoformat()
        with pytest.raises(TransientError, match="job_terminating"):
            create_warmup_job(warmup_data())
        assert world.cluster.deleted == []

    def test_one_that_has_gone_meanwhile_is_tried_again(self, world: World) -> None:
        create_warmup_job(warmup_data())
        world.cluster.fail("get", "warm-db-00", NotFoundError("kube_not_found", "jobs warm-db-00: not found"))
        with pytest.raises(TransientError, match="job_terminating"):
            create_warmup_job(warmup_data())

    def test_a_layout_that_is_gone_is_a_permanent_error(self, world: World) -> None:
        with pytest.raises(NotFoundError, match="layout_not_found"):
            create_warmup_job(warmup_data(layout=3))


class TestProgress:
    def observe(self, **fields: object) -> Json:
        """How far it is."""
        return observe_warmup({**REQUEST, "source_version": None, **fields})

    def test_cold(self, world: World) -> None:
        assert self.observe()["status"] == "cold"

    def test_ready(self, world: World) -> None:
        put_warm_cluster(world)
        status = self.observe()
        assert (status["status"], status["progress_pct"], status["nodes_ready"]) == ("ready", 100.0, 2)

    def test_the_logs_of_all_shards_are_read(self, world: World) -> None:
        put_warm_cluster(world)
        for shard, done in ((0, 50), (1, 100)):
            job = present(world, shard)
            job["status"] = status_of("running")
            pod = put_pod(world, job, "Running")["metadata"]["name"]
            marker = json.dumps({"phase": "copying_files", "done": done, "total": 100})
            world.cluster.logs[pod] = f"ELB_PHASE {marker}\n"
        status = self.observe()
        assert (status["status"], status["active_phase"]) == ("loading", "copying_files")
        assert [shard["progress_pct"] for shard in status["pod_statuses"]] == [35.0, 70.0]

    @pytest.mark.proves("W9")
    def test_another_version_is_stale_not_warm(self, world: World) -> None:
        put_warm_cluster(world)
        assert self.observe(source_version="newer")["status"] == "stale"

    def test_a_failed_shard_is_failed(self, world: World) -> None:
        put_warm_cluster(world)
        present(world, 1)["status"] = status_of("failed")
        assert self.observe()["status"] == "failed"

    @pytest.mark.parametrize("what", ["jobs", "nodes"])
    def test_a_cluster_that_does_not_answer_is_unknown_never_cold(self, world: World, what: str) -> None:
        put_warm_cluster(world)
        world.cluster.fail("list", what, TransientError("kube_unreachable", "no answer"))
        assert self.observe() == {"status": "unknown", "stale": True, "stale_reason": "no answer"}


class TestShards:
    REQUEST = {"database": DB, "shards": 2, "storage_account": "store"}  # noqa: RUF012

    def test_aliases_first_and_the_layout_last(self, world: World) -> None:
        put_database(world, shards=0)
        layout = prepare_shards(self.REQUEST)
        assert (layout["shards"], layout["volumes"]) == (2, [2, 2])
        assert world.store.written == ["db/db_02_00.nal", "db/db_02_01.nal", "db/shards/2.json"]

    @pytest.mark.parametrize(("shards", "code"), [(0, "invalid_shards"), (5, "too_many_shards")])
    def test_more_shards_than_volumes_or_none(self, world: World, shards: int, code: str) -> None:
        put_database(world, shards=0)
        with pytest.raises(PermanentError, match=code):
            prepare_shards(self.REQUEST | {"shards": shards})
        assert world.store.written == []

    def test_an_incomplete_database_is_not_prepared(self, world: World) -> None:
        put_database(world, shards=0)
        put_file(world, DB, f"{DB}.05.nin", b"x")
        with pytest.raises(PermanentError, match="database_incomplete"):
            prepare_shards(self.REQUEST)
        assert world.store.written == []
