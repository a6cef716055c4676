"""An engine of durable orchestrations in virtual time: the real orchestrators and activities, and nothing that waits.

Its ``client`` has the names of the SDK's Durable client, so that activities and triggers start, wake and find instances
in it. Hours pass in milliseconds, the same way every time.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import grpc

from shared.domain.errors import ElbError
from tests.activities.fake_durable import RefusedError
from tests.simulation.agenda import Agenda
from tests.simulation.execution import Attempt, Execution, Instance

Activity = Callable[[dict[str, Any]], Any]
Orchestrator = Callable[[Any], Generator[Any, Any, Any]]


def once(instance_id: str, event: str) -> int:
    """Events arrive, and none arrives twice."""
    return 1


@dataclass(frozen=True, slots=True)
class ActivityRun:
    """One attempt of an activity. Times are seconds since the beginning; ``error`` is the code of its failure."""

    instance_id: str
    name: str
    data: dict[str, Any]
    began: float
    ended: float
    result: Any = None
    error: str = ""


@dataclass
class VirtualEngine:
    """Orchestrations, their activities, and the virtual time in which they go on.

    Attributes:
        activities: by name; errors that a durable retry should handle are raised, everything else is returned.
        takes: seconds that an activity takes, by its name. What it does happens at once, its result comes that much
            later.
        usual_seconds: of an activity that ``takes`` does not name.
        copies: how often an event of this kind (instance id, name) arrives: 0 is lost, 2 is a repetition.
        runs: every attempt of every activity, in the order of their ends.
        raised: every event that was raised for an instance: second, instance id, name.
        steps: how often an orchestrator was run, of all instances: each time Azure bills as an execution.
    """

    orchestrators: Mapping[str, Orchestrator]
    activities: Mapping[str, Activity] = field(default_factory=dict)
    takes: Mapping[str, float] = field(default_factory=dict)
    usual_seconds: float = 0.0
    agenda: Agenda = field(default_factory=Agenda)
    copies: Callable[[str, str], int] = once
    instances: dict[str, Instance] = field(default_factory=dict)
    runs: list[ActivityRun] = field(default_factory=list)
    raised: list[tuple[float, str, str]] = field(default_factory=list)
    steps: int = 0

    @property
    def client(self) -> VirtualDurable:
        """The Durable client of this engine."""
        return VirtualDurable(self)

    def now(self) -> datetime:
        """The virtual time."""
        return self.agenda.now()

    def start(self, name: str, instance_id: str, data: Any) -> Instance:
        """Start an orchestration; its first step comes with the next thing that is due."""
        instance = Instance(instance_id, name, json.dumps(data), self.now(), self.now())
        self.instances[instance_id] = instance
        execution = instance.execution = Execution(self, instance)
        self.agenda.after(0, execution.begin)
        return instance

    def run_for(self, seconds: float, stop: Callable[[], bool] | None = None) -> None:
        """Let so many seconds pass, or fewer when ``stop`` says so."""
        self.agenda.run_until(self.agenda.seconds + seconds, stop)

    def freeze(self, *instance_ids: str) -> None:
        """Let instances act on nothing any more, those that have not ended; an activity under way still has its effect.

        Args:
            instance_ids: all there are, where none is named.
        """
        for instance_id in instance_ids or tuple(self.instances):
            instance = self.instances[instance_id]
            if instance.execution is not None and not instance.has_ended:
                instance.execution.freeze()

    def forget(self, *instance_ids: str) -> None:
        """Lose instances with their histories, as with a task hub that was replaced; all where none is named."""
        for instance_id in instance_ids or tuple(self.instances):
            self.freeze(instance_id)
            del self.instances[instance_id]

    def runs_of(self, name: str, instance_id: str = "") -> list[ActivityRun]:
        """The attempts of one activity, for one instance where it is named."""
        return [run for run in self.runs if run.name == name and instance_id in ("", run.instance_id)]

    def calls_of(self, instance_id: str) -> Counter[str]:
        """How often which activity was run for an instance."""
        return Counter(run.name for run in self.runs if run.instance_id == instance_id)

    # -- for executions

    def orchestrator(self, name: str) -> Orchestrator:
        """An orchestrator by its name."""
        return self.orchestrators[name]

    def run_activity(self, attempt: Attempt, done: Callable[[str | None, ElbError | None], object]) -> None:
        """Run an activity after everything else that is due now; tell its end after the seconds that it takes.

        Only an ``ElbError`` is a failure that a durable retry sees; anything else is a defect and ends the simulation.
        """
        seconds = self.takes.get(attempt.name, self.usual_seconds)

        def run() -> None:
            began, data = self.agenda.seconds, json.loads(attempt.data)
            try:
                result, error = json.dumps(self.activities[attempt.name](data)), None
            except ElbError as failure:
                result, error = None, failure

            def end() -> None:
                code = error.code if error is not None else ""
                value = json.loads(result) if result is not None else None
                seen = ActivityRun(attempt.instance.id, attempt.name, data, began, self.agenda.seconds, value, code)
                self.runs.append(seen)
                done(result, error)

            self.agenda.after(seconds, end)

        self.agenda.after(0, run)

    def start_child(self, name: str, data: str, instance_id: str, on_end: Callable[[], object]) -> Instance | None:
        """Start an orchestration for another one; None when the id belongs to one that runs."""
        present = self.instances.get(instance_id)
        if present is not None and not present.has_ended:
            return None
        child = self.start(name, instance_id, json.loads(data))
        child.on_end = on_end
        return child

    def deliver(self, instance_id: str, event: str) -> None:
        """Bring an event to an instance, after everything else that is due now."""
        self.raised.append((self.agenda.seconds, instance_id, event))

        def arrive() -> None:
            instance = self.instances.get(instance_id)
            if instance is not None and instance.execution is not None:
                instance.execution.raise_event(event)

        for _ in range(self.copies(instance_id, event)):
            self.agenda.after(0, arrive)


@dataclass(frozen=True, slots=True)
class VirtualDurable:
    """The SDK's synchronous client, as ``shared.clients.orchestrations.DurableOrchestrations`` uses it."""

    engine: VirtualEngine

    def schedule_new_orchestration(self, name: str, *, input: Any, instance_id: str) -> str:
        """Start an orchestration; refused where the id is in use."""
        if instance_id in self.engine.instances:
            raise RefusedError(grpc.StatusCode.ALREADY_EXISTS)
        self.engine.start(name, instance_id, input)
        return instance_id

    def raise_orchestration_event(self, instance_id: str, event: str) -> None:
        """Raise an event; refused where there is nobody to get it."""
        self._running(instance_id)
        self.engine.deliver(instance_id, event)

    def get_orchestration_state(self, instance_id: str) -> Any:
        """How an instance stands; None when there is none."""
        instance = self.engine.instances.get(instance_id)
        if instance is None:
            return None
        return SimpleNamespace(
            runtime_status=SimpleNamespace(name=instance.status),
            created_at=instance.created_at.replace(tzinfo=None),  # UTC without saying so, as the SDK has it
            last_updated_at=instance.updated_at.replace(tzinfo=None),
            serialized_input=instance.input,
            serialized_custom_status=instance.custom_status,
            serialized_output=instance.output if instance.has_ended else None,
            failure_details=SimpleNamespace(message=instance.error) if instance.error else None,
        )

    def terminate_orchestration(self, instance_id: str, *, recursive: bool = True) -> None:
        """End an instance from outside; refused where there is none that runs. Children are left alone."""
        assert not recursive, "children are not ended"
        instance = self._running(instance_id)
        assert instance.execution is not None
        instance.execution.terminate()

    def purge_orchestrations_by(
        self, *, created_time_to: datetime, runtime_status: Iterable[Any], timeout: timedelta
    ) -> Any:
        """Forget instances of these statuses that were created before a time."""
        wanted = {status.name for status in runtime_status}
        instances = self.engine.instances
        old = [key for key, i in instances.items() if i.status in wanted and i.created_at < created_time_to]
        for key in old:
            del instances[key]
        return SimpleNamespace(deleted_instance_count=len(old))

    def _running(self, instance_id: str) -> Instance:
        instance = self.engine.instances.get(instance_id)
        if instance is None:
            raise RefusedError(grpc.StatusCode.NOT_FOUND)
        if instance.has_ended:
            raise RefusedError(grpc.StatusCode.FAILED_PRECONDITION)
        return instance
