"""Reading a search's state from one snapshot of its cluster: pure, and the only place where it is decided.

The rules are numbered as in ``docs/kubernetes.md``, "Reading a search's state".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any

from shared.domain.cost import run_seconds
from shared.domain.failures import Failure, failed_container, failure_of_job
from shared.domain.progress import Progress
from shared.domain.search import Search
from shared.domain.snapshot import (
    ATTEMPT_LABEL,
    JOB_ID_LABEL,
    ClusterSnapshot,
    ContainerView,
    JobState,
    JobView,
    PodView,
)
from shared.domain.stuck import first_stuck

MIN_POLLS_BEFORE_COMPLETE = 2
"""LISTs in a row that must see all Jobs succeeded where nobody knows how many there will be."""
QUIET_OUTSIDE = timedelta(minutes=10)
"""Time after the last success from which a search begun outside that has no finalizer is taken to have no more Jobs to
come: as long as a search must be quiet before it may be called lost (docs/behaviour.md, section N)."""


class Outcome(StrEnum):
    """What the cluster says of a search."""

    CREATING = "creating"
    SUBMITTED = "submitted"
    RUNNING = "running"
    DONE = "done"
    MISSING_JOBS = "missing_jobs"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Observation:
    """One search as one look saw it.

    Attributes:
        all_succeeded_looks: of a search that does not know how many Jobs it has: how many looks in a row, this one
            included, saw the same number of Jobs, all succeeded. The next look finds it in the row.
        run_seconds: for which the Jobs of the product's own engine ran, of those that are still there and have ended.
    """

    outcome: Outcome
    progress: Progress
    jobs: tuple[Mapping[str, Any], ...]
    waiting_reason: str | None = None
    failure: Failure | None = None
    all_succeeded_looks: int = 0
    run_seconds: int = 0


def ids_of(search: Search) -> frozenset[str]:
    """The ids that the search's Jobs may carry."""
    return frozenset({search.job_id, *search.aliases})


def jobs_of_search(snapshot: ClusterSnapshot, ids: frozenset[str], app: str = "blast") -> tuple[JobView, ...]:
    """Rule 1: the Jobs labelled ``app=blast`` that carry an id as a label or own a pod that has one in its env."""
    by_env = {pod.owner_job for pod in snapshot.pods if pod.job_ids & ids}
    return tuple(
        job
        for job in snapshot.jobs
        if job.labels.get("app") == app and (job.labels.get(JOB_ID_LABEL) in ids or job.name in by_env)
    )


def needs_success_marker(snapshot: ClusterSnapshot, search: Search) -> bool:
    """Whether ``observe`` will ask for the command line's SUCCESS marker."""
    if not is_uncounted(search):
        return False
    jobs = _work(snapshot, search)
    return bool(jobs) and all(job.state is JobState.SUCCEEDED for job in jobs)


def observe(snapshot: ClusterSnapshot, search: Search, *, success_marker: bool = False) -> Observation:
    """Rules 1 to 4. What is left of an earlier attempt says nothing about this one.

    Args:
        success_marker: whether the command line's own SUCCESS marker is there; it only counts for a search that does
            not know how many Jobs it has.
    """
    seen = _observe(snapshot, search, success_marker)
    if search.source != "api" or search.engine != "native":
        return seen  # what such Jobs ask for is not known
    return replace(seen, run_seconds=sum(run_seconds(snapshot.pods_of(job)) for job in _work(snapshot, search)))


def _observe(snapshot: ClusterSnapshot, search: Search, success_marker: bool) -> Observation:
    jobs = _work(snapshot, search)
    pods = {job.name: snapshot.pods_of(job) for job in jobs}
    counts = {state: sum(job.state is state for job in jobs) for state in JobState}
    # What was begun outside has had as many Jobs as any look saw: a TTL may have taken some since.
    seen_before = search.progress.total if search.engine == "external" else 0
    total = max(search.expected_jobs or 0, len(jobs), seen_before)
    started = sum(job.state is JobState.RUNNING and _has_started(pods[job.name]) for job in jobs)
    progress = Progress(
        total=total,
        pending=total - started - counts[JobState.SUCCEEDED] - counts[JobState.FAILED],
        running=started,
        succeeded=counts[JobState.SUCCEEDED],
        failed=counts[JobState.FAILED],
    )
    rows = tuple(_job_row(job, pods[job.name]) for job in sorted(jobs, key=_position))
    failed = [job for job in jobs if job.state is JobState.FAILED]
    if failed:
        first = min(failed, key=lambda j: (j.completed_at is None, j.completed_at, j.name))
        return Observation(Outcome.FAILED, progress, rows, failure=failure_of_job(first, snapshot.all_pods_of(first)))
    stuck = first_stuck(snapshot, jobs)
    if stuck is not None:
        return Observation(Outcome.FAILED, progress, rows, failure=stuck)
    waiting = next((reason for job in jobs for pod in pods[job.name] if (reason := pod.why_waiting)), None)
    if is_uncounted(search):
        seen = Observation(Outcome.RUNNING, progress, rows, waiting)
        return _observe_uncounted(snapshot, search, seen, success_marker)
    return Observation(_outcome(search, jobs, progress), progress, rows, waiting)


