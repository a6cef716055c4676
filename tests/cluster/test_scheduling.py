"""Which node takes a pod: the table of rules, and pods that wait until something frees up."""

from __future__ import annotations

import pytest

from local.cluster.clock import Clock
from local.cluster.nodes import NodeSpec, node_object
from local.cluster.placement import reasons_against, unschedulable_message
from tests.cluster.support import Json, Raw, control, eventually, node_name, on_node, pod, pod_spec

BLAST_TAINT = {"key": "workload", "value": "blast", "effect": "NoSchedule"}
BLAST_TOLERATION = {"key": "workload", "operator": "Equal", "value": "blast", "effect": "NoSchedule"}
NO_MATCH = ["node(s) didn't match Pod's node affinity/selector"]


def _expressions(key: str, operator: str, *values: str) -> Json:
    term = {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}


def _requests(**amounts: str) -> Json:
    return {"resources": {"requests": amounts}}


@pytest.mark.parametrize(
    ("more", "node", "reasons"),
    [
        ({}, {}, []),
        ({"nodeSelector": {"disk": "fast"}}, {"labels": {"disk": "fast"}}, []),
        ({"nodeSelector": {"disk": "fast"}}, {}, NO_MATCH),
        ({"affinity": on_node("n1")}, {}, []),
        ({"affinity": on_node("n2")}, {}, NO_MATCH),
        ({"affinity": _expressions("agentpool", "In", "blast", "other")}, {}, []),
        ({"affinity": _expressions("agentpool", "NotIn", "blast")}, {}, NO_MATCH),
        ({"affinity": _expressions("disk", "Exists")}, {}, NO_MATCH),
        ({"affinity": _expressions("disk", "DoesNotExist")}, {}, []),
        ({"affinity": _expressions("size", "Gt", "3")}, {"labels": {"size": "4"}}, []),
        ({}, {"taints": [BLAST_TAINT]}, ["node(s) had untolerated taint {workload: blast}"]),
        ({"tolerations": [BLAST_TOLERATION]}, {"taints": [BLAST_TAINT]}, []),
        ({"tolerations": [{"key": "workload", "operator": "Exists"}]}, {"taints": [BLAST_TAINT]}, []),
        ({"tolerations": [{"operator": "Exists"}]}, {"taints": [BLAST_TAINT]}, []),
        (
            {"tolerations": [BLAST_TOLERATION | {"value": "other"}]},
            {"taints": [BLAST_TAINT]},
            ["node(s) had untolerated taint {workload: blast}"],
        ),
        ({}, {"taints": [BLAST_TAINT | {"effect": "PreferNoSchedule"}]}, []),
        (_requests(cpu="8"), {}, []),
        (_requests(cpu="8100m"), {}, ["Insufficient cpu"]),
        (_requests(cpu="9", memory="9Gi"), {}, ["Insufficient cpu", "Insufficient memory"]),
    ],
)
def test_rules(more: Json, node: Json, reasons: list[str]) -> None:
    made = node_object(NodeSpec("n1", **node), 0, Clock(), "local")
    assert reasons_against(pod_spec("true", **more), made, {}) == reasons


def test_the_message_of_the_scheduler() -> None:
    message = unschedulable_message([["Insufficient cpu"], NO_MATCH, NO_MATCH])
    assert message == (
        "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't match Pod's node affinity/selector. "
        "preemption: 0/3 nodes are available: 1 No preemption victims found for incoming pod, "
        "2 Preemption is not helpful for scheduling."
    )
    assert unschedulable_message([]) == "no nodes available to schedule pods"


def _unschedulable(raw: Raw, name: str) -> str:
    for each in raw.get(f"pods/{name}")["status"].get("conditions") or []:
        if each["type"] == "PodScheduled" and each["reason"] == "Unschedulable":
            return str(each["message"])
    return ""


def test_a_pod_that_fits_nowhere_says_why_and_runs_when_something_frees_up(raw: Raw) -> None:
    node = node_name(0)
    fills = {
        "affinity": on_node(node),
        "resources": {"requests": {"memory": "7Gi"}},
        "terminationGracePeriodSeconds": 1,
    }
    raw.create(pod("fills", "sleep 60", **fills))
    eventually(lambda: raw.phase("fills") == "Running", "the first pod")
    raw.create(pod("waits", "true", **fills))
    message = eventually(lambda: _unschedulable(raw, "waits"), "Unschedulable")
    assert message.startswith("0/3 nodes are available: 1 Insufficient memory, 2 node(s) didn't match")
    assert raw.phase("waits") == "Pending"
    assert "FailedScheduling" in {each["reason"] for each in raw.items("events")}
    raw.request("DELETE", "pods/fills")
    assert raw.ended("waits") == "Succeeded"


def test_node_name_goes_around_the_scheduler_into_a_failed_pod(raw: Raw) -> None:
    raw.create(pod("around", "true", nodeName=node_name(1), resources={"requests": {"cpu": "100"}}))
    assert raw.ended("around") == "Failed"
    status = raw.get("pods/around")["status"]
    assert status["reason"] == "OutOfcpu"
    assert "Node didn't have enough resource: cpu, requested: 100000" in status["message"]


def test_pods_are_spread_over_the_nodes(raw: Raw) -> None:
    for number in range(3):
        raw.create(
            pod(f"spread-{number}", "sleep 30", resources={"requests": {"cpu": "4"}}, terminationGracePeriodSeconds=1)
        )

    def spread() -> set[str]:
        return {each["spec"].get("nodeName") for each in raw.items("pods")}

    eventually(lambda: spread() == {node_name(number) for number in range(3)}, "one pod on each node")


def test_usage_that_a_test_sets_is_what_the_metrics_say(raw: Raw) -> None:
    control(raw.cluster, f"/nodes/{node_name(2)}", {"action": "usage", "usage": {"memory": "6Gi"}})
    assert "6144Mi" in raw.kubectl("top", "nodes")
    control(raw.cluster, f"/nodes/{node_name(2)}", {"action": "usage", "usage": {}})
