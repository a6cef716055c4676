"""Searches begun outside the product, by the elastic-blast command line, elb-openapi or kubectl: found by their Jobs.

Pure. Every snapshot that a look takes is read here (``shared.clients.registration``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from shared.domain.manifests import APP_BLAST, MANAGED_BY
from shared.domain.observation import ids_of
from shared.domain.search import ClusterRef, Search
from shared.domain.snapshot import JOB_ID_LABEL, ClusterSnapshot, JobView, PodView
from shared.domain.states import Phase, StepName, StepStatus
from shared.domain.timeline import Timeline, begin, finish, new_timeline

ENGINE: Final = "external"
SOURCE: Final = "external"
UNKNOWN: Final = "unknown"
BEGUN_OUTSIDE: Final = "begun outside"
PROGRAMS: Final = ("blastp", "blastn", "blastx", "psiblast", "rpsblast", "rpstblastn", "tblastn", "tblastx")
"""What elastic-blast runs (its ``ELB_BLAST_PROGRAM``); more than this product does."""
CLOCKS: Final = timedelta(seconds=60)
"""By how much the clocks of the app and of an API server may differ."""

_SUBMITTING = (Phase.SUBMITTING, Phase.CANCELLING)
_MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
_SAFE_ID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
"""A label value (Kubernetes, "Labels and Selectors"): ids stand in selectors, in names of blobs and in keys of rows."""
_DATABASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class ExternalSearch:
    """Jobs that belong together and carry an id.

    Attributes:
        job_id: the id that their pods carry, else that of their label.
        aliases: the other one, where both are there and differ.
        program: one of ``PROGRAMS``, or ``unknown``.
        created_at: when the first of the Jobs that are there was made.
        jobs: oldest first.
    """

    job_id: str
    aliases: tuple[str, ...]
    program: str
    database: str
    created_at: datetime
    jobs: tuple[JobView, ...]

    @property
    def ids(self) -> frozenset[str]:
        """Every id that its Jobs carry."""
        return frozenset({self.job_id, *self.aliases})


@dataclass(frozen=True, slots=True)
class Findings:
    """What a snapshot has besides the product's own Jobs: searches, and Jobs whose id cannot be one."""

    searches: tuple[ExternalSearch, ...]
    refused: tuple[JobView, ...]


def find_external(snapshot: ClusterSnapshot) -> Findings:
    """Group the BLAST Jobs that others made by the ids that they carry.

    Left out are Jobs being deleted, the product's own by their label (also another instance's), and Jobs without an id.
    """
    pods: dict[str, list[PodView]] = {}
    for pod in snapshot.pods:
        pods.setdefault(pod.owner_job, []).append(pod)
    groups: dict[str, list[JobView]] = {}
    aliases: dict[str, set[str]] = {}
    refused = []
    for job in sorted(filter(_is_others, snapshot.jobs), key=lambda j: (_created(j, snapshot), j.name)):
        carried = sorted({any_id for pod in pods.get(job.name, ()) for any_id in pod.job_ids})
        given = [*carried, *filter(None, [job.labels.get(JOB_ID_LABEL)])]
        ids = [any_id for any_id in given if _SAFE_ID.fullmatch(any_id)]
        if ids:
            groups.setdefault(ids[0], []).append(job)
            aliases.setdefault(ids[0], set()).update(ids[1:])
        elif given:
            refused.append(job)
    found = []
    for job_id, jobs in groups.items():
        own_pods = [pod for job in jobs for pod in pods.get(job.name, ())]
        others = tuple(sorted(aliases[job_id] - {job_id}))
        named = _program(jobs, own_pods), _database(jobs, own_pods)
        found.append(ExternalSearch(job_id, others, *named, _created(jobs[0], snapshot), tuple(jobs)))
    return Findings(tuple(found), tuple(refused))


def held_back_since(snapshot: ClusterSnapshot, active: Iterable[Search]) -> datetime | None:
    """Since when Jobs may be those of a search that the command line is submitting under an id of its own.

    That id becomes the search's alias when it shows in the helper's log; until then nobody else's search begins with
    such Jobs. A search of which Jobs are there by an id that is known holds nothing back.

    Args:
        active: the cluster's searches; only those of the engine ``cli`` that are being submitted matter.
    """
    began = [
        at - CLOCKS
        for search in active
        if search.engine == "cli" and search.jobs_created_at is None and search.phase in _SUBMITTING
        for at in [search.attempt_started_at or search.created_at]
        if not _has_jobs(snapshot, search, at - CLOCKS)
    ]
    return min(began, default=None)


def new_search(found: ExternalSearch, snapshot: ClusterSnapshot, cluster: ClusterRef, owner: str) -> Search:
    """The search as its row begins: what went before the Jobs was done by others.

    Its attempt begins when it is found, so that a deadline does not count the time before.
    """
    return Search(
        job_id=found.job_id,
        owner=owner,
        program=found.program,
        database=found.database,
        cluster=cluster,
        created_at=found.created_at,
        source=SOURCE,
        engine=ENGINE,
        phase=Phase.SUBMITTED,
        started_at=found.created_at,
        attempt_started_at=snapshot.observed_at,
        jobs_created_at=found.created_at,
        aliases=found.aliases,
        steps=_steps(found.created_at),
    )


def _steps(at: datetime) -> Timeline:
    steps = new_timeline()
    for name in StepName:
        if name is StepName.RUNNING:
            return begin(steps, name, at)
        steps = finish(steps, name, at, BEGUN_OUTSIDE, StepStatus.SKIPPED)
    return steps


def _is_others(job: JobView) -> bool:
    return job.labels.get("app") == APP_BLAST and job.labels.get(_MANAGED_BY_LABEL) != MANAGED_BY and not job.deleting


def _created(job: JobView, snapshot: ClusterSnapshot) -> datetime:
    return job.created_at or snapshot.observed_at


def _has_jobs(snapshot: ClusterSnapshot, search: Search, since: datetime) -> bool:
    ids = ids_of(search)
    by_env = {pod.owner_job for pod in snapshot.pods if pod.job_ids & ids}
    return any(
        _created(job, snapshot) >= since
        for job in snapshot.jobs
        if job.labels.get(JOB_ID_LABEL) in ids or job.name in by_env
    )


def _program(jobs: Iterable[JobView], pods: Iterable[PodView]) -> str:
    """As the pods say it; else as the command line begins the names of its Jobs."""
    said = [*(pod.program for pod in pods), *(job.name.split("-", 1)[0] for job in jobs)]
    return next((name for name in said if name in PROGRAMS), UNKNOWN)


def _database(jobs: Iterable[JobView], pods: Iterable[PodView]) -> str:
    """As the Jobs are labelled; else as the pods say it."""
    said = [*(job.labels.get("db", "") for job in jobs), *(pod.database.rsplit("/", 1)[-1] for pod in pods)]
    return next((name for name in said if _DATABASE.fullmatch(name)), UNKNOWN)
