"""Deploying elb-openapi: roles, objects, looks, and what its pod says when it does not come up."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrators.openapi import DEADLINE_SECONDS, openapi_deploy_orchestrator
from shared.domain import functions as names
from tests.orchestrators.fake_context import START, ActivityFailedError, Play, in_turn, play
from tests.orchestrators.searches import BROKEN, CLUSTER

REQUEST: dict[str, Any] = {"version": 1, "cluster": CLUSTER}
ROLES = {"created": True, "wait_seconds": 180, "warnings": []}
DONE = {"created": ["deployments"], "replaced": []}
PULLING = {"available": False, "reason": "ImagePullBackOff: denied"}
UP = {"available": True}
DOWN = ActivityFailedError("openapi-1: Activity task #3 failed: kube_unreachable: no answer")


def deploy(*looks: Any, **others: Any) -> Play:
    """Play all generations; the last look stays."""
    answers = {names.ENSURE_ROLES: ROLES, names.DEPLOY_OPENAPI: DONE, names.OBSERVE_OPENAPI: in_turn(*looks)} | others
    played = play(openapi_deploy_orchestrator, REQUEST, answers)
    while played.continued is not None:
        played = play(openapi_deploy_orchestrator, played.continued, answers, now=played.context.now)
    return played


def test_roles_objects_then_looks() -> None:
    played = deploy(PULLING, UP)
    assert played.result == {"status": "succeeded", **DONE, "warnings": []}
    assert played.context.names() == [
        names.ENSURE_ROLES,
        names.DEPLOY_OPENAPI,
        names.OBSERVE_OPENAPI,
        names.OBSERVE_OPENAPI,
    ]
    phases = [status["phase"] for status in played.context.statuses]
    assert phases == ["assigning_roles", "deploying", "waiting_for_pod", "completed"]


def test_it_fails_with_what_the_pods_say_and_what_would_assign_the_role() -> None:
    warning = {"role": "AcrPull", "hint": "somebody who may: az role assignment create"}
    played = deploy(PULLING, ensure_roles=ROLES | {"warnings": [warning]})
    error = played.result["error"]
    assert (error["code"], PULLING["reason"] in error["message"]) == ("openapi_unavailable", True)
    assert "az role assignment create" in error["hint"]
    assert (played.context.now - START).total_seconds() == DEADLINE_SECONDS


@pytest.mark.parametrize("failure", [{"error": BROKEN}, DOWN], ids=["permanent", "transient that stays"])
def test_roles_that_cannot_be_assigned_keep_nobody(failure: Any) -> None:
    played = deploy(UP, ensure_roles=failure)
    assert played.result["status"] == "succeeded"
    assert len(played.result["warnings"]) == 1


def test_objects_that_cannot_be_written_end_it() -> None:
    assert deploy(UP, deploy_openapi={"error": BROKEN}).result == {"status": "failed", "error": BROKEN}


def test_looks_that_cannot_be_taken_change_nothing() -> None:
    assert deploy(DOWN, UP).result["status"] == "succeeded"


def test_what_somebody_removes_meanwhile_is_made_again() -> None:
    played = deploy({"available": False, "missing": True, "reason": "somebody removed the deployment"}, UP)
    assert played.context.names().count(names.DEPLOY_OPENAPI) == 2
