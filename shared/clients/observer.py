"""One look at a cluster for all of its searches: taken if it is due, every changed row written, monitors woken.

Called by the monitor's activity and by the stale reconcile; ``docs/architecture.md``, "Observing a cluster".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from shared.clients.orchestrations import Orchestrations
from shared.clients.provider import clients
from shared.domain.cli_results import success_marker
from shared.domain.errors import ElbError, NotFoundError, TransientError
from shared.domain.failures import Failure
from shared.domain.functions import WAKE_EVENT, monitor_instance
from shared.domain.lifecycle import Lifecycle, lifecycle_of
from shared.domain.observation import Observation, Outcome, ids_of, needs_success_marker, observe
from shared.domain.results import RESULTS_CONTAINER
from shared.domain.schedule import SHORTEST_WINDOW, should_look, window_seconds
from shared.domain.search import ClusterRef, Search, enter_phase
from shared.domain.snapshot import ClusterSnapshot, read_snapshot
from shared.domain.stale_jobs import APPS
from shared.domain.states import Phase
from shared.telemetry import log_event

_SELECTOR = f"app in ({','.join(APPS)})"
_WATCHED = frozenset({Phase.CREATING, Phase.SUBMITTED, Phase.RUNNING})
_PHASES = {Outcome.CREATING: Phase.CREATING, Outcome.SUBMITTED: Phase.SUBMITTED, Outcome.RUNNING: Phase.RUNNING}


def look_at_cluster(
    cluster: ClusterRef, orchestrations: Orchestrations, asking: Search | None, *, follow_up: bool = False
) -> Observation | None:
    """Take the look if it is due; write every row that changed.

    Args:
        asking: the search whose monitor asks, and which therefore is not woken; None for a timer.
        follow_up: whether this is a look after a wake-up.

    Returns:
        What was seen of ``asking``; None when no look was taken.
    """
    now = datetime.now(UTC)
    row = clients().clusters.read(cluster)
    if not should_look(row, SHORTEST_WINDOW, now, follow_up=follow_up):
        return None  # the usual case: one read
    active = [search for search in clients().searches.unfinished(cluster.key) if search.is_active]
    if not should_look(row, window_seconds(s.phase for s in active), now, follow_up=follow_up):
        return None
    if not clients().clusters.take_look(cluster, row, now):
        row = clients().clusters.read(cluster)  # somebody looked, or only asked for a look: then it is still ours
        if not should_look(row, SHORTEST_WINDOW, now, follow_up=follow_up):
            return None
        if not clients().clusters.take_look(cluster, row, now):
            return None
    try:
        snapshot = take_snapshot(cluster)
    except ElbError as error:  # refused, gone or silent: whatever it is, nothing was seen
        log_event("cluster_unreachable", cluster=cluster.cluster_name, error=error.code, message=error.message)
        return _without_cluster(cluster, active, asking, orchestrations, error)
    own = None
    for search in active:
        marker = needs_success_marker(snapshot, search) and _has_success_marker(search)
        seen = observe(snapshot, search, success_marker=marker)
        _write(search, seen, snapshot)
        if asking is not None and search.job_id == asking.job_id:
            own = seen
        elif seen.outcome in (Outcome.DONE, Outcome.FAILED, Outcome.MISSING_JOBS) and search.phase in _WATCHED:
            _wake(search, orchestrations)
    return own


def _wake(search: Search, orchestrations: Orchestrations) -> None:
    """Wake a search's monitor. Where that fails, its own timer finds out; the other searches must not wait for it."""
    try:
        orchestrations.wake(monitor_instance(search.job_id, search.run), WAKE_EVENT)
    except TransientError as error:
        log_event("wake_failed", job_id=search.job_id, code=error.code, message=error.message)


def _without_cluster(
    cluster: ClusterRef,
    active: Sequence[Search],
    asking: Search | None,
    orchestrations: Orchestrations,
    error: ElbError,
) -> Observation | None:
    """Nothing was seen. Where Azure says for certain that the cluster is stopped or gone, that ends its searches."""
    ended = _certain_end(cluster)
    own = None
    for search in active:
        if ended is None or search.phase not in _WATCHED:
            _mark_stale(search, error)
        elif asking is not None and search.job_id == asking.job_id:
            own = Observation(Outcome.FAILED, search.progress, search.jobs, failure=ended)
        else:
            _wake(search, orchestrations)
    return own


def _certain_end(cluster: ClusterRef) -> Failure | None:
    """What Azure says of a cluster that does not answer; None while it may come back by itself."""
    try:
        state = lifecycle_of(clients().arm.cluster(cluster))
    except NotFoundError as error:
        hint = "the results that were not collected are lost; submit the search to another cluster"
        return Failure("cluster_deleted", f"the cluster was deleted meanwhile: {error.message}", hint, "", "", None)
    except ElbError:
        return None
    if state.lifecycle is not Lifecycle.STOPPED:
        return None
    message = f"cluster {cluster.cluster_name} was stopped while the search ran"
    return Failure("cluster_stopped", message, "start the cluster, then retry the search", "", "", None)


def take_snapshot(cluster: ClusterRef) -> ClusterSnapshot:
    """One LIST of Jobs and one of pods; the command line's own Jobs are there to be seen, never counted as work."""
    kube = clients().kube(cluster)
    jobs = kube.jobs(_SELECTOR)
    pods = kube.pods(_SELECTOR) if jobs else []
    return read_snapshot(jobs, pods, datetime.now(UTC))


def _has_success_marker(search: Search) -> bool:
    """Whether the command line's finalizer wrote its marker. A storage that does not answer says nothing."""
    blobs = clients().blobs(search.cluster.storage_account)
    try:
        return any(blobs.listing(RESULTS_CONTAINER, success_marker(elb_id)) for elb_id in sorted(ids_of(search)))
    except ElbError as error:
        log_event("marker_not_read", job_id=search.job_id, error=error.code, message=error.message)
        return False


def _write(search: Search, seen: Observation, snapshot: ClusterSnapshot) -> None:
    phase = _PHASES.get(seen.outcome)

    def change(row: Search) -> Search:
        late = row.observed_at is not None and row.observed_at > snapshot.observed_at
        if not row.is_active or row.attempt != search.attempt or late:
            return row
        row = replace(row, progress=seen.progress, jobs=seen.jobs, observed_at=snapshot.observed_at, stale_reason=None)
        row = replace(row, all_succeeded_looks=seen.all_succeeded_looks)
        if row.phase in _WATCHED and phase is not None and phase != row.phase:
            row = enter_phase(row, phase, snapshot.observed_at, seen.waiting_reason)
        if row.phase in _WATCHED:
            row = replace(row, waiting_reason=seen.waiting_reason)
        return row

    clients().searches.update(search.owner, search.job_id, change)


def _mark_stale(search: Search, error: ElbError) -> None:
    """The last state stays; the row says since when it is old and why."""
    clients().searches.update(
        search.owner, search.job_id, lambda row: row if not row.is_active else replace(row, stale_reason=error.message)
    )
