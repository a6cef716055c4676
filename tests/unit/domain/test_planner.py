"""Which shard goes where, and what is said when a database does not fit."""

from __future__ import annotations

from typing import Any

import pytest

from shared.domain.errors import PermanentError
from shared.domain.planner import (
    ALIAS_ROOM,
    Fit,
    NodeView,
    Verdict,
    WarmupPlan,
    candidates,
    fit_database,
    plan_warmup,
    read_node,
)
from shared.domain.quantities import parse_quantity

GIB = 2**30


def node(name: str, budget: int = 100, **fields: Any) -> NodeView:
    defaults: dict[str, Any] = {"ready": True, "schedulable": True, "system": False, "blast_pool": True}
    return NodeView(**{"name": name, "memory_bytes": 2 * budget, **defaults, **fields})


def nodes(count: int, budget: int = 100) -> list[NodeView]:
    return [node(f"n{index}", budget) for index in range(count)]


def places(plan: WarmupPlan) -> list[str]:
    return [shard.node for shard in plan.shards]


class TestQuantity:
    @pytest.mark.parametrize(
        ("text", "number"),
        [
            ("0", 0),
            ("1", 1),
            ("1.5", 1.5),
            (".5", 0.5),
            ("5.", 5),
            ("-1", -1),
            ("+2", 2),
            ("500m", 0.5),
            ("1n", 1e-9),
            ("250u", 0.00025),
            ("1k", 1000),
            ("2M", 2_000_000),
            ("3G", 3e9),
            ("4T", 4e12),
            ("5P", 5e15),
            ("6E", 6e18),
            ("1Ki", 1024),
            ("1Mi", 2**20),
            ("8Gi", 8 * GIB),
            ("1.5Gi", 1.5 * GIB),
            ("2Ti", 2 * 2**40),
            ("1Pi", 2**50),
            ("1Ei", 2**60),
            ("12e3", 12_000),
            ("12E3", 12_000),
            ("1e-3", 0.001),
            ("131481900Ki", 131_481_900 * 1024),
        ],
    )
    def test_what_it_says(self, text: str, number: float) -> None:
        assert parse_quantity(text) == number

    @pytest.mark.parametrize(
        "text", ["", "Gi", "1gi", "1 Gi", "1Kib", "one", "1,5", "1.2.3", "٣", "1e", "nan", "inf", "1\n"]
    )
    def test_what_says_nothing(self, text: str) -> None:
        with pytest.raises(ValueError, match="not a Kubernetes quantity"):
            parse_quantity(text)


class TestReadNode:
    def node(self, **changes: Any) -> NodeView:
        obj: dict[str, Any] = {
            "metadata": {"name": "n", "labels": {"kubernetes.azure.com/mode": "user", "workload": "blast"}},
            "spec": {"taints": [{"key": "workload", "value": "blast", "effect": "NoSchedule"}]},
            "status": {"capacity": {"memory": "64Gi"}, "conditions": [{"type": "Ready", "status": "True"}]},
        }
        for section, fields in changes.items():
            obj[section] = {**obj[section], **fields}
        return read_node(obj)

    def test_a_node_of_the_blast_pool(self) -> None:
        found = self.node()
        assert found == NodeView("n", 64 * GIB, ready=True, schedulable=True, system=False, blast_pool=True)
        assert found.is_candidate
        assert found.budget_bytes == 32 * GIB

    @pytest.mark.parametrize(
        "changes",
        [
            {"status": {"conditions": []}},
            {"status": {"conditions": [{"type": "Ready", "status": "False"}]}},
            {"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}},
            {"status": {"conditions": [{"type": "MemoryPressure", "status": "True"}]}},
            {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}},
            {"spec": {"unschedulable": True}},
            {"spec": {"taints": [{"key": "sku", "value": "gpu", "effect": "NoSchedule"}]}},
            {"spec": {"taints": [{"key": "workload", "value": "web", "effect": "NoSchedule"}]}},
            {"metadata": {"labels": {"kubernetes.azure.com/mode": "system"}}},
            {"metadata": {"labels": {"kubernetes.azure.com/mode": "System", "workload": "blast"}}},
        ],
    )
    def test_no_candidate(self, changes: dict[str, Any]) -> None:
        assert not self.node(**changes).is_candidate

    @pytest.mark.parametrize(
        "spec", [{"taints": []}, {"taints": None}, {"taints": [{"key": "x", "effect": "PreferNoSchedule"}]}]
    )
    def test_schedulable_still(self, spec: dict[str, Any]) -> None:
        assert self.node(spec=spec).is_candidate

    def test_a_bare_object(self) -> None:
        found = read_node({"metadata": {"name": "n"}})
        assert (found.memory_bytes, found.ready, found.budget_bytes) == (0, False, 0)

    def test_what_other_databases_hold_is_not_free(self) -> None:
        assert node("n", 100, held_bytes=30).budget_bytes == 70
        assert node("n", 100, held_bytes=130).budget_bytes == 0


