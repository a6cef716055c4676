"""A cluster's lifecycle by what ARM says of it."""

from __future__ import annotations

from typing import Any

import pytest

from shared.domain.lifecycle import Lifecycle, lifecycle_of


@pytest.mark.parametrize(
    ("provisioning", "power", "lifecycle"),
    [
        ("Succeeded", "Running", Lifecycle.RUNNING),
        ("Succeeded", "Stopped", Lifecycle.STOPPED),
        ("Starting", "Running", Lifecycle.STARTING),
        ("Starting", "Stopped", Lifecycle.STARTING),
        ("Stopping", "Running", Lifecycle.STOPPING),
        ("Creating", "Running", Lifecycle.PROVISIONING),
        ("Deleting", "Running", Lifecycle.DELETING),
        ("Failed", "Running", Lifecycle.FAILED),
        ("Failed", "Stopped", Lifecycle.FAILED),
        ("Canceled", "Running", Lifecycle.FAILED),
        ("Updating", "Running", Lifecycle.RUNNING),
        ("Upgrading", "Running", Lifecycle.RUNNING),
        ("Scaling", "Running", Lifecycle.RUNNING),
        ("Updating", "Stopped", Lifecycle.STOPPED),
        ("SUCCEEDED", "running", Lifecycle.RUNNING),
        ("Succeeded", "", Lifecycle.UNKNOWN),
        ("Succeeded", "Hibernating", Lifecycle.UNKNOWN),
        ("", "", Lifecycle.UNKNOWN),
    ],
)
def test_by_provisioning_and_power(provisioning: str, power: str, lifecycle: Lifecycle) -> None:
    state = lifecycle_of({"properties": {"provisioningState": provisioning, "powerState": {"code": power}}})
    assert state.lifecycle is lifecycle
    assert (state.provisioning, state.power) == (provisioning, power)
    assert state.workload_possible is (lifecycle is Lifecycle.RUNNING)


@pytest.mark.parametrize(
    "body",
    [{}, {"properties": None}, {"properties": {"powerState": None}}, {"properties": {"provisioningState": None}}],
)
def test_what_says_nothing_is_unknown(body: dict[str, Any]) -> None:
    assert lifecycle_of(body).lifecycle is Lifecycle.UNKNOWN
