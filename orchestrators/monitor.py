"""Watches one search on its cluster until a look has seen its end. A wake-up only makes it look earlier.

One wait for the wake-up per generation, reused by every ``task_any`` and made anew only after it fired: a wait made
anew per poll lost 35 of 40 wake-ups (measured). Each generation begins with a look, so that an event dropped by
``continue_as_new`` costs nothing.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from orchestrators.calls import StepFailedError, Steps, activity, discard, guarded, is_done
from shared.domain import functions as names
from shared.domain.schedule import POLL_SLACK, POLLS_PER_GENERATION, MonitorClock, poll_interval
from shared.domain.times import aware, format_time, parse_time


def monitor_orchestrator(context: Any) -> Steps:
    """Look, wait, look again.

    Input: the search's reference, ``created_at``, ``deadline_seconds``; ``after_wake`` and ``woken_at`` of the
    generation before.

    Returns:
        ``{"state": ...}`` of the look that saw the end, with ``error`` where it failed.
    """
    job = context.get_input()
    created = parse_time(job["created_at"]) or aware(context.current_utc_datetime)
    clock = MonitorClock(after_wake=job.get("after_wake"), woken_at=parse_time(job.get("woken_at")))
    wake = context.wait_for_external_event(names.WAKE_EVENT)
    while True:
        age = aware(context.current_utc_datetime) - created
        seen = yield from _look(context, job, clock, age)
        if seen["state"] != "active":
            return seen
        age = aware(context.current_utc_datetime) - created
        if age >= timedelta(seconds=job["deadline_seconds"]):
            return {"state": "failed", "error": _timeout(job["deadline_seconds"])}
        delay, clock = clock.next_delay(age)
        timer = context.create_timer(context.current_utc_datetime + delay)
        yield context.task_any([wake, timer])
        discard(timer)
        woken = is_done(wake)
        if woken:
            clock = clock.woken(aware(context.current_utc_datetime))
        if clock.polls >= POLLS_PER_GENERATION:
            woken_at = format_time(clock.woken_at)
            context.continue_as_new({**job, "after_wake": clock.after_wake, "woken_at": woken_at})
            return None
        if woken:
            wake = context.wait_for_external_event(names.WAKE_EVENT)


def _look(context: Any, job: dict[str, Any], clock: MonitorClock, age: timedelta) -> Steps:
    """One look. That it could not be taken changes nothing: the last state stays, and the next look comes.

    A look that saw the search fail has an ``error`` too, so only a missing ``state`` says that none was taken.
    """
    data = {"job_id": job["job_id"], "owner": job["owner"], "run": job["run"], "follow_up": clock.is_follow_up}
    data["max_age"] = poll_interval(age).total_seconds() - POLL_SLACK
    try:
        seen = yield from guarded(activity(context, names.OBSERVE_CLUSTER, data))
    except StepFailedError:
        return {"state": "active"}
    return seen if seen.get("state") else {"state": "active"}


def _timeout(seconds: int) -> dict[str, Any]:
    return {
        "code": "search_timeout",
        "message": f"the search did not end within {seconds} s",
        "hint": "split the query, use more shards, or raise ELB_SEARCH_DEADLINE_SECONDS",
    }
