"""How orchestrators call activities and children: with retries for what may pass, with errors as data for what may not.

Written in the one-argument style that runs on azure-functions-durable 2.x and 1.7 alike.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from datetime import timedelta
from typing import Any

import azure.durable_functions as df

Steps = Generator[Any, Any, Any]
"""What an orchestrator yields (durable tasks), is sent (their results) and returns."""

FIRST_RETRY = timedelta(seconds=1)
MAX_ATTEMPTS = 6
BACKOFF = 2.0
_CODE_AND_MESSAGE = re.compile(r"(?:^|: )([a-z][a-z0-9]*(?:_[a-z0-9]+)+): (.*)")


def retry_policy() -> Any:
    """Transient errors: 6 attempts over about half a minute, then the search fails with the reason."""
    return df.RetryPolicy(
        first_retry_interval=FIRST_RETRY, max_number_of_attempts=MAX_ATTEMPTS, backoff_coefficient=BACKOFF
    )


class StepFailedError(Exception):
    """A step cannot go on; carries the error object that the search ends with."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(str(error.get("code")))
        self.error = dict(error)


def activity(context: Any, name: str, data: Any) -> Any:
    """An activity as a durable task, with retries."""
    return context.call_activity_with_retry(name, retry_policy(), data)


def value(result: Any) -> Any:
    """An activity's result; a permanent error that came back as data is raised.

    Raises:
        StepFailedError: the result is ``{"error": {...}}``.
    """
    if isinstance(result, Mapping) and result.get("error"):
        raise StepFailedError(result["error"])
    return result


def run(context: Any, name: str, data: Any) -> Steps:
    """Call one activity: ``result = yield from run(...)``.

    Raises:
        StepFailedError: it failed for good, by itself or after all retries.
    """
    return value((yield from guarded(activity(context, name, data))))


def guarded(task: Any) -> Steps:
    """Wait for a task; its failure becomes an error object.

    The failure travels as text: ``code: message`` (``ElbError.__str__``) behind what the host and the SDK put in front,
    such as ``<instance>: Activity task #3 failed: `` or ``Exception: TransientError: ``.
    """
    try:
        return (yield task)
    except Exception as failure:  # the SDK's versions raise different types for a failed task
        raise StepFailedError(_error_of(str(failure))) from failure


def _error_of(text: str) -> dict[str, Any]:
    found = _CODE_AND_MESSAGE.search(text)
    if found:
        return {"code": found[1], "message": found[2].strip(), "hint": "the step was tried several times"}
    return {"code": "step_failed", "message": text.strip()[:500], "hint": "see the app's log for this search"}


def is_done(task: Any) -> bool:
    """Whether a task has a result (2.x: ``is_complete``, 1.x: ``is_completed``)."""
    return bool(getattr(task, "is_complete", getattr(task, "is_completed", False)))


def discard(timer: Any) -> None:
    """Give up a timer that lost against something else, so that nothing keeps an ended orchestration waiting."""
    if not is_done(timer):
        timer.cancel()
