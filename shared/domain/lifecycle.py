"""A cluster's lifecycle from what ARM says of it (Microsoft.ContainerService/managedClusters)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Lifecycle(StrEnum):
    """Where a cluster is in its life."""

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    PROVISIONING = "provisioning"
    DELETING = "deleting"
    FAILED = "failed"
    NOT_FOUND = "not_found"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ClusterState:
    """What ARM says. ``workload_possible``: provisioning succeeded and power is on; nodes are asked elsewhere."""

    lifecycle: Lifecycle
    provisioning: str
    power: str

    @property
    def workload_possible(self) -> bool:
        """Whether it makes sense to ask the API server."""
        return self.lifecycle is Lifecycle.RUNNING


_BY_PROVISIONING = {
    "starting": Lifecycle.STARTING,
    "stopping": Lifecycle.STOPPING,
    "creating": Lifecycle.PROVISIONING,
    "deleting": Lifecycle.DELETING,
    "failed": Lifecycle.FAILED,
    "canceled": Lifecycle.FAILED,
}


def lifecycle_of(managed_cluster: Mapping[str, Any]) -> ClusterState:
    """Read ``provisioningState`` and ``powerState``.

    An update of a running cluster (``Updating``, ``Upgrading``, ``Scaling``) leaves it running.
    """
    properties = managed_cluster.get("properties") or {}
    provisioning = str(properties.get("provisioningState") or "")
    power = str((properties.get("powerState") or {}).get("code") or "")
    by_state = _BY_PROVISIONING.get(provisioning.lower())
    if by_state is not None:
        lifecycle = by_state
    elif power.lower() == "stopped":
        lifecycle = Lifecycle.STOPPED
    elif power.lower() == "running":
        lifecycle = Lifecycle.RUNNING
    else:
        lifecycle = Lifecycle.UNKNOWN
    return ClusterState(lifecycle, provisioning, power)
