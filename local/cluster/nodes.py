"""Node objects as AKS makes them, their leases, and what the metrics server says of them.

The description of a node comes from the nodes file (`read_nodes`); `cluster.py` stores the objects.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.cluster.clock import Clock
from local.cluster.quantities import parse_quantity

Json = dict[str, Any]

KUBERNETES_VERSION = "v1.32.4"
UNREACHABLE = "node.kubernetes.io/unreachable"
LEASE_NAMESPACE = "kube-node-lease"
_BASE_CPU, _BASE_MEMORY_MI = 0.06, 250
_POD_CPU, _POD_MEMORY_MI = 0.05, 40


@dataclass(slots=True)
class NodeSpec:
    """One emulated node; `cpu` and `memory` are quantities and both capacity and allocatable."""

    name: str
    pool: str = "blast"
    mode: str = "User"
    cpu: str = "8"
    memory: str = "8Gi"
    labels: dict[str, str] = field(default_factory=dict)
    taints: list[Json] = field(default_factory=list)
    usage: dict[str, str] = field(default_factory=dict)


def read_nodes(path: Path) -> list[NodeSpec]:
    """The nodes of a JSON file; ValueError when it has none or an unknown field."""
    entries = json.loads(path.read_text())
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"{path}: expected a list of nodes")
    try:
        return [NodeSpec(**entry) for entry in entries]
    except TypeError as error:
        raise ValueError(f"{path}: {error}") from error


def node_object(spec: NodeSpec, number: int, clock: Clock, region: str) -> Json:
    """The Node, Ready, with the labels that AKS gives."""
    now = clock.stamp()
    labels = {
        "agentpool": spec.pool,
        "beta.kubernetes.io/arch": "amd64",
        "beta.kubernetes.io/os": "linux",
        "kubernetes.azure.com/agentpool": spec.pool,
        "kubernetes.azure.com/mode": spec.mode.lower(),
        "kubernetes.azure.com/role": "agent",
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": spec.name,
        "kubernetes.io/os": "linux",
        "node.kubernetes.io/instance-type": "Standard_E8s_v5",
        "topology.kubernetes.io/region": region,
        "topology.kubernetes.io/zone": "0",
    }
    amounts = {"cpu": spec.cpu, "memory": spec.memory, "pods": "110", "ephemeral-storage": "128Gi"}
    return {
        "metadata": {"name": spec.name, "labels": labels | spec.labels, "annotations": {}},
        "spec": {
            "podCIDR": f"10.244.{number}.0/24",
            "podCIDRs": [f"10.244.{number}.0/24"],
            "providerID": f"azure:///subscriptions/local/virtualMachines/{spec.name}",
            **({"taints": spec.taints} if spec.taints else {}),
        },
        "status": {
            "capacity": dict(amounts),
            "allocatable": dict(amounts),
            "conditions": node_conditions(True, now),
            "addresses": [
                {"type": "InternalIP", "address": node_address(number)},
                {"type": "Hostname", "address": spec.name},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "images": [],
            "nodeInfo": {
                "architecture": "amd64",
                "bootID": "emulated",
                "containerRuntimeVersion": "bubblewrap://0.8.0",
                "kernelVersion": "5.15.0-emulated",
                "kubeProxyVersion": KUBERNETES_VERSION,
                "kubeletVersion": KUBERNETES_VERSION,
                "machineID": "emulated",
                "operatingSystem": "linux",
                "osImage": "Debian GNU/Linux",
                "systemUUID": "emulated",
            },
        },
    }


def node_address(number: int) -> str:
    """The address of the node with this number."""
    return f"10.224.0.{4 + number}"


def node_conditions(ready: bool, now: str) -> list[Json]:
    """The node's conditions; an unready node's are Unknown, as of a kubelet that stopped reporting."""
    texts = (
        ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    )
    conditions = []
    for kind, status, reason, message in texts:
        if not ready:
            status, reason, message = "Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status."
        stamps = {"lastHeartbeatTime": now, "lastTransitionTime": now}
        conditions.append({"type": kind, "status": status, "reason": reason, "message": message, **stamps})
    return conditions


def is_ready(node: Json) -> bool:
    """Whether the node's Ready condition is True."""
    return any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"]["conditions"])


def lease_object(name: str, clock: Clock) -> Json:
    """The lease by which a kubelet says that it lives."""
    return {
        "metadata": {"name": name, "namespace": LEASE_NAMESPACE},
        "spec": {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": clock.micro_stamp()},
    }


def node_metrics(node: Json, running_pods: int, override: dict[str, str], clock: Clock) -> Json:
    """NodeMetrics: a small usage that grows with the running pods, or what a test has set."""
    cpu = int((_BASE_CPU + _POD_CPU * running_pods) * 1e9)
    memory = (_BASE_MEMORY_MI + _POD_MEMORY_MI * running_pods) * 1024
    memory = min(memory, int(parse_quantity(node["status"]["capacity"]["memory"]) / 1024))
    return {
        "kind": "NodeMetrics",
        "apiVersion": "metrics.k8s.io/v1beta1",
        "metadata": {
            "name": node["metadata"]["name"],
            "creationTimestamp": clock.stamp(),
            "labels": node["metadata"]["labels"],
        },
        "timestamp": clock.stamp(),
        "window": "20s",
        "usage": {"cpu": f"{cpu}n", "memory": f"{memory}Ki"} | override,
    }


def pod_metrics(pod: Json, clock: Clock) -> Json:
    """PodMetrics of a running pod."""
    usage = {"cpu": f"{int(_POD_CPU * 1e9)}n", "memory": f"{_POD_MEMORY_MI * 1024}Ki"}
    meta = pod["metadata"]
    return {
        "kind": "PodMetrics",
        "apiVersion": "metrics.k8s.io/v1beta1",
        "metadata": {
            "name": meta["name"],
            "namespace": meta["namespace"],
            "creationTimestamp": clock.stamp(),
            "labels": meta.get("labels") or {},
        },
        "timestamp": clock.stamp(),
        "window": "20s",
        "containers": [{"name": each["name"], "usage": usage} for each in pod["spec"]["containers"]],
    }
