"""Submits a search by the command line, as a child of the search: start a helper, look at it until it has ended.

One wait for the wake-up per generation, as in ``orchestrators/monitor.py``; each generation begins with a look.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from orchestrators.calls import StepFailedError, Steps, activity, discard, guarded, is_done, run
from shared.domain import functions as names
from shared.domain.cli_engine import submit_timeout
from shared.domain.times import format_time, parse_time

POLL_SECONDS = 5
DEADLINE_SECONDS = 600
PAUSE_SECONDS = 30
HELPERS = 2
"""Helpers of one attempt at most: after a passing trouble of the first one more is tried."""
LOOKS_PER_GENERATION = 20
REMOVALS = 10


def cli_submit_orchestrator(context: Any) -> Steps:
    """Submit one search.

    Input: the search's reference (``job_id``, ``owner``, ``run``), ``parallel``; ``poll_seconds``,
    ``deadline_seconds`` (of each helper) and ``pause_seconds`` (before a second helper) where they are not the usual
    ones; of a generation before also ``number`` and ``began``.

    Returns:
        ``{"status": "submitted", "alias": str}`` (an empty alias for none), ``{"status": "failed", "error": {...}}`` or
        ``{"status": "cancelled"}``, after which no helper is left.
    """
    job = context.get_input()
    number = int(job.get("number", 1))
    try:
        if not job.get("began"):
            yield from _start(context, job, number)
            job = {**job, "number": number, "began": format_time(context.current_utc_datetime)}
        return (yield from _watch(context, job))
    except StepFailedError as failure:
        yield from _remove(context, job, tries=1)
        return {"status": "failed", "error": failure.error}


def _start(context: Any, job: dict[str, Any], number: int) -> Steps:
    data = {**_ref(job), "number": number, "parallel": job.get("parallel", True)}
    data["deadline_seconds"] = job.get("deadline_seconds", DEADLINE_SECONDS)
    yield from run(context, names.START_CLI_SUBMIT, data)


def _watch(context: Any, job: dict[str, Any]) -> Steps:
    """Look until the end of this helper; None when the orchestration continues as new."""
    began = parse_time(job["began"]) or _now(context)
    deadline = timedelta(seconds=job.get("deadline_seconds", DEADLINE_SECONDS))
    wake = context.wait_for_external_event(names.WAKE_EVENT)
    for _ in range(LOOKS_PER_GENERATION):
        late = _now(context) - began >= deadline
        seen = yield from _look(context, job, with_log=late)
        if seen["state"] in ("succeeded", "failed", "gone"):
            return (yield from _end(context, job, seen, wake))
        if seen["state"] in ("cancelled", "ended", "missing"):
            yield from _remove(context, job)
            return {"status": "cancelled"} if seen["state"] == "cancelled" else _lost(seen)
        if late:
            removed = yield from _remove(context, job)
            error = submit_timeout(deadline.total_seconds(), seen, removed=removed)
            return {"status": "failed", "error": error}
        if (yield from _pause(context, wake, job.get("poll_seconds", POLL_SECONDS))):
            wake = context.wait_for_external_event(names.WAKE_EVENT)
    context.continue_as_new(job)
    return None


def _look(context: Any, job: dict[str, Any], *, with_log: bool) -> Steps:
    """One look. That it could not be taken changes nothing: the helper has until its deadline."""
    data = {**_ref(job), "number": job["number"], "with_log": with_log}
    try:
        seen = yield from guarded(activity(context, names.CHECK_CLI_SUBMIT, data))
    except StepFailedError as failure:
        return {"state": "running", "reasons": [failure.error["message"]]}
    if seen.get("state"):
        return seen
    raise StepFailedError(seen["error"])


def _end(context: Any, job: dict[str, Any], seen: dict[str, Any], wake: Any) -> Steps:
    """The helper has ended: with success, for good, or so that one more may help."""
    if seen["state"] == "succeeded":
        return {"status": "submitted", "alias": seen.get("alias") or ""}
    if seen.get("may_try_again") and job["number"] < HELPERS:
        yield from _pause(context, wake, job.get("pause_seconds", PAUSE_SECONDS))
        context.continue_as_new({**job, "number": job["number"] + 1, "began": None})
        return None
    return {"status": "failed", "error": seen.get("error") or _helper_lost()}


def _pause(context: Any, wake: Any, seconds: float) -> Steps:
    """Wait; whether a wake-up ended it."""
    timer = context.create_timer(context.current_utc_datetime + timedelta(seconds=seconds))
    yield context.task_any([wake, timer])
    discard(timer)
    return is_done(wake)


def _remove(context: Any, job: dict[str, Any], tries: int = REMOVALS) -> Steps:
    """Remove the search's helpers; whether it is known that none is left. Their own deadline ends them otherwise."""
    for turn in range(tries):
        try:
            yield from run(context, names.REMOVE_CLI_SUBMIT, _ref(job))
        except StepFailedError:
            if turn + 1 < tries:
                pause = timedelta(seconds=job.get("pause_seconds", PAUSE_SECONDS))
                yield context.create_timer(context.current_utc_datetime + pause)
        else:
            return True
    return False


def _ref(job: dict[str, Any]) -> dict[str, Any]:
    return {"job_id": job["job_id"], "owner": job["owner"], "run": job["run"]}


def _now(context: Any) -> datetime:
    """The orchestrator's time with its zone, which not every version of the SDK gives."""
    return parse_time(format_time(context.current_utc_datetime)) or context.current_utc_datetime


def _helper_lost() -> dict[str, Any]:
    return {
        "code": "helper_lost",
        "message": "the Job of elastic-blast submit was removed before its end could be read",
        "hint": "somebody removed it, or the app was away for more than 5 minutes; retry the search",
    }


def _lost(seen: dict[str, Any]) -> dict[str, Any]:
    error = {
        "code": "lost",
        "message": f"the search's row is {seen['state']} while it was being submitted",
        "hint": "somebody else ended or removed the search; submit it again",
    }
    return {"status": "failed", "error": error}
