"""Durable tasks and the context of an orchestrator, with the names of the SDK (azure-functions-durable 2.x)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tests.orchestrators.fake_context import ActivityFailedError

if TYPE_CHECKING:
    from tests.simulation.execution import Execution


class Task:
    """Something that an orchestrator waits for."""

    def __init__(self) -> None:
        self._done = False
        self._result: Any = None
        self._failure = ""

    @property
    def is_complete(self) -> bool:
        """Whether it has a result or a failure."""
        return self._done

    def outcome(self) -> Any:
        """What a ``yield`` of the task gives.

        Raises:
            ActivityFailedError: the task failed; all that is left of the error is its text.
        """
        if self._failure:
            raise ActivityFailedError(self._failure)
        return self._result

    def complete(self, result: Any, failure: str = "") -> None:
        """It has ended; with a failure when there is a text."""
        self._done, self._result, self._failure = True, result, failure


class Timer(Task):
    """A timer. One that was given up still fires, into a history that nobody reads it from."""

    def cancel(self) -> bool:
        """Give it up; False when it has fired already."""
        if self._done:
            return False
        self._done = True
        return True


class AllTask(Task):
    """All of several tasks: complete when every one of them is, and only then failed as the first of them that is."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        super().__init__()
        self._tasks = tuple(tasks)

    @property
    def is_complete(self) -> bool:
        return all(task.is_complete for task in self._tasks)

    def outcome(self) -> Any:
        return [task.outcome() for task in self._tasks]


class AnyTask(Task):
    """The first of several tasks. A failed one counts, and is the result like any other."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        super().__init__()
        self._tasks = tuple(tasks)

    @property
    def is_complete(self) -> bool:
        if self._result is None:
            self._result = next((task for task in self._tasks if task.is_complete), None)
        return self._result is not None


class VirtualContext:
    """What an orchestrator gets. Whatever crosses the durable boundary goes through JSON, as it does for real."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self.instance_id = execution.instance.id
        self.is_replaying = False

    @property
    def current_utc_datetime(self) -> datetime:
        """The time at which this step of the orchestration began."""
        return self._execution.now()

    def get_input(self) -> Any:
        """A copy of the input."""
        return json.loads(self._execution.instance.input)

    def set_custom_status(self, status: Any) -> None:
        """Show something to whoever asks for the instance."""
        self._execution.instance.custom_status = json.dumps(status)

    def continue_as_new(self, data: Any) -> None:
        """End this generation; another one begins with these data and an empty history."""
        self._execution.renew(json.dumps(data))

    def call_activity_with_retry(self, name: str, policy: Any, data: Any) -> Task:
        """Run an activity, again after a failure as the policy says."""
        return self._execution.call_activity(name, json.dumps(data), policy)

    def call_activity(self, name: str, data: Any) -> Task:
        """Run an activity once."""
        return self._execution.call_activity(name, json.dumps(data), None)

    def call_sub_orchestrator(self, name: str, data: Any, instance_id: str) -> Task:
        """Run another orchestrator as a child."""
        return self._execution.call_child(name, json.dumps(data), instance_id)

    def create_timer(self, fire_at: datetime) -> Timer:
        """Wait until a time."""
        return self._execution.create_timer(fire_at)

    def wait_for_external_event(self, name: str) -> Task:
        """Wait for an event; one that was raised before and that nobody has taken is there at once."""
        return self._execution.wait_for_event(name)

    def task_all(self, tasks: Sequence[Task]) -> Task:
        """All of them."""
        return AllTask(tasks)

    def task_any(self, tasks: Sequence[Task]) -> Task:
        """The first of them."""
        return AnyTask(tasks)
