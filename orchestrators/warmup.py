"""Brings a database into memory: plan, roles and scripts, one Job per shard, then look until it is ready or has failed.

The plan says by ``steps`` which version of the steps follows. Plans in histories of before have none: their warmups go
on with the scripts only, and know neither roles, leftovers nor incidents.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from orchestrators.calls import StepFailedError, Steps, activity, guarded, run, value
from shared.domain import functions as names
from shared.domain.times import aware, format_time, parse_time
from shared.domain.warm_failures import (
    MISSING,
    MOST_REPLACED,
    REMAKE_PAUSES,
    ROLE_TIME,
    failure_of,
    given_up,
    jobs_missing,
    waits_for_image,
    warmup_error,
    with_role_warnings,
)
from shared.domain.warmth import Warmth
from shared.telemetry import log_event_once

LOOKS_PER_GENERATION = 20
QUICK_LOOKS = 30
SHORTEST_PAUSE, LONGEST_PAUSE = timedelta(seconds=0.25), timedelta(seconds=10)
WAIT_SECONDS = 4200
"""How long to look at most where the request does not say: the Jobs end by themselves after 3600 s."""
RELEASE_WAIT = timedelta(seconds=900)
"""How long to wait for a release of the database to end."""
_CARRIED = ("status", "progress_pct", "active_phase", "estimated_remaining_seconds")


def warmup_orchestrator(context: Any) -> Steps:
    """Warm one database on one cluster.

    Input: ``database``, ``cluster``, ``force``, ``wait_seconds``; of a generation before also ``plan``, ``looks``,
    ``began`` and ``memory``, what its looks saw. Unknown fields are ignored.

    Returns:
        ``{"status": "succeeded" | "failed", "error"?}``: work that finished with a failure is failed.
    """
    request = context.get_input()
    plan = request.get("plan")
    try:
        if plan is None:
            plan = yield from _plan(context, request)
            if plan.get("warm"):
                return {"status": "succeeded", "database": request["database"], "detail": "warm already"}
            yield from (_begin if plan.get("steps") else _begin_as_before)(context, request, plan)
        status = yield from _watch(context, request, plan)
    except StepFailedError as failure:
        shown = {"phase": "failed", "database": request["database"], "error": failure.error}
        context.set_custom_status(shown | _history(plan))
        yield from _end(context, request, plan)
        return {"status": "failed", "database": request["database"], "error": failure.error}
    if status is None:
        return None
    yield from _end(context, request, plan)
    return {"status": "succeeded", "database": request["database"], "seconds": status.get("elapsed_seconds")}


def _plan(context: Any, request: dict[str, Any]) -> Steps:
    """The plan; while the database is being released it waits for the end of that."""
    began = context.current_utc_datetime
    while True:
        context.set_custom_status({"phase": "planning", "database": request["database"]})
        try:
            return (yield from run(context, names.PLAN_WARMUP, {**request, "instance": context.instance_id}))
        except StepFailedError as failure:
            waited = context.current_utc_datetime - began
            if failure.error.get("code") != "operation_in_progress" or waited >= RELEASE_WAIT:
                raise
            shown = {"phase": "waiting_for_release", "database": request["database"]}
            context.set_custom_status({**shown, "reason": failure.error["message"]})
        yield context.create_timer(context.current_utc_datetime + timedelta(seconds=min(10, 1 + waited.seconds)))


def _begin_as_before(context: Any, request: dict[str, Any], plan: dict[str, Any]) -> Steps:
    yield from run(context, names.ENSURE_SCRIPTS, {"cluster": request["cluster"]})
    shards = [{**request, **plan, "shard": shard, "node": node} for shard, node in enumerate(plan["nodes"])]
    yield from _all(context, names.CREATE_WARMUP_JOB, shards)


def _begin(context: Any, request: dict[str, Any], plan: dict[str, Any]) -> Steps:
    """Roles, scripts and the probe at once, then leftovers, then all Jobs at once."""
    context.set_custom_status({"phase": "preparing_cluster", "database": request["database"], **_history(plan)})
    cluster = {"cluster": request["cluster"]}
    steps = (names.ENSURE_SCRIPTS, names.ENSURE_ROLES, names.ENSURE_PROBE)
    tasks = [(name, activity(context, name, cluster)) for name in steps]
    for name, task in tasks:
        try:
            done = value((yield from guarded(task)))
            if name == names.ENSURE_ROLES and done.get("warnings"):
                plan["role_warnings"] = done["warnings"]
        except StepFailedError as failure:
            if name == names.ENSURE_SCRIPTS:
                raise
            # A role may be there by other means, and without the probe only the residency is not known.
            log_event_once(context, f"{name}_failed", database=request["database"], error=failure.error)
    leftovers = {"layout": plan["layout"], "source_version": plan["source_version"]}
    yield from run(context, names.REMOVE_WARMUP_LEFTOVERS, {"database": request["database"], **cluster, **leftovers})
    yield from _make_jobs(context, request, plan)


def _make_jobs(context: Any, request: dict[str, Any], plan: dict[str, Any]) -> Steps:
    """All Jobs at once; those that are there and do what is wanted stay."""
    common = {"database": request["database"], "cluster": request["cluster"], "made_by": context.instance_id}
    common |= {key: plan[key] for key in ("layout", "source_version")}
    limits, again = plan.get("touch_limits") or [0] * len(plan["nodes"]), plan.get("again", ())
    shards = [
        {**common, "shard": shard, "node": node, "touch_limit_bytes": limits[shard]}
        | {"force": plan["force"] or shard in again}
        for shard, node in enumerate(plan["nodes"])
    ]
    yield from _all(context, names.CREATE_WARMUP_JOB, shards)


def _all(context: Any, name: str, inputs: list[dict[str, Any]]) -> Steps:
    results = yield from guarded(context.task_all([activity(context, name, data) for data in inputs]))
    for result in results:
        value(result)


def _watch(context: Any, request: dict[str, Any], plan: dict[str, Any]) -> Steps:
    """Look until the end; None when the orchestration continues as new."""
    looks = int(request.get("looks", 0))
    began = parse_time(request.get("began")) or aware(context.current_utc_datetime)
    longest = timedelta(seconds=request.get("wait_seconds", WAIT_SECONDS))
    memory: dict[str, Any] = dict(request.get("memory") or {})
    for _ in range(LOOKS_PER_GENERATION):
        status = yield from run(context, names.OBSERVE_WARMUP, _look(request, plan, memory))
        _show(context, request, plan, status)
        if status["status"] == Warmth.READY:
            return status
        pause = _judge(context, request, plan, status, memory, began)
        if aware(context.current_utc_datetime) - began >= longest:
            raise StepFailedError(_too_long(request["database"], status, longest))
        looks += 1
        usual = _pause(context, began) if plan.get("steps") else _pause_as_before(looks)
        yield context.create_timer(context.current_utc_datetime + (pause or usual))
        if pause is not None:
            if status["status"] != Warmth.FAILED:  # what took the Jobs away may have taken the scripts as well
                yield from run(context, names.ENSURE_SCRIPTS, {"cluster": request["cluster"]})
            yield from _make_jobs(context, request, plan)
    carried = {"plan": plan, "looks": looks, "began": format_time(began)}
    context.continue_as_new({**request, **carried, **({"memory": memory} if plan.get("steps") else {})})
    return None


def _pause(context: Any, began: datetime) -> timedelta:
    """A tenth of the time that it has lasted: the end is seen late by that at most, however long the whole takes."""
    lasted = aware(context.current_utc_datetime) - began
    return min(LONGEST_PAUSE, max(SHORTEST_PAUSE, lasted / 10))


def _pause_as_before(looks: int) -> timedelta:
    return timedelta(seconds=1 if looks <= QUICK_LOOKS else 10)


def _look(request: dict[str, Any], plan: dict[str, Any], memory: dict[str, Any]) -> dict[str, Any]:
    if not plan.get("steps"):
        return {**request, "source_version": plan["source_version"], "plan": None}
    common = {"database": request["database"], "cluster": request["cluster"], "source_version": plan["source_version"]}
    return {**common, "steps": plan["steps"], "seen": memory.get("seen")}


def _show(context: Any, request: dict[str, Any], plan: dict[str, Any], status: dict[str, Any]) -> None:
    shown = {key: status.get(key) for key in _CARRIED}
    phase = status.get("active_phase") or status["status"]
    context.set_custom_status({"phase": phase, "database": request["database"], **shown, **_history(plan)})


def _judge(
    context: Any,
    request: dict[str, Any],
    plan: dict[str, Any],
    status: dict[str, Any],
    memory: dict[str, Any],
    began: datetime,
) -> timedelta | None:
    """Whether it goes on: with the usual pause (None), or with Jobs that are made anew after this one.

    Raises:
        StepFailedError: it has failed.
    """
    now, database = aware(context.current_utc_datetime), request["database"]
    if status["status"] == Warmth.FAILED:
        error = with_role_warnings(failure_of(database, status), plan.get("role_warnings", ()))
        if not plan.get("steps") or error["code"] != "storage_role_missing" or now - began >= ROLE_TIME:
            raise StepFailedError(error)
        memory["seen"] = status.get("seen")
        made = memory["remade"] = int(memory.get("remade", 0)) + 1
        return timedelta(seconds=REMAKE_PAUSES[min(made, len(REMAKE_PAUSES)) - 1])
    if plan.get("steps"):
        memory["seen"] = status.get("seen")
        missing = jobs_missing(status, plan)
        condition = [status["status"], waits_for_image(status), missing]
        if memory.get("condition") != condition:
            memory |= {"condition": condition, "since": format_time(now)}
        odd_for = now - (parse_time(memory["since"]) or now)
        if missing:
            return _replace(context, database, status, memory) if odd_for >= MISSING else None
        given = given_up(database, status, odd_for)
        if given is not None:
            raise StepFailedError(with_role_warnings(given, plan.get("role_warnings", ())))
    return None


def _replace(context: Any, database: str, status: dict[str, Any], memory: dict[str, Any]) -> timedelta:
    """Have Jobs that somebody removed made anew, but not for ever; a release has thrown the warmup out by then."""
    times = int(memory.get("replaced", 0)) + 1
    if times > MOST_REPLACED:
        raise StepFailedError(warmup_error(database, "warmup_removed", "its Jobs are removed again and again", status))
    memory |= {"replaced": times, "since": format_time(aware(context.current_utc_datetime))}
    log_event_once(context, "warmup_jobs_missing", database=database, times=times)
    return SHORTEST_PAUSE


def _end(context: Any, request: dict[str, Any], plan: dict[str, Any] | None) -> Steps:
    """Leave the work at the database; that this failed changes nothing, the claim ends by itself."""
    if not plan or not plan.get("steps"):
        return
    data = {"database": request["database"], "cluster": request["cluster"], "instance": context.instance_id}
    try:
        yield from run(context, names.END_WARMUP, data)
    except StepFailedError as failure:
        log_event_once(context, "warmup_not_ended", database=request["database"], error=failure.error)


def _history(plan: dict[str, Any] | None) -> dict[str, Any]:
    """Where the incidents are and which roles could not be assigned, for whoever shows the status."""
    return {key: plan[key] for key in ("history", "role_warnings") if plan and plan.get(key)}


def _too_long(database: str, status: dict[str, Any], longest: timedelta) -> dict[str, Any]:
    reason = status.get("stale_reason") or status.get("active_message") or f"it is {status['status']}"
    return {
        "code": "wait_timeout",
        "message": f"waited {longest.total_seconds():.0f} s for database {database} to be warm: {reason}",
        "hint": "see /api/monitor/aks/warmup-status; start the warmup again when the cluster is well",
    }
