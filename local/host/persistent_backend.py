"""The in-memory durabletask backend with its state written through to SQLite, one transaction per call.

Base of the engine (engine.py), which says what else is mended. Here: where it listens, which instances a call has
touched, and the numbers of the generations.
"""

# mypy: allow-untyped-calls

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, override

import grpc
from durabletask.internal import orchestrator_service_pb2 as pb
from durabletask.internal import orchestrator_service_pb2_grpc as stubs
from durabletask.testing.in_memory_backend import InMemoryOrchestrationBackend, OrchestrationInstance

from local.host.store import DurableStore, ParentLink, StoredInstance
from local.host.timer_queue import Clock, TimerQueue

_GRPC_WORKERS: Final = 64  # a client that waits for an instance holds one of them
_MAX_HISTORY: Final = 1_000_000  # events; the base gives up an orchestration beyond this
_ENDED: Final = (
    pb.ORCHESTRATION_STATUS_COMPLETED,
    pb.ORCHESTRATION_STATUS_FAILED,
    pb.ORCHESTRATION_STATUS_TERMINATED,
)


class _WatchedInstances(dict[str, OrchestrationInstance]):
    """The base's table of instances, telling the engine of each that is made, replaced or removed."""

    def __init__(self, made: Callable[[str], None], removed: Callable[[str], None]) -> None:
        super().__init__()
        self._made, self._removed = made, removed

    def __setitem__(self, key: str, value: OrchestrationInstance) -> None:
        super().__setitem__(key, value)
        self._made(key)

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        self._removed(key)

    def restore(self, instance: OrchestrationInstance) -> None:
        super().__setitem__(instance.instance_id, instance)