def _work(snapshot: ClusterSnapshot, search: Search) -> tuple[JobView, ...]:
    """The BLAST Jobs that count: of the product's own, those of the present attempt."""
    jobs = jobs_of_search(snapshot, ids_of(search))
    if search.source != "api" or search.engine != "native":
        return jobs
    return tuple(job for job in jobs if job.labels.get(ATTEMPT_LABEL, "1") == str(search.attempt))


def is_uncounted(search: Search) -> bool:
    """Whether others made the Jobs (command line, outside), so that nobody knows how many there will be.

    Such a Job may carry the id in its pod's env alone. While it has no pod (evicted, deleted, the next one held back by
    the Job's back-off) nothing tells whose it is, so ``missing_jobs`` only counts when looks still say so after
    ``shared.domain.stuck.CONFIRMATION``.
    """
    return search.jobs_created_at is not None and search.expected_jobs is None


def _observe_uncounted(
    snapshot: ClusterSnapshot, search: Search, seen: Observation, success_marker: bool
) -> Observation:
    """Rule 3's last sentence: two LISTs in a row saw all succeeded, and the command says that it made them all."""
    progress = seen.progress
    if not seen.jobs:
        return _observe_setup(snapshot, search, seen)
    if len(seen.jobs) < progress.total and progress.succeeded == len(seen.jobs):
        return replace(seen, outcome=Outcome.MISSING_JOBS)
    if progress.succeeded < progress.total:
        return replace(seen, outcome=Outcome.RUNNING if progress.running or progress.succeeded else Outcome.SUBMITTED)
    again = search.all_succeeded_looks > 0 and search.progress.total == progress.total
    looks = min(search.all_succeeded_looks + 1, MIN_POLLS_BEFORE_COMPLETE) if again else 1
    ended = success_marker or _finalizers_ended(snapshot, search) or _is_quiet(snapshot, search)
    done = ended and looks >= MIN_POLLS_BEFORE_COMPLETE
    return replace(seen, outcome=Outcome.DONE if done else Outcome.RUNNING, all_succeeded_looks=looks)


def _finalizers_ended(snapshot: ClusterSnapshot, search: Search) -> bool:
    jobs = jobs_of_search(snapshot, ids_of(search), "finalizer")
    return bool(jobs) and all(job.state in (JobState.SUCCEEDED, JobState.FAILED) for job in jobs)


def _is_quiet(snapshot: ClusterSnapshot, search: Search) -> bool:
    """Whether nothing tells when a search begun outside has made all its Jobs, and none has come for a while."""
    if search.engine != "external" or jobs_of_search(snapshot, ids_of(search), "finalizer"):
        return False
    ends = [job.completed_at for job in _work(snapshot, search)]
    return all(end is not None and snapshot.cluster_time - end >= QUIET_OUTSIDE for end in ends)


def _observe_setup(snapshot: ClusterSnapshot, search: Search, seen: Observation) -> Observation:
    """No BLAST Job is there: the command's own Jobs are still at it, or one failed, or somebody removed the Jobs."""
    setup = [job for app in ("setup", "submit") for job in jobs_of_search(snapshot, ids_of(search), app)]
    failed = [job for job in setup if job.state is JobState.FAILED]
    if failed:
        first = min(failed, key=lambda job: job.name)
        failure = failure_of_job(first, snapshot.all_pods_of(first))
        message = f"elastic-blast could not make its Jobs: {failure.message}"
        failure = replace(failure, code="command_line_failed", message=message)
        return replace(seen, outcome=Outcome.FAILED, failure=failure)
    at_it = any(job.state in (JobState.PENDING, JobState.RUNNING) for job in setup)
    return replace(seen, outcome=Outcome.CREATING if at_it else Outcome.MISSING_JOBS)


def _outcome(search: Search, jobs: Sequence[JobView], progress: Progress) -> Outcome:
    if search.jobs_created_at is None or search.expected_jobs is None:
        return Outcome.CREATING
    if progress.succeeded >= search.expected_jobs and progress.succeeded == progress.total:
        return Outcome.DONE
    if len(jobs) < search.expected_jobs:
        unfinished = any(job.state in (JobState.PENDING, JobState.RUNNING) for job in jobs)
        return Outcome.RUNNING if unfinished else Outcome.MISSING_JOBS
    return Outcome.RUNNING if progress.running or progress.succeeded else Outcome.SUBMITTED


def _has_started(pods: tuple[PodView, ...]) -> bool:
    return any(pod.phase in ("Running", "Succeeded", "Failed") for pod in pods)


def _position(job: JobView) -> tuple[int, int, str]:
    return _number(job.labels.get("batch")) or 0, _number(job.labels.get("shard")) or 0, job.name


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None


def _job_row(job: JobView, pods: tuple[PodView, ...]) -> dict[str, Any]:
    ended = _ended_container(pods[0]) if pods else None
    waiting = (pod.why_waiting for pod in pods if pod.why_waiting)
    reason = job.reason or next(waiting, "") or (ended.terminated_reason if ended and ended.exit_code else "")
    return {
        "name": job.name,
        "shard": _number(job.labels.get("shard")),
        "batch": _number(job.labels.get("batch")),
        "state": job.state.value,
        "reason": reason or None,
        "exit_code": ended.exit_code if ended else None,
    }


def _ended_container(pod: PodView) -> ContainerView | None:
    """The container that says how a pod ended: one that failed; that the batch was fetched before says nothing."""
    return failed_container(pod) or next((c for c in pod.containers if c.exit_code is not None and not c.is_init), None)
