"""The roles of the nodes' identity: which, where, under which name, and what to type when the app may not assign them.

Pure; ``activities/roles.py`` assigns them. docs/kubernetes.md, "Roles".
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from shared.domain.errors import PermanentError
from shared.domain.results import DATABASES_CONTAINER, RESULTS_CONTAINER
from shared.domain.search import ClusterRef

PROPAGATION_SECONDS = 180
"""How long a new assignment may take to act on storage: 60 to 180 s are usual."""


class Role(Enum):
    """Built-in roles of Azure: name and id (Microsoft Learn, "Azure built-in roles")."""

    ACR_PULL = ("AcrPull", "7f951dda-4ed3-4680-a7ca-43fe172d538d")
    BLOB_READER = ("Storage Blob Data Reader", "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1")
    BLOB_CONTRIBUTOR = ("Storage Blob Data Contributor", "ba92f5b4-2d11-453d-a403-e96b0029c9fe")

    @property
    def label(self) -> str:
        """What people call it."""
        return self.value[0]

    @property
    def id(self) -> str:
        """Its UUID, the same in every tenant."""
        return self.value[1]


@dataclass(frozen=True, slots=True)
class RoleAssignment:
    """One role of one identity at one place.

    Attributes:
        scope: ARM id of what it is for, beginning with a slash.
        principal_id: object id of the identity.
    """

    scope: str
    principal_id: str
    role: Role

    @property
    def name(self) -> str:
        """A UUID that is the same for the same assignment, so that making it twice makes one."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.scope}|{self.principal_id}|{self.role.id}"))

    def properties(self) -> dict[str, str]:
        """What ARM is sent."""
        subscription = self.scope.split("/")[2]
        definitions = f"/subscriptions/{subscription}/providers/Microsoft.Authorization/roleDefinitions"
        return {
            "roleDefinitionId": f"{definitions}/{self.role.id}",
            "principalId": self.principal_id,
            "principalType": "ServicePrincipal",
        }

    def command(self) -> str:
        """The line that somebody with the permission types instead."""
        return (
            f"az role assignment create --assignee-object-id {self.principal_id}"
            f" --assignee-principal-type ServicePrincipal --role '{self.role.label}' --scope '{self.scope}'"
        )


def kubelet_identity(managed_cluster: Mapping[str, Any]) -> str:
    """Object id of the identity with which the nodes pull images and reach storage.

    Raises:
        PermanentError: ``no_kubelet_identity``, as of a cluster that has a service principal instead.
    """
    profile = (managed_cluster.get("properties") or {}).get("identityProfile") or {}
    found = (profile.get("kubeletidentity") or {}).get("objectId")
    if not found:
        raise PermanentError(
            "no_kubelet_identity",
            f"cluster {managed_cluster.get('name') or ''} has no kubelet identity",
            "update the cluster to a managed identity: az aks update --enable-managed-identity",
        )
    return str(found)


def wanted_roles(cluster: ClusterRef, principal_id: str, registry: str) -> tuple[RoleAssignment, ...]:
    """What the nodes' identity needs; no more than that.

    Registry and storage account are looked for in the cluster's resource group.

    Args:
        registry: name of the container registry; empty where images are public.
    """
    group = f"/subscriptions/{cluster.subscription_id}/resourceGroups/{cluster.resource_group}/providers"
    wanted = []
    if registry:
        scope = f"{group}/Microsoft.ContainerRegistry/registries/{registry}"
        wanted.append(RoleAssignment(scope, principal_id, Role.ACR_PULL))
    if cluster.storage_account:
        containers = (
            f"{group}/Microsoft.Storage/storageAccounts/{cluster.storage_account}/blobServices/default/containers"
        )
        wanted += [
            RoleAssignment(f"{containers}/{DATABASES_CONTAINER}", principal_id, Role.BLOB_READER),
            RoleAssignment(f"{containers}/{RESULTS_CONTAINER}", principal_id, Role.BLOB_CONTRIBUTOR),
        ]
    return tuple(wanted)
