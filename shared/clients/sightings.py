"""What a look saw of each search, written into the rows that it changes; the monitors of those that ended are woken.

The searches come as copies, which may be behind their rows. What was seen is derived from the copy and written only
where the row still says what the copy said in everything that the derivation rests on; otherwise the copy is mended
and the next look sees to it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from typing import Any

from shared.clients.orchestrations import Orchestrations
from shared.clients.provider import clients
from shared.domain.cli_results import success_marker
from shared.domain.errors import ElbError, NotFoundError, TransientError
from shared.domain.failures import Failure
from shared.domain.functions import WAKE_EVENT, monitor_instance
from shared.domain.observation import (
    Observation,
    Outcome,
    ids_of,
    jobs_of_search,
    needs_success_marker,
    observe,
)
from shared.domain.results import RESULTS_CONTAINER
from shared.domain.schedule import LATE_WRITER
from shared.domain.search import Search, enter_phase
from shared.domain.snapshot import ClusterSnapshot
from shared.domain.states import WATCHED, Phase
from shared.telemetry import log_event

_PHASES = {Outcome.CREATING: Phase.CREATING, Outcome.SUBMITTED: Phase.SUBMITTED, Outcome.RUNNING: Phase.RUNNING}
_ENDS = frozenset({Outcome.DONE, Outcome.FAILED, Outcome.MISSING_JOBS})
PARALLEL_WRITES = 8
_OF_ONE_ROW = frozenset({"payload_missing", "row_contended", "row_of_newer_version"})
"""Errors of one search's row, which must not keep the cluster's other searches from being seen."""


def write_sightings(
    searches: Iterable[Search], snapshot: ClusterSnapshot, orchestrations: Orchestrations, asking: str
) -> None:
    """Derive every search from the snapshot; write what changed, wake whose monitor has something to see.

    Args:
        searches: copies of the searches that were watched before the snapshot was taken.
        asking: id of the search whose monitor asks, and which therefore is not woken.
    """

    def write(search: Search) -> None:
        marker = needs_success_marker(snapshot, search) and _has_success_marker(search)
        seen = observe(snapshot, search, success_marker=marker)
        after = _write_one(search, seen, snapshot.observed_at)
        _tell(search, after, snapshot)
        if seen.outcome in _ENDS and search.job_id != asking:
            _wake(search, orchestrations)

    _for_each(searches, write)


def write_failure(searches: Iterable[Search], failure: Failure, orchestrations: Orchestrations, asking: str) -> None:
    """Without a snapshot, but for certain: every search has failed in this way."""
    now = clients().now()

    def write(search: Search) -> None:
        seen = Observation(Outcome.FAILED, search.progress, (), failure=failure)
        _write_one(search, seen, now, keep_jobs=True)
        if search.job_id != asking:
            _wake(search, orchestrations)

    _for_each(searches, write)


def _for_each(searches: Iterable[Search], write: Callable[[Search], None]) -> None:
    """Write them side by side. One that cannot be written keeps no other from it, and then the look has not succeeded.

    Raises:
        ElbError: what kept the first of them.
    """

    def attempt(search: Search) -> ElbError | None:
        try:
            write(search)
        except ElbError as error:
            log_event("sighting_not_written", job_id=search.job_id, error=error.code, message=error.message)
            return None if error.code in _OF_ONE_ROW else error
        return None

    with ThreadPoolExecutor(PARALLEL_WRITES, thread_name_prefix="sightings") as pool:
        failed = [error for error in pool.map(attempt, searches) if error is not None]
    if failed:
        raise failed[0]


def _tell(before: Search, after: Search, snapshot: ClusterSnapshot) -> None:
    """The events of what this look has changed: another phase, the end of the Jobs."""
    said: dict[str, Any] = {"job_id": after.job_id, "cluster": after.cluster.cluster_name, "attempt": after.attempt}
    if after.phase is not before.phase:
        seconds = round((snapshot.observed_at - after.created_at).total_seconds(), 3)
        log_event("search_phase", **said, phase=after.phase.value, seconds=seconds)
    if after.outcome and after.outcome != before.outcome:
        ends = [job.completed_at for job in jobs_of_search(snapshot, ids_of(after)) if job.completed_at is not None]
        unseen = round((snapshot.cluster_time - max(ends)).total_seconds(), 3) if ends else None
        log_event("search_outcome", **said, outcome=after.outcome, unseen_seconds=unseen)


def _write_one(search: Search, seen: Observation, at: datetime, *, keep_jobs: bool = False) -> Search:
    """Write what was seen, where that changes the row.

    Returns:
        The row as this look left it; the search as it came where the look wrote nothing.
    """
    digest = search.seen_digest if keep_jobs else _digest(seen)
    if sighted(search, seen, at, digest, keep_jobs=keep_jobs) == search:
        return search
    refused = False

    def change(row: Search) -> Search:
        nonlocal refused
        refused = _basis(row) != _basis(search)
        return row if refused or _is_late(row, at) else sighted(row, seen, at, digest, keep_jobs=keep_jobs)

    try:
        after = clients().searches.update(search.owner, search.job_id, change)
        if refused:
            clients().searches.mend_copy(search.owner, search.job_id)
    except NotFoundError:
        return search  # deleted meanwhile: the reconcile removes the copy
    return search if refused else after


def sighted(row: Search, seen: Observation, at: datetime, digest: str, *, keep_jobs: bool = False) -> Search:
    """The row after a look; the same row when the look saw nothing new."""
    outcome = seen.outcome.value if seen.outcome in _ENDS else ""
    phase = _PHASES.get(seen.outcome)
    after = replace(row, progress=seen.progress, all_succeeded_looks=seen.all_succeeded_looks, seen_digest=digest)
    after = replace(after, run_seconds=max(row.run_seconds, seen.run_seconds))  # Jobs go, what they cost stays
    if outcome != row.outcome:
        after = replace(after, outcome=outcome, outcome_at=at if outcome else None)
    if phase is not None and phase != row.phase:
        after = enter_phase(after, phase, at)
    after = replace(after, waiting_reason=seen.waiting_reason)
    if after == row:
        return row
    failure = seen.failure.to_dict() if seen.failure is not None else None
    jobs = row.jobs if keep_jobs else seen.jobs
    return replace(after, observed_at=at, jobs=jobs, failure=failure)


def _basis(row: Search) -> tuple[Any, ...]:
    """What the derivation rests on; a row that says otherwise has moved on since the copy was read."""
    counted = (row.expected_jobs, row.jobs_created_at, row.all_succeeded_looks, row.progress.total)
    return (row.phase in WATCHED, row.attempt, row.run, row.aliases, *counted)


def _is_late(row: Search, at: datetime) -> bool:
    """Whether a newer look has written already; a difference that no look can take is that of two clocks."""
    return row.observed_at is not None and at < row.observed_at < at + LATE_WRITER


def _digest(seen: Observation) -> str:
    failure = seen.failure.to_dict() if seen.failure is not None else None
    content = json.dumps([[dict(job) for job in seen.jobs], failure], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _has_success_marker(search: Search) -> bool:
    """Whether the command line's finalizer wrote its marker. A storage that does not answer says nothing."""
    blobs = clients().blobs(search.cluster.storage_account)
    try:
        return any(blobs.listing(RESULTS_CONTAINER, success_marker(elb_id)) for elb_id in sorted(ids_of(search)))
    except ElbError as error:
        log_event("marker_not_read", job_id=search.job_id, error=error.code, message=error.message)
        return False


def _wake(search: Search, orchestrations: Orchestrations) -> None:
    """Wake a search's monitor. Where that fails, its own timer finds out; the other searches must not wait for it."""
    try:
        orchestrations.wake(monitor_instance(search.job_id, search.run), WAKE_EVENT)
    except TransientError as error:
        log_event("wake_failed", job_id=search.job_id, code=error.code, message=error.message)
