"""Registers every orchestrator under its name. Old names stay registered while their histories may replay."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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

for _name, _function in ORCHESTRATORS.items():
    blueprint.orchestration_trigger(context_name="context", orchestration=_name)(_function)
