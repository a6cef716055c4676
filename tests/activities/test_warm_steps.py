"""Warming, step by step: who is at the database, leftovers, Rewarm, the probe, and incidents in the history."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest

from activities.warmup import (
    end_warmup,
    ensure_residency_probe,
    observe_warmup,
    plan_database_warmup,
    remove_warmup_leftovers,
)
from activities.warmup_jobs import create_warmup_job
from shared.clients.database_work import begin_release, join_warmup
from shared.clients.incident_log import history_key, read_incidents
from shared.clients.orchestrations import DurableOrchestrations
from shared.domain.errors import ConflictError, NotFoundError, PermanentError, TransientError
from shared.domain.residency import DatabaseResidency, NodeResidency, Residency, ShardResidency
from tests.activities.fakes import World
from tests.activities.worlds import (
    CLUSTER,
    DB,
    Json,
    ago,
    put_database,
    put_node,
    put_pod,
    put_warm_cluster,
    status_of,
    warmup_data,
)

REQUEST: Json = {"database": DB, "cluster": CLUSTER.to_dict(), "force": False, "instance": "warmup-1"}
INCIDENT = (
    'ELB_INCIDENT {"shard":"00","try":1,"cause":"download_failed","message":"cut","at":"2030-01-01T11:00:00.500Z"}'
)


def present(world: World, shard: int = 0) -> Json:
    """The Job of a shard as the API server has it."""
    return world.cluster.objects["jobs"][f"warm-{DB}-{shard:02d}"]


def with_uids(world: World) -> None:
    """What is on the cluster gets uids, as an API server gives them."""
    for name, job in world.cluster.objects["jobs"].items():
        job["metadata"]["uid"] = f"uid of {name}"


def made_anew(world: World) -> list[str]:
    """Plan a warmup and make its Jobs as the orchestration does; the names of those that are not as they were."""
    plan = plan_database_warmup(REQUEST)
    before = {name: job["metadata"]["uid"] for name, job in world.cluster.objects["jobs"].items()}
    common = {key: plan[key] for key in ("layout", "source_version")} | {"made_by": "warmup-1"}
    for shard, node in enumerate(plan["nodes"]):
        again = plan["force"] or shard in plan["again"]
        create_warmup_job(warmup_data(shard=shard, node=node, force=again, **common))
    after = world.cluster.objects["jobs"]
    return [name for name in sorted(after) if after[name]["metadata"].get("uid", "new") != before.get(name)]


class TestPlan:
    def test_it_joins_the_work_and_stays_in_it_until_the_end(self, world: World) -> None:
        put_database(world)
        put_node(world, "node-a")
        for _ in range(2):
            plan = plan_database_warmup(REQUEST)
        assert plan["steps"] == 2
        assert plan["history"] == history_key(CLUSTER, DB)
        assert set(world.clusters.work(CLUSTER, DB).warmups) == {"warmup-1"}
        for _ in range(2):
            end_warmup(REQUEST)
        assert world.clusters.works == {}

    def test_one_limit_for_each_shard(self, world: World) -> None:
        put_database(world)
        put_node(world, "node-a")
        plan = plan_database_warmup(REQUEST)
        assert len(plan["touch_limits"]) == len(plan["nodes"]) == 2
        assert all(limit >= 600 for limit in plan["touch_limits"])

    @pytest.mark.parametrize("trouble", ["unknown", "does not fit", "warm", "no answer"])
    def test_where_there_is_nothing_to_do_it_leaves_at_once(self, world: World, trouble: str) -> None:
        if trouble == "warm":
            put_warm_cluster(world)
        elif trouble != "unknown":
            put_database(world)
            put_node(world, "node-a", memory="1000")
        if trouble == "no answer":
            world.cluster.fail("list", "nodes", TransientError("kube_unreachable", "no answer"))
        if trouble == "warm":
            assert plan_database_warmup(REQUEST)["warm"]
        else:
            with pytest.raises((PermanentError, TransientError)):
                plan_database_warmup(REQUEST)
        assert world.clusters.works == {}

    def test_not_while_the_database_is_being_released(self, world: World) -> None:
        put_warm_cluster(world)
        begin_release(CLUSTER, DB, "release-1", {}, DurableOrchestrations(world.durable))
        with pytest.raises(ConflictError, match="operation_in_progress"):
            plan_database_warmup(REQUEST)
        assert world.clusters.work(CLUSTER, DB).release == "release-1"

    def test_two_warmups_share_the_database(self, world: World) -> None:
        put_database(world)
        put_node(world, "node-a")
        plan_database_warmup(REQUEST)
        plan_database_warmup(REQUEST | {"instance": "warmup-2"})
        end_warmup(REQUEST)
        assert set(world.clusters.work(CLUSTER, DB).warmups) == {"warmup-2"}

    @pytest.mark.proves("W6")
    def test_only_the_shards_of_a_lost_node_are_made_anew(self, world: World) -> None:
        put_warm_cluster(world)
        with_uids(world)
        del world.cluster.objects["nodes"]["node-b"]
        put_node(world, "node-c")
        assert made_anew(world) == ["warm-db-01"]

    def test_of_a_node_that_was_away_for_a_moment_nothing_is(self, world: World) -> None:
        put_warm_cluster(world)
        with_uids(world)
        put_node(world, "node-b", ready=False)
        plan = plan_database_warmup(REQUEST)
        put_node(world, "node-b")
        assert (plan["force"], plan["again"]) == (False, [])
        assert plan_database_warmup(REQUEST) == {"warm": True, "layout": 2}

    def test_only_the_missing_job_is_made(self, world: World) -> None:
        put_warm_cluster(world)
        with_uids(world)
        del world.cluster.objects["jobs"]["warm-db-00"]
        assert made_anew(world) == ["warm-db-00"]

    @pytest.mark.proves("W6")
    def test_only_the_shard_that_has_cooled_is_touched_again(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put_warm_cluster(world)
        with_uids(world)
        at = world.now() + timedelta(hours=1)
        version = present(world)["metadata"]["annotations"]["elb-control/source-version"]
        measured = {
            node: NodeResidency(at, {DB: DatabaseResidency(9, n, {(2, shard): ShardResidency(9, n, 0, version, at)})})
            for shard, (node, n) in enumerate({"node-a": 9, "node-b": 1}.items())
        }
        monkeypatch.setattr("activities.warmup.read_residency", lambda _: Residency(measured))
        assert made_anew(world) == ["warm-db-01"]


@pytest.mark.proves("W2")
class TestLeftovers:
    DATA: Json = REQUEST | {"layout": 2, "source_version": "v1"}

    def test_jobs_of_another_layout_or_version_and_legacy_daemon_sets(self, world: World) -> None:
        put_database(world)
        put_database(world, shards=4)
        create_warmup_job(warmup_data())
        create_warmup_job(warmup_data(shard=1, source_version="v0"))
        create_warmup_job(warmup_data(shard=3, layout=4))
        for name, db in (("warmup-db", DB), ("warmup-other", "other")):
            metadata = {"name": name, "labels": {"app": "db-warmup", "db": db}}
            world.cluster.put("daemonsets", {"metadata": metadata})
        deleted = remove_warmup_leftovers(self.DATA)["deleted"]
        assert deleted == ["warmup-db", "warm-db-01", "warm-db-03"]
        assert world.cluster.names("jobs") == ["warm-db-00"]
        assert world.cluster.names("daemonsets") == ["warmup-other"]
        assert remove_warmup_leftovers(self.DATA) == {"deleted": []}


@pytest.mark.proves("W6")
class TestRewarm:
    FORCED: Json = warmup_data(force=True, made_by="warmup-1")

    @pytest.fixture(autouse=True)
    def at_work(self, world: World) -> None:  # it is the world's row that says so
        """Two warmups are at the database."""
        for instance in ("warmup-1", "warmup-2"):
            join_warmup(CLUSTER, DB, instance)

    def test_one_that_was_thrown_out_makes_nothing(self, world: World) -> None:
        put_database(world)
        begin_release(CLUSTER, DB, "release-1", {"force": True}, DurableOrchestrations(world.durable))
        with pytest.raises(ConflictError, match="warmup_removed"):
            create_warmup_job(self.FORCED)
        assert world.cluster.names("jobs") == []

    @pytest.mark.parametrize("left", ["nothing", "a Job of before"])
    def test_one_that_is_thrown_out_while_it_makes_a_job_takes_it_away(self, world: World, left: str) -> None:
        """The release has looked already, so that it would never see this Job."""
        put_database(world)
        if left != "nothing":
            create_warmup_job(warmup_data())
        orchestrations = DurableOrchestrations(world.durable)
        begin = partial(begin_release, CLUSTER, DB, "release-1", {"force": True}, orchestrations)
        world.cluster.meanwhile = begin
        with pytest.raises(ConflictError, match="warmup_removed"):
            create_warmup_job(self.FORCED)
        assert world.cluster.names("jobs") == []

    def test_one_that_died_before_it_looked_again_takes_its_job_away_when_redelivered(self, world: World) -> None:
        put_database(world)
        create_warmup_job(self.FORCED)
        begin_release(CLUSTER, DB, "release-1", {"force": True}, DurableOrchestrations(world.durable))
        with pytest.raises(ConflictError, match="warmup_removed"):
            create_warmup_job(self.FORCED)
        assert world.cluster.names("jobs") == []

    def test_one_that_was_thrown_out_leaves_the_jobs_of_others(self, world: World) -> None:
        put_database(world)
        create_warmup_job(self.FORCED | {"made_by": "warmup-2"})
        begin_release(CLUSTER, DB, "release-1", {"force": True}, DurableOrchestrations(world.durable))
        with pytest.raises(ConflictError, match="warmup_removed"):
            create_warmup_job(self.FORCED)
        assert world.cluster.names("jobs") == ["warm-db-00"]

    def test_a_job_that_would_serve_is_made_anew(self, world: World) -> None:
        put_database(world)
        create_warmup_job(warmup_data())
        assert create_warmup_job(self.FORCED)["created"] is True
        assert present(world)["metadata"]["annotations"]["elb-control/made-by"] == "warmup-1"

    def test_redelivered_it_makes_one_set(self, world: World) -> None:
        put_database(world)
        create_warmup_job(warmup_data())
        create_warmup_job(self.FORCED)
        assert create_warmup_job(self.FORCED)["created"] is False
        assert world.cluster.deleted == ["warm-db-00"]

    def test_of_two_that_run_at_once_the_second_keeps_what_the_first_has_made(self, world: World) -> None:
        put_database(world)
        create_warmup_job(warmup_data())
        with_uids(world)
        # While this run is about to delete the old Job, the other one has deleted it and made its own.
        old = world.cluster.objects["jobs"]

        def other_run() -> None:
            old.pop("warm-db-00")
            create_warmup_job(self.FORCED)
            present(world)["metadata"]["uid"] = "new"

        real = world.cluster.delete
        calls: list[str] = []

        def delete(kind: str, name: str, uid: str = "") -> None:
            if not calls:
                calls.append(name)
                other_run()
            real(kind, name, uid)

        world.cluster.delete = delete  # type: ignore[method-assign]
        create_warmup_job(self.FORCED)
        assert present(world)["metadata"]["uid"] == "new"
        assert world.cluster.deleted == []

    def test_another_rewarm_is_another_one(self, world: World) -> None:
        put_database(world)
        create_warmup_job(self.FORCED)
        create_warmup_job(self.FORCED | {"made_by": "warmup-2"})
        assert present(world)["metadata"]["annotations"]["elb-control/made-by"] == "warmup-2"

    def test_one_that_does_not_go_is_left_to_the_retry(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("activities.warmup_jobs.GOING_SECONDS", 0.0)
        put_database(world)
        create_warmup_job(warmup_data())
        present(world)["metadata"] |= {"deletionTimestamp": ago(1).isoformat(), "uid": "old"}
        with pytest.raises(TransientError, match="job_terminating"):
            create_warmup_job(self.FORCED)

    def test_the_memory_limit_leaves_room_for_the_shard(self, world: World) -> None:
        put_database(world)
        create_warmup_job(self.FORCED | {"touch_limit_bytes": 12345})
        [container] = present(world)["spec"]["template"]["spec"]["containers"]
        assert int(container["resources"]["limits"]["memory"].removesuffix("Mi")) >= 4096
        assert {"name": "ELB_TOUCH_LIMIT_BYTES", "value": "12345"} in container["env"]


def test_the_probe_is_written_once(world: World) -> None:
    assert [ensure_residency_probe(REQUEST)["written"] for _ in range(2)] == [True, False]


@pytest.mark.proves("W4")
class TestIncidents:
    def observe(self, **fields: object) -> Json:
        """One look, which knows what the look before has seen."""
        return observe_warmup(REQUEST | {"source_version": None, "steps": 2} | fields)

    @pytest.fixture
    def pod(self, world: World) -> Json:
        """Of shard 0, running; its copy was cut once."""
        put_warm_cluster(world)
        job = present(world)
        job["status"], job["metadata"]["uid"] = status_of("running"), "u1"
        pod = put_pod(world, job, "Running")
        pod["metadata"]["creationTimestamp"] = ago(60).isoformat()
        world.cluster.logs[pod["metadata"]["name"]] = f"{INCIDENT}\n"
        return pod

    @pytest.mark.usefixtures("pod")
    def test_seen_twice_it_is_written_once(self, world: World) -> None:
        seen = self.observe()["seen"]
        self.observe()
        self.observe(seen=seen)
        assert read_incidents(history_key(CLUSTER, DB)) == [
            {
                "at": "2030-01-01T11:00:00.500Z",
                "shard": 0,
                "attempt": 1,
                "cause": "download_failed",
                "message": "cut",
            }
        ]
        assert len(world.events.events) == 1

    def test_a_pod_that_waits_for_its_image_is_told_once(self, world: World, pod: Json) -> None:
        world.cluster.logs.clear()
        pod["status"] = {
            "phase": "Pending",
            "containerStatuses": [{"name": "warmup", "state": {"waiting": {"reason": "ErrImagePull"}}}],
        }
        self.observe()
        pod["metadata"]["creationTimestamp"] = ago(50).isoformat()
        self.observe()
        assert [i["cause"] for i in read_incidents(history_key(CLUSTER, DB))] == ["image_pull_failed"]

    def test_a_pod_that_was_deleted_is_told(self, world: World, pod: Json) -> None:
        world.cluster.logs.clear()
        seen = self.observe()["seen"]
        del world.cluster.objects["pods"][pod["metadata"]["name"]]
        pod["metadata"]["name"] = "successor"
        world.cluster.put("pods", pod)
        self.observe(seen=seen)
        self.observe(seen=seen)
        assert [i["cause"] for i in read_incidents(history_key(CLUSTER, DB))] == ["pod_deleted"]

    @pytest.mark.usefixtures("pod")
    def test_a_pod_that_ended_is_read_once(self, world: World) -> None:
        world.cluster.objects["pods"][f"warm-{DB}-00-pod"]["status"]["phase"] = "Succeeded"
        present(world)["status"] = status_of("succeeded")
        seen = self.observe()["seen"]
        assert seen["read"] == [f"warm-{DB}-00-pod"]
        before = world.cluster.calls["log pods"]
        self.observe(seen=seen)
        assert world.cluster.calls["log pods"] == before

    @pytest.mark.usefixtures("pod")
    def test_nothing_is_asked_of_the_cluster_twice(self, world: World) -> None:
        world.cluster.calls.clear()
        self.observe()
        assert world.cluster.calls["list jobs"] == world.cluster.calls["list pods"] == 1
        assert world.cluster.calls["list nodes"] == world.cluster.calls["log pods"] == 1

    def test_a_look_that_fails_forgets_nothing(self, world: World) -> None:
        world.cluster.fail("list", "jobs", TransientError("kube_unreachable", "no answer"))
        seen = {"pods": {"warm-db-00": ["u1", "a"]}, "read": [], "lost": []}
        assert self.observe(seen=seen)["seen"] == seen

    def test_inputs_of_before_get_what_they_got(self, world: World, pod: Json) -> None:
        assert pod
        status = observe_warmup(REQUEST | {"source_version": None})
        assert "seen" not in status
        assert world.events.events == {}

    @pytest.mark.parametrize("known", [True, False])
    def test_a_firewall_has_its_subnet_named(self, world: World, pod: Json, known: bool) -> None:
        present(world)["status"] = status_of("failed")
        line = 'ELB_PHASE {"phase":"failed","message":"storage_firewall: no"}\n'
        world.cluster.logs[pod["metadata"]["name"]] = line
        world.arm.pools = [{"vnetSubnetID": "/subnets/nodes"}]
        world.arm.failing = None if known else NotFoundError("cluster_not_found", "gone")
        assert self.observe().get("subnet") == ("subnet /subnets/nodes" if known else None)


def test_a_claim_survives_somebody_who_writes_at_the_same_moment(world: World) -> None:
    world.clusters.meanwhile = lambda: join_warmup(CLUSTER, DB, "warmup-2")
    join_warmup(CLUSTER, DB, "warmup-1")
    assert set(world.clusters.work(CLUSTER, DB).warmups) == {"warmup-1", "warmup-2"}
