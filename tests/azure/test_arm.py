"""The emulator as its clients see it: a process and HTTP."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.azure.conftest import CLUSTER, GROUP, SUBSCRIPTION, Switch, running_arm

GROUP_PATH = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"
CLUSTERS = "/providers/Microsoft.ContainerService/managedClusters"
CLUSTER_PATH = f"{GROUP_PATH}{CLUSTERS}/{CLUSTER}"
ROLE = f"{GROUP_PATH}/providers/Microsoft.Authorization/roleAssignments"


def properties(arm: httpx.Client) -> dict[str, Any]:
    answer = arm.get(CLUSTER_PATH)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["properties"]
    return found


def wait_for_operation(arm: httpx.Client, answer: httpx.Response, deadline_seconds: float = 10) -> dict[str, Any]:
    end = time.monotonic() + deadline_seconds
    while True:
        status: dict[str, Any] = arm.get(answer.headers["Azure-AsyncOperation"]).json()
        if status["status"] != "InProgress":
            return status
        assert time.monotonic() < end, status
        time.sleep(0.02)


class TestReading:
    def test_the_cluster_has_what_the_product_reads(self, arm: httpx.Client) -> None:
        found = properties(arm)
        assert found["provisioningState"] == "Succeeded"
        assert found["powerState"] == {"code": "Running"}
        assert found["kubernetesVersion"]
        assert found["identityProfile"]["kubeletidentity"]["objectId"]
        blast, system = found["agentPoolProfiles"]
        assert (blast["name"], blast["mode"], blast["count"]) == ("blast", "User", 2)
        assert blast["nodeLabels"] == {"workload": "blast"}
        assert blast["nodeTaints"] == ["workload=blast:NoSchedule"]
        assert (system["name"], system["mode"], system["count"], system["nodeTaints"]) == ("system", "System", 1, [])

    @pytest.mark.parametrize("path", [GROUP_PATH + CLUSTERS, f"/subscriptions/{SUBSCRIPTION}{CLUSTERS}"])
    def test_lists_hold_the_cluster(self, arm: httpx.Client, path: str) -> None:
        assert [item["name"] for item in arm.get(path).json()["value"]] == [CLUSTER]

    def test_paths_match_without_regard_to_case(self, arm: httpx.Client) -> None:
        assert arm.get(CLUSTER_PATH.lower()).json() == arm.get(CLUSTER_PATH.upper()).json()

    def test_pools_are_resources_of_their_own(self, arm: httpx.Client) -> None:
        pools = arm.get(CLUSTER_PATH + "/agentPools").json()["value"]
        assert [pool["name"] for pool in pools] == ["blast", "system"]
        assert arm.get(CLUSTER_PATH + "/agentPools/blast").json() == pools[0]
        assert arm.get(CLUSTER_PATH + "/agentPools/none").status_code == 404

    def test_the_group_is_there(self, arm: httpx.Client) -> None:
        assert arm.get(GROUP_PATH).json()["properties"]["provisioningState"] == "Succeeded"

    @pytest.mark.parametrize(
        ("call", "name"), [("listClusterUserCredential", "clusterUser"), ("listClusterAdminCredential", "clusterAdmin")]
    )
    def test_a_credential_is_a_kubeconfig(self, arm: httpx.Client, call: str, name: str) -> None:
        (credential,) = arm.post(f"{CLUSTER_PATH}/{call}").json()["kubeconfigs"]
        config = json.loads(base64.b64decode(credential["value"]))
        assert credential["name"] == name
        assert config["clusters"][0]["cluster"]["server"] == "http://127.0.0.1:6443"
        assert config["users"][0]["user"]["token"] == "of the cluster"


class TestRefusing:
    @pytest.mark.parametrize(
        ("path", "code"),
        [
            (CLUSTER_PATH + "x", "ResourceNotFound"),
            (CLUSTER_PATH.replace(GROUP, "other"), "ResourceGroupNotFound"),
            (CLUSTER_PATH.replace(SUBSCRIPTION, "other"), "SubscriptionNotFound"),
            ("/nothing", "InvalidResourceType"),
        ],
    )
    def test_what_is_not_there_is_named(self, arm: httpx.Client, path: str, code: str) -> None:
        answer = arm.get(path)
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == code
        assert answer.json()["error"]["message"]

    @pytest.mark.parametrize(
        ("header", "code"), [("", "AuthenticationFailed"), ("Bearer wrong", "InvalidAuthenticationToken")]
    )
    def test_without_the_token_nothing_is_answered(self, arm: httpx.Client, header: str, code: str) -> None:
        answer = arm.get(CLUSTER_PATH, headers={"Authorization": header})
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, code)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer ")

    @pytest.mark.parametrize("headers", [{"Host": "example.org"}, {"Origin": "http://example.org"}])
    def test_a_web_page_cannot_control(self, arm: httpx.Client, headers: dict[str, str]) -> None:
        assert arm.patch("/control/cluster", headers=headers, json={"exists": False}).status_code == 403
        assert arm.put("/control/faults", headers=headers, json={"faults": []}).status_code == 403
        assert arm.get(CLUSTER_PATH, headers=headers).status_code == 200

    def test_a_call_needs_a_version(self, arm: httpx.Client) -> None:
        answer = httpx.get(str(arm.base_url) + CLUSTER_PATH, headers=dict(arm.headers))
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "MissingApiVersionParameter")

    def test_another_method_is_refused(self, arm: httpx.Client) -> None:
        assert arm.delete(CLUSTER_PATH).status_code == 405

    def test_a_body_that_is_no_json_is_refused(self, arm: httpx.Client) -> None:
        answer = arm.put(f"{ROLE}/x", content=b"{")
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "InvalidRequestContent")

    def test_every_answer_can_be_found_in_a_log(self, arm: httpx.Client) -> None:
        answers = [arm.get(CLUSTER_PATH), arm.get("/nothing")]
        assert len({answer.headers["x-ms-request-id"] for answer in answers}) == 2


class TestPower:
    def test_stop_and_start_switch_the_cluster(self, start_arm: Callable[..., httpx.Client], switch: Switch) -> None:
        arm = start_arm("--cluster-control", switch.url)
        stop = arm.post(CLUSTER_PATH + "/stop")
        assert stop.status_code == 202
        assert wait_for_operation(arm, stop)["status"] == "Succeeded"
        assert properties(arm)["powerState"]["code"] == "Stopped"
        assert [pool["count"] for pool in properties(arm)["agentPoolProfiles"]] == [0, 0]

        start = arm.post(CLUSTER_PATH + "/start")
        assert properties(arm)["provisioningState"] == "Starting"
        assert arm.get(start.headers["Location"]).status_code == 202
        wait_for_operation(arm, start)
        assert arm.get(start.headers["Location"]).status_code == 204
        assert properties(arm)["powerState"]["code"] == "Running"
        assert switch.calls == [("/power", {"state": "stopped"}), ("/power", {"state": "running"})]

    def test_the_opposite_meanwhile_is_a_conflict(self, start_arm: Callable[..., httpx.Client]) -> None:
        arm = start_arm("--stop-seconds", "60")
        arm.post(CLUSTER_PATH + "/stop")
        refused = arm.post(CLUSTER_PATH + "/start")
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "OperationNotAllowed")

    def test_an_operation_survives_a_killed_emulator(self, tmp_path: Path) -> None:
        with running_arm(tmp_path, "--stop-seconds", "0.5") as arm:
            answer = arm.post(CLUSTER_PATH + "/stop")
            path = answer.headers["Azure-AsyncOperation"].removeprefix(str(arm.base_url))
        with running_arm(tmp_path) as arm:
            answer.headers["Azure-AsyncOperation"] = path
            assert wait_for_operation(arm, answer)["status"] == "Succeeded"
            assert properties(arm)["powerState"]["code"] == "Stopped"


class TestRoleAssignments:
    def test_put_get_list_conflict(self, arm: httpx.Client) -> None:
        body = {"properties": {"principalId": "p", "roleDefinitionId": "r"}}
        assert arm.put(f"{ROLE}/one", json=body).status_code == 201
        assert arm.put(f"{ROLE}/one", json=body).status_code == 200
        conflict = arm.put(f"{ROLE}/two", json=body)
        assert (conflict.status_code, conflict.json()["error"]["code"]) == (409, "RoleAssignmentExists")
        assert arm.get(f"{ROLE}/one").json()["properties"]["principalId"] == "p"
        assert [item["name"] for item in arm.get(ROLE).json()["value"]] == ["one"]
        assert arm.get(ROLE, params={"$filter": "principalId eq 'q'"}).json()["value"] == []
        assert arm.delete(f"{ROLE}/one").status_code == 200
        assert arm.get(f"{ROLE}/one").status_code == 404


class TestFaults:
    def test_a_fault_happens_as_often_as_asked(self, arm: httpx.Client) -> None:
        fault = {"path": "/start$", "status": 429, "code": "TooManyRequests", "retry_after": 7, "times": 1}
        assert arm.put("/control/faults", json={"faults": [fault]}).status_code == 204
        assert arm.get(CLUSTER_PATH).status_code == 200
        refused = arm.post(CLUSTER_PATH + "/start")
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "7")
        assert arm.post(CLUSTER_PATH + "/start").status_code == 202

    def test_the_cluster_can_be_gone(self, arm: httpx.Client) -> None:
        arm.patch("/control/cluster", json={"exists": False})
        assert arm.get(CLUSTER_PATH).json()["error"]["code"] == "ResourceNotFound"
        assert arm.get(GROUP_PATH + CLUSTERS).json()["value"] == []
        arm.patch("/control/cluster", json={"exists": True})
        assert arm.get(CLUSTER_PATH).status_code == 200

    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [("PATCH", "/control/cluster", {"colour": "red"}), ("PUT", "/control/faults", {"faults": [{"colour": "red"}]})],
    )
    def test_a_misspelt_one_is_refused(self, arm: httpx.Client, method: str, path: str, body: dict[str, Any]) -> None:
        assert arm.request(method, path, json=body).status_code == 400
