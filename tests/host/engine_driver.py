"""Plays orchestrators and activities by hand against the engine, so that a test decides what happens when."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Never

import grpc
from durabletask.internal import helpers
from durabletask.internal import orchestrator_service_pb2 as pb

from local.host.engine import DurableEngine
from local.host.work_items import WorkKind


def orchestrations() -> frozenset[WorkKind]:
    """Room for orchestrations only."""
    return frozenset({WorkKind.ORCHESTRATION})


def activities() -> frozenset[WorkKind]:
    """Room for activities only."""
    return frozenset({WorkKind.ACTIVITY})


class ManualClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = datetime(2030, 1, 1, tzinfo=UTC).timestamp()

    def __call__(self) -> float:
        return self.seconds

    def at(self, seconds: float) -> datetime:
        """The moment so many seconds from now."""
        return datetime.fromtimestamp(self.seconds + seconds, UTC)


class CallAbortedError(Exception):
    """The engine refused a call."""


class Call:
    """Stands for a gRPC context."""

    def abort(self, code: grpc.StatusCode, details: str) -> Never:
        raise CallAbortedError(f"{code.name}: {details}")


class Driver:
    """An engine on a file and the two sides that use it.

    Args:
        path: the state file.
        clock: see DurableEngine.
    """

    def __init__(self, path: Path, clock: ManualClock | None = None) -> None:
        self.path = path
        self.clock = clock or ManualClock()
        self.engine = DurableEngine(path, clock=self.clock)
        self.call: Any = Call()
        self._token = ""
        self._heirs: list[Driver] = []

    def restarted(self) -> "Driver":
        """What a new process finds in the file: nothing of this engine is told or closed before."""
        heir = Driver(self.path, self.clock)
        self._heirs.append(heir)
        return heir

    def close(self) -> None:
        """Close the files of this engine and of those that came after it."""
        for heir in self._heirs:
            heir.close()
        self.engine.stop()

    def start(self, instance_id: str, text: str = "null") -> None:
        """Start an orchestration, as a client does."""
        request = pb.CreateInstanceRequest(
            instanceId=instance_id, name="orchestrator", input=helpers.get_string_value(text)
        )
        self.engine.StartInstance(request, self.call)

    def take(self) -> pb.OrchestratorRequest | None:
        """The next orchestration to replay, without waiting."""
        item = self.engine.take_work_item(orchestrations, 0)
        if item is None:
            return None
        self._token = item.completionToken
        return item.orchestratorRequest

    def complete(self, instance_id: str, *actions: pb.OrchestratorAction) -> None:
        """Answer the orchestration that was taken last."""
        response = pb.OrchestratorResponse(instanceId=instance_id, actions=actions, completionToken=self._token)
        self.engine.CompleteOrchestratorTask(response, self.call)

    def step(self, *actions: pb.OrchestratorAction) -> pb.OrchestratorRequest:
        """Take an orchestration and answer it at once; gives what it was asked."""
        request = self.take()
        assert request is not None
        self.complete(request.instanceId, *actions)
        return request

    def take_activity(self) -> pb.WorkItem | None:
        """The next activity, without waiting."""
        return self.engine.take_work_item(activities, 0)

    def answer(self, item: pb.WorkItem, text: str = "1") -> None:
        """Complete an activity with a result."""
        request = item.activityRequest
        response = pb.ActivityResponse(
            instanceId=request.orchestrationInstance.instanceId,
            taskId=request.taskId,
            completionToken=item.completionToken,
            result=helpers.get_string_value(text),
        )
        self.engine.CompleteActivityTask(response, self.call)

    def raise_event(self, instance_id: str, name: str) -> None:
        """Raise an external event, as a client does."""
        self.engine.RaiseEvent(pb.RaiseEventRequest(instanceId=instance_id, name=name), self.call)

    def purge(self, instance_id: str) -> None:
        """Purge an instance, as a client does."""
        self.engine.PurgeInstances(pb.PurgeInstancesRequest(instanceId=instance_id), self.call)

    def status(self, instance_id: str) -> pb.OrchestrationState:
        """The state of an instance, as a client sees it."""
        request = pb.GetInstanceRequest(instanceId=instance_id, getInputsAndOutputs=True)
        return self.engine.GetInstance(request, self.call).orchestrationState

    def advance(self, seconds: float) -> None:
        """Move the clock and fire what is due, in this thread."""
        self.clock.seconds += seconds
        timers = self.engine.timers
        while timers.fire_next():
            pass


def schedule(task_id: int, name: str = "activity") -> pb.OrchestratorAction:
    """The action that calls an activity."""
    return pb.OrchestratorAction(id=task_id, scheduleTask=pb.ScheduleTaskAction(name=name))


def timer(task_id: int, fire_at: datetime) -> pb.OrchestratorAction:
    """The action that makes a timer."""
    return helpers.new_create_timer_action(task_id, fire_at)


def child(task_id: int, instance_id: str) -> pb.OrchestratorAction:
    """The action that starts a child."""
    return helpers.new_create_sub_orchestration_action(task_id, "orchestrator", instance_id, None, None)


def complete(text: str = '"done"') -> pb.OrchestratorAction:
    """The action that ends an orchestration."""
    return helpers.new_complete_orchestration_action(-1, pb.ORCHESTRATION_STATUS_COMPLETED, text)


def fail(message: str) -> pb.OrchestratorAction:
    """The action that fails an orchestration."""
    details = pb.TaskFailureDetails(errorType="ValueError", errorMessage=message)
    return helpers.new_complete_orchestration_action(-1, pb.ORCHESTRATION_STATUS_FAILED, None, details)


def continue_as_new(text: str = "2") -> pb.OrchestratorAction:
    """The action that begins a new generation."""
    return helpers.new_complete_orchestration_action(-1, pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW, text)


def kinds(request: pb.OrchestratorRequest | None) -> list[str]:
    """What kinds of events a replay got as new, without the brackets around each."""
    assert request is not None
    return [str(e.WhichOneof("eventType")) for e in request.newEvents if not e.HasField("orchestratorStarted")]
