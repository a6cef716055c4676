"""Registers every orchestrator under its name. Old names stay registered while their histories may replay."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import azure.durable_functions as df

from orchestrators.calls import Steps
from orchestrators.cli_submit import cli_submit_orchestrator
from orchestrators.cluster_power import cluster_power_orchestrator
from orchestrators.deletion import deletion_orchestrator
from orchestrators.monitor import monitor_orchestrator
from orchestrators.openapi import openapi_deploy_orchestrator
from orchestrators.release import release_orchestrator
from orchestrators.removal import removal_orchestrator
from orchestrators.search import search_orchestrator
from orchestrators.shards import shards_orchestrator
from orchestrators.warmup import warmup_orchestrator
from shared.domain import functions as names
from shared.telemetry import log_event_once

blueprint: Any = df.Blueprint()  # the SDK types two-argument orchestrators only

ORCHESTRATORS: Mapping[str, Callable[[Any], Steps]] = {
    names.SEARCH_ORCHESTRATOR: search_orchestrator,
    names.MONITOR_ORCHESTRATOR: monitor_orchestrator,
    names.WARMUP_ORCHESTRATOR: warmup_orchestrator,
    names.RELEASE_ORCHESTRATOR: release_orchestrator,
    names.SHARDS_ORCHESTRATOR: shards_orchestrator,
    names.CLI_SUBMIT_ORCHESTRATOR: cli_submit_orchestrator,
    names.REMOVAL_ORCHESTRATOR: removal_orchestrator,
    names.DELETION_ORCHESTRATOR: deletion_orchestrator,
    names.CLUSTER_POWER_ORCHESTRATOR: cluster_power_orchestrator,
    names.OPENAPI_DEPLOY_ORCHESTRATOR: openapi_deploy_orchestrator,
}
"""Every orchestrator by its name."""


def telling(name: str, orchestrator: Callable[[Any], Steps]) -> Callable[[Any], Steps]:
    """The orchestrator, with one event when it fails: what it expects, it returns; what it raises is a fault.

    Args:
        name: under which it is registered.
    """

    @wraps(orchestrator)
    def run(context: Any) -> Steps:
        try:
            return (yield from orchestrator(context))
        except Exception as failure:  # whatever it is: it is told and goes on to fail the orchestration
            said = {"orchestrator": name, "instance": context.instance_id, "error": type(failure).__name__}
            log_event_once(context, "orchestration_failed", level=logging.ERROR, **said, message=str(failure)[:500])
            raise

    return run


for _name, _function in ORCHESTRATORS.items():
    blueprint.orchestration_trigger(context_name="context", orchestration=_name)(telling(_name, _function))
