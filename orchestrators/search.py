"""The parent of a search: owns it from the submit to its end, one step after another."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from orchestrators.calls import StepFailedError, Steps, activity, guarded, run, value
from shared.domain import functions as names
from shared.domain.states import Phase, StepName
from shared.domain.times import format_time
from shared.telemetry import log_event_once

ADMISSION_INTERVAL = timedelta(seconds=15)
RESULTS_INTERVAL = timedelta(seconds=2)


class CancelledError(Exception):
    """The search's row has the cancel marker."""


def search_orchestrator(context: Any) -> Steps:
    """Run one search.

    Input: the search's reference (``job_id``, ``owner``, ``run``), ``cluster``, ``database``, ``created_at``,
    ``parallel``, ``warmup_wait_seconds``, ``deadline_seconds``, ``results_grace_seconds``. Unknown fields are ignored.

    Returns:
        ``{"phase": ...}``.
    """
    job = context.get_input()
    log_event_once(context, "search_started", job_id=job["job_id"], run=job["run"])
    try:
        warm = yield from _prepare(context, job)
        yield from _warm_up(context, job, warm=warm)
        yield from _configure(context, job)
        yield from _submit(context, job)
        yield from _watch(context, job)
        yield from _export(context, job)
    except StepFailedError as failure:
        yield from _advance(context, job, error=failure.error)
        yield from _stop_jobs(context, job)
        return {"phase": Phase.FAILED.value}
    except CancelledError:
        return {"phase": Phase.CANCELLING.value}
    return {"phase": Phase.COMPLETED.value}


def _advance(context: Any, job: dict[str, Any], **change: Any) -> Steps:
    """Write a change into the row; every step checks the cancel marker here."""
    data = {**_ref(job), "at": format_time(context.current_utc_datetime), **change}
    row = yield from run(context, names.ADVANCE_SEARCH, data)
    if row.get("cancelled") and not change.get("error"):
        raise CancelledError
    return {"phase": row["phase"]}


def _ref(job: dict[str, Any]) -> dict[str, Any]:
    return {"job_id": job["job_id"], "owner": job["owner"], "run": job["run"]}


def _prepare(context: Any, job: dict[str, Any]) -> Steps:
    """Admission: wait while it says "not yet", until the deadline of what is waited for."""
    began = context.current_utc_datetime
    while True:
        verdict = yield from run(context, names.CHECK_ADMISSION, _ref(job))
        if verdict["decision"] == "admit":
            return bool(verdict["warm"])
        if context.current_utc_datetime - began >= timedelta(seconds=verdict["seconds"]):
            raise StepFailedError(
                {
                    "code": "wait_timeout",
                    "message": f"waited {verdict['seconds']} s: {verdict['reason']}",
                    "hint": "see why the cluster is not ready, then retry the search",
                }
            )
        yield from _advance(context, job, phase=verdict["phase"], reason=verdict["reason"])
        yield context.create_timer(context.current_utc_datetime + ADMISSION_INTERVAL)


def _warm_up(context: Any, job: dict[str, Any], *, warm: bool) -> Steps:
    if warm:
        done = {"step": StepName.WARMING_UP, "detail": f"{job['database']} is warm already", "skipped": True}
        yield from _advance(context, job, phase=Phase.CONFIGURING, finish=[{"step": StepName.PREPARING}, done])
        return
    yield from _advance(context, job, phase=Phase.WARMING_UP)
    request = {"database": job["database"], "cluster": job["cluster"], "force": False}
    request["wait_seconds"] = job["warmup_wait_seconds"]
    instance = f"warmup-{names.search_instance(job['job_id'], job['run'])}"
    outcome = yield from guarded(context.call_sub_orchestrator(names.WARMUP_ORCHESTRATOR, request, instance))
    if outcome["status"] != "succeeded":
        raise StepFailedError(outcome["error"])
    done = {"step": StepName.WARMING_UP, "detail": f"{job['database']} is warm now"}
    yield from _advance(context, job, phase=Phase.CONFIGURING, finish=[done])


