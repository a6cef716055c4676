"""One look at a cluster for all of its searches: taken if it is due, every changed row written, monitors woken.

Called by the monitor's activity, by lists and details, and by the timers; ``docs/architecture.md``, "Observing a
cluster". In a process one look is under way at a time and shared by all who ask; between processes the cluster's row
decides who takes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from time import sleep

from shared.clients.counters import count
from shared.clients.orchestrations import Orchestrations
from shared.clients.provider import clients
from shared.clients.registration import register_unknown
from shared.clients.sightings import write_failure, write_sightings
from shared.clients.single_flight import SingleFlight
from shared.domain.errors import ElbError, NotFoundError, TransientError
from shared.domain.failures import Failure
from shared.domain.lifecycle import Lifecycle, lifecycle_of
from shared.domain.schedule import SHORTEST_WINDOW, ClusterRow, cluster_window, should_look
from shared.domain.search import ClusterRef, Search
from shared.domain.snapshot import ClusterSnapshot, read_job, read_pod
from shared.domain.stale_jobs import APPS
from shared.domain.states import WATCHED
from shared.telemetry import log_event

_SELECTOR = f"app in ({','.join(APPS)})"
PARALLEL_LOOKS = 8
_BUSY_PAUSE = 0.2
_POOL = ThreadPoolExecutor(PARALLEL_LOOKS, thread_name_prefix="look")


@dataclass(frozen=True, slots=True)
class Look:
    """What came of asking for a look.

    Attributes:
        taken: whether a look was taken while the caller waited.
        row: the cluster's row after it.
        registered: how many searches begun outside it found.
    """

    taken: bool
    row: ClusterRow
    registered: int = 0


_FLIGHTS: SingleFlight[Look] = SingleFlight()


def look_at_cluster(
    cluster: ClusterRef,
    orchestrations: Orchestrations,
    *,
    max_age: float | None = None,
    follow_up: bool = False,
    asking: str = "",
) -> Look:
    """Take the look if it is due; write every row that changed.

    Args:
        max_age: how old a look the caller puts up with, in seconds; None for what the cluster's searches ask for.
        follow_up: whether this is a look after a wake-up.
        asking: id of the search whose monitor asks, and which therefore is not woken.

    Raises:
        TransientError: the state store does not answer. A cluster that does not answer raises nothing.
    """

    def look() -> Look:
        return _look_if_due(cluster, orchestrations, max_age, follow_up, asking)

    seen, own = _FLIGHTS.run(cluster.key, look)
    if not (own or seen.taken) and (follow_up or max_age is not None):
        seen, _ = _FLIGHTS.run(cluster.key, look)  # whoever was at it asked for less than we do
    return seen


def start_look(cluster: ClusterRef, orchestrations: Orchestrations) -> Future[Look]:
    """The same for a caller that will not wait to its end: the look goes on, and the next caller joins it."""
    return _FLIGHTS.start(cluster.key, lambda: _look_if_due(cluster, orchestrations, None, False, ""), _POOL)


def _look_if_due(
    cluster: ClusterRef, orchestrations: Orchestrations, max_age: float | None, follow_up: bool, asking: str
) -> Look:
    now = clients().now()
    row = clients().clusters.read(cluster)
    if not should_look(row, SHORTEST_WINDOW if max_age is None else max_age, now, follow_up=follow_up):
        count("looks_throttled")
        return Look(False, row)  # the usual case: one read
    active = [search for search in clients().searches.unfinished(cluster.key) if search.is_active]
    window = cluster_window(active, now) if max_age is None else max_age
    for _ in range(2):
        if not should_look(row, window, now, follow_up=follow_up):
            break
        if clients().clusters.take_look(cluster, row, now):
            return _take(cluster, replace(row, observed_at=now), active, orchestrations, asking)
        row = clients().clusters.read(cluster)  # somebody looked, or only asked for a look: then it is still ours
    count("looks_throttled")
    return Look(False, row)


def _take(
    cluster: ClusterRef, row: ClusterRow, active: Sequence[Search], orchestrations: Orchestrations, asking: str
) -> Look:
    count("looks_taken")
    watched = [search for search in active if search.phase in WATCHED]
    try:
        snapshot = _snapshot(cluster, row)
    except ElbError as error:  # refused, gone or silent: whatever it is, nothing was seen
        present = clients().clusters.read(cluster)
        if present.seen_at is not None and row.observed_at is not None and present.seen_at > row.observed_at:
            return Look(True, present)  # this look hung, and a later one was answered meanwhile
        ended = certain_end(cluster)
        if ended is not None:
            write_failure(watched, ended, orchestrations, asking)
        return _silent(cluster, row, error)
    if row.unreachable_since is not None:
        seconds = round((snapshot.observed_at - row.unreachable_since).total_seconds(), 3)
        log_event("cluster_reachable_again", cluster=cluster.cluster_name, seconds=seconds)
    write_sightings(watched, snapshot, orchestrations, asking)
    registered = register_unknown(snapshot, cluster, orchestrations, active)
    clients().clusters.seen(cluster, snapshot.observed_at)
    fresh = replace(row, seen_at=snapshot.observed_at)
    return Look(True, replace(fresh, unreachable_since=None, unreachable_reason=""), registered)


def _silent(cluster: ClusterRef, row: ClusterRow, error: ElbError) -> Look:
    """Write down that the cluster did not answer."""
    since = row.unreachable_since or clients().now()
    if row.unreachable_since is None:  # one line for an episode
        log_event("cluster_unreachable", cluster=cluster.cluster_name, error=error.code, message=error.message)
    clients().clusters.unreachable(cluster, since, error.message)
    return Look(True, replace(row, unreachable_since=since, unreachable_reason=error.message))


def _snapshot(cluster: ClusterRef, row: ClusterRow) -> ClusterSnapshot:
    """The snapshot; a server that was merely busy is asked once more, one that has not answered before is not."""
    try:
        return take_snapshot(cluster)
    except TransientError as error:
        if error.code != "kube_busy" or row.unreachable_since is not None:
            raise
        log_event("look_repeated", cluster=cluster.cluster_name, message=error.message)
    sleep(_BUSY_PAUSE)
    return take_snapshot(cluster)


def certain_end(cluster: ClusterRef, stopped: frozenset[Lifecycle] = frozenset({Lifecycle.STOPPED})) -> Failure | None:
    """What Azure says of a cluster that does not answer; None while it may come back by itself.

    Args:
        stopped: what counts as such.
    """
    try:
        state = lifecycle_of(clients().arm.cluster(cluster, patient=False))
    except NotFoundError as error:
        hint = "the results that were not collected are lost; submit the search to another cluster"
        return Failure("cluster_deleted", f"the cluster was deleted meanwhile: {error.message}", hint, "", "", None)
    except ElbError:
        return None
    if state.lifecycle not in stopped:
        return None
    message = f"cluster {cluster.cluster_name} was stopped while the search ran"
    return Failure("cluster_stopped", message, "start the cluster, then retry the search", "", "", None)


def take_snapshot(cluster: ClusterRef) -> ClusterSnapshot:
    """One LIST of Jobs and one of pods; the command line's own Jobs are there to be seen, never counted as work.

    Each page of the lists is read into small values before the next one comes. The time is that of the beginning: what
    happened since then may or may not be in it.
    """
    kube, began = clients().kube(cluster, patient=False), clients().now()
    jobs = kube.listed("jobs", _SELECTOR, read_job)
    pods = kube.listed("pods", _SELECTOR, read_pod) if jobs else []
    return ClusterSnapshot(began, tuple(jobs), tuple(pods), kube.server_time())
