"""What the nodes' memory holds, and what is left of it."""

from __future__ import annotations

from typing import Any

import pytest

from shared.domain.capacity import (
    Holding,
    cluster_capacity,
    database_of,
    held_by_node,
    node_row,
    planning_views,
    read_holding,
    read_usage,
)
from shared.domain.residency import DatabaseResidency, NodeResidency, Residency, ShardResidency
from shared.domain.snapshot import JobState
from tests.unit.domain.objects import COMPLETE, FAILED, NOW, Json, job

GIB = 2**30


def warmup_job(
    *conditions: Json, shard: int = 0, node: str = "a", files: str = "600 db.00.nsq\n400 db.nal", **fields: Any
) -> Json:
    """A warmup Job as the product makes it."""
    made = job(
        f"warm-db-{shard:02d}",
        *conditions,
        app="elb-db-warmup",
        job_id=None,
        labels={"db": "db", "shard": f"{shard:02d}"},
        annotations={"elb-control/source-version": "v1", "elb-control/layout": "4"},
        node=node,
        **fields,
    )
    env = [{"name": "ELB_DB", "value": "db"}, {"name": "ELB_FILES", "value": files}]
    made["spec"]["template"]["spec"]["containers"] = [{"name": "warmup", "env": env}]
    return made


def holding(database: str, node: str, size: int, shard: int = 0, state: JobState = JobState.SUCCEEDED) -> Holding:
    return Holding(database, 2, shard, node, size, state)


def measured(**nodes: dict[str, int | None]) -> Residency:
    """Node -> database -> resident bytes."""
    return Residency(
        {
            node: NodeResidency(NOW, {name: DatabaseResidency(0, size) for name, size in found.items()})
            for node, found in nodes.items()
        }
    )


def node(name: str, memory: str = "2Gi", *, ready: bool = True, mode: str = "user") -> Json:
    labels = {
        "kubernetes.azure.com/agentpool": "pool",
        "kubernetes.azure.com/mode": mode,
        "node.kubernetes.io/instance-type": "Standard_E8s_v5",
    }
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": {},
        "status": {
            "capacity": {"memory": memory, "cpu": "8"},
            "allocatable": {"memory": "1Gi", "cpu": "7500m"},
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    }


class TestHolding:
    def test_what_a_job_brings(self) -> None:
        found = read_holding(warmup_job(COMPLETE, shard=3))
        assert found == Holding("db", 4, 3, "a", 1000, JobState.SUCCEEDED)

    @pytest.mark.parametrize(("conditions", "state"), [((), JobState.PENDING), ((COMPLETE,), JobState.SUCCEEDED)])
    def test_one_that_is_loading_will_need_its_room_too(self, conditions: tuple[Json, ...], state: JobState) -> None:
        found = read_holding(warmup_job(*conditions))
        assert found is not None
        assert found.state is state

    @pytest.mark.parametrize(
        "gone", [warmup_job(FAILED), warmup_job(COMPLETE, deleting=True), warmup_job(COMPLETE, node="")]
    )
    def test_what_holds_nothing(self, gone: Json) -> None:
        assert read_holding(gone) is None

    @pytest.mark.parametrize("files", ["", "x y", "-5 a", "\n\n"])
    def test_sizes_that_say_nothing(self, files: str) -> None:
        found = read_holding(warmup_job(files=files))
        assert found is not None
        assert found.bytes == 0

    def test_the_name_is_the_environments(self) -> None:
        """A label's value may be a short form of it."""
        made = warmup_job()
        made["metadata"]["labels"]["db"] = "short"
        assert database_of(made) == "db"
        made["spec"] = {}
        assert database_of(made) == "short"


class TestHeld:
    @pytest.mark.parametrize(
        ("holdings", "residency", "held"),
        [
            ([], Residency(), {}),
            ([holding("x", "a", 10)], Residency(), {"a": 10}),
            ([holding("x", "a", 10), holding("x", "a", 20, 1), holding("y", "a", 5)], Residency(), {"a": 35}),
            ([holding("x", "a", 10)], measured(a={"x": 4}), {"a": 10}),  # it will be loaded again
            ([holding("x", "a", 10)], measured(a={"x": 40}), {"a": 40}),  # of an earlier layout, say
            ([], measured(a={"x": 7}, b={"y": 8}), {}),  # released a moment ago
            ([holding("x", "a", 10)], measured(a={"x": None}, b={"x": 10}), {"a": 10}),
            ([holding("db", "a", 10), holding("x", "b", 3)], measured(a={"db": 99}, b={"x": 5}), {"b": 5}),
        ],
    )
    def test_the_larger_of_what_jobs_say_and_what_was_measured(
        self, holdings: list[Holding], residency: Residency, held: dict[str, int]
    ) -> None:
        assert held_by_node(holdings, residency, besides="db") == held

    def test_the_planner_sees_what_others_hold_and_not_the_database_itself(self) -> None:
        nodes = [node("a"), node("b")]
        holdings = [holding("db", "a", 100), holding("x", "a", 30), holding("x", "b", 40)]
        assert [v.held_bytes for v in planning_views(nodes, holdings, Residency(), "db")] == [30, 40]
        assert [v.budget_bytes for v in planning_views(nodes, holdings, Residency(), "x")] == [GIB - 100, GIB]


