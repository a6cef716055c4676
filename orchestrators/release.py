"""Releases a database: Jobs and DaemonSets first, then its folder on every node, and sees that both are gone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from orchestrators.calls import StepFailedError, Steps, activity, guarded, run, value
from shared.domain import functions as names
from shared.domain.release import outcome_of
from shared.telemetry import log_event_once

PAUSES = (0.2, 0.3, 0.5, 1.0, 2.0, 5.0)
"""Seconds between two looks, the last one again and again."""
LOOKS = 60
"""Of each of the two waits: about five minutes, which is also the clean-up Jobs' own deadline."""


def release_orchestrator(context: Any) -> Steps:
    """Release one database on one cluster.

    Input: ``database``, ``cluster``, ``force``. Unknown fields are ignored.

    Returns:
        ``{"status": "released" | "partial" | "nothing", "database", "deleted", "errors"}``, or ``{"status": "failed",
        "error": {...}}`` when it did not come to the nodes, such as for ``database_in_use``.
    """
    request = context.get_input()
    data = {"database": request["database"], "cluster": request["cluster"], "instance": context.instance_id}
    nodes: list[str] = []
    try:
        context.set_custom_status({"phase": "planning", "database": request["database"]})
        plan = yield from run(context, names.PLAN_RELEASE, {**data, "force": bool(request.get("force"))})
        nodes = plan["nodes"]
        result = yield from _release(context, data, plan)
    except StepFailedError as failure:
        result = {"status": "failed", "database": request["database"], "error": failure.error}
    yield from _end(context, {**data, "nodes": nodes})
    context.set_custom_status({"phase": result["status"], "database": request["database"]})
    return result


def _release(context: Any, data: dict[str, Any], plan: dict[str, Any]) -> Steps:
    errors = [f"node {node} is not ready: what it has on its disk stays" for node in plan["not_ready"]]
    context.set_custom_status({"phase": "removing_jobs", "database": data["database"]})
    force = {"force": plan["force"]} if "force" in plan else {}  # plans of histories of before do not say it
    objects, left = yield from _remove_objects(context, data | force)
    if left:
        errors.append(f"{left} Kubernetes objects of the warmup are still going")
    context.set_custom_status({"phase": "cleaning_nodes", "database": data["database"]})
    cleanings: list[dict[str, Any]] = []
    try:
        yield from run(context, names.ENSURE_SCRIPTS, {"cluster": data["cluster"]})
        cleanings = yield from _clean(context, data, plan["nodes"])
    except StepFailedError as failure:  # what was removed is removed, and told
        errors.append(f"the nodes could not be cleaned: {failure.error['message']}")
    return outcome_of(data["database"], objects, cleanings, errors)


def _remove_objects(context: Any, data: dict[str, Any]) -> Steps:
    """Delete and look again until nothing is left; what was deleted, and how much is left all the same."""
    deleted: dict[str, None] = {}
    left = 0
    for look in range(LOOKS):
        seen = yield from run(context, names.REMOVE_WARMUP_OBJECTS, data)
        deleted |= dict.fromkeys(seen["deleted"])
        left = seen["left"]
        if not left:
            break
        yield _pause(context, look)
    return sorted(deleted), left


def _clean(context: Any, data: dict[str, Any], nodes: Sequence[str]) -> Steps:
    """One Job per node, all at once, then look until all have ended."""
    if not nodes:
        return []
    tasks = [activity(context, names.CREATE_CLEAN_JOB, {**data, "node": node}) for node in nodes]
    for result in (yield from guarded(context.task_all(tasks))):
        value(result)
    cleanings: list[dict[str, Any]] = []
    for look in range(LOOKS):
        cleanings = (yield from run(context, names.OBSERVE_CLEANING, {**data, "nodes": list(nodes)}))["cleanings"]
        if all(cleaning["done"] for cleaning in cleanings):
            return cleanings
        yield _pause(context, look)
    late = "its clean-up has not ended"
    return [c if c["done"] else {**c, "error": f"node {c['node']}: {late}"} for c in cleanings]


def _pause(context: Any, look: int) -> Any:
    return context.create_timer(context.current_utc_datetime + timedelta(seconds=PAUSES[min(look, len(PAUSES) - 1)]))


def _end(context: Any, data: dict[str, Any]) -> Steps:
    """Remove the clean-up Jobs and let others in, also when the cluster answers no more: its Jobs end by themselves."""
    tries: tuple[list[str], ...] = (data["nodes"], [])
    for nodes in tries:
        try:
            yield from run(context, names.END_RELEASE, {**data, "nodes": nodes})
        except StepFailedError as failure:
            log_event_once(context, "release_not_ended", database=data["database"], error=failure.error)
        else:
            return
