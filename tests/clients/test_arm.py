"""Azure Resource Manager by the emulator: answers, refusals, and tries that end."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from shared.clients.arm import Arm, AzureArm
from shared.clients.credentials import make_credential
from shared.clients.kube_credentials import read_kubeconfig
from shared.domain.errors import NotFoundError, PermanentError, TransientError
from shared.domain.search import ClusterRef
from tests.clients.conftest import Place
from tests.clients.wire import Rule, Wire


def an_arm(place: Place, **settings: str) -> Arm:
    """A client with other settings."""
    made = place.settings(**settings)
    return AzureArm(made, make_credential(made))


@pytest.fixture
def arm(place: Place) -> Iterator[Arm]:
    """The client; the emulator is well again after the test."""
    yield an_arm(place)
    place.arm_faults()


@pytest.fixture(scope="module")
def cluster(place: Place) -> ClusterRef:
    """The cluster that there is."""
    found = place.settings().cluster
    assert found is not None
    return found


class TestAnswers:
    def test_the_cluster(self, arm: Arm, cluster: ClusterRef) -> None:
        found = arm.cluster(cluster)
        assert found["name"] == cluster.cluster_name
        assert found["properties"]["powerState"]["code"] == "Running"

    def test_its_kubeconfig(self, place: Place, arm: Arm, cluster: ClusterRef) -> None:
        access = read_kubeconfig(arm.kubeconfig(cluster))
        assert access.server == place.stack.stack_json["kubernetes"]
        assert access.token == place.stack.identity.cluster_token

    @pytest.mark.parametrize("field", ["subscription_id", "resource_group", "cluster_name"])
    @pytest.mark.parametrize("name", ["another", "a/b", "x?api-version=1", "../../..", "ä#"])
    def test_what_is_not_there(self, place: Place, arm: Arm, cluster: ClusterRef, field: str, name: str) -> None:
        with place.arm.watching() as seen:
            for ask in (arm.cluster, arm.kubeconfig):
                with pytest.raises(NotFoundError) as caught:
                    ask(replace(cluster, **{field: name}))
                assert caught.value.code == "cluster_not_found"
        for each in seen:
            assert "Microsoft.ContainerService/managedClusters/" in each.path
            assert each.path.count("?") == 1

    @pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"kubeconfigs": []}'])
    def test_no_answer_of_arm(self, place: Place, arm: Arm, cluster: ClusterRef, body: bytes) -> None:
        headers = {"Content-Type": "application/json"}
        with place.arm.breaking(Rule(status=200, body=body, headers=headers)), pytest.raises(TransientError) as caught:
            arm.kubeconfig(cluster)
        assert caught.value.code == "arm_unavailable"


class TestRefusals:
    def test_a_wrong_token(self, place: Place, cluster: ClusterRef) -> None:
        with pytest.raises(PermanentError) as caught:
            an_arm(place, ELB_CREDENTIAL="static:wrong").cluster(cluster)
        assert caught.value.code == "arm_denied"
        assert "wrong" not in str(caught.value)

    def test_no_role(self, place: Place, arm: Arm, cluster: ClusterRef) -> None:
        place.arm_faults({"status": 403, "code": "AuthorizationFailed"})
        with pytest.raises(PermanentError) as caught:
            arm.kubeconfig(cluster)
        assert caught.value.code == "arm_denied"
        assert "role" in caught.value.hint

    def test_a_redirect_does_not_get_the_token(self, place: Place, arm: Arm, cluster: ClusterRef) -> None:
        with Wire().serving() as elsewhere, elsewhere.watching() as seen:
            rule = Rule(status=307, headers={"Location": elsewhere.url})
            with place.arm.breaking(rule), pytest.raises(TransientError):
                arm.kubeconfig(cluster)
        assert seen == []


class TestTries:
    @pytest.mark.parametrize("status", [500, 503, 429])
    def test_a_hiccup_is_not_noticed(self, place: Place, arm: Arm, cluster: ClusterRef, status: int) -> None:
        place.arm_faults({"status": status, "times": 2})
        assert arm.cluster(cluster)["name"] == cluster.cluster_name

    @pytest.mark.parametrize("status", [500, 429])
    def test_they_end(self, place: Place, arm: Arm, cluster: ClusterRef, status: int) -> None:
        place.arm_faults({"status": status, "times": -1})
        with place.arm.watching() as seen, pytest.raises(TransientError) as caught:
            arm.cluster(cluster)
        assert caught.value.code == "arm_unavailable"
        assert len(seen) == 4

    def test_a_long_wait_is_left_to_the_caller(self, place: Place, arm: Arm, cluster: ClusterRef) -> None:
        place.arm_faults({"status": 429, "retry_after": 60, "times": -1})
        began = time.monotonic()
        with place.arm.watching() as seen, pytest.raises(TransientError) as caught:
            arm.kubeconfig(cluster)
        assert caught.value.retry_after == 60
        assert len(seen) == 1
        assert time.monotonic() - began < 30

    def test_nobody_there(self, place: Place, cluster: ClusterRef) -> None:
        with socket.socket() as held:  # bound and not listening: nothing else can take the port
            held.bind(("127.0.0.1", 0))
            arm = an_arm(place, ELB_ARM_ENDPOINT=f"http://127.0.0.1:{held.getsockname()[1]}")
            with pytest.raises(TransientError) as caught:
                arm.cluster(cluster)
        assert caught.value.code == "arm_unavailable"

    def test_a_broken_connection(self, place: Place, arm: Arm, cluster: ClusterRef) -> None:
        with place.arm.breaking(Rule("GET")):
            assert arm.cluster(cluster)["name"] == cluster.cluster_name
