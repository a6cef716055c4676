"""Gives every search begun outside a row and an orchestration, from the snapshots that looks take anyway.

Called by ``shared.clients.observer`` with each snapshot. Safe to be done by several hosts at once: the row of the id is
made by one conditional write, and the same row wins.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from shared.clients.orchestrations import Orchestrations
from shared.clients.provider import clients
from shared.clients.recording import record_registered
from shared.clients.sightings import sighted
from shared.clients.starting import start_orchestration
from shared.domain.errors import ConflictError, ElbError, NotFoundError
from shared.domain.external import BEGUN_OUTSIDE, ENGINE, ExternalSearch, find_external, held_back_since, new_search
from shared.domain.history import SYSTEM, Event
from shared.domain.observation import ids_of, observe
from shared.domain.search import ClusterRef, Search
from shared.domain.snapshot import ClusterSnapshot, JobView
from shared.telemetry import log_event

REMEMBERED_JOBS = 20_000
"""Jobs that the cache ``external-jobs`` holds at most: those of some ten large searches."""
REMEMBERED_FOR = timedelta(hours=1)
OLDEST_SNAPSHOT = timedelta(seconds=15)
"""A look takes a second or two; one that hung shows searches that may be gone."""


class RememberedJobs:
    """The cache ``external-jobs``: Jobs, by uid and the ids that they carry, which have nothing more to tell.

    Their search has a row that knows these ids, or they can belong to none. A uid never comes back: a search that is
    deleted and begun again has Jobs with other ones. The oldest go first.
    """

    def __init__(self, most: int = REMEMBERED_JOBS) -> None:
        self._most = most
        self._known: OrderedDict[tuple[str, frozenset[str]], datetime] = OrderedDict()
        self._lock = threading.Lock()

    def has_all(self, jobs: Iterable[JobView], ids: frozenset[str]) -> bool:
        """Whether every one of these Jobs is remembered with these ids."""
        oldest = clients().now() - REMEMBERED_FOR
        with self._lock:
            return all(key in self._known and self._known[key] > oldest for key in ((job.uid, ids) for job in jobs))

    def add(self, jobs: Iterable[JobView], ids: frozenset[str]) -> None:
        """Remember Jobs with the ids that they carry now: a pod may bring another one."""
        now = clients().now()
        with self._lock:
            for job in jobs:
                if job.uid:
                    self._known[job.uid, ids] = now
                    self._known.move_to_end((job.uid, ids))
            while len(self._known) > self._most:
                self._known.popitem(last=False)


_REMEMBERED = RememberedJobs()


def register_unknown(
    snapshot: ClusterSnapshot,
    cluster: ClusterRef,
    orchestrations: Orchestrations,
    active: Sequence[Search] = (),
    remembered: RememberedJobs = _REMEMBERED,
) -> int:
    """Register every search in the snapshot that no row knows of.

    One that cannot be registered now is left for the next look, and never fails this one.

    Args:
        active: copies of the cluster's active searches, read before the snapshot was taken.

    Returns:
        How many were registered.
    """
    if clients().now() - snapshot.observed_at > OLDEST_SNAPSHOT:
        return 0  # what it shows may have been deleted since then; the next look tells
    findings = find_external(snapshot)
    for job in findings.refused:
        if not remembered.has_all([job], frozenset()):
            log_event("external_id_refused", cluster=cluster.cluster_name, job=job.name)
            remembered.add([job], frozenset())
    known = {any_id for search in active for any_id in ids_of(search)}
    new = [s for s in findings.searches if not (s.ids <= known or remembered.has_all(s.jobs, s.ids))]
    if not new:
        return 0  # the usual case: nothing is read
    registered = 0
    try:
        since = held_back_since(snapshot, _rows_of_command_line(active))
        for found in new:
            if since is not None and found.created_at >= since:
                continue
            search = _row_of(found)
            if search is None:
                registered += _register(found, snapshot, cluster, orchestrations)
            else:
                _add_ids(search, found, cluster)
            remembered.add(found.jobs, found.ids)
    except ElbError as error:  # the state store, or the Durable service, does not answer
        log_event("discovery_failed", cluster=cluster.cluster_name, code=error.code, message=error.message)
    return registered


def _rows_of_command_line(active: Iterable[Search]) -> list[Search]:
    """The searches whose Jobs the command line may be making now, from their own rows: a copy may be behind."""
    found = []
    for search in active:
        if search.engine == "cli" and search.jobs_created_at is None:
            try:
                found.append(clients().searches.get(search.owner, search.job_id))
            except NotFoundError:  # deleted meanwhile
                continue
    return found


def _row_of(found: ExternalSearch) -> Search | None:
    """The search that one of the ids leads to."""
    for any_id in sorted(found.ids):
        try:
            return clients().searches.find(any_id)
        except NotFoundError:
            continue
    return None


def _add_ids(search: Search, found: ExternalSearch, cluster: ClusterRef) -> None:
    """Let an id that came later, with the first pod say, lead to the same search."""
    if search.cluster.key != cluster.key:  # one id is one search, whoever was first
        log_event("external_id_taken", job_id=search.job_id, cluster=cluster.cluster_name)
        return
    if search.engine != ENGINE:  # the command line's own: it notes its alias by itself
        return
    more = [i for i in sorted(found.ids - ids_of(search)) if _lead_to(search, i)]

    def change(row: Search) -> Search:
        return replace(row, aliases=(*row.aliases, *(i for i in more if i not in ids_of(row))))

    if more:
        clients().searches.update(search.owner, search.job_id, change)


def _lead_to(search: Search, alias: str) -> bool:
    return clients().searches.add_alias(search.owner, search.job_id, alias)


def _register(
    found: ExternalSearch, snapshot: ClusterSnapshot, cluster: ClusterRef, orchestrations: Orchestrations
) -> bool:
    """Write the row, then start its orchestration: a host that dies between the two leaves that to the reconcile.

    Returns:
        Whether the row is ours: False where another host was faster.
    """
    search = new_search(found, snapshot, cluster, clients().settings.external_owner)
    search = sighted(search, observe(snapshot, search), snapshot.observed_at, "")
    try:
        search, created = clients().searches.create(search)
    except ConflictError:  # the id has become another search's alias since it was asked for
        return False
    for alias in found.aliases:
        _lead_to(search, alias)
    if created:
        at = snapshot.observed_at
        clients().events.add(search.job_id, Event(at, "registered", SYSTEM, BEGUN_OUTSIDE, search.attempt))
        record_registered(search, at)
        log_event(
            "search_registered",
            job_id=search.job_id,
            cluster=cluster.cluster_name,
            jobs=len(found.jobs),
            seconds=round((at - search.created_at).total_seconds(), 3),
        )
    start_orchestration(search, orchestrations)
    return created
