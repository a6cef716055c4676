"""The last step of a search: the results gate, the merge of its batches, the published results.

Used by ``orchestrators/search.py``. Only what comes through the gate is completed.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from orchestrators.calls import StepFailedError, Steps, activity, guarded, run, value
from orchestrators.search_run import Run
from shared.domain import functions as names
from shared.domain.states import Phase, StepName

RESULTS_INTERVAL = timedelta(seconds=2)


def export_results(this: Run) -> Steps:
    """The results gate, then merge all batches at once, then publish, then completed."""
    merged = yield from _once_valid(this, lambda gate: _merge(this, gate["batches"]))
    published = yield from run(this.context, names.PUBLISH_RESULTS, {**this.ref, "merged": merged})
    done = {"step": StepName.EXPORTING, "detail": f"{published['bytes']} bytes"}
    return (yield from this.advance(phase=Phase.COMPLETED, finish=[done]))


def register_results(this: Run) -> Steps:
    """Results of others are published where they lie."""
    registered = yield from _once_valid(this, lambda _: run(this.context, names.REGISTER_RESULTS, this.ref))
    done = {"step": StepName.EXPORTING, "detail": f"{registered['files']} files, {registered['bytes']} bytes"}
    return (yield from this.advance(phase=Phase.COMPLETED, finish=[done]))


def _once_valid(this: Run, work: Callable[[dict[str, Any]], Steps]) -> Steps:
    """Do it when every result is there; one that is not valid is waited for as one that is missing, and so long.

    Args:
        work: what reads the results, given what the gate says.
    """
    began, pause, invalid = this.context.current_utc_datetime, RESULTS_INTERVAL, None
    while True:
        gate = yield from _pass_gate(this, began, invalid)
        try:
            return (yield from work(gate))
        except StepFailedError as failure:
            if failure.error.get("code") != "results_invalid" or _grace_is_over(this, began):
                raise
            invalid = failure.error
        yield from this.advance(phase=Phase.RESULTS_PENDING, reason=invalid["message"])
        pause *= 2  # to read them costs more than to look
        yield from this.pause(pause)


def _merge(this: Run, batches: int) -> Steps:
    tasks = [activity(this.context, names.MERGE_BATCH, {**this.ref, "batch": batch}) for batch in range(batches)]
    merged = yield from guarded(this.context.task_all(tasks))
    return [value(result) for result in merged]


def _pass_gate(this: Run, began: datetime, invalid: dict[str, Any] | None = None) -> Steps:
    """Wait until all results are there, then go on to export them; what the gate says.

    Args:
        began: when they were first waited for; the grace period ends them all.
        invalid: the error of a result that was there and was not valid.
    """
    gate = yield from run(this.context, names.CHECK_RESULTS, this.ref)
    while not gate["open"]:
        if _grace_is_over(this, began):
            raise StepFailedError(invalid or _missing_results(gate))
        yield from this.pause(RESULTS_INTERVAL)
        yield from this.advance()
        gate = yield from run(this.context, names.CHECK_RESULTS, this.ref)
    yield from this.advance(phase=Phase.EXPORTING)
    return gate


def _grace_is_over(this: Run, began: datetime) -> bool:
    grace = timedelta(seconds=this.job["results_grace_seconds"])
    return bool(this.context.current_utc_datetime - began >= grace)


def _missing_results(gate: dict[str, Any]) -> dict[str, Any]:
    what = ", ".join([*gate["missing"], *(f"{name} (empty)" for name in gate["empty"])])
    return {
        "code": "results_lost",
        "message": f"all Jobs have ended, but results are missing: {what}",
        "hint": gate.get("hint") or "somebody removed Jobs or results; retry the search",
    }
