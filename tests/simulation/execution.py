"""One generation of an orchestration: from its start, or from ``continue_as_new``, to its end or the next one."""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from shared.domain.errors import ElbError
from tests.orchestrators.fake_context import ActivityFailedError
from tests.simulation.agenda import Agenda
from tests.simulation.history import HistoryCount
from tests.simulation.tasks import Task, Timer, VirtualContext


@dataclass(slots=True)
class Instance:
    """One orchestration, over all of its generations.

    Attributes:
        input: JSON, as ``output`` and ``custom_status``.
        status: Durable's own word.
        updated_at: when its last step ended.
        on_end: what is to be done when it has ended.
    """

    id: str
    name: str
    input: str
    created_at: datetime
    updated_at: datetime
    status: str = "PENDING"
    output: str = "null"
    error: str = ""
    custom_status: str | None = None
    history: HistoryCount = field(default_factory=HistoryCount)
    execution: Execution | None = None
    on_end: Callable[[], object] | None = None

    @property
    def has_ended(self) -> bool:
        """Whether it will do nothing more."""
        return self.status in ("COMPLETED", "FAILED", "TERMINATED")

    @property
    def result(self) -> Any:
        """What it returned."""
        return json.loads(self.output)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of an activity. ``number`` is that of its task, which stays through all attempts."""

    instance: Instance
    name: str
    data: str
    number: int = 0


class Host(Protocol):
    """What an execution needs of the engine.

    Attributes:
        steps: how often an orchestrator was run so far.
    """

    steps: int

    @property
    def agenda(self) -> Agenda:
        """The virtual time."""

    def orchestrator(self, name: str) -> Callable[[Any], Generator[Any, Any, Any]]:
        """An orchestrator by its name."""

    def run_activity(self, attempt: Attempt, done: Callable[[str | None, ElbError | None], object]) -> None:
        """Run an activity; ``done`` gets its result as JSON, or its error."""

    def start_child(self, name: str, data: str, instance_id: str, on_end: Callable[[], object]) -> Instance | None:
        """Start an orchestration for another one; None when the id belongs to one that runs."""


class Execution:
    """The generator of one generation, and what it waits for. The generator is kept and not replayed.

    Everything that the instance is told is one step (an *episode*) of its own: the generator goes on until it waits
    for something that is not there yet.
    """

    def __init__(self, host: Host, instance: Instance) -> None:
        self.instance = instance
        self._host = host
        self._waits: dict[str, deque[Task]] = defaultdict(deque)
        self._received: dict[str, int] = defaultdict(int)
        self._next_input: str | None = None
        self._waiting_for: Task | None = None
        self._tasks = 0
        self._open = True
        self._frozen = False
        self._steps = host.orchestrator(instance.name)(VirtualContext(self))

    def begin(self) -> None:
        """The first step."""
        if not self._acts:
            return
        self.instance.status, self.instance.execution = "RUNNING", self
        self.instance.history.add("orchestratorStarted", "executionStarted")
        self._go_on()

    def now(self) -> datetime:
        """The virtual time, which stands still during a step."""
        return self._host.agenda.now()

    def raise_event(self, name: str) -> None:
        """An event has come: for the oldest wait, or to be kept until somebody waits for it."""
        if not self._acts:
            return
        waits = self._waits[name.casefold()]
        if waits:
            self._told("eventRaised", waits.popleft(), None)
        else:
            self._received[name.casefold()] += 1
            self._told("eventRaised", None, None)

    def terminate(self) -> None:
        """End it from outside: its children go on, its parent is told that it failed."""
        self._open = False
        instance = self.instance
        instance.status, instance.error, instance.updated_at = "TERMINATED", "terminated", self.now()
        if instance.on_end is not None:
            self._host.agenda.after(0, instance.on_end)

    def freeze(self) -> None:
        """Act on nothing any more, as after a message that was lost: it looks as if it went on for ever."""
        self._frozen = True

    # -- what the orchestrator asks for

    def renew(self, data: str) -> None:
        """``continue_as_new``: events that nobody has taken are dropped, the worst that Durable does."""
        self._next_input = data

    def wait_for_event(self, name: str) -> Task:
        """A wait for an event."""
        task = Task()
        if self._received[name.casefold()]:
            self._received[name.casefold()] -= 1
            task.complete(None)
        else:
            self._waits[name.casefold()].append(task)
        return task

    def create_timer(self, fire_at: datetime) -> Timer:
        """A timer."""
        timer = Timer()
        self._fire_at(fire_at, lambda: self._told("timerFired", timer, None))
        return timer

    def call_activity(self, name: str, data: str, policy: Any) -> Task:
        """An activity, with all attempts that the policy allows."""
        task, number = Task(), self._number()
        self._attempt(task, Attempt(self.instance, name, data, number), policy, 1)
        return task

    def call_child(self, name: str, data: str, instance_id: str) -> Task:
        """A sub-orchestration."""
        task, number = Task(), self._number()
        self.instance.history.add("subOrchestrationInstanceCreated")

        def ended() -> None:
            if child is not None and child.status == "COMPLETED":
                self._told("subOrchestrationInstanceCompleted", task, child.result)
            else:
                why = child.error if child is not None else f"an instance {instance_id} is there already"
                failure = f"Sub-orchestration task #{number} failed: {why}"
                self._told("subOrchestrationInstanceFailed", task, None, failure)

        child = self._host.start_child(name, data, instance_id, ended)
        if child is None:
            self._host.agenda.after(0, ended)
        return task

    # -- what it is told

    @property
    def _acts(self) -> bool:
        return self._open and not self._frozen

    def _number(self) -> int:
        self._tasks += 1
        return self._tasks

    def _fire_at(self, at: datetime, action: Callable[[], object]) -> None:
        self.instance.history.add("timerCreated")
        self._host.agenda.after(max(0.0, (at - self.now()).total_seconds()), action)

    def _attempt(self, task: Task, attempt: Attempt, policy: Any, tries: int) -> None:
        if not self._acts:
            return
        self.instance.history.add("taskScheduled")

        def done(result: str | None, error: ElbError | None) -> None:
            if error is None:
                self._told("taskCompleted", task, json.loads(result or "null"))
            elif policy is None or tries >= policy.max_number_of_attempts:
                said = f"{type(error).__name__}: {error}"
                text = f"{self.instance.id}: Activity task #{attempt.number} failed: {said}"
                self._told("taskFailed", task, None, text)
            else:
                self._told("taskFailed", None, None)
                self._retry(task, attempt, policy, tries)

        self._host.run_activity(attempt, done)

    def _retry(self, task: Task, attempt: Attempt, policy: Any, tries: int) -> None:
        if not self._acts:
            return

        def again() -> None:
            self._told("timerFired", None, None)
            self._attempt(task, attempt, policy, tries + 1)

        pause = policy.first_retry_interval * (policy.backoff_coefficient or 1.0) ** (tries - 1)
        self._fire_at(self.now() + pause, again)

    def _told(self, kind: str, task: Task | None, result: Any, failure: str = "") -> None:
        """An event of the history. One for a generation that is over goes unheard."""
        if not self._acts:
            return
        self.instance.history.add("orchestratorStarted", kind)
        if task is not None and not task.is_complete:
            task.complete(result, failure)
        self._go_on()

    def _go_on(self) -> None:
        """Run the generator until it waits for something that is not there yet, or has ended."""
        self._host.steps += 1
        while self._open and (self._waiting_for is None or self._waiting_for.is_complete):
            try:
                self._waiting_for = self._resume()
            except StopIteration as end:
                self._close("COMPLETED", output=json.dumps(end.value))
            except Exception as failure:  # noqa: BLE001  # an orchestration fails of whatever it raises
                self._close("FAILED", error=f"{type(failure).__name__}: {failure}")
        self.instance.updated_at = self.now()
        if self._open:
            self.instance.history.add("orchestratorCompleted")

    def _resume(self) -> Task:
        if self._waiting_for is None:
            task: Task = next(self._steps)
            return task
        try:
            outcome = self._waiting_for.outcome()
        except ActivityFailedError as failure:
            task = self._steps.throw(failure)
        else:
            task = self._steps.send(outcome)
        return task

    def _close(self, status: str, output: str = "null", error: str = "") -> None:
        self._open = False
        instance = self.instance
        instance.history.add("executionCompleted", "orchestratorCompleted")
        if self._next_input is not None and status == "COMPLETED":
            instance.input = self._next_input
            instance.history.begin_anew()
            Execution(self._host, instance).begin()
            return
        instance.status, instance.output, instance.error = status, output, error
        if instance.on_end is not None:
            self._host.agenda.after(0, instance.on_end)
