"""Removes what a search made on its cluster, and ends only when a look has found that nothing is left.

Child of a cancel and of a delete. An unreachable cluster makes it wait, not lie.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from orchestrators.calls import StepFailedError, Steps, run
from shared.domain import functions as names
from shared.domain.times import format_time
from shared.telemetry import log_event_once

PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds between two looks, the last one for ever."""
LOOKS_PER_GENERATION = 20


def removal_orchestrator(context: Any) -> Steps:
    """Delete, look, delete again what is still there.

    Input: the search's reference; ``clear``, to make room for a new attempt instead of ending; of a generation before
    also ``looks``.

    Returns:
        ``{"left": 0}``.
    """
    job = context.get_input()
    looks = int(job.get("looks", 0))
    for _ in range(LOOKS_PER_GENERATION):
        left = yield from _remove(context, job)
        if left == 0:
            return {"left": 0}
        pause = timedelta(seconds=PAUSES[min(looks, len(PAUSES) - 1)])
        looks += 1
        yield context.create_timer(context.current_utc_datetime + pause)
    context.continue_as_new({**job, "looks": looks})
    return None


def _remove(context: Any, job: dict[str, Any]) -> Steps:
    """Objects left; -1 when the cluster does not answer, which is not the same as nothing."""
    data = {"job_id": job["job_id"], "owner": job["owner"], "run": job["run"]}
    if job.get("clear"):
        data["clear"] = True
    try:
        removed = yield from run(context, names.REMOVE_SEARCH_OBJECTS, data)
    except StepFailedError as failure:
        reason = f"not removed from the cluster yet: {failure.error.get('message')}"
        yield from _tell(context, {**data, "at": format_time(context.current_utc_datetime), "reason": reason})
        return -1
    return int(removed["left"])


def _tell(context: Any, data: dict[str, Any]) -> Steps:
    """Say on the row what is waited for; that this fails too changes nothing."""
    try:
        yield from run(context, names.ADVANCE_SEARCH, data)
    except StepFailedError as failure:
        log_event_once(context, "removal_not_told", job_id=data["job_id"], error=failure.error)
