"""Kubernetes objects and searches as the tests of the rules need them: JSON as the API server sends it.

Every builder has an uneventful default; a test names only what it is about.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from shared.domain.search import ClusterRef, Search
from shared.domain.snapshot import ClusterSnapshot, read_snapshot
from shared.domain.times import format_time

NOW = datetime(2026, 3, 4, 12, 0, 0, tzinfo=UTC)
JOB_ID = "job-0195616f2b007a2b8c3d4e5f60718293"
OTHER_ID = "job-0195616f2b017a2b8c3d4e5f60718294"
CLUSTER = ClusterRef("sub", "group", "aks", "account")
Json = dict[str, Any]


def ago(**duration: float) -> str:
    """The time that long before ``NOW``, as the API server writes it."""
    return format_time(NOW - timedelta(**duration)) or ""


def condition(kind: str, status: str = "True", **fields: str) -> Json:
    return {"type": kind, "status": status, **fields}


COMPLETE = condition("Complete")
FAILED = condition("Failed", reason="BackoffLimitExceeded", message="Job has reached the specified backoff limit")


def job(
    name: str,
    *conditions: Json,
    app: str = "blast",
    job_id: str | None = JOB_ID,
    labels: Json | None = None,
    annotations: Json | None = None,
    created: str | None = None,
    started: str | None = None,
    completed: str | None = None,
    deleting: bool = False,
    node: str = "",
    **counters: int,
) -> Json:
    """A Job; ``counters`` are the numbers of its status (``active``, ``succeeded``, ``failed``)."""
    own = {"app": app, **({"elb-job-id": job_id} if job_id else {}), **(labels or {})}
    meta: Json = {"name": name, "uid": f"uid-{name}", "labels": own, "creationTimestamp": created or ago(minutes=5)}
    if annotations:
        meta["annotations"] = annotations
    if deleting:
        meta["deletionTimestamp"] = ago(seconds=1)
    status: Json = {**counters, "conditions": list(conditions)}
    if started:
        status["startTime"] = started
    if completed:
        status["completionTime"] = completed
    spec: Json = {"template": {"spec": {}}}
    if node:
        terms = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}]
        required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
        spec["template"]["spec"]["affinity"] = {"nodeAffinity": required}
    return {"metadata": meta, "spec": spec, "status": status}


def pod(
    owner: str,
    phase: str = "Running",
    *,
    name: str = "",
    node: str = "",
    created: str | None = None,
    deleting: bool = False,
    env_id: str = "",
    waiting: tuple[str, str] | None = None,
    ended: tuple[int, str] | None = None,
    conditions: list[Json] | None = None,
    app: str = "blast",
) -> Json:
    """A pod of a Job. ``waiting`` is (reason, message), ``ended`` is (exit code, reason) of its container."""
    meta: Json = {
        "name": name or f"{owner}-pod",
        "labels": {"app": app},
        "creationTimestamp": created or ago(minutes=4),
        "ownerReferences": [{"kind": "Job", "name": owner, "uid": f"uid-{owner}"}],
    }
    if deleting:
        meta["deletionTimestamp"] = ago(seconds=1)
    container: Json = {"name": "blast"}
    if env_id:
        container["env"] = [{"name": "BLAST_ELB_JOB_ID", "value": env_id}]
    state: Json = {}
    if waiting:
        state = {"waiting": {"reason": waiting[0], "message": waiting[1]}}
    if ended:
        state = {"terminated": {"exitCode": ended[0], "reason": ended[1], "finishedAt": ago(minutes=1)}}
    return {
        "metadata": meta,
        "spec": {"containers": [container], **({"nodeName": node} if node else {})},
        "status": {
            "phase": phase,
            "conditions": conditions or [],
            "containerStatuses": [{"name": "blast", "state": state}],
        },
    }


def snapshot(jobs: list[Json] | None = None, pods: list[Json] | None = None) -> ClusterSnapshot:
    return read_snapshot(jobs or [], pods or [], NOW)


def search(**fields: Any) -> Search:
    """A search whose two Jobs were made a few minutes ago."""
    defaults: Json = {"expected_jobs": 2, "jobs_created_at": NOW - timedelta(minutes=5)}
    return Search(
        **{
            "job_id": JOB_ID,
            "owner": "ada",
            "program": "blastn",
            "database": "resfinder",
            "cluster": CLUSTER,
            "created_at": NOW - timedelta(minutes=6),
            **defaults,
            **fields,
        }
    )
