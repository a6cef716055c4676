"""What the stale reconcile does about one search. Everything here may be done twice, also by two turns at once."""

from __future__ import annotations

from shared.clients.capacity import searches_to_wake
from shared.clients.jobs import stop_running_jobs
from shared.clients.orchestrations import Orchestrations, OrchestrationView
from shared.clients.provider import clients
from shared.clients.recording import record_end
from shared.domain.errors import ElbError
from shared.domain.functions import WAKE_EVENT, monitor_instance, search_instance
from shared.domain.history import SYSTEM, Event
from shared.domain.reconcile import MOST_REVIVALS, Verdict, decide
from shared.domain.search import Search, fail
from shared.domain.states import ON_THE_CLUSTER, Phase
from shared.telemetry import log_event
from triggers.start import start_deletion, start_missing, start_next_run

LOST = {
    "code": "lost",
    "message": f"its orchestration has failed {MOST_REVIVALS + 1} times, and nothing has been heard of it since",
    "hint": "retry the search; the operator finds the reasons in the app's log, by the job id",
}


def attend_to(search: Search, orchestrations: Orchestrations) -> str:
    """Judge a search, and do what the verdict asks for.

    Returns:
        What was done: ``started``, ``replaced``, ``woken``, ``lost``, ``deleting``; empty for nothing.

    Raises:
        ElbError: it could not be done.
    """
    if search.phase is Phase.DELETING:
        return "deleting" if start_deletion(search, orchestrations) else ""
    match _judge(search, orchestrations):
        case Verdict.START:
            return "started" if start_missing(search, orchestrations) else ""
        case Verdict.REPLACE:
            return "replaced" if start_next_run(search, orchestrations) else ""
        case Verdict.WAKE:
            return _wake(search, orchestrations)
        case Verdict.LOST:
            return _lose(search, orchestrations)
        case Verdict.LEAVE:
            return ""


def _judge(search: Search, orchestrations: Orchestrations) -> Verdict:
    parent = orchestrations.find(search_instance(search.job_id, search.run))
    if parent is not None and parent.runtime_status == "pending":  # nobody has taken it up yet
        seconds = round((clients().now() - parent.created_at).total_seconds(), 3)
        log_event("orchestration_pending", job_id=search.job_id, instance=parent.instance_id, seconds=seconds)
    monitor: OrchestrationView | None = None
    if search.phase in ON_THE_CLUSTER:
        monitor = orchestrations.find(monitor_instance(search.job_id, search.run))
    return decide(search, parent, monitor, clients().now())


def _wake(search: Search, orchestrations: Orchestrations) -> str:
    log_event("search_woken", job_id=search.job_id, run=search.run, phase=search.phase.value)
    for instance_of in (monitor_instance, search_instance):
        orchestrations.wake(instance_of(search.job_id, search.run), WAKE_EVENT)
    return "woken"


def _lose(search: Search, orchestrations: Orchestrations) -> str:
    """Fail the search as its orchestration would: the row, the history, its Jobs, and the slot that it held.

    Not while its cluster does not answer: what cannot be asked for is not lost.
    """
    if search.phase in ON_THE_CLUSTER and clients().clusters.read(search.cluster).unreachable_since is not None:
        return ""
    now = clients().now()
    now = now.replace(microsecond=now.microsecond // 1000 * 1000)  # as it is stored

    def change(row: Search) -> Search:
        return fail(row, LOST, now) if row.run == search.run else row

    after = clients().searches.update(search.owner, search.job_id, change)
    if after.run != search.run or after.completed_at != now:
        return ""  # somebody else was faster, with another end or another run
    log_event("search_lost", job_id=search.job_id, run=search.run, phase=search.phase.value)
    clients().events.add(search.job_id, Event(now, after.phase.value, SYSTEM, LOST["code"], search.attempt))
    record_end(after)
    for instance_of in (search_instance, monitor_instance):
        orchestrations.terminate(instance_of(search.job_id, search.run))
    try:
        stop_running_jobs(clients().kube(search.cluster), search)
    except ElbError as error:  # as of any failed search: their own deadline ends them
        log_event("stop_search_jobs_failed", job_id=search.job_id, code=error.code, message=error.message)
    for other in searches_to_wake(search.cluster):
        orchestrations.wake(search_instance(other.job_id, other.run), WAKE_EVENT)
    return "lost"
