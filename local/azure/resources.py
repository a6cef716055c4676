"""How ARM shows the cluster, its pools and the group: pure functions that return whole objects."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from local.azure.kubeconfig import kubeconfig
from local.azure.model import STOPPED, Cluster

KUBERNETES_VERSION = "1.32.4"
# The type that the cluster emulator gives its nodes when the node list names none.
VM_SIZE = "Standard_E8s_v5"


@dataclass(frozen=True, slots=True)
class Scope:
    """Which cluster is emulated, and how to reach it.

    Args:
        subscription: its id, a UUID.
        group: its resource group.
        cluster: its name.
        region: its location.
        server: address of its Kubernetes API.
        token: bearer token that this API accepts.
        nodes: the node list that the cluster emulator was given.
    """

    subscription: str
    group: str
    cluster: str
    region: str
    server: str
    token: str
    nodes: Sequence[Mapping[str, Any]]

    @property
    def group_id(self) -> str:
        """ARM id of the resource group."""
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.group}"

    @property
    def cluster_id(self) -> str:
        """ARM id of the cluster."""
        return f"{self.group_id}/providers/Microsoft.ContainerService/managedClusters/{self.cluster}"


def managed_cluster(scope: Scope, cluster: Cluster) -> dict[str, Any]:
    """The cluster as ``managedClusters`` GET shows it."""
    return {
        "id": scope.cluster_id,
        "name": scope.cluster,
        "type": "Microsoft.ContainerService/ManagedClusters",
        "location": scope.region,
        "identity": {"type": "SystemAssigned", "principalId": _id(scope, "cluster"), "tenantId": _id(scope, "tenant")},
        "properties": {
            "provisioningState": cluster.provisioning,
            "powerState": {"code": cluster.power},
            "kubernetesVersion": KUBERNETES_VERSION,
            "currentKubernetesVersion": KUBERNETES_VERSION,
            "dnsPrefix": scope.cluster,
            "fqdn": scope.server.partition("://")[2],
            "nodeResourceGroup": f"MC_{scope.group}_{scope.cluster}_{scope.region}",
            "agentPoolProfiles": agent_pool_profiles(scope, cluster),
            "identityProfile": {
                "kubeletidentity": {
                    "resourceId": f"{scope.group_id}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/"
                    f"{scope.cluster}-agentpool",
                    "clientId": _id(scope, "kubelet client"),
                    "objectId": _id(scope, "kubelet"),
                }
            },
        },
        "sku": {"name": "Base", "tier": "Free"},
    }


def agent_pool_profiles(scope: Scope, cluster: Cluster) -> list[dict[str, Any]]:
    """One profile per pool that the node list names, with the labels and taints of its first node."""
    pools: dict[str, list[Mapping[str, Any]]] = {}
    for node in scope.nodes:
        pools.setdefault(str(node["pool"]), []).append(node)
    return [_profile(name, nodes, cluster) for name, nodes in pools.items()]


def agent_pool(scope: Scope, profile: Mapping[str, Any]) -> dict[str, Any]:
    """A pool as ``agentPools`` GET shows it: the profile without its name is the properties."""
    return {
        "id": f"{scope.cluster_id}/agentPools/{profile['name']}",
        "name": profile["name"],
        "type": "Microsoft.ContainerService/managedClusters/agentPools",
        "properties": {key: value for key, value in profile.items() if key != "name"},
    }


def resource_group(scope: Scope) -> dict[str, Any]:
    """The group as ``resourceGroups`` GET shows it."""
    return {
        "id": scope.group_id,
        "name": scope.group,
        "type": "Microsoft.Resources/resourceGroups",
        "location": scope.region,
        "properties": {"provisioningState": "Succeeded"},
    }


def credentials(scope: Scope, name: str) -> dict[str, Any]:
    """The answer to ``listCluster*Credential``.

    Args:
        scope: the cluster.
        name: ``clusterUser`` or ``clusterAdmin``.
    """
    text = json.dumps(kubeconfig(scope.cluster, scope.server, scope.token))
    return {"kubeconfigs": [{"name": name, "value": base64.b64encode(text.encode()).decode()}]}


def _profile(name: str, nodes: Sequence[Mapping[str, Any]], cluster: Cluster) -> dict[str, Any]:
    first = nodes[0]
    labels = dict(first.get("labels", {}))
    return {
        "name": name,
        "mode": first.get("mode", "User"),
        "count": 0 if cluster.power == STOPPED else len(nodes),
        "vmSize": labels.get("node.kubernetes.io/instance-type", VM_SIZE),
        "osType": "Linux",
        "type": "VirtualMachineScaleSets",
        "orchestratorVersion": KUBERNETES_VERSION,
        "provisioningState": cluster.provisioning,
        "powerState": {"code": cluster.power},
        "nodeLabels": labels,
        "nodeTaints": [_taint(taint) for taint in first.get("taints", [])],
    }


def _taint(taint: Mapping[str, str] | str) -> str:
    return taint if isinstance(taint, str) else f"{taint['key']}={taint['value']}:{taint['effect']}"


def _id(scope: Scope, what: str) -> str:
    """The same made-up UUID for the same thing, always."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{scope.cluster_id}|{what}"))
