"""The durable engine: Microsoft's in-memory durabletask backend, made fit to run a host.

That backend is written for tests. Run as a host it has defects, and this subclass mends them (tests/host/test_engine.py
has one test for each):
- a parent gives a child 30 s and then never hears of it: here a child reports when it ends, whenever that is;
- results, timers and children of an older generation (before `continue_as_new`, or of a purged instance with the same
  id) reach the new one: here every generation has a number of its own, and what is older is dropped;
- an id once used is refused for ever: here, as on Azure, an ended orchestration is replaced by a new one of its id, and
  what the old one still waited for is dropped;
- one thread per timer: here one heap and one thread (timer_queue.py);
- it listens on all interfaces with SO_REUSEPORT: here on 127.0.0.1, on a port of its own;
- nothing survives the process: here what a call touched is in SQLite before the call answers (store.py), and a restart
  hands out again what was not answered (recovery.py);
- an orchestration that gets an event while it is being processed is polled for, and holds up those behind it: here it
  is queued when its processing ends.
Not kept over a restart: entity locks and delayed entity signals; the product uses neither.

durabletask is pinned exactly; tests/host/test_durabletask_contract.py fails when a private name used here changes.
"""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, override

import grpc
from durabletask.internal import helpers
from durabletask.internal import orchestrator_service_pb2 as pb
from durabletask.testing.in_memory_backend import ActivityWorkItem, OrchestrationInstance

from local.host.persistent_backend import PersistentBackend
from local.host.recovery import outstanding_work
from local.host.store import ParentLink
from local.host.timer_queue import Clock
from local.host.work_items import WorkKind, activity_item, entity_item, orchestration_item

_ANSWERS_OF_A_GENERATION: Final = frozenset({
    "taskCompleted",
    "taskFailed",
    "timerFired",
    "subOrchestrationInstanceCompleted",
    "subOrchestrationInstanceFailed",
})  # fmt: skip

_log = logging.getLogger(__name__)


