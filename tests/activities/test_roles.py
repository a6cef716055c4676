"""Roles of the nodes' identity: made once, a missing permission said and not failed."""

from __future__ import annotations

import pytest

from activities.roles import ensure_roles
from shared.clients.provider import use
from shared.domain.errors import ElbError, PermanentError, TransientError
from shared.domain.roles import PROPAGATION_SECONDS
from tests.activities.fakes import World
from tests.activities.worlds import CLUSTER, new_world

DATA = {"cluster": CLUSTER.to_dict()}


def test_new_ones_take_their_time_and_the_same_twice_are_made_once(world: World) -> None:
    assert ensure_roles(DATA) == {"created": True, "wait_seconds": PROPAGATION_SECONDS, "warnings": []}
    assert ensure_roles(DATA) == {"created": False, "wait_seconds": 0, "warnings": []}
    assert [a.role.label for a in world.arm.roles.values()] == [
        "Storage Blob Data Reader",
        "Storage Blob Data Contributor",
    ]


def test_the_registry_where_there_is_one() -> None:
    world = new_world(ELB_ACR_NAME="registry")
    with use(world):
        ensure_roles(DATA)
    assert next(a.role.label for a in world.arm.roles.values()) == "AcrPull"


@pytest.mark.parametrize(
    "error", [PermanentError("arm_denied", "403", "ask"), PermanentError("role_scope_not_found", "404", "correct it")]
)
def test_what_may_not_be_assigned_is_a_warning_with_the_line_that_does_it(world: World, error: ElbError) -> None:
    world.arm.refusing = error
    found = ensure_roles(DATA)
    assert (found["created"], found["wait_seconds"]) == (False, 0)
    assert [w["code"] for w in found["warnings"]] == [error.code] * 2
    for warning in found["warnings"]:
        assert "az role assignment create --assignee-object-id kubelet" in warning["hint"]
        assert f"--role '{warning['role']}'" in warning["hint"]


def test_a_cluster_of_which_azure_does_not_tell(world: World) -> None:
    world.arm.failing = PermanentError("arm_denied", "403", "give the app's identity the role 'Reader'")
    assert [w["code"] for w in ensure_roles(DATA)["warnings"]] == ["arm_denied"]


def test_what_may_pass_is_tried_again(world: World) -> None:
    world.arm.refusing = TransientError("principal_not_found", "not yet")
    with pytest.raises(TransientError):
        ensure_roles(DATA)
