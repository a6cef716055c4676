"""Between engine and app: takes work items, runs the functions, gives back what they returned.

What the Durable Functions extension does in the real host. A work item is taken only when there is room for it, so that
events that arrive meanwhile are delivered together in one replay.
"""

import asyncio
import base64
import logging
import threading
from collections import Counter
from collections.abc import Coroutine, Iterable
from typing import Any, Final, Never

import grpc
from azure_functions_runtime.bindings.datumdef import Datum
from durabletask.internal import helpers
from durabletask.internal import orchestrator_service_pb2 as pb

from local.host.engine import DurableEngine
from local.host.functions import Function, Trigger
from local.host.settings import HostSettings
from local.host.work_items import WorkKind
from local.host.worker import FunctionFailedError, Worker

# mypy: allow-untyped-calls

_LOOK_AGAIN: Final = 0.5  # seconds; how long the end of the pump may take when nothing wakes it

_log = logging.getLogger(__name__)


class _LocalCall:
    """Stands for the gRPC context where the engine is called in this process."""

    def abort(self, code: grpc.StatusCode, details: str) -> Never:
        raise RuntimeError(f"{code.name}: {details}")


class DurableDispatcher:
    """Runs the orchestrators, activities and entities of an app for its engine.

    Args:
        engine: where work comes from.
        worker: what runs the functions.
        functions: those with another trigger are passed over.
        settings: how many of each kind run at once.
    """

    def __init__(
        self, engine: DurableEngine, worker: Worker, functions: Iterable[Function], settings: HostSettings
    ) -> None:
        self._engine = engine
        self._worker = worker
        self._functions = {(f.trigger, f.durable_name.casefold()): f for f in functions}
        self._limits = {
            WorkKind.ORCHESTRATION: settings.max_orchestrators,
            WorkKind.ACTIVITY: settings.max_activities,
            WorkKind.ENTITY: settings.max_entities,
        }
        # Two counters, each written by one thread only: the pump takes, the event loop ends.
        self._taken: Counter[WorkKind] = Counter()
        self._ended: Counter[WorkKind] = Counter()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._call: Any = _LocalCall()

    def start(self) -> None:
        """Begin to take work; called on the event loop that is to run it."""
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._pump, args=(loop,), name="durable-dispatch", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """Take no more work and drop what runs: the engine hands it out again after the next start."""
        self._stopped.set()
        self._engine.wake()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
        for task in self._tasks:
            task.cancel()

    def _pump(self, loop: asyncio.AbstractEventLoop) -> None:
        while not self._stopped.is_set():
            item = self._engine.take_work_item(self._room, _LOOK_AGAIN)
            if item is None or self._stopped.is_set():
                continue
            kind, work = self._work(item)
            self._taken[kind] += 1
            loop.call_soon_threadsafe(self._begin, kind, work)

    def _room(self) -> frozenset[WorkKind]:
        return frozenset(kind for kind, limit in self._limits.items() if self._taken[kind] - self._ended[kind] < limit)

    def _work(self, item: pb.WorkItem) -> tuple[WorkKind, Coroutine[Any, Any, None]]:
        match item.WhichOneof("request"):
            case "orchestratorRequest":
                return WorkKind.ORCHESTRATION, self._orchestrate(item.orchestratorRequest, item.completionToken)
            case "activityRequest":
                return WorkKind.ACTIVITY, self._act(item.activityRequest, item.completionToken)
            case _:
                return WorkKind.ENTITY, self._operate(item.entityRequestV2, item.completionToken)

    def _begin(self, kind: WorkKind, work: Coroutine[Any, Any, None]) -> None:
        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            self._ended[kind] += 1
            self._engine.wake()
            if not task.cancelled() and (error := task.exception()):
                _log.error("a durable %s could not be completed", kind, exc_info=error)

        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(ended)

    async def _invoke(self, trigger: Trigger, name: str, data: Datum) -> str:
        function = self._functions.get((trigger, name.casefold()))
        if function is None:
            raise FunctionFailedError("FunctionNotFound", f"there is no {trigger} function {name}", "")
        returned = await self._worker.invoke(function, data)
        return str(returned.value) if returned is not None else ""

    async def _orchestrate(self, request: pb.OrchestratorRequest, token: str) -> None:
        started = [e for e in (*request.pastEvents, *request.newEvents) if e.HasField("executionStarted")]
        name = started[-1].executionStarted.name
        try:
            data = Datum(base64.b64encode(request.SerializeToString()).decode(), "string")
            returned = await self._invoke(Trigger.ORCHESTRATION, name, data)
            response = pb.OrchestratorResponse.FromString(base64.b64decode(returned))
        except FunctionFailedError as error:
            _log.warning("orchestrator %s of %s failed: %s", name, request.instanceId, error)
            failed = helpers.new_complete_orchestration_action(
                -1, pb.ORCHESTRATION_STATUS_FAILED, failure_details=_details(error)
            )
            response = pb.OrchestratorResponse(instanceId=request.instanceId, actions=[failed])
        response.completionToken = token
        await asyncio.to_thread(self._engine.CompleteOrchestratorTask, response, self._call)

    async def _act(self, request: pb.ActivityRequest, token: str) -> None:
        instance_id = request.orchestrationInstance.instanceId
        response = pb.ActivityResponse(instanceId=instance_id, taskId=request.taskId, completionToken=token)
        data = Datum(request.input.value if request.HasField("input") else "null", "json")
        try:
            returned = await self._invoke(Trigger.ACTIVITY, request.name, data)
            response.result.CopyFrom(helpers.get_string_value_or_empty(returned))
        except FunctionFailedError as error:
            _log.warning("activity %s of %s failed: %s: %s", request.name, instance_id, error.error_type, error)
            response.failureDetails.CopyFrom(_details(error))
        await asyncio.to_thread(self._engine.CompleteActivityTask, response, self._call)

    async def _operate(self, request: pb.EntityRequest, token: str) -> None:
        batch, operations = helpers.convert_to_entity_batch_request(request)
        name = request.instanceId.split("@")[1]
        try:
            data = Datum(base64.b64encode(batch.SerializeToString()).decode(), "string")
            returned = await self._invoke(Trigger.ENTITY, name, data)
            result = pb.EntityBatchResult.FromString(base64.b64decode(returned))
        except FunctionFailedError as error:
            _log.warning("entity %s failed: %s", request.instanceId, error)
            failed = pb.OperationResult(failure=pb.OperationResultFailure(failureDetails=_details(error)))
            result = pb.EntityBatchResult(entityState=request.entityState, results=[failed] * len(batch.operations))
        del result.operationInfos[:]
        result.operationInfos.extend(operations)
        result.completionToken = token
        await asyncio.to_thread(self._engine.CompleteEntityTask, result, self._call)


def _details(error: FunctionFailedError) -> pb.TaskFailureDetails:
    """The failure as the Durable extension reports a Python function's: class name, whole message, traceback."""
    return pb.TaskFailureDetails(
        errorType=error.error_type,
        errorMessage=str(error),
        stackTrace=helpers.get_string_value(error.stack_trace or None),
    )