class PersistentBackend(InMemoryOrchestrationBackend):
    """Microsoft's backend, kept in a file.

    Args:
        path: the SQLite file with the state.
        clock: present time in seconds since the epoch, for durable timers.

    Raises:
        StateFormatError: when the file is of another format.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        super().__init__(max_history_size=_MAX_HISTORY, port=0)
        self._logger = logging.getLogger("durabletask.engine")
        self._store = DurableStore(path)
        self._timers = TimerQueue(clock)
        self._watched = _WatchedInstances(self._instance_made, self._instance_removed)
        self._instances = self._watched
        self._generations: dict[str, int] = {}
        self._next_generation = 1
        self._parents: dict[str, ParentLink] = {}
        self._touched: set[str] = set()
        self._touched_entities: set[str] = set()
        self._to_notify: set[str] = set()
        self._depth = 0

    # -- life

    @override
    def start(self) -> str:
        """Listen for durable clients; returns `127.0.0.1:<port>`."""
        server = grpc.server(
            ThreadPoolExecutor(_GRPC_WORKERS, thread_name_prefix="durable-grpc"),
            options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1)],
        )
        stubs.add_TaskHubSidecarServiceServicer_to_server(self, server)
        self._port = server.add_insecure_port("127.0.0.1:0")
        self._server = server
        server.start()
        self._timers.start()
        return f"127.0.0.1:{self._port}"

    @override
    def stop(self, grace: float | None = None) -> None:
        """Stop listening and firing, and close the file."""
        super().stop(grace)
        self._timers.stop()
        with self._lock:
            self._store.close()

    def wake(self) -> None:
        """Make whoever waits in `take_work_item` look again."""
        self._work_available.set()

    @property
    def timers(self) -> TimerQueue:
        """The durable timers that have not fired."""
        return self._timers

    def load_timer(self, name: str) -> tuple[datetime | None, datetime] | None:
        """See DurableStore.load_timer."""
        with self._lock:
            return self._store.load_timer(name)

    def save_timer(self, name: str, last: datetime | None, following: datetime) -> None:
        """See DurableStore.save_timer."""
        with self._lock:
            self._store.save_timer(name, last, following)

    # -- writing through

    @contextmanager
    def _transaction(self, *touched: str) -> Iterator[None]:
        """Hold the lock; on leaving the outermost one, write what was touched, also when the call failed half-way."""
        with self._lock:
            self._touched.update(touched)
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if not self._depth:
                    self._commit()

    def _commit(self) -> None:
        if self._touched or self._touched_entities:
            made = [
                StoredInstance(instance, self._generations[key], self._parents.get(key))
                for key in self._touched
                if (instance := self._instances.get(key))
            ]
            entities = [entity for key in self._touched_entities if (entity := self._entities.get(key))]
            removed = [key for key in self._touched if key not in self._instances]
            removed += [key for key in self._touched_entities if key not in self._entities]
            self._store.write(made, removed, entities)
            self._touched.clear()
            self._touched_entities.clear()
        notify, self._to_notify = self._to_notify, set()
        for key in notify:
            super()._notify_waiters(key)

    @override
    def _notify_waiters(self, instance_id: str) -> None:
        self._to_notify.add(instance_id)  # nobody may see a state that is not written yet

    def _instance_made(self, instance_id: str) -> None:
        self._new_generation(instance_id)
        self._touched.add(instance_id)

    def _instance_removed(self, instance_id: str) -> None:
        self._generations.pop(instance_id, None)
        self._parents.pop(instance_id, None)
        self._touched.add(instance_id)

    def _new_generation(self, instance_id: str) -> None:
        self._generations[instance_id] = self._next_generation
        self._next_generation += 1

    def _listens(self, instance_id: str, generation: int) -> OrchestrationInstance | None:
        """The instance, if it still is of this generation and has not ended."""
        instance = self._instances.get(instance_id)
        if instance is None or self._generations[instance_id] != generation:
            return None
        return None if self._is_terminal_status(instance.status) else instance

    def _receive(self, instance: OrchestrationInstance, event: pb.HistoryEvent) -> None:
        instance.pending_events.append(event)
        instance.last_updated_at = datetime.now(UTC)
        self._enqueue_orchestration(instance.instance_id)

    # -- the calls of durable clients

    @override
    def StartInstance(
        self, request: pb.CreateInstanceRequest, context: grpc.ServicerContext
    ) -> pb.CreateInstanceResponse:
        """Start an orchestration; one of the same id is replaced when it has ended, else the call is refused.

        So does Azure unless host.json says otherwise (`overridableExistingInstanceStates`: `NonRunningStates`): nobody
        may rely on a used id being refused.
        """
        asked = pb.CreateInstanceRequest()
        asked.CopyFrom(request)
        if not asked.orchestrationIdReusePolicy.replaceableStatus:
            asked.orchestrationIdReusePolicy.replaceableStatus.extend(_ENDED)
        with self._transaction():
            return super().StartInstance(asked, context)

    @override
    def RaiseEvent(self, request: pb.RaiseEventRequest, context: grpc.ServicerContext) -> pb.RaiseEventResponse:
        """Hand an event to an orchestration: NOT_FOUND when there is none, and without effect when it has ended.

        Azure answers NOT_FOUND and FAILED_PRECONDITION, or neither (`throwStatusExceptionsOnRaiseEvent` of host.json):
        a caller has to take any of these for "nobody listens".
        """
        with self._transaction(request.instanceId):
            instance = self._instances.get(request.instanceId)
            if instance and self._is_terminal_status(instance.status):
                return pb.RaiseEventResponse()  # nobody will ever read it
            return super().RaiseEvent(request, context)

    @override
    def TerminateInstance(self, request: pb.TerminateRequest, context: grpc.ServicerContext) -> pb.TerminateResponse:
        once = pb.TerminateRequest(instanceId=request.instanceId, output=request.output)  # not recursive: it cannot be
        with self._transaction(request.instanceId):
            return super().TerminateInstance(once, context)

    @override
    def SuspendInstance(self, request: pb.SuspendRequest, context: grpc.ServicerContext) -> pb.SuspendResponse:
        with self._transaction(request.instanceId):
            return super().SuspendInstance(request, context)

    @override
    def ResumeInstance(self, request: pb.ResumeRequest, context: grpc.ServicerContext) -> pb.ResumeResponse:
        with self._transaction(request.instanceId):
            return super().ResumeInstance(request, context)

    @override
    def PurgeInstances(
        self, request: pb.PurgeInstancesRequest, context: grpc.ServicerContext
    ) -> pb.PurgeInstancesResponse:
        with self._transaction():
            return super().PurgeInstances(request, context)

    @override
    def RestartInstance(
        self, request: pb.RestartInstanceRequest, context: grpc.ServicerContext
    ) -> pb.RestartInstanceResponse:
        with self._transaction():
            return super().RestartInstance(request, context)

    @override
    def RewindInstance(
        self, request: pb.RewindInstanceRequest, context: grpc.ServicerContext
    ) -> pb.RewindInstanceResponse:
        with self._transaction(request.instanceId):
            return super().RewindInstance(request, context)

    @override
    def SignalEntity(self, request: pb.SignalEntityRequest, context: grpc.ServicerContext) -> pb.SignalEntityResponse:
        with self._transaction():
            return super().SignalEntity(request, context)

    @override
    def CleanEntityStorage(
        self, request: pb.CleanEntityStorageRequest, context: grpc.ServicerContext
    ) -> pb.CleanEntityStorageResponse:
        with self._transaction():
            self._touched_entities.update(self._entities)
            return super().CleanEntityStorage(request, context)
