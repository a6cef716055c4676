"""Deletes a search: cancelled first where it is active, then Kubernetes objects, blobs, and at last the row.

The row stays until everything else is gone; what could not be deleted is said there.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from orchestrators.calls import StepFailedError, Steps, guarded, run
from shared.domain import functions as names
from shared.domain.states import Phase
from shared.domain.times import format_time

CHECK_INTERVAL = timedelta(seconds=2)
CHECKS_PER_GENERATION = 60


def deletion_orchestrator(context: Any) -> Steps:
    """Delete one search.

    Input: the search's reference with ``delete_run``.

    Returns:
        ``{"status": "deleted"}``, or ``{"status": "delete_failed", "error": ...}``.
    """
    job = context.get_input()
    ref = {"job_id": job["job_id"], "owner": job["owner"], "run": job["run"]}
    try:
        for _ in range(CHECKS_PER_GENERATION):
            state = yield from run(context, names.CHECK_DELETION, ref)
            if state.get("gone"):
                return {"status": "deleted"}
            ref["run"] = state.get("run", ref["run"])  # the search may have been revived to be cancelled
            if state["ready"]:
                entered = {**ref, "phase": Phase.DELETING, "at": _now(context)}
                row = yield from run(context, names.ADVANCE_SEARCH, entered)
                if row["phase"] == Phase.DELETING and not row.get("superseded"):
                    break
            yield context.create_timer(context.current_utc_datetime + CHECK_INTERVAL)
        else:
            context.continue_as_new(job)
            return None
        removal = names.deletion_removal_instance(job["job_id"], job["delete_run"])
        yield from guarded(context.call_sub_orchestrator(names.REMOVAL_ORCHESTRATOR, ref, removal))
        yield from run(context, names.DELETE_SEARCH_BLOBS, ref)
        yield from run(context, names.DELETE_SEARCH_ROW, ref)
    except StepFailedError as failure:
        change = {"phase": Phase.DELETE_FAILED, "reason": failure.error.get("message"), "at": _now(context)}
        yield from run(context, names.ADVANCE_SEARCH, {**ref, **change})
        return {"status": "delete_failed", "error": failure.error}
    return {"status": "deleted"}


def _now(context: Any) -> str | None:
    return format_time(context.current_utc_datetime)