def _configure(context: Any, job: dict[str, Any]) -> Steps:
    """Old Jobs, scripts and batches: at once on a warm cluster, one after another with the opt-out."""
    calls = [
        (names.CLEANUP_STALE_JOBS, _ref(job)),
        (names.ENSURE_SCRIPTS, {"cluster": job["cluster"]}),
        (names.STAGE_QUERIES, _ref(job)),
    ]
    if job.get("parallel", True):
        tasks = [activity(context, name, data) for name, data in calls]
        results = yield from guarded(context.task_all(tasks))
        staged = [value(result) for result in results][-1]
    else:
        for name, data in calls:
            staged = yield from run(context, name, data)
    batches = f"{staged['sequences']} queries in {staged['batches']} batches"
    finish = [
        {"step": StepName.CONFIGURING, "detail": batches},
        {"step": StepName.STAGING_DB, "detail": f"{job['database']} is on the nodes already"},
    ]
    yield from _advance(context, job, phase=Phase.SUBMITTING, finish=finish)


def _submit(context: Any, job: dict[str, Any]) -> Steps:
    made = yield from run(context, names.CREATE_SEARCH_JOBS, _ref(job))
    finish = [{"step": StepName.SUBMITTING, "detail": f"{made['jobs']} Jobs"}]
    yield from _advance(context, job, phase=Phase.SUBMITTED, finish=finish)


def _watch(context: Any, job: dict[str, Any]) -> Steps:
    """The monitor, as a child, until it has seen the end."""
    watched = {**_ref(job), "created_at": job["created_at"], "deadline_seconds": job["deadline_seconds"]}
    instance = names.monitor_instance(job["job_id"], job["run"])
    seen = yield from guarded(context.call_sub_orchestrator(names.MONITOR_ORCHESTRATOR, watched, instance))
    if seen["state"] == "cancelled":
        raise CancelledError
    if seen["state"] not in ("done", "missing_jobs"):
        raise StepFailedError(seen.get("error") or _lost(seen))
    yield from _advance(context, job, phase=Phase.RESULTS_PENDING, finish=[{"step": StepName.RUNNING}])


def _export(context: Any, job: dict[str, Any]) -> Steps:
    """The results gate, then merge all batches at once, then publish, then completed."""
    began = context.current_utc_datetime
    gate = yield from run(context, names.CHECK_RESULTS, _ref(job))
    while not gate["open"]:
        if context.current_utc_datetime - began >= timedelta(seconds=job["results_grace_seconds"]):
            raise StepFailedError(_missing_results(gate))
        yield context.create_timer(context.current_utc_datetime + RESULTS_INTERVAL)
        gate = yield from run(context, names.CHECK_RESULTS, _ref(job))
    yield from _advance(context, job, phase=Phase.EXPORTING)
    tasks = [activity(context, names.MERGE_BATCH, {**_ref(job), "batch": batch}) for batch in range(gate["batches"])]
    merged = yield from guarded(context.task_all(tasks))
    published = yield from run(
        context, names.PUBLISH_RESULTS, {**_ref(job), "merged": [value(result) for result in merged]}
    )
    done = {"step": StepName.EXPORTING, "detail": f"{published['bytes']} bytes"}
    yield from _advance(context, job, phase=Phase.COMPLETED, finish=[done])


def _lost(seen: dict[str, Any]) -> dict[str, Any]:
    return {
        "code": "lost",
        "message": f"the monitor ended without a result: the search's row is {seen['state']}",
        "hint": "somebody else ended or removed the search; submit it again",
    }


def _missing_results(gate: dict[str, Any]) -> dict[str, Any]:
    what = ", ".join([*gate["missing"], *(f"{name} (empty)" for name in gate["empty"])])
    return {
        "code": "results_lost",
        "message": f"all Jobs have ended, but results are missing: {what}",
        "hint": "somebody removed Jobs or results; retry the search",
    }


def _stop_jobs(context: Any, job: dict[str, Any]) -> Steps:
    """What still runs of a failed search is removed; if the cluster does not answer, the Jobs' deadline ends them."""
    try:
        yield from run(context, names.STOP_SEARCH_JOBS, _ref(job))
    except StepFailedError as failure:
        log_event_once(context, "search_jobs_not_stopped", job_id=job["job_id"], error=failure.error)
