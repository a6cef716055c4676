"""Each cause of a failed warmup has its code and its own advice, and what may still end well is not given up."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from shared.domain.warm_failures import failure_of, given_up, jobs_missing, subnet_of, with_role_warnings

Json = dict[str, Any]


@pytest.mark.proves("W4")
@pytest.mark.parametrize(
    ("message", "code", "advice"),
    [
        ("storage_role_missing: the role is missing", "storage_role_missing", "Storage Blob Data Reader"),
        ("storage_firewall: not allowed", "storage_firewall", "allow subnet nodes in the storage account"),
        ("disk_full: 3 bytes", "disk_full", "larger disks"),
        ("bad_database: refused", "bad_database", "upload the database's files again"),
        ("node_memory_full: 3 bytes", "node_memory_full", "more memory"),
        ("download_failed: exit code 1", "download_failed", "last log lines"),
        ("ImagePullBackOff: Back-off pulling image", "image_pull_failed", "AcrPull"),
        ("BackoffLimitExceeded", "warmup_failed", "shards' messages"),
        ("Image: cannot be read", "warmup_failed", "shards' messages"),
        ("", "warmup_failed", "shards' messages"),
    ],
)
def test_a_cause_has_its_code_and_its_advice(message: str, code: str, advice: str) -> None:
    error = failure_of("db", {"active_message": message, "subnet": "subnet nodes", "active_last_log": "last"})
    assert error["code"] == code
    assert advice in error["hint"]
    assert error["message"].startswith("database db could not be warmed: ")
    assert error["log_tail"] == "last"


def test_role_and_firewall_have_different_advice() -> None:
    hints = {
        failure_of("db", {"active_message": f"{c}: x"})["hint"] for c in ("storage_role_missing", "storage_firewall")
    }
    assert len(hints) == 2


READER, PULL = (
    {"role": role, "code": "not_allowed", "hint": f"az role assignment create --role '{role}'"}
    for role in ("Storage Blob Data Reader", "AcrPull")
)
NO_IDENTITY = {"code": "no_kubelet_identity", "hint": "update the cluster to a managed identity"}


@pytest.mark.parametrize(
    ("code", "warnings", "added"),
    [
        ("storage_role_missing", [PULL, READER], [READER]),
        ("image_pull_failed", [PULL, READER], [PULL]),
        ("storage_role_missing", [NO_IDENTITY], [NO_IDENTITY]),
        ("storage_role_missing", [], []),
        ("storage_firewall", [PULL, READER, NO_IDENTITY], []),
    ],
)
def test_a_role_that_could_not_be_assigned_is_named_where_it_is_the_cause(
    code: str, warnings: list[Json], added: list[Json]
) -> None:
    error = with_role_warnings({"code": code, "hint": "advice"}, warnings)
    assert error == {"code": code, "hint": "; ".join(["advice", *(warning["hint"] for warning in added)])}


PLAN = {"layout": 2, "nodes": ["a", "b"], "source_version": "v1"}


@pytest.mark.parametrize(
    ("pods", "other", "missing"),
    [
        (2, {}, False),
        (1, {}, True),
        (0, {"shards": 0, "source_version": None}, True),
        (1, {"shards": 1}, False),
        (1, {"source_version": "v2"}, False),
    ],
)
def test_jobs_of_this_plan_are_missing(pods: int, other: Json, missing: bool) -> None:
    status = {"status": "loading", "pod_statuses": [{}] * pods, "shards": 2, "source_version": "v1"}
    assert jobs_missing(status | other, PLAN) is missing


def test_of_a_cluster_that_does_not_answer_no_job_is_known_to_be_missing() -> None:
    assert jobs_missing({"status": "unknown"}, PLAN) is False


@pytest.mark.parametrize(
    ("status", "seconds", "code"),
    [
        ({"status": "cold"}, 4000, None),
        ({"status": "stale", "lost_nodes": ["a"]}, 59, None),
        ({"status": "stale", "lost_nodes": ["a"]}, 60, "node_lost"),
        ({"status": "stale", "lost_nodes": []}, 60, "warmup_superseded"),
        ({"status": "cooled"}, 59, None),
        ({"status": "cooled"}, 60, "node_memory_full"),
        ({"status": "loading", "active_message": "ErrImagePull: no"}, 599, None),
        ({"status": "loading", "active_message": "ErrImagePull: no"}, 600, "image_pull_failed"),
        ({"status": "loading", "active_message": "copying"}, 4000, None),
        ({"status": "unknown"}, 4000, None),
    ],
)
def test_it_is_given_up_at_its_limit_and_not_before(status: Json, seconds: int, code: str | None) -> None:
    error = given_up("db", status, timedelta(seconds=seconds))
    assert (error["code"] if error else None) == code


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"agentPoolProfiles": [{"vnetSubnetID": "/v/b"}, {"vnetSubnetID": "/v/a"}, {}]}, "subnet /v/a, /v/b"),
        ({"agentPoolProfiles": [{}], "nodeResourceGroup": "MC_x"}, "the subnet aks-subnet in resource group MC_x"),
        ({}, "the nodes' subnet"),
    ],
)
def test_the_subnet_is_named_as_far_as_it_is_known(properties: Json, expected: str) -> None:
    assert subnet_of({"properties": properties}) == expected
