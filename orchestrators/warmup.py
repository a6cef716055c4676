"""Brings a database into memory: plan, scripts, one Job per shard, then look until it is ready or has failed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from orchestrators.calls import StepFailedError, Steps, activity, guarded, run, value
from shared.domain import functions as names
from shared.domain.times import format_time, parse_time
from shared.domain.warmth import Warmth

LOOKS_PER_GENERATION = 20
QUICK_LOOKS = 30
WAIT_SECONDS = 4200
"""How long to look at most where the request does not say: the Jobs end by themselves after 3600 s."""
_ENDED = (Warmth.READY.value, Warmth.FAILED.value)


def warmup_orchestrator(context: Any) -> Steps:
    """Warm one database on one cluster.

    Input: ``database``, ``cluster``, ``force``, ``wait_seconds``; of a generation before also ``plan``, ``looks`` and
    ``began``.

    Returns:
        ``{"status": "succeeded" | "failed", "error"?}``: work that finished with a failure is failed.
    """
    request = context.get_input()
    try:
        plan = request.get("plan")
        if plan is None:
            plan = yield from _begin(context, request)
            if plan.get("warm"):
                return {"status": "succeeded", "database": request["database"], "detail": "warm already"}
        status = yield from _watch(context, request, plan)
    except StepFailedError as failure:
        context.set_custom_status({"phase": "failed", "database": request["database"], "error": failure.error})
        return {"status": "failed", "database": request["database"], "error": failure.error}
    if status is None:
        return None
    return {"status": "succeeded", "database": request["database"], "seconds": status.get("elapsed_seconds")}


def _begin(context: Any, request: dict[str, Any]) -> Steps:
    context.set_custom_status({"phase": "planning", "database": request["database"]})
    plan = yield from run(context, names.PLAN_WARMUP, request)
    if plan.get("warm"):
        return plan
    yield from run(context, names.ENSURE_SCRIPTS, {"cluster": request["cluster"]})
    shards = [{**request, **plan, "shard": shard, "node": node} for shard, node in enumerate(plan["nodes"])]
    tasks = [activity(context, names.CREATE_WARMUP_JOB, shard) for shard in shards]
    results = yield from guarded(context.task_all(tasks))
    for result in results:
        value(result)
    return plan


def _watch(context: Any, request: dict[str, Any], plan: dict[str, Any]) -> Steps:
    """Look until the end; None when the orchestration continues as new."""
    looks = int(request.get("looks", 0))
    began = parse_time(request.get("began")) or _now(context)
    longest = timedelta(seconds=request.get("wait_seconds", WAIT_SECONDS))
    for _ in range(LOOKS_PER_GENERATION):
        data = {**request, "source_version": plan["source_version"], "plan": None}
        status = yield from run(context, names.OBSERVE_WARMUP, data)
        shown = {k: status.get(k) for k in ("progress_pct", "active_phase", "estimated_remaining_seconds", "status")}
        phase = status.get("active_phase") or status["status"]
        context.set_custom_status({"phase": phase, "database": request["database"], **shown})
        if status["status"] == Warmth.FAILED:
            raise StepFailedError(_failure(request["database"], status))
        if status["status"] == Warmth.READY:
            return status
        if _now(context) - began >= longest:
            raise StepFailedError(_too_long(request["database"], status, longest))
        looks += 1
        pause = timedelta(seconds=1 if looks <= QUICK_LOOKS else 10)
        yield context.create_timer(context.current_utc_datetime + pause)
    context.continue_as_new({**request, "plan": plan, "looks": looks, "began": format_time(began)})
    return None


def _now(context: Any) -> datetime:
    """The orchestrator's time with its zone, which not every version of the SDK gives."""
    return parse_time(format_time(context.current_utc_datetime)) or context.current_utc_datetime


def _too_long(database: str, status: dict[str, Any], longest: timedelta) -> dict[str, Any]:
    reason = status.get("stale_reason") or status.get("active_message") or f"it is {status['status']}"
    return {
        "code": "wait_timeout",
        "message": f"waited {longest.total_seconds():.0f} s for database {database} to be warm: {reason}",
        "hint": "see /api/monitor/aks/warmup-status; start the warmup again when the cluster is well",
    }


def _failure(database: str, status: dict[str, Any]) -> dict[str, Any]:
    message = status.get("active_message") or "a shard failed"
    code, found, what = message.partition(": ")
    known = bool(found) and code.replace("_", "").isalpha() and code.islower()
    return {
        "code": code if known else "warmup_failed",
        "message": f"database {database} could not be warmed: {what if known else message}",
        "hint": "read the shards' messages in /api/monitor/aks/warmup-status; start the warmup again when mended",
        "log_tail": status.get("active_last_log") or "",
    }
