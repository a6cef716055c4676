"""The two gates, and what is said of a cluster that has not passed them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.domain.lifecycle import ClusterState, Lifecycle
from shared.domain.readiness import (
    NodeReadiness,
    Pool,
    expected_nodes,
    good_for,
    read_node_readiness,
    read_pools,
    ready_by_pool,
    ready_since,
    warm_ready,
    what_next,
    workload_ready,
)

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
RUNNING = ClusterState(Lifecycle.RUNNING, "Succeeded", "Running")


def node(*, ready: bool = True, system: bool = False, minutes: float | None = 1, name: str = "n") -> NodeReadiness:
    """A node that has been Ready for so many minutes."""
    since = None if minutes is None or not ready else NOW - timedelta(minutes=minutes)
    return NodeReadiness(name, "system" if system else "blast", system, ready, since)


UP, DOWN, SYSTEM = node(), node(ready=False), node(system=True)


class TestWorkloadReady:
    @pytest.mark.parametrize("lifecycle", Lifecycle)
    @pytest.mark.proves("C1")
    def test_only_a_running_cluster_is(self, lifecycle: Lifecycle) -> None:
        state = ClusterState(lifecycle, "", "")
        assert workload_ready(state, [UP]) is (lifecycle is Lifecycle.RUNNING)
        assert warm_ready(state, [UP], 1, NOW - timedelta(days=1), NOW) is (lifecycle is Lifecycle.RUNNING)

    @pytest.mark.parametrize(
        ("nodes", "ready"),
        [([], False), ([DOWN], False), ([SYSTEM], False), ([SYSTEM, DOWN], False), ([DOWN, UP], True), ([UP], True)],
    )
    def test_it_takes_one_ready_user_node(self, nodes: list[NodeReadiness], ready: bool) -> None:
        assert workload_ready(RUNNING, nodes) is ready


class TestWarmReady:
    @pytest.mark.parametrize(
        ("nodes", "expected", "minutes", "ready"),
        [
            ([UP, UP], 2, 0, True),
            ([UP, UP, UP], 2, 0, True),
            ([UP, DOWN], 2, 0, False),
            ([UP], 2, 14.99, False),
            ([UP], 2, 15, True),
            ([UP], 2, None, False),
            ([UP, SYSTEM], 2, 0, False),
            ([DOWN, DOWN], 2, 60, False),
            ([], 0, 60, False),
            ([UP], 0, 0, True),
        ],
    )
    def test_all_expected_nodes_or_one_after_15_minutes(
        self, nodes: list[NodeReadiness], expected: int, minutes: float | None, ready: bool
    ) -> None:
        since = None if minutes is None else NOW - timedelta(minutes=minutes)
        assert warm_ready(RUNNING, nodes, expected, since, NOW) is ready

    def test_the_time_is_that_of_the_first_of_the_user_nodes_that_are_ready(self) -> None:
        nodes = [node(minutes=3), node(minutes=9), node(minutes=30, system=True), DOWN, node(minutes=None)]
        assert ready_since(nodes) == NOW - timedelta(minutes=9)
        assert ready_since([SYSTEM, DOWN]) is None


class TestReading:
    def given(self, **change: Any) -> dict[str, Any]:
        """A node as AKS has it."""
        labels = {"kubernetes.azure.com/agentpool": "blast", "kubernetes.azure.com/mode": "user"}
        conditions = [
            {"type": "MemoryPressure", "status": "False", "lastTransitionTime": "2029-01-01T00:00:00Z"},
            {"type": "Ready", "status": "True", "lastTransitionTime": "2030-01-01T11:59:00Z"},
        ]
        obj = {"metadata": {"name": "n", "labels": labels}, "status": {"conditions": conditions}}
        return obj | change

    def test_a_node(self) -> None:
        assert read_node_readiness(self.given()) == NodeReadiness("n", "blast", False, True, NOW - timedelta(minutes=1))

    @pytest.mark.parametrize(
        "change",
        [
            {"status": {}},
            {"status": {"conditions": [{"type": "Ready", "status": "False"}]}},
            {"status": {"conditions": [{"type": "Ready", "status": "Unknown", "lastTransitionTime": "2030-01-01"}]}},
            {"metadata": {"name": "n", "deletionTimestamp": "2030-01-01T00:00:00Z"}},
        ],
    )
    def test_one_that_is_not_ready(self, change: dict[str, Any]) -> None:
        read = read_node_readiness(self.given(**change))
        assert (read.ready, read.ready_since, read.counts) == (False, None, False)

    def test_a_system_node_and_an_old_label(self) -> None:
        labels = {"agentpool": "sys", "kubernetes.azure.com/mode": "System"}
        read = read_node_readiness(self.given(metadata={"name": "n", "labels": labels}))
        assert (read.pool, read.system, read.counts) == ("sys", True, False)

    def test_pools(self) -> None:
        profiles = [
            {"name": "sys", "mode": "System", "vmSize": "D2", "count": 1},
            {"name": "blast", "mode": "User", "vmSize": "E8", "count": 3},
            {"name": "more", "mode": "User"},
        ]
        pools = read_pools({"properties": {"agentPoolProfiles": profiles}})
        assert pools == (Pool("sys", "System", "D2", 1), Pool("blast", "User", "E8", 3), Pool("more", "User", "", 0))
        assert expected_nodes(pools) == 3
        assert ready_by_pool([UP, UP, DOWN, SYSTEM]) == {"blast": 2, "system": 1}

    @pytest.mark.parametrize("body", [{}, {"properties": None}, {"properties": {"agentPoolProfiles": None}}])
    def test_no_pools(self, body: dict[str, Any]) -> None:
        assert read_pools(body) == ()


class TestWhatNext:
    @pytest.mark.parametrize(
        ("lifecycle", "word", "seconds"),
        [
            (Lifecycle.STOPPED, "starts it", 60),
            (Lifecycle.STARTING, "starting", 10),
            (Lifecycle.STOPPING, "stopping", 10),
            (Lifecycle.PROVISIONING, "being created", 30),
            (Lifecycle.DELETING, "being deleted", 60),
            (Lifecycle.FAILED, "failed", 60),
            (Lifecycle.NOT_FOUND, "no such cluster", 300),
            (Lifecycle.UNKNOWN, "asked again", 10),
            (Lifecycle.RUNNING, "no user node", 10),
        ],
    )
    @pytest.mark.proves("C1")
    def test_each_lifecycle_says_what_and_when(self, lifecycle: Lifecycle, word: str, seconds: float) -> None:
        reason, again = what_next(lifecycle)
        assert word in reason
        assert again == seconds

    def test_the_gates_of_a_running_one(self) -> None:
        assert "15 minutes" in what_next(Lifecycle.RUNNING, workload=True)[0]
        assert what_next(Lifecycle.RUNNING, workload=True, warm=True) == ("ready", 5)


@pytest.mark.parametrize(
    ("lifecycle", "silent_minutes", "seconds"),
    [
        (Lifecycle.RUNNING, None, 5),
        (Lifecycle.STOPPED, None, 5),
        (Lifecycle.NOT_FOUND, None, 60),
        (Lifecycle.UNKNOWN, 0, 10),
        (Lifecycle.RUNNING, 4.9, 10),
        (Lifecycle.RUNNING, 5, 60),
    ],
)
@pytest.mark.proves("C4")
def test_a_silent_one_gets_single_probes(lifecycle: Lifecycle, silent_minutes: float | None, seconds: float) -> None:
    since = None if silent_minutes is None else NOW - timedelta(minutes=silent_minutes)
    assert good_for(lifecycle, since, NOW) == seconds
