"""Reading a search's state from one snapshot of its cluster: pure, and the only place where it is decided.

The rules are numbered as in ``docs/kubernetes.md``, "Reading a search's state".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from shared.domain.failures import Failure, failure_of_job
from shared.domain.search import Progress, Search
from shared.domain.snapshot import ATTEMPT_LABEL, JOB_ID_LABEL, ClusterSnapshot, JobState, JobView, PodView


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
    """One search as one look saw it."""

    outcome: Outcome
    progress: Progress
    jobs: tuple[Mapping[str, Any], ...]
    waiting_reason: str | None = None
    failure: Failure | None = None


def jobs_of_search(snapshot: ClusterSnapshot, ids: frozenset[str]) -> tuple[JobView, ...]:
    """Rule 1: the Jobs labelled ``app=blast`` that carry the id as a label or own a pod that has it in its env."""
    by_env = {pod.owner_job for pod in snapshot.pods if pod.job_ids & ids}
    return tuple(
        job
        for job in snapshot.jobs
        if job.labels.get("app") == "blast" and (job.labels.get(JOB_ID_LABEL) in ids or job.name in by_env)
    )


def observe(snapshot: ClusterSnapshot, search: Search) -> Observation:
    """Rules 1 to 4 for a search that knows how many Jobs it made (or has not made them yet).

    What is left of an earlier attempt says nothing about this one.
    """
    attempt = str(search.attempt)
    jobs = [
        job
        for job in jobs_of_search(snapshot, frozenset({search.job_id}))
        if job.labels.get(ATTEMPT_LABEL, attempt) == attempt
    ]
    pods = {job.name: snapshot.pods_of(job) for job in jobs}
    counts = {state: sum(job.state is state for job in jobs) for state in JobState}
    total = max(search.expected_jobs or 0, len(jobs))
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
        return Observation(Outcome.FAILED, progress, rows, failure=failure_of_job(first, pods[first.name]))
    waiting = next((reason for job in jobs for pod in pods[job.name] if (reason := pod.why_waiting)), None)
    return Observation(_outcome(search, jobs, progress), progress, rows, waiting)


def _outcome(search: Search, jobs: Sequence[JobView], progress: Progress) -> Outcome:
    if search.jobs_created_at is None or search.expected_jobs is None:
        return Outcome.CREATING
    if progress.succeeded >= search.expected_jobs:
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
    ended = [c for pod in pods[:1] for c in pod.containers if c.exit_code is not None]
    waiting = (pod.why_waiting for pod in pods if pod.why_waiting)
    reason = job.reason or next(waiting, "") or (ended[0].terminated_reason if ended and ended[0].exit_code else "")
    return {
        "name": job.name,
        "shard": _number(job.labels.get("shard")),
        "batch": _number(job.labels.get("batch")),
        "state": job.state.value,
        "reason": reason or None,
        "exit_code": ended[0].exit_code if ended else None,
    }
