"""Real histories, replayed by the SDK's own worker against today's orchestrators: an instance that runs when a new
version of the app starts must go on. A change that breaks an old history needs a new orchestrator name."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from azure.durable_functions.worker import DurableFunctionsWorker
from durabletask.internal import orchestrator_service_pb2 as pb

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
from tests.orchestrators import histories
from tests.orchestrators.histories import Step, kind_of

# The worker's first call warns, once per process, that its payloads are read without types; the app does not use them.
pytestmark = pytest.mark.filterwarnings("ignore:azure.functions df_loads was called without expected_type")

ORCHESTRATORS: dict[str, Callable[..., Any]] = {
    names.SEARCH_ORCHESTRATOR: search_orchestrator,
    names.MONITOR_ORCHESTRATOR: monitor_orchestrator,
    names.WARMUP_ORCHESTRATOR: warmup_orchestrator,
    names.SHARDS_ORCHESTRATOR: shards_orchestrator,
    names.RELEASE_ORCHESTRATOR: release_orchestrator,
    names.REMOVAL_ORCHESTRATOR: removal_orchestrator,
    names.DELETION_ORCHESTRATOR: deletion_orchestrator,
    names.CLUSTER_POWER_ORCHESTRATOR: cluster_power_orchestrator,
    names.OPENAPI_DEPLOY_ORCHESTRATOR: openapi_deploy_orchestrator,
}


def replay(orchestrator: Callable[..., Any], step: Step) -> Sequence[pb.OrchestratorAction]:
    """What the orchestrator decides today, told what it was told then."""
    request = pb.OrchestratorRequest(instanceId="replayed", pastEvents=step.past, newEvents=step.new)
    body = base64.b64encode(request.SerializeToString()).decode()
    answer = DurableFunctionsWorker().execute_orchestration_request(orchestrator, SimpleNamespace(body=body))
    response = pb.OrchestratorResponse.FromString(base64.b64decode(answer))
    return list(response.actions)


HINTS = ("follow_up", "max_age", "instance", "made_by")
"""Fields of an activity's input that say how to go about it, or who asks: they may differ, what is asked may not."""


def asked(text: str) -> Any:
    """An activity's input without the hints; a replay itself compares numbers and names only."""
    data = json.loads(text)
    return {k: v for k, v in data.items() if k not in HINTS} if isinstance(data, dict) else data


def decision(event: pb.HistoryEvent) -> tuple[Any, ...]:
    """A decided event in the form in which ``action`` shows an action."""
    kind = kind_of(event)
    if kind == "taskScheduled":
        return event.eventId, event.taskScheduled.name, asked(event.taskScheduled.input.value)
    if kind == "timerCreated":
        return event.eventId, "timer", event.timerCreated.fireAt.ToDatetime()
    if kind == "subOrchestrationInstanceCreated":
        child = event.subOrchestrationInstanceCreated
        return event.eventId, child.name, child.instanceId, child.input.value
    ended = event.executionCompleted
    return "ended", ended.orchestrationStatus, ended.result.value


def action(action: pb.OrchestratorAction) -> tuple[Any, ...]:
    """An action as a tuple that can be compared and read."""
    kind = action.WhichOneof("orchestratorActionType")
    if kind == "scheduleTask":
        return action.id, action.scheduleTask.name, asked(action.scheduleTask.input.value)
    if kind == "createTimer":
        return action.id, "timer", action.createTimer.fireAt.ToDatetime()
    if kind == "createSubOrchestration":
        child = action.createSubOrchestration
        return action.id, child.name, child.instanceId, child.input.value
    ended = action.completeOrchestration
    return "ended", ended.orchestrationStatus, ended.result.value or ended.failureDetails.errorMessage


@pytest.mark.parametrize("name", histories.saved())
def test_every_step_of_a_saved_history_is_decided_today_as_it_was_then(name: str) -> None:
    events = histories.load(name)
    orchestrator = ORCHESTRATORS[histories.orchestrator_of(events)]
    for step in histories.steps_of(events):
        decided = [action(a) for a in replay(orchestrator, step)]
        assert decided == [decision(event) for event in step.decided]


def test_each_of_these_orchestrators_has_a_saved_history() -> None:
    assert {histories.orchestrator_of(histories.load(name)) for name in histories.saved()} == set(ORCHESTRATORS)


def test_a_replay_notices_an_orchestrator_that_decides_otherwise() -> None:
    """The test above can fail: the monitor's history does not fit another orchestrator."""
    *_, last = histories.steps_of(histories.load("monitor_done"))
    [ended] = replay(shards_orchestrator, last)
    assert ended.completeOrchestration.orchestrationStatus == pb.ORCHESTRATION_STATUS_FAILED
    assert ended.completeOrchestration.failureDetails.errorType.endswith("NonDeterminismError")
