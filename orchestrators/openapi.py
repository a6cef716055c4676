"""Deploys elb-openapi, or repairs it: roles, objects, then looks until its pod is available."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from orchestrators.calls import StepFailedError, Steps, activity, guarded, run
from shared.domain import functions as names
from shared.domain.times import aware, format_time, parse_time

DEADLINE_SECONDS = 600
"""A role that was just assigned takes up to 180 s to act, and the image is large."""
POLL_SECONDS = 3
LOOKS_PER_GENERATION = 20


def openapi_deploy_orchestrator(context: Any) -> Steps:
    """Deploy elb-openapi on one cluster.

    Input: ``version`` (1), ``cluster``; ``poll_seconds`` and ``deadline_seconds`` where they are not the usual ones; of
    a generation before also ``began`` and ``done``. Unknown fields are ignored.

    Returns:
        ``{"status": "succeeded", "created": [...], "replaced": [...], "warnings": [...]}`` or ``{"status": "failed",
        "error": {...}}`` with what the pods say.
    """
    request = dict(context.get_input())
    request.setdefault("began", format_time(context.current_utc_datetime))
    try:
        done = request.get("done")
        if done is None:
            done = request["done"] = yield from _deploy(context, request)
        available = yield from _watch(context, request)
    except StepFailedError as failure:
        context.set_custom_status({"phase": "failed", "error": failure.error})
        return {"status": "failed", "error": failure.error}
    if not available:
        context.continue_as_new(request)
        return None
    context.set_custom_status({"phase": "completed"})
    return {"status": "succeeded", **done}


def _deploy(context: Any, request: dict[str, Any]) -> Steps:
    data = {"cluster": request["cluster"]}
    context.set_custom_status({"phase": "assigning_roles"})
    try:
        warnings = (yield from run(context, names.ENSURE_ROLES, data))["warnings"]
    except StepFailedError as failure:  # somebody else may have assigned them
        warnings = [failure.error]
    context.set_custom_status({"phase": "deploying"})
    done = yield from run(context, names.DEPLOY_OPENAPI, data)
    return {**done, "warnings": warnings}


def _watch(context: Any, request: dict[str, Any]) -> Steps:
    """Look until it is available; False when the history is long enough for a generation."""
    began = parse_time(request["began"]) or aware(context.current_utc_datetime)
    longest = timedelta(seconds=request.get("deadline_seconds", DEADLINE_SECONDS))
    data = {"cluster": request["cluster"]}
    for _ in range(LOOKS_PER_GENERATION):
        seen = yield from _look(context, data)
        if seen["available"]:
            return True
        if seen.get("missing"):
            yield from run(context, names.DEPLOY_OPENAPI, data)
        context.set_custom_status({"phase": "waiting_for_pod", "reason": seen["reason"]})
        if aware(context.current_utc_datetime) - began >= longest:
            raise StepFailedError(_unavailable(request, seen, longest))
        pause = timedelta(seconds=request.get("poll_seconds", POLL_SECONDS))
        yield context.create_timer(context.current_utc_datetime + pause)
    return False


def _look(context: Any, data: dict[str, Any]) -> Steps:
    """One look; one that could not be taken changes nothing."""
    try:
        seen = yield from guarded(activity(context, names.OBSERVE_OPENAPI, data))
    except StepFailedError as failure:
        return {"available": False, "reason": failure.error["message"]}
    if seen.get("error"):
        raise StepFailedError(seen["error"])
    return seen


def _unavailable(request: dict[str, Any], seen: dict[str, Any], longest: timedelta) -> dict[str, Any]:
    name = request["cluster"]["cluster_name"]
    warnings = [warning["hint"] for warning in request["done"]["warnings"] if warning.get("hint")]
    return {
        "code": "openapi_unavailable",
        "message": f"elb-openapi on {name} was not available within {longest.total_seconds():.0f} s: {seen['reason']}",
        "hint": "; ".join(["correct what its pod says, then deploy again", *warnings]),
    }
