"""The parent of a search: owns it from the submit to its end, one step after another."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from orchestrators.calls import StepFailedError, Steps, activity, discard, guarded, is_done, run, value
from orchestrators.export import export_results, register_results
from orchestrators.search_run import CancelledError, Run, SupersededError
from shared.domain import functions as names
from shared.domain.states import Phase, StepName
from shared.domain.times import aware, format_time, parse_time
from shared.telemetry import log_event_once

ADMISSION_INTERVAL = timedelta(seconds=15)
CAPACITY_INTERVAL = timedelta(seconds=60)


def search_orchestrator(context: Any) -> Steps:
    """Run one search.

    Input: the search's reference (``job_id``, ``owner``, ``run``), ``cluster``, ``database``, ``created_at``,
    ``parallel``, ``deadline_seconds``, ``results_grace_seconds``, ``warmup_wait_seconds``, ``waits_per_generation``
    (older inputs have none), and ``waits`` of the generation before. Unknown fields are ignored.

    Returns:
        ``{"phase": ...}``, the phase in which the search ended.
    """
    job = context.get_input()
    log_event_once(context, "search_started", job_id=job["job_id"], run=job["run"])
    this = Run(context, job, context.wait_for_external_event(names.WAKE_EVENT))
    try:
        phase = yield from _search(this)
    except StepFailedError as failure:
        phase = yield from _fail(this, failure.error)
    except CancelledError:
        phase = yield from _cancel(this)
    except SupersededError:
        return {"phase": "superseded"}
    except _StillWaitingError as waiting:
        context.continue_as_new({**job, "waits": dict(waiting.since)})
        return None
    yield from _let_others_in(this)
    if this.webhook:
        yield from _tolerate(this, names.DELIVER_WEBHOOK)  # now; later a timer does
    return {"phase": phase}


class _StillWaitingError(Exception):
    """The search has waited for a while: its history begins anew, so that it stays short."""

    def __init__(self, since: Mapping[str, str | None]) -> None:
        super().__init__("still waiting")
        self.since = since


def _search(this: Run) -> Steps:
    if this.job.get("engine") == "external":  # its Jobs were there before anybody here knew of it
        yield from _watch(this)
        return (yield from register_results(this))
    warm = yield from _prepare(this)
    if warm is not None and this.job.get("engine") == "cli":
        yield from _submit_by_command(this)
    elif warm is not None:
        yield from _warm_up(this, warm=warm)
        yield from _configure(this)
        yield from _submit(this)
    yield from _watch(this)
    return (yield from export_results(this))


def _fail(this: Run, error: dict[str, Any]) -> Steps:
    """Write the failure, then remove what still runs; a cancel that came first wins."""
    try:
        phase = yield from this.advance(error=error)
    except CancelledError:
        return (yield from _cancel(this))
    except SupersededError:
        return "superseded"
    yield from _tolerate(this, names.STOP_SEARCH_JOBS)
    return phase


def _cancel(this: Run) -> Steps:
    """Remove everything from the cluster, see that nothing is left, and only then say cancelled."""
    removal = f"removal-{names.search_instance(this.job['job_id'], this.job['run'])}"
    yield from guarded(this.context.call_sub_orchestrator(names.REMOVAL_ORCHESTRATOR, this.ref, removal))
    data = {**this.ref, "at": format_time(this.context.current_utc_datetime), "phase": Phase.CANCELLED}
    row = yield from run(this.context, names.ADVANCE_SEARCH, data)
    this.webhook = bool(row.get("webhook"))
    return row["phase"]


def _let_others_in(this: Run) -> Steps:
    """Wake the searches that wait for the slot which this one held; they would find out by themselves, later."""
    yield from _tolerate(this, names.WAKE_WAITING)


def _tolerate(this: Run, activity_name: str) -> Steps:
    """Something that may fail: others make up for it (a Job's deadline, a waiting search's own timer)."""
    try:
        yield from run(this.context, activity_name, this.ref)
    except StepFailedError as failure:
        log_event_once(this.context, f"{activity_name}_failed", job_id=this.job["job_id"], error=failure.error)


def _prepare(this: Run) -> Steps:
    """Admission: wait while it says "not yet", each reason until its own deadline.

    Returns:
        Whether the database is warm; None when an earlier run has made the Jobs, and they are to be watched.
    """
    since = {phase: parse_time(at) for phase, at in (this.job.get("waits") or {}).items()}
    waits = 0
    while True:
        verdict = yield from run(this.context, names.CHECK_ADMISSION, this.ref)
        if verdict["decision"] == "cancelled":
            raise CancelledError
        if verdict["decision"] == "superseded":
            raise SupersededError
        if verdict["decision"] == "admit":
            return bool(verdict["warm"])
        if verdict["decision"] == "resume":
            return None
        now = aware(this.context.current_utc_datetime)
        known = (since.get(verdict["phase"]), parse_time(verdict.get("since")))
        began = since[verdict["phase"]] = min(filter(None, known), default=now)
        until = began + timedelta(seconds=verdict["seconds"])
        if now >= until:
            raise StepFailedError(_waited_too_long(verdict))
        reason = f"{verdict['reason']}; since {format_time(began)}, at most until {format_time(until)}"
        yield from this.advance(phase=verdict["phase"], reason=reason)
        # A slot that comes free wakes who gets it; everything else is asked for again.
        capacity = verdict["phase"] == Phase.WAITING_FOR_CAPACITY
        yield from this.pause(CAPACITY_INTERVAL if capacity else ADMISSION_INTERVAL)
        waits += 1
        if waits == this.job.get("waits_per_generation"):
            raise _StillWaitingError({phase: format_time(at) for phase, at in since.items()})


def _waited_too_long(verdict: dict[str, Any]) -> dict[str, Any]:
    return {
        "code": "wait_timeout",
        "message": f"waited {verdict['seconds']} s: {verdict['reason']}",
        "hint": "mend what it waited for, then retry the search",
    }


def _warm_up(this: Run, *, warm: bool) -> Steps:
    database = this.job["database"]
    if warm:
        done = {"step": StepName.WARMING_UP, "detail": f"{database} is warm already", "skipped": True}
        yield from this.advance(phase=Phase.CONFIGURING, finish=[{"step": StepName.PREPARING}, done])
        return
    yield from this.advance(phase=Phase.WARMING_UP)
    request = {"database": database, "cluster": this.job["cluster"], "force": False}
    instance = f"warmup-{names.search_instance(this.job['job_id'], this.job['run'])}"
    child = this.context.call_sub_orchestrator(names.WARMUP_ORCHESTRATOR, request, instance)
    seconds = int(this.job.get("warmup_wait_seconds", 2700))
    deadline = this.context.create_timer(this.context.current_utc_datetime + timedelta(seconds=seconds))
    try:
        while not is_done(child):
            if is_done(deadline):
                reason = f"database {database} did not become warm"
                raise StepFailedError(_waited_too_long({"seconds": seconds, "reason": reason}))
            yield from this.until(child, deadline)
            yield from this.advance()
    finally:
        discard(deadline)
    outcome = yield from guarded(child)
    if outcome["status"] != "succeeded":
        raise StepFailedError(outcome["error"])
    done = {"step": StepName.WARMING_UP, "detail": f"{database} is warm now"}
    yield from this.advance(phase=Phase.CONFIGURING, finish=[done])


def _configure(this: Run) -> Steps:
    """Old Jobs, scripts and batches: at once on a warm cluster, one after another with the opt-out."""
    calls = [
        (names.CLEANUP_STALE_JOBS, this.ref),
        (names.ENSURE_SCRIPTS, {"cluster": this.job["cluster"]}),
        (names.STAGE_QUERIES, this.ref),
    ]
    if this.job.get("parallel", True):
        tasks = [activity(this.context, name, data) for name, data in calls]
        results = yield from guarded(this.context.task_all(tasks))
        staged = [value(result) for result in results][-1]
    else:
        for name, data in calls:
            staged = yield from run(this.context, name, data)
    batches = f"{staged['sequences']} queries in {staged['batches']} batches"
    finish = [
        {"step": StepName.CONFIGURING, "detail": batches},
        {"step": StepName.STAGING_DB, "detail": f"{this.job['database']} is on the nodes already"},
    ]
    yield from this.advance(phase=Phase.SUBMITTING, finish=finish)


def _submit(this: Run) -> Steps:
    made = yield from run(this.context, names.CREATE_SEARCH_JOBS, this.ref)
    finish = [{"step": StepName.SUBMITTING, "detail": f"{made['jobs']} Jobs"}]
    yield from this.advance(phase=Phase.SUBMITTED, finish=finish)


def _submit_by_command(this: Run) -> Steps:
    """The elastic-blast command line brings the database, cuts the queries and makes the Jobs, by a helper."""
    done: list[dict[str, Any]] = [{"step": StepName.PREPARING}]
    skipped = (StepName.WARMING_UP, StepName.CONFIGURING, StepName.STAGING_DB)
    done += [{"step": step, "detail": "done by the command line", "skipped": True} for step in skipped]
    phase = yield from this.advance(phase=Phase.SUBMITTING, finish=done)
    if phase != Phase.SUBMITTING:  # a revived search: an earlier run has submitted it already
        return
    if this.job.get("attempt", 1) > 1:  # the command's Jobs do not tell attempts apart
        clear, removal = {**this.ref, "clear": True}, f"removal-before-{this.job['job_id']}-{this.job['run']}"
        yield from guarded(this.context.call_sub_orchestrator(names.REMOVAL_ORCHESTRATOR, clear, removal))
    request = {**this.ref, "parallel": this.job.get("parallel", True)}
    instance = names.cli_submit_instance(this.job["job_id"], this.job["run"])
    child = this.context.call_sub_orchestrator(names.CLI_SUBMIT_ORCHESTRATOR, request, instance)
    outcome = yield from guarded(child)
    if outcome["status"] == "cancelled":
        raise CancelledError
    if outcome["status"] != "submitted":
        raise StepFailedError(outcome["error"])
    yield from run(this.context, names.REGISTER_CLI_SEARCH, {**this.ref, "alias": outcome.get("alias") or ""})
    finish = [{"step": StepName.SUBMITTING, "detail": "by the command line"}]
    yield from this.advance(phase=Phase.SUBMITTED, finish=finish)


def _watch(this: Run) -> Steps:
    """The monitor, as a child, until it has seen the end."""
    watched = {**this.ref, "created_at": this.job["created_at"], "deadline_seconds": this.job["deadline_seconds"]}
    instance = names.monitor_instance(this.job["job_id"], this.job["run"])
    seen = yield from guarded(this.context.call_sub_orchestrator(names.MONITOR_ORCHESTRATOR, watched, instance))
    if seen["state"] == "cancelled":
        raise CancelledError
    if seen["state"] not in ("done", "missing_jobs"):
        raise StepFailedError(seen.get("error") or _lost(seen))
    yield from this.advance(phase=Phase.RESULTS_PENDING, finish=[{"step": StepName.RUNNING}])


def _lost(seen: dict[str, Any]) -> dict[str, Any]:
    return {
        "code": "lost",
        "message": f"the monitor ended without a result: the search's row is {seen['state']}",
        "hint": "somebody else ended or removed the search; submit it again",
    }
