"""The roles of the nodes' identity."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from shared.domain.errors import PermanentError
from shared.domain.roles import Role, RoleAssignment, kubelet_identity, wanted_roles
from shared.domain.search import ClusterRef

CLUSTER = ClusterRef("sub", "group", "cluster", "store")
GROUP = "/subscriptions/sub/resourceGroups/group/providers"
CONTAINERS = f"{GROUP}/Microsoft.Storage/storageAccounts/store/blobServices/default/containers"


@pytest.mark.parametrize(
    ("role", "label", "role_id"),
    [
        (Role.ACR_PULL, "AcrPull", "7f951dda-4ed3-4680-a7ca-43fe172d538d"),
        (Role.BLOB_READER, "Storage Blob Data Reader", "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"),
        (Role.BLOB_CONTRIBUTOR, "Storage Blob Data Contributor", "ba92f5b4-2d11-453d-a403-e96b0029c9fe"),
    ],
)
def test_the_ids_are_those_of_azure(role: Role, label: str, role_id: str) -> None:
    assert (role.label, role.id) == (label, role_id)
    assert str(uuid.UUID(role.id)) == role.id


def test_what_the_nodes_need_and_no_more() -> None:
    assert wanted_roles(CLUSTER, "who", "registry") == (
        RoleAssignment(f"{GROUP}/Microsoft.ContainerRegistry/registries/registry", "who", Role.ACR_PULL),
        RoleAssignment(f"{CONTAINERS}/blast-db", "who", Role.BLOB_READER),
        RoleAssignment(f"{CONTAINERS}/results", "who", Role.BLOB_CONTRIBUTOR),
    )


def test_nothing_where_there_is_nothing() -> None:
    assert wanted_roles(ClusterRef("sub", "group", "cluster", ""), "who", "") == ()


class TestAssignment:
    def test_the_same_one_has_the_same_name(self) -> None:
        one, other, same = RoleAssignment("/s/x", "a", Role.ACR_PULL), RoleAssignment("/s/x", "b", Role.ACR_PULL), None
        same = RoleAssignment("/s/x", "a", Role.ACR_PULL)
        assert one.name == same.name != other.name
        assert one.name == str(uuid.uuid5(uuid.NAMESPACE_URL, f"/s/x|a|{Role.ACR_PULL.id}"))

    def test_what_arm_is_sent(self) -> None:
        (pull, *_) = wanted_roles(CLUSTER, "who", "registry")
        assert pull.properties() == {
            "roleDefinitionId": "/subscriptions/sub/providers/Microsoft.Authorization/roleDefinitions/"
            "7f951dda-4ed3-4680-a7ca-43fe172d538d",
            "principalId": "who",
            "principalType": "ServicePrincipal",
        }

    def test_the_line_that_does_it_by_hand(self) -> None:
        (_, reader, _) = wanted_roles(CLUSTER, "who", "registry")
        assert reader.command() == (
            "az role assignment create --assignee-object-id who --assignee-principal-type ServicePrincipal"
            f" --role 'Storage Blob Data Reader' --scope '{CONTAINERS}/blast-db'"
        )


class TestIdentity:
    def test_of_the_nodes(self) -> None:
        profile = {"kubeletidentity": {"objectId": "who", "clientId": "other"}}
        assert kubelet_identity({"properties": {"identityProfile": profile}}) == "who"

    @pytest.mark.parametrize(
        "body", [{}, {"properties": {}}, {"properties": {"identityProfile": {"kubeletidentity": {}}}}]
    )
    def test_none(self, body: dict[str, Any]) -> None:
        with pytest.raises(PermanentError) as caught:
            kubelet_identity(body)
        assert caught.value.code == "no_kubelet_identity"
