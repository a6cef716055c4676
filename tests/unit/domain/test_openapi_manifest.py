"""elb-openapi's objects, and what a look at them means."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from shared.domain.cli_manifest import surroundings_of
from shared.domain.openapi_manifest import CONTENT_HASH, OpenApi, is_as_wanted, is_available, replacement, why_not
from shared.domain.search import ClusterRef

CLUSTER = ClusterRef("sub", "group", "cluster", "store")
OPENAPI = OpenApi(CLUSTER, "acr.azurecr.io/elb-openapi:4.14", "default", "westeurope", "acr")
OBJECTS = dict(OPENAPI.objects())
Json = dict[str, Any]


def stored(kind: str) -> Json:
    """An object as the API server gives it back: with what it adds."""
    obj: Json = copy.deepcopy(OBJECTS[kind])
    obj["metadata"] |= {"uid": "u", "resourceVersion": "7", "namespace": "default"}
    if kind == "services":
        obj["spec"] |= {"clusterIP": "10.0.0.9", "clusterIPs": ["10.0.0.9"], "sessionAffinity": "None"}
    if kind == "deployments":
        obj["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] = "IfNotPresent"
    return obj


class TestObjects:
    def test_in_the_order_in_which_they_are_needed(self) -> None:
        assert list(OBJECTS) == ["serviceaccounts", "roles", "rolebindings", "services", "deployments"]
        assert {obj["metadata"]["name"] for obj in OBJECTS.values()} == {"elb-openapi"}
        assert {obj["metadata"]["labels"]["app"] for obj in OBJECTS.values()} == {"elb-openapi"}

    def test_the_command_line_engine_finds_what_it_needs_in_the_pod(self) -> None:
        template = OBJECTS["deployments"]["spec"]["template"]
        pod = {
            "metadata": {"name": "p", **template["metadata"]},
            "spec": template["spec"],
            "status": {"phase": "Running"},
        }
        around = surroundings_of([pod])
        assert around is not None
        assert (around.image, around.service_account) == ("acr.azurecr.io/elb-openapi:4.14", "elb-openapi")
        assert {"name": "AZCOPY_AUTO_LOGIN_TYPE", "value": "MSI"} in around.env

    def test_no_right_beyond_the_namespace_and_none_to_read_secrets(self) -> None:
        resources = {resource for rule in OBJECTS["roles"]["rules"] for resource in rule["resources"]}
        assert resources == {"jobs", "configmaps", "pods", "pods/log"}
        assert OBJECTS["rolebindings"]["subjects"] == [
            {"kind": "ServiceAccount", "name": "elb-openapi", "namespace": "default"}
        ]

    def test_the_hash_is_that_of_the_content(self) -> None:
        other = dict(OpenApi(CLUSTER, "elb-openapi:4.15", "default", "westeurope", "acr").objects())
        hashes = {kind: obj["metadata"]["annotations"][CONTENT_HASH] for kind, obj in OBJECTS.items()}
        changed = [k for k, obj in other.items() if obj["metadata"]["annotations"][CONTENT_HASH] != hashes[k]]
        assert changed == ["deployments"]


class TestRepair:
    @pytest.mark.parametrize("kind", OBJECTS)
    def test_what_was_written_is_as_wanted(self, kind: str) -> None:
        assert is_as_wanted(stored(kind), OBJECTS[kind])

    @pytest.mark.parametrize("kind", OBJECTS)
    def test_what_has_another_hash_is_not(self, kind: str) -> None:
        obj = stored(kind)
        obj["metadata"]["annotations"][CONTENT_HASH] = "other"
        assert not is_as_wanted(obj, OBJECTS[kind])

    def test_what_somebody_changed_is_not(self) -> None:
        obj = stored("deployments")
        obj["spec"]["replicas"] = 0
        assert not is_as_wanted(obj, OBJECTS["deployments"])
        obj = stored("roles")
        obj["rules"].append({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]})
        assert not is_as_wanted(obj, OBJECTS["roles"])

    def test_a_foreign_one_is_not(self) -> None:
        assert not is_as_wanted({"metadata": {"name": "elb-openapi"}, "spec": None}, OBJECTS["services"])

    def test_what_takes_its_place_keeps_what_the_server_gave(self) -> None:
        after = replacement(stored("services"), OBJECTS["services"])
        assert after["metadata"]["resourceVersion"] == "7"
        assert (after["spec"]["clusterIP"], "sessionAffinity" in after["spec"]) == ("10.0.0.9", False)
        assert "resourceVersion" not in OBJECTS["services"]["metadata"]


class TestAvailable:
    @pytest.mark.parametrize(
        ("status", "available"),
        [
            ({"observedGeneration": 2, "updatedReplicas": 1, "availableReplicas": 1}, True),
            ({"observedGeneration": 1, "updatedReplicas": 1, "availableReplicas": 1}, False),
            ({"observedGeneration": 2, "updatedReplicas": 0, "availableReplicas": 1}, False),
            ({"observedGeneration": 2, "updatedReplicas": 1}, False),
            ({}, False),
        ],
    )
    def test_only_the_present_version_counts(self, status: Json, available: bool) -> None:
        assert is_available({"metadata": {"generation": 2}, "status": status}) is available

    def test_the_pods_say_why_not(self) -> None:
        waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "denied"}}
        status = {"phase": "Pending", "containerStatuses": [{"name": "openapi", "state": waiting}]}
        pod = {"metadata": {"name": "p"}, "spec": {"containers": []}, "status": status}
        assert "ImagePullBackOff" in why_not({"metadata": {}}, [pod])

    def test_or_the_deployment(self) -> None:
        conditions = [{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}]
        assert why_not({"metadata": {}, "status": {"conditions": conditions}}, []) == "exceeded quota"
        assert why_not({"metadata": {}}, []) == "its pod has not begun yet"
