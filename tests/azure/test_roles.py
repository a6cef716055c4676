"""Role assignments: what happens to whoever asks twice."""

from __future__ import annotations

import pytest

from local.azure.errors import ArmError
from local.azure.roles import RoleAssignments

SCOPE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/a"
READER = {"principalId": "p", "roleDefinitionId": "/subscriptions/s/providers/x/reader"}


def one() -> RoleAssignments:
    roles = RoleAssignments()
    roles.put(SCOPE, "first", READER)
    return roles


def test_the_same_call_twice_makes_one_assignment() -> None:
    roles = one()
    again, new = roles.put(SCOPE.upper(), "FIRST", READER)
    assert not new
    assert again["name"] == "first"
    assert len(roles.items) == 1


@pytest.mark.parametrize(
    ("name", "properties", "status", "code"),
    [
        ("second", READER, 409, "RoleAssignmentExists"),
        ("first", {**READER, "principalId": "q"}, 409, "RoleAssignmentUpdateNotPermitted"),
        ("second", {"principalId": "p"}, 400, "InvalidCreateRoleAssignmentRequest"),
        ("second", {"roleDefinitionId": "r"}, 400, "InvalidCreateRoleAssignmentRequest"),
    ],
)
def test_a_put_is_refused(name: str, properties: dict[str, str], status: int, code: str) -> None:
    with pytest.raises(ArmError) as refused:
        one().put(SCOPE, name, properties)
    assert (refused.value.status, refused.value.code) == (status, code)


def test_an_assignment_acts_on_what_its_scope_encloses() -> None:
    roles = one()
    assert roles.at(SCOPE + "/blobServices/default")
    assert roles.at(SCOPE)
    assert not roles.at(SCOPE + "2"), "a name that only begins the same is another resource"
    assert not roles.at("/subscriptions/s")


def test_a_principal_sees_its_own() -> None:
    assert one().at(SCOPE, "p")
    assert not one().at(SCOPE, "q")


def test_a_deleted_assignment_is_gone() -> None:
    roles = one()
    assert roles.delete(SCOPE, "first") is not None
    assert roles.delete(SCOPE, "first") is None
    with pytest.raises(ArmError, match="not found"):
        roles.get(SCOPE, "first")
