"""A small stand-in for the orchestration context, and ``play``, which runs an orchestrator on it in no time.

Activities and children answer from a table, timers fire by moving the clock, wake-ups come at given seconds. Whatever
goes over the durable boundary goes through JSON, as it does for real.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

START = datetime(2030, 1, 1, tzinfo=UTC)
ENDLESS = 10_000
"""Yields after which an orchestrator that should have ended is given up."""


class ActivityFailedError(Exception):
    """What the SDK raises when an activity has failed for good; its text is all that is left of the error."""


@dataclass(eq=False, slots=True)
class FakeTask:
    """A durable task; ``is_complete`` is its name for "done" in version 2 of the SDK."""

    kind: str
    name: str = ""
    data: Any = None
    instance: str | None = None
    fire_at: datetime | None = None
    children: Sequence[FakeTask] = ()
    is_complete: bool = False
    due: datetime = START
    result: Any = None
    failure: ActivityFailedError | None = None

    def cancel(self) -> None:
        """Give a timer up, as the SDK's own do it."""
        assert self.kind == "timer"
        self.is_complete = True

    @property
    def call(self) -> tuple[Any, ...]:
        """What was asked for, to compare: the children of a group stand for the group."""
        if self.children:
            return (self.kind, *(child.call for child in self.children))
        return self.kind, self.name, json.dumps(self.data, sort_keys=True), self.instance, self.fire_at


@dataclass
class FakeContext:
    """The context of a one-argument orchestrator, and a record of all that was asked of it."""

    data: Any
    now: datetime = START
    is_replaying: bool = False
    instance_id: str = "fake"
    scheduled: list[FakeTask] = field(default_factory=list)
    yielded: list[FakeTask] = field(default_factory=list)
    statuses: list[Any] = field(default_factory=list)
    policies: list[Any] = field(default_factory=list)
    continued: Any = None
    takes: Mapping[str, float] = field(default_factory=dict)

    @property
    def current_utc_datetime(self) -> datetime:
        return self.now

    def get_input(self) -> Any:
        return json.loads(json.dumps(self.data))

    def set_custom_status(self, status: Any) -> None:
        self.statuses.append(json.loads(json.dumps(status)))

    def continue_as_new(self, data: Any) -> None:
        self.continued = json.loads(json.dumps(data))

    def call_activity_with_retry(self, name: str, policy: Any, data: Any) -> FakeTask:
        self.policies.append(policy)
        return self._schedule(FakeTask("activity", name, json.loads(json.dumps(data))))

    def call_sub_orchestrator(self, name: str, data: Any, instance_id: str) -> FakeTask:
        return self._schedule(FakeTask("child", name, json.loads(json.dumps(data)), instance_id))

    def create_timer(self, fire_at: datetime) -> FakeTask:
        return self._schedule(FakeTask("timer", fire_at=fire_at, data=(fire_at - self.now).total_seconds()))

    def wait_for_external_event(self, name: str) -> FakeTask:
        return self._schedule(FakeTask("event", name))

    def task_all(self, tasks: Sequence[FakeTask]) -> FakeTask:
        return FakeTask("all", children=tuple(tasks))

    def task_any(self, tasks: Sequence[FakeTask]) -> FakeTask:
        return FakeTask("any", children=tuple(tasks))

    def _schedule(self, task: FakeTask) -> FakeTask:
        task.due = task.fire_at or self.now + timedelta(seconds=self.lasting(task.name))
        self.scheduled.append(task)
        return task

    # -- for tests

    def calls(self, name: str) -> list[Any]:
        """The inputs with which an activity or a child was called, in order."""
        return [task.data for task in self.scheduled if task.name == name and task.kind != "event"]

    def names(self) -> list[str]:
        """Activities and children in the order in which they were called."""
        return [task.name for task in self.scheduled if task.kind in ("activity", "child")]

    def waits(self) -> list[float]:
        """Seconds of every timer, from when it was made."""
        return [task.data for task in self.scheduled if task.kind == "timer"]

    def lasting(self, name: str) -> float:
        """Seconds that an activity or a child takes; none unless ``takes`` says otherwise."""
        return self.takes.get(name, 0)

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.now - START).total_seconds()


@dataclass(frozen=True)
class Play:
    """How an orchestration went."""

    context: FakeContext
    result: Any
    continued: Any


def in_turn(*answers: Any) -> Callable[[Any], Any]:
    """An answer for each call; the last one stays."""
    left = list(answers)
    return lambda data: left.pop(0) if len(left) > 1 else left[0]


def play(
    orchestrator: Callable[[Any], Any],
    data: Any,
    answers: Mapping[str, Any],
    *,
    wakes: Sequence[float] = (),
    takes: Mapping[str, float] | None = None,
    now: datetime = START,
) -> Play:
    """Run an orchestrator until it returns.

    Args:
        answers: by name of activity or child: its result, an exception to raise, or a function of its input.
        wakes: seconds after ``now`` at which a wake-up comes.
        takes: seconds that an activity or a child takes, by its name; no time where it is not named.
    """
    context = FakeContext(data, now, takes=takes or {})
    player = _Player(context, answers, [now + timedelta(seconds=s) for s in sorted(wakes)])
    steps = orchestrator(player.context)
    result: Any = None
    failure: ActivityFailedError | None = None
    for _ in range(ENDLESS):
        try:
            task = steps.throw(failure) if failure else steps.send(result)
        except StopIteration as end:
            return Play(player.context, json.loads(json.dumps(end.value)), player.context.continued)
        player.context.yielded.append(task)
        result = failure = None
        try:
            result = player.finish(task)
        except ActivityFailedError as error:
            failure = error
    raise AssertionError(f"the orchestration did not end: {player.context.names()[-5:]}")


@dataclass
class _Player:
    """Completes tasks."""

    context: FakeContext
    answers: Mapping[str, Any]
    wakes: list[datetime]

    def finish(self, task: FakeTask) -> Any:
        """Complete a task, unless it is complete already; give its result, or raise its failure."""
        if task.kind == "any":
            return self._first(task)
        if task.kind == "all":
            return self._all(task)
        if not task.is_complete:
            self._complete(task)
        if task.failure:
            raise task.failure
        return task.result

    def _complete(self, task: FakeTask) -> None:
        self.context.now = max(self.context.now, task.due)
        task.is_complete = True
        if task.kind == "timer":
            return
        answer = self.answers[task.name]
        if callable(answer):
            answer = answer(task.data)
        if isinstance(answer, ActivityFailedError):
            task.failure = answer
        else:
            task.result = json.loads(json.dumps(answer))

    def _all(self, group: FakeTask) -> list[Any]:
        """All of them, and only then the first failure, as ``task_all`` does."""
        results, failures = [], []
        for child in group.children:
            try:
                results.append(self.finish(child))
            except ActivityFailedError as failure:
                failures.append(failure)
        if failures:
            raise failures[0]
        return results

    def _first(self, group: FakeTask) -> FakeTask:
        """The one that is complete first; a wake-up that came before it was waited for is kept."""
        event = next(child for child in group.children if child.kind == "event")
        assert not event.is_complete, "a wait that has fired was waited for again"
        others = [child for child in group.children if child is not event]
        first = min(others, key=lambda child: child.due)
        if self.wakes and self.wakes[0] < first.due:
            self.context.now = max(self.context.now, self.wakes.pop(0))
            event.is_complete = True
            return event
        self._complete(first)
        return first
