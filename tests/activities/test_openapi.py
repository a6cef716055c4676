"""Deploying elb-openapi: what is missing is made, what differs is replaced, what is right is left alone."""

from __future__ import annotations

import pytest

from activities.openapi import deploy_openapi, observe_openapi
from shared.domain.cli_manifest import APP_OPENAPI
from shared.domain.errors import ConflictError, PermanentError, TransientError
from tests.activities.fakes import World
from tests.activities.worlds import CLUSTER

DATA = {"cluster": CLUSTER.to_dict()}
KINDS = ["serviceaccounts", "roles", "rolebindings", "services", "deployments"]


@pytest.fixture(autouse=True)
def kinds(world: World) -> None:
    """The fake knows these kinds, too."""
    for kind in KINDS:
        world.cluster.objects.setdefault(kind, {})


def writes(world: World) -> int:
    """How often something was changed."""
    return sum(n for call, n in world.cluster.calls.items() if call.split()[0] in ("create", "replace", "delete"))


def test_all_of_it_and_the_second_time_nothing(world: World) -> None:
    assert deploy_openapi(DATA) == {"created": KINDS, "replaced": []}
    before = writes(world)
    assert deploy_openapi(DATA) == {"created": [], "replaced": []}
    assert writes(world) == before


def test_only_what_differs_is_written(world: World) -> None:
    deploy_openapi(DATA)
    world.cluster.objects["deployments"][APP_OPENAPI]["spec"]["replicas"] = 0
    del world.cluster.objects["services"][APP_OPENAPI]
    assert deploy_openapi(DATA) == {"created": ["services"], "replaced": ["deployments"]}
    assert world.cluster.objects["deployments"][APP_OPENAPI]["spec"]["replicas"] == 1


def test_what_cannot_be_changed_is_made_anew(world: World) -> None:
    deploy_openapi(DATA)
    world.cluster.objects["deployments"][APP_OPENAPI]["spec"]["selector"] = {"matchLabels": {"app": "other"}}
    world.cluster.fail("replace", "deployments", PermanentError("kube_refused", "field is immutable"))
    with pytest.raises(TransientError):
        deploy_openapi(DATA)
    world.cluster.errors.clear()
    assert deploy_openapi(DATA) == {"created": ["deployments"], "replaced": []}


def test_one_that_is_going_is_waited_for(world: World) -> None:
    deploy_openapi(DATA)
    world.cluster.objects["services"][APP_OPENAPI]["metadata"]["deletionTimestamp"] = "2030-01-01T00:00:00Z"
    with pytest.raises(TransientError) as caught:
        deploy_openapi(DATA)
    assert caught.value.code == "openapi_terminating"


@pytest.mark.parametrize("verb", ["create", "replace"])
def test_somebody_else_at_it_is_tried_again(world: World, verb: str) -> None:
    if verb == "replace":
        deploy_openapi(DATA)
        world.cluster.objects["deployments"][APP_OPENAPI]["spec"]["replicas"] = 0
    world.cluster.fail(verb, "deployments", ConflictError("kube_conflict", "modified"))
    with pytest.raises(TransientError):
        deploy_openapi(DATA)
    world.cluster.errors.clear()
    deploy_openapi(DATA)


class TestObserve:
    def test_gone(self, world: World) -> None:
        assert observe_openapi(DATA)["missing"] is True

    def test_on_its_way_and_there(self, world: World) -> None:
        deploy_openapi(DATA)
        assert observe_openapi(DATA)["available"] is False
        status = {"observedGeneration": 1, "updatedReplicas": 1, "availableReplicas": 1}
        world.cluster.objects["deployments"][APP_OPENAPI]["status"] = status
        assert observe_openapi(DATA) == {"available": True}