class DurableEngine(PersistentBackend):
    """The engine of one host.

    Args:
        path: the SQLite file with the state; what it holds is continued.
        clock: present time in seconds since the epoch, for durable timers.

    Raises:
        StateFormatError: when the file is of another format.
    """

    def __init__(self, path: Path, *, clock: Clock = time.time) -> None:
        super().__init__(path, clock)
        self._queued_in_flight: set[str] = set()
        with self._transaction():
            self._restore()

    # -- restart

    def _restore(self) -> None:
        for stored in self._store.load_instances():
            instance = stored.instance
            self._watched.restore(instance)
            self._generations[instance.instance_id] = stored.generation
            if stored.parent:
                self._parents[instance.instance_id] = stored.parent
            known = (stored.generation, stored.parent.generation if stored.parent else 0)
            self._next_generation = max(self._next_generation, *(number + 1 for number in known))
            instance.completion_token = self._next_completion_token
            self._next_completion_token += 1
            if not self._is_terminal_status(instance.status):
                self._hand_out_again(instance, stored.generation)
        for entity in self._store.load_entities():
            entity.completion_token = self._next_completion_token
            self._next_completion_token += 1
            self._entities[entity.instance_id] = entity
            if entity.pending_operations:
                self._enqueue_entity(entity.instance_id)

    def _hand_out_again(self, instance: OrchestrationInstance, generation: int) -> None:
        outstanding = outstanding_work(instance.history, instance.pending_events)
        for event in outstanding.timers:
            self._arm_timer(instance.instance_id, event.eventId, event.timerCreated.fireAt.ToDatetime(tzinfo=UTC))
        for event in outstanding.activities:
            task = event.taskScheduled
            text = task.input.value if task.HasField("input") else None
            item = ActivityWorkItem(instance.instance_id, task.name, event.eventId, text, generation)
            self._activity_queue.append(item)
        if instance.pending_events:
            self._enqueue_orchestration(instance.instance_id)

    # -- the base's steps, mended

    @override
    def _enqueue_orchestration(self, instance_id: str) -> None:
        with self._transaction(instance_id):
            super()._enqueue_orchestration(instance_id)

    @override
    def _enqueue_entity(self, entity_id: str) -> None:
        with self._transaction():
            self._touched_entities.add(entity_id)
            super()._enqueue_entity(entity_id)

    @override
    def _process_schedule_task_action(self, instance: OrchestrationInstance, action: pb.OrchestratorAction) -> None:
        super()._process_schedule_task_action(instance, action)
        self._activity_queue[-1].completion_token = self._generations[instance.instance_id]

    @override
    def _process_create_timer_action(self, instance: OrchestrationInstance, action: pb.OrchestratorAction) -> None:
        fire_at = action.createTimer.fireAt.ToDatetime(tzinfo=UTC)
        instance.history.append(helpers.new_timer_created_event(action.id, fire_at))
        self._arm_timer(instance.instance_id, action.id, fire_at)

    def _arm_timer(self, instance_id: str, timer_id: int, fire_at: datetime) -> None:
        fire = partial(self._fire_timer, instance_id, self._generations[instance_id], timer_id, fire_at)
        self._timers.schedule(fire_at.timestamp(), fire)

    def _fire_timer(self, instance_id: str, generation: int, timer_id: int, fire_at: datetime) -> None:
        with self._transaction():
            if instance := self._listens(instance_id, generation):
                self._receive(instance, helpers.new_timer_fired_event(timer_id, fire_at))

    @override
    def _process_complete_orchestration_action(
        self, instance: OrchestrationInstance, complete_action: pb.CompleteOrchestrationAction
    ) -> None:
        if complete_action.orchestrationStatus == pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW:
            # Task ids start again in the new generation: an answer that arrived for the old one would be taken for it.
            instance.pending_events[:] = [
                event
                for event in instance.pending_events
                if event.WhichOneof("eventType") not in _ANSWERS_OF_A_GENERATION
            ]
            self._new_generation(instance.instance_id)
        super()._process_complete_orchestration_action(instance, complete_action)

    @override
    def _watch_sub_orchestration(self, parent_instance_id: str, sub_instance_id: str, task_id: int) -> None:
        generation = self._generations[parent_instance_id]
        self._parents[sub_instance_id] = ParentLink(parent_instance_id, task_id, generation)
        self._touched.add(sub_instance_id)
        self._report_to_parent(sub_instance_id)

    def _report_to_parent(self, child_id: str) -> None:
        child, link = self._instances.get(child_id), self._parents.get(child_id)
        if child is None or link is None or not self._is_terminal_status(child.status):
            return
        del self._parents[child_id]
        self._touched.add(child_id)
        if parent := self._listens(link.instance_id, link.generation):
            self._receive(parent, _child_ended(child, link.task_id))

    @override
    def _schedule_delayed_entity_operation(self, entity_id: str, event: pb.HistoryEvent, fire_at: datetime) -> None:
        def deliver() -> None:
            with self._transaction():
                self._queue_entity_operation(entity_id, event)

        self._timers.schedule(fire_at.timestamp(), deliver)

    # -- work items, taken and answered by the dispatcher in this process (durable_dispatch.py)

    def take_work_item(self, room: Callable[[], frozenset[WorkKind]], timeout: float) -> pb.WorkItem | None:
        """The next work item, waiting for it at most `timeout` seconds; it may be None earlier.

        Args:
            room: the kinds that there is room for. It is asked after earlier calls of `wake` were taken note of, so
                that whoever makes room and then calls `wake` is never overlooked.
            timeout: seconds.
        """
        with self._lock:
            self._work_available.clear()
            kinds = room()
            item = self._take_orchestration() if WorkKind.ORCHESTRATION in kinds else None
            if item is None and WorkKind.ACTIVITY in kinds and self._activity_queue:
                item = activity_item(self._activity_queue.popleft())
            if item is None and WorkKind.ENTITY in kinds:
                item = self._take_entity()
        if item is None:
            self._work_available.wait(timeout)
        return item

    def _take_orchestration(self) -> pb.WorkItem | None:
        while self._orchestration_queue:
            instance_id = self._orchestration_queue.popleft()
            self._orchestration_queue_set.discard(instance_id)
            instance = self._instances.get(instance_id)
            if instance is None or not instance.pending_events or self._is_terminal_status(instance.status):
                continue
            if instance_id in self._orchestration_in_flight:
                self._queued_in_flight.add(instance_id)  # queued again when its processing ends
                continue
            self._orchestration_in_flight.add(instance_id)
            return orchestration_item(instance)
        return None

    def _take_entity(self) -> pb.WorkItem | None:
        while self._entity_queue:
            entity_id = self._entity_queue.popleft()
            self._entity_queue_set.discard(entity_id)
            entity = self._entities.get(entity_id)
            if entity and entity.pending_operations and entity_id not in self._entity_in_flight:
                self._entity_in_flight.add(entity_id)
                return entity_item(entity)
        return None

    @override
    def CompleteOrchestratorTask(
        self, request: pb.OrchestratorResponse, context: grpc.ServicerContext
    ) -> pb.CompleteTaskResponse:
        with self._transaction(request.instanceId):
            answer = super().CompleteOrchestratorTask(request, context)
            self._report_to_parent(request.instanceId)
            if request.instanceId in self._queued_in_flight:
                self._queued_in_flight.discard(request.instanceId)
                self._enqueue_orchestration(request.instanceId)
            return answer

    @override
    def CompleteActivityTask(
        self, request: pb.ActivityResponse, context: grpc.ServicerContext
    ) -> pb.CompleteTaskResponse:
        with self._transaction():
            if self._listens(request.instanceId, int(request.completionToken)) is None:
                _log.debug("dropped a late result of task %s of %s", request.taskId, request.instanceId)
                return pb.CompleteTaskResponse()
            return super().CompleteActivityTask(request, context)

    @override
    def CompleteEntityTask(
        self, request: pb.EntityBatchResult, context: grpc.ServicerContext
    ) -> pb.CompleteTaskResponse:
        with self._transaction():
            self._touched_entities.update(
                key for key, entity in self._entities.items() if str(entity.completion_token) == request.completionToken
            )
            return super().CompleteEntityTask(request, context)


def _child_ended(child: OrchestrationInstance, task_id: int) -> pb.HistoryEvent:
    if child.status == pb.ORCHESTRATION_STATUS_COMPLETED:
        return helpers.new_sub_orchestration_completed_event(task_id, child.output)
    failed = helpers.new_sub_orchestration_failed_event(task_id, RuntimeError(f"{child.instance_id} was terminated"))
    if child.failure_details:
        failed.subOrchestrationInstanceFailed.failureDetails.CopyFrom(child.failure_details)
    return failed