class TestNodes:
    def test_a_row(self) -> None:
        at = NOW
        shard = ShardResidency(100, 95, 0, "v1", at)
        residency = Residency({"a": NodeResidency(at, {"x": DatabaseResidency(100, 95, {(2, 0): shard})})})
        holdings = [holding("x", "a", 100), holding("y", "a", 50, 1, JobState.RUNNING), holding("x", "b", 100, 1)]
        assert node_row(node("a"), holdings, residency, GIB // 2) == {
            "name": "a",
            "pool": "pool",
            "sku": "Standard_E8s_v5",
            "ready": True,
            "schedulable": True,
            "holds_databases": True,
            "capacity": {"cpus": 8.0, "memory_bytes": 2 * GIB},
            "allocatable": {"cpus": 7.5, "memory_bytes": GIB},
            "memory_used_bytes": GIB // 2,
            "headroom_bytes": 2 * GIB - GIB // 2,
            "cache_budget_bytes": GIB,
            "cache_held_bytes": 150,
            "cache_free_bytes": GIB - 150,
            "resident_bytes": 95,
            "measured_at": "2026-03-04T12:00:00.000Z",
            "unmeasured_reason": None,
            "shards": [
                {"database": "x", "shards": 2, "shard": 0, "state": "warm", "bytes": 100, "resident_bytes": 95},
                {"database": "y", "shards": 2, "shard": 1, "state": "loading", "bytes": 50, "resident_bytes": None},
            ],
        }

    def test_what_is_not_known_is_not_nothing(self) -> None:
        row = node_row(node("a"), [], Residency(unknown={"a": "no measurement"}), None)
        assert (row["memory_used_bytes"], row["headroom_bytes"], row["resident_bytes"]) == (None, None, None)
        assert row["unmeasured_reason"] == "no measurement"

    @pytest.mark.parametrize("fields", [{"mode": "system"}, {"ready": False}])
    def test_a_node_that_holds_no_databases_has_no_budget(self, fields: Json) -> None:
        row = node_row(node("a", **fields), [], Residency(), 0)
        assert (row["holds_databases"], row["cache_budget_bytes"], row["cache_free_bytes"]) == (False, 0, 0)

    def test_more_in_use_than_there_is_leaves_no_headroom(self) -> None:
        assert node_row(node("a"), [], Residency(), 3 * GIB)["headroom_bytes"] == 0

    def test_usage_of_the_metrics(self) -> None:
        metrics = {"metadata": {"name": "a"}, "usage": {"cpu": "250m", "memory": "1536Mi"}}
        assert read_usage(metrics) == ("a", 1536 * 2**20)
        assert read_usage({"metadata": {"name": "a"}}) == ("a", 0)


class TestCluster:
    def capacity(self, used: dict[str, int], residency: Residency) -> Json:
        nodes = [node("a"), node("b", "4Gi"), node("c", ready=False), node("s", mode="system")]
        holdings = [holding("x", "a", 100), holding("x", "b", 50, 1)]
        rows = [node_row(n, holdings, residency, used.get(n["metadata"]["name"])) for n in nodes]
        return cluster_capacity(rows, nodes)

    def test_sums_of_the_nodes_that_may_hold_databases(self) -> None:
        assert self.capacity({"a": GIB, "b": GIB}, measured(a={"x": 90}, b={"x": 50})) == {
            "nodes": 4,
            "nodes_ready": 3,
            "nodes_for_databases": 2,
            "skus": {"Standard_E8s_v5": 2},
            "memory_bytes": 6 * GIB,
            "cache_budget_bytes": 3 * GIB,
            "cache_held_bytes": 150,
            "cache_free_bytes": 3 * GIB - 150,
            "headroom_bytes": 4 * GIB,
            "resident_bytes": 140,
        }

    def test_a_sum_with_an_unknown_node_is_unknown(self) -> None:
        found = self.capacity({"a": GIB}, measured(a={"x": 90}))
        assert (found["headroom_bytes"], found["resident_bytes"]) == (None, None)