class TestCandidates:
    def test_the_blast_pool_where_there_is_one(self) -> None:
        both = [node("b"), node("a"), node("other", blast_pool=False)]
        assert [n.name for n in candidates(both)] == ["a", "b"]

    def test_other_user_nodes_where_there_is_none(self) -> None:
        pool = [node("b", blast_pool=False), node("a", blast_pool=False), node("gone", ready=False)]
        assert [n.name for n in candidates(pool)] == ["a", "b"]

    @pytest.mark.parametrize("fields", [{"ready": False}, {"schedulable": False}, {"system": True}])
    def test_never_these(self, fields: dict[str, Any]) -> None:
        assert candidates([node("a", **fields)]) == ()


class TestLayout:
    LAYOUTS = {count: [240 // count] * count for count in (1, 2, 4, 8, 24)}  # noqa: RUF012

    @pytest.mark.parametrize(
        ("count", "budget", "layout"),
        [
            (1, 300, 1),  # one node holds it whole
            (2, 300, 2),  # a shard for each node
            (3, 130, 4),  # at least as many shards as nodes
            (3, 100, 8),  # 4 shards of 60 bytes would need 4 nodes
            (4, 100, 4),
            (5, 100, 8),
            (3, 80, 24),  # 8 shards of 30 bytes would lie 2 to a node: 6
            (8, 40, 8),
            (30, 300, 24),  # no layout has as many shards as nodes: the largest
        ],
    )
    def test_the_smallest_with_enough_shards_that_fits(self, count: int, budget: int, layout: int) -> None:
        plan = plan_warmup("db", self.LAYOUTS, nodes(count, budget))
        assert plan.layout == layout
        assert [shard.shard for shard in plan.shards] == list(range(layout))

    def test_nothing_prepared(self) -> None:
        with pytest.raises(PermanentError) as refused:
            plan_warmup("db", {}, nodes(1))
        assert refused.value.code == "database_not_sharded"
        assert "/api/blast/databases/db/shards" in refused.value.hint

    def test_as_plain_data(self) -> None:
        assert plan_warmup("db", {2: [1, 1]}, nodes(2)).to_dict() == {
            "layout": 2,
            "nodes": ["n0", "n1"],
            "touch_limits": [100 + ALIAS_ROOM, 100 + ALIAS_ROOM],
        }

    def test_the_one_in_use_stays_when_a_node_is_lost(self) -> None:
        """Without that, three nodes would take the layout of 3 and bring every shard anew."""
        layouts = {3: [30] * 3, 4: [30] * 4}
        before = {0: "n0", 1: "n1", 2: "n2", 3: "gone"}
        assert plan_warmup("db", layouts, nodes(3)).layout == 3
        plan = plan_warmup("db", layouts, nodes(3), before, in_use=4)
        assert (plan.layout, places(plan)[:3]) == (4, ["n0", "n1", "n2"])

    def test_the_one_in_use_gives_way_to_more_nodes_and_when_it_is_not_prepared_any_more(self) -> None:
        assert plan_warmup("db", {2: [30] * 2, 4: [15] * 4}, nodes(4), {0: "n0", 1: "n1"}, in_use=2).layout == 4
        assert plan_warmup("db", {2: [30] * 2}, nodes(2), {0: "n0"}, in_use=8).layout == 2

    def test_where_the_shards_of_another_layout_lie_says_nothing(self) -> None:
        before = {0: "n3", 1: "n2"}
        assert places(plan_warmup("db", {4: [10] * 4}, nodes(4), before, in_use=2)) == ["n0", "n1", "n2", "n3"]

    def test_a_shard_may_fill_what_its_node_has_left(self) -> None:
        pool = [node("a", 100), node("b", 100, held_bytes=30)]
        plan = plan_warmup("db", {3: [40, 40, 20]}, pool)
        limits = dict(zip(places(plan), plan.touch_limits, strict=True))
        assert places(plan) == ["a", "b", "a"]
        assert plan.touch_limits == (80 + ALIAS_ROOM, 70 + ALIAS_ROOM, 60 + ALIAS_ROOM), limits


class TestPlacement:
    def test_evenly(self) -> None:
        assert places(plan_warmup("db", {4: [10] * 4}, nodes(4))) == ["n0", "n1", "n2", "n3"]
        assert sorted(places(plan_warmup("db", {8: [10] * 8}, nodes(3)))) == ["n0"] * 3 + ["n1"] * 3 + ["n2"] * 2

    def test_never_on_a_system_node(self) -> None:
        pool = [node("a", system=True), node("b"), node("c", schedulable=False), node("d", ready=False)]
        assert places(plan_warmup("db", {2: [10, 10]}, pool)) == ["b", "b"]

    def test_survives_a_replaced_node(self) -> None:
        before = {0: "n0", 1: "gone", 2: "n2"}
        assert places(plan_warmup("db", {3: [10] * 3}, [node("n0"), node("n2"), node("new")], before)) == [
            "n0",
            "new",
            "n2",
        ]

    def test_survives_a_node_of_another_order(self) -> None:
        before = {0: "n2", 1: "n0", 2: "n1"}
        assert places(plan_warmup("db", {3: [10] * 3}, nodes(3), before)) == ["n2", "n0", "n1"]

    def test_a_shard_that_its_node_has_no_room_for_moves(self) -> None:
        pool = [node("n0", 100, held_bytes=95), node("n1")]
        assert places(plan_warmup("db", {2: [10, 10]}, pool, {0: "n0", 1: "n1"})) == ["n1", "n1"]

    def test_where_shards_lie_does_not_keep_the_others_out(self) -> None:
        plan = plan_warmup("db", {4: [60, 60, 40, 40]}, nodes(2), {2: "n0", 3: "n0"})
        assert sorted(places(plan)[:2]) == ["n0", "n1"]

    def test_the_largest_goes_where_it_fits(self) -> None:
        assert places(plan_warmup("db", {2: [10, 100]}, [node("a", 100), node("b", 10)])) == ["b", "a"]

    def test_a_layout_of_before_with_more_shards_does_no_harm(self) -> None:
        assert places(plan_warmup("db", {1: [10]}, nodes(1), {0: "n0", 5: "n0"})) == ["n0"]


class TestDoesNotFit:
    def refusal(self, layouts: dict[int, list[int]], pool: list[NodeView]) -> PermanentError:
        with pytest.raises(PermanentError) as refused:
            plan_warmup("db", layouts, pool)
        return refused.value

    @pytest.mark.parametrize("pool", [[], [node("a", system=True)], [node("a", ready=False)]])
    def test_no_nodes(self, pool: list[NodeView]) -> None:
        assert self.refusal({1: [10]}, pool).code == "no_nodes"

    def test_no_shard_is_small_enough_for_any_node(self) -> None:
        error = self.refusal({1: [400], 2: [150, 250]}, nodes(2))
        assert error.code == "node_sku_too_small"
        assert error.message == "the largest shard of db has 250 bytes; a node has room for 100"

    def test_nodes_that_other_databases_fill(self) -> None:
        """The node is large enough; it is only full."""
        error = self.refusal({1: [10]}, [node("a", 100, held_bytes=100)])
        assert error.code == "cluster_too_small"
        assert error.message == (
            "database db has 10 bytes; the 1 nodes have room for 0 besides the 100 bytes that other databases hold"
        )
        assert error.hint == "scale the BLAST node pool to 2 nodes, or release another database"
        assert plan_warmup("db", {1: [10]}, [node("a", 100, held_bytes=100), node("b")])

    @pytest.mark.parametrize(
        ("layouts", "count", "needed"),
        [
            ({4: [100] * 4}, 3, 4),
            ({4: [60] * 4}, 3, 4),  # 240 bytes in 300, but two shards of 60 do not fit in one node
            ({8: [30] * 8}, 2, 3),
            ({2: [120] * 2, 8: [30] * 8}, 2, 3),
            ({4: [60] * 4, 8: [30] * 8}, 2, 3),
        ],
    )
    def test_too_few_nodes(self, layouts: dict[int, list[int]], count: int, needed: int) -> None:
        error = self.refusal(layouts, nodes(count))
        total = max(sum(sizes) for sizes in layouts.values())
        assert error.code == "cluster_too_small"
        assert error.message == f"database db has {total} bytes; the {count} nodes have room for {count * 100}"
        assert error.hint == f"scale the BLAST node pool to {needed} nodes"
        assert plan_warmup("db", layouts, nodes(needed)), "as many nodes as the hint says are enough"

    def test_at_the_limit_and_just_beyond_it(self) -> None:
        assert places(plan_warmup("db", {2: [100, 100]}, nodes(2))) == ["n0", "n1"]
        assert self.refusal({2: [100, 101]}, nodes(2)).code == "node_sku_too_small"


class TestFit:
    """The verdict of a row: the numbers, and what to do."""

    @pytest.mark.parametrize(
        ("layouts", "pool", "expected"),
        [
            ({2: [50, 50]}, nodes(2), {"verdict": "fits", "layout": 2}),
            ({}, nodes(3), {"verdict": "database_not_sharded", "shards_advised": 3}),
            ({}, [], {"verdict": "database_not_sharded", "shards_advised": 1}),
            ({2: [50, 50]}, [], {"verdict": "no_nodes"}),
            ({4: [100] * 4}, nodes(3), {"verdict": "cluster_too_small", "nodes_needed": 4}),
            ({1: [500]}, nodes(2), {"verdict": "node_sku_too_small", "shards_advised": 5}),
            ({1: [500]}, nodes(2, 0), {"verdict": "node_sku_too_small"}),
        ],
    )
    def test_verdicts(self, layouts: dict[int, list[int]], pool: list[NodeView], expected: dict[str, Any]) -> None:
        shown = fit_database("db", layouts, pool).to_dict()
        absent = {"layout": None, "nodes_needed": None, "shards_advised": None}
        assert {key: shown[key] for key in ("verdict", *absent)} == absent | expected
        assert bool(shown["hint"]) == bool(shown["message"]) == (expected["verdict"] != "fits")

    def test_says_the_same_as_the_plan(self) -> None:
        pool, layouts = nodes(3), {4: [100] * 4}
        with pytest.raises(PermanentError) as refused:
            plan_warmup("db", layouts, pool)
        found = fit_database("db", layouts, pool)
        assert found == Fit(Verdict.CLUSTER_TOO_SMALL, refused.value.message, refused.value.hint, nodes_needed=4)
        assert refused.value.code == found.verdict
