"""What Azure Resource Manager is asked to change, by the emulator: start, stop, roles, and what a refusal means."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from shared.clients.arm import Arm, AzureArm
from shared.clients.credentials import make_credential
from shared.domain.errors import ConflictError, NotFoundError, PermanentError, TransientError
from shared.domain.lifecycle import Lifecycle, lifecycle_of
from shared.domain.roles import Role, RoleAssignment
from shared.domain.search import ClusterRef
from tests.clients.conftest import Place
from tests.clients.support import eventually, fresh
from tests.clients.wire import Rule


@pytest.fixture
def arm(place: Place) -> Iterator[Arm]:
    """The client; the emulator is well again after the test."""
    settings = place.settings()
    yield AzureArm(settings, make_credential(settings))
    place.arm_faults()


@pytest.fixture(scope="module")
def cluster(place: Place) -> ClusterRef:
    """The cluster that there is."""
    found = place.settings().cluster
    assert found is not None
    return found


def set_cluster(place: Place, **fields: object) -> None:
    """Change what the emulator has of the cluster."""
    url = place.stack.stack_json["arm"] + "/control/cluster"
    headers = {"Authorization": f"Bearer {place.stack.identity.arm_token}"}
    httpx.patch(url, json=fields, headers=headers).raise_for_status()


def is_now(arm: Arm, cluster: ClusterRef, lifecycle: Lifecycle) -> None:
    """Wait until it is."""
    eventually(lambda: lifecycle_of(arm.cluster(cluster)).lifecycle is lifecycle, lifecycle.value)


@pytest.mark.proves("C2")
class TestPower:
    def test_down_and_up_again_each_twice(self, place: Place, arm: Arm, cluster: ClusterRef) -> None:
        set_cluster(place, start_seconds=0.3, stop_seconds=0.3)
        try:
            for ask, end in ((arm.stop, Lifecycle.STOPPED), (arm.start, Lifecycle.RUNNING)):
                ask(cluster)
                ask(cluster)
                is_now(arm, cluster, end)
                ask(cluster)
                assert lifecycle_of(arm.cluster(cluster)).lifecycle is end
        finally:
            set_cluster(place, start_seconds=4.0, stop_seconds=2.0)

    @pytest.mark.parametrize("code", ["OperationNotAllowed", "Conflict"])
    def test_another_operation_under_way(self, place: Place, arm: Arm, cluster: ClusterRef, code: str) -> None:
        message = "there's an in-progress stop managed cluster operation"
        for ask in (arm.start, arm.stop):
            place.arm_faults({"status": 409, "code": code, "message": message})
            with pytest.raises(ConflictError) as caught:
                ask(cluster)
            assert caught.value.code == "cluster_busy"
            assert message in caught.value.message

    def test_no_such_cluster(self, arm: Arm, cluster: ClusterRef) -> None:
        with pytest.raises(NotFoundError):
            arm.start(replace(cluster, cluster_name="another"))

    def test_a_refusal_names_the_role_that_is_missing(self, place: Place, arm: Arm, cluster: ClusterRef) -> None:
        hints = []
        for ask in (arm.start, arm.stop, arm.kubeconfig, arm.cluster):
            place.arm_faults({"status": 403, "code": "AuthorizationFailed"})
            with pytest.raises(PermanentError) as caught:
                ask(cluster)
            assert caught.value.code == "arm_denied"
            hints.append(caught.value.hint.partition("role ")[2].strip("'"))
        contributor = "Azure Kubernetes Service Contributor Role"
        assert hints == [contributor, contributor, "Azure Kubernetes Service Cluster User Role", "Reader"]

    def test_what_azure_will_not_do_is_not_asked_for_again(self, place: Place, arm: Arm, cluster: ClusterRef) -> None:
        for ask in (arm.start, arm.stop):
            place.arm_faults({"status": 400, "code": "QuotaExceeded", "message": "no cores are left"})
            with place.arm.watching() as seen, pytest.raises(PermanentError) as caught:
                ask(cluster)
            assert (caught.value.code, len(seen)) == ("arm_refused", 1)
            assert "QuotaExceeded" in caught.value.message
            assert "no cores are left" in caught.value.message


@pytest.mark.proves("C4")
def test_a_look_that_is_repeated_anyway_is_one_request(place: Place, arm: Arm, cluster: ClusterRef) -> None:
    place.arm_faults({"status": 503, "times": -1})
    with place.arm.watching() as seen, pytest.raises(TransientError):
        arm.cluster(cluster, patient=False)
    assert len(seen) == 1


class TestRoles:
    def assignment(self, cluster: ClusterRef, principal: str) -> RoleAssignment:
        """One at the cluster's group."""
        scope = f"/subscriptions/{cluster.subscription_id}/resourceGroups/{cluster.resource_group}"
        return RoleAssignment(f"{scope}/providers/Microsoft.Storage/x/{principal}", principal, Role.BLOB_READER)

    def test_twice_is_one(self, place: Place, arm: Arm, cluster: ClusterRef) -> None:
        wanted = self.assignment(cluster, fresh("who"))
        with place.arm.watching() as seen:
            assert [arm.assign_role(wanted), arm.assign_role(wanted)] == [True, False]
        assert len({each.path for each in seen}) == 1
        assert f"/roleAssignments/{wanted.name}?" in seen[0].path

    def test_one_that_is_there_under_another_name(self, place: Place, arm: Arm, cluster: ClusterRef) -> None:
        place.arm_faults({"path": "roleAssignments", "status": 409, "code": "RoleAssignmentExists"})
        assert arm.assign_role(self.assignment(cluster, fresh("who"))) is False

    @pytest.mark.parametrize(
        ("status", "code", "error"),
        [
            (403, "AuthorizationFailed", "arm_denied"),
            (404, "ResourceNotFound", "role_scope_not_found"),
            (400, "PrincipalNotFound", "principal_not_found"),
        ],
    )
    def test_refusals(self, place: Place, arm: Arm, cluster: ClusterRef, status: int, code: str, error: str) -> None:
        place.arm_faults({"path": "roleAssignments", "status": status, "code": code})
        with pytest.raises((PermanentError, TransientError)) as caught:
            arm.assign_role(self.assignment(cluster, fresh("who")))
        assert caught.value.code == error

    def test_an_answer_that_is_none(self, place: Place, arm: Arm, cluster: ClusterRef) -> None:
        rule = Rule("PUT", status=400, body=b"<html>", headers={"Content-Type": "text/html"})
        with place.arm.breaking(rule), pytest.raises(TransientError) as caught:
            arm.assign_role(self.assignment(cluster, fresh("who")))
        assert caught.value.code == "arm_unavailable"
