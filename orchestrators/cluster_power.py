"""Starts or stops a cluster: ask ARM, wait for what is in the way, then look until it is there.

A start ends when the cluster is workload-ready, and has the configured databases warmed at once.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from orchestrators.calls import StepFailedError, Steps, activity, guarded, run
from shared.domain import functions as names
from shared.domain.power import Target, Verdict
from shared.domain.times import aware, format_time, parse_time

DEADLINE_SECONDS = 1800
POLL_SECONDS = ((15, 2), (45, 5))
"""Until which look there are how many seconds between two of them: what is there already shows at once, and a start of
AKS takes some minutes."""
LAST_POLL_SECONDS = 15
LONGEST_RETRY_AFTER = 60
"""Seconds that Azure's wish to be left alone is obeyed for."""
LOOKS_PER_GENERATION = 20
GRACE = timedelta(seconds=60)
"""How long after its request ARM may still show the cluster as it was, and a failure of before."""
_TOO_EARLY = (Verdict.UNCHANGED, Verdict.FAILED)


def cluster_power_orchestrator(context: Any) -> Steps:
    """Start or stop one cluster.

    Input: ``version`` (1), ``cluster``, ``target`` (``start`` or ``stop``), ``force``; ``poll_seconds`` and
    ``deadline_seconds`` where they are not the usual ones; of a generation before also ``began``, ``requested_at`` and
    ``looks``. Unknown fields are ignored.

    Returns:
        ``{"status": "succeeded", "already": bool, "seconds"}``, of a start with ``warmed`` (what the reconcile did, or
        why it did nothing), or ``{"status": "failed", "error": {...}}``.
    """
    request = dict(context.get_input())
    request.setdefault("began", format_time(context.current_utc_datetime))
    try:
        ended = yield from _carry_out(context, request)
    except StepFailedError as failure:
        context.set_custom_status({"phase": "failed", "error": failure.error})
        return {"status": "failed", "error": failure.error}
    if ended is None:
        context.continue_as_new(request)
        return None
    if request["target"] == Target.START:
        context.set_custom_status({"phase": "warming"})
        ended["warmed"] = yield from _warm(context, request)
    seconds = (aware(context.current_utc_datetime) - _began(request)).total_seconds()
    context.set_custom_status({"phase": "completed"})
    return {"status": "succeeded", "seconds": round(seconds, 1), **ended}


def _carry_out(context: Any, request: dict[str, Any]) -> Steps:
    """Ask and look until it is there; None when the history is long enough for a generation."""
    seen = {"reason": "the request was not made yet"}
    for _ in range(LOOKS_PER_GENERATION):
        if not request.get("requested_at"):
            seen = yield from run(context, names.REQUEST_POWER, _data(request))
            if seen["state"] == "already":
                return {"already": True}
            if seen["state"] == "requested":
                request["requested_at"] = format_time(context.current_utc_datetime)
            _show(context, request, "requested" if request.get("requested_at") else "waiting_for_operation", seen)
        else:
            seen = yield from _look(context, request)
            if _is_there(context, request, seen):
                return {"already": False}
            _show(context, request, seen.get("lifecycle", "unknown"), seen)
        if aware(context.current_utc_datetime) - _began(request) >= _longest(request):
            raise StepFailedError(_too_long(request, seen))
        looks = request["looks"] = int(request.get("looks", 0)) + 1
        usual = next((seconds for until, seconds in POLL_SECONDS if looks <= until), LAST_POLL_SECONDS)
        asked_for = min(seen.get("retry_after") or 0, LONGEST_RETRY_AFTER)
        pause = timedelta(seconds=max(request.get("poll_seconds", usual), asked_for))
        yield context.create_timer(context.current_utc_datetime + pause)
    return None


def _look(context: Any, request: dict[str, Any]) -> Steps:
    """One look; one that could not be taken changes nothing."""
    try:
        return (yield from guarded(activity(context, names.OBSERVE_CLUSTER_POWER, _data(request))))
    except StepFailedError as failure:
        return {"verdict": Verdict.WAITING.value, "reason": failure.error["message"]}


def _is_there(context: Any, request: dict[str, Any], seen: dict[str, Any]) -> bool:
    """Whether the look saw the end.

    Raises:
        StepFailedError: it saw that this end will not come.
    """
    if seen.get("error"):
        raise StepFailedError(seen["error"])
    verdict = Verdict(seen["verdict"])
    since_request = aware(context.current_utc_datetime) - (parse_time(request["requested_at"]) or _began(request))
    if verdict in (Verdict.REACHED, Verdict.WAITING) or (verdict in _TOO_EARLY and since_request < GRACE):
        return verdict is Verdict.REACHED
    name = request["cluster"]["cluster_name"]
    code = "superseded" if verdict is Verdict.OPPOSITE else "cluster_power_failed"
    message = f"the {request['target']} of cluster {name} did not come to its end: {seen.get('reason')}"
    hint = "see the cluster's activity log in the Azure Portal; ask again when nothing else is under way"
    raise StepFailedError({"code": code, "message": message, "hint": hint})


def _warm(context: Any, request: dict[str, Any]) -> Steps:
    """Warm at once what is configured. That it failed fails no start: a timer does the same every minute."""
    try:
        return (yield from run(context, names.WARM_CONFIGURED, {"cluster": request["cluster"]}))
    except StepFailedError as failure:
        return {"error": failure.error}


def _show(context: Any, request: dict[str, Any], phase: str, seen: dict[str, Any]) -> None:
    status = {"phase": phase, "target": request["target"], "reason": seen.get("reason") or ""}
    context.set_custom_status({**status, "since": request["began"]})


def _data(request: dict[str, Any]) -> dict[str, Any]:
    return {"cluster": request["cluster"], "target": request["target"], "force": bool(request.get("force"))}


def _began(request: dict[str, Any]) -> datetime:
    began = parse_time(request["began"])
    if began is None:
        raise ValueError(f"{request['began']!r} is no time")
    return began


def _longest(request: dict[str, Any]) -> timedelta:
    return timedelta(seconds=request.get("deadline_seconds", DEADLINE_SECONDS))


def _too_long(request: dict[str, Any], seen: dict[str, Any]) -> dict[str, Any]:
    longest, name = _longest(request).total_seconds(), request["cluster"]["cluster_name"]
    return {
        "code": "wait_timeout",
        "message": f"waited {longest:.0f} s for the {request['target']} of cluster {name}: {seen.get('reason')}",
        "hint": "see the cluster in the Azure Portal: its activity log, its node pools and their quota",
    }
