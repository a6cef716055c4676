"""Release a database: remove what warms it and its folder on every node, and see that both are gone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.clients.database_work import check_releasing, leave_work
from shared.clients.jobs import find_job
from shared.clients.kube import Kube
from shared.clients.provider import clients
from shared.domain.errors import ConflictError, TransientError
from shared.domain.manifests import APP_WARMUP, BLAST_IMAGE, PodSize
from shared.domain.names import clean_job_name, label_value
from shared.domain.planner import read_node
from shared.domain.release import Cleaning, check_not_used, read_cleaning
from shared.domain.search import ClusterRef
from shared.domain.snapshot import JobState, read_pod
from shared.domain.warm_manifests import APP_CLEAN, APP_LEGACY_WARMUP, MADE_BY, CleanJob
from shared.telemetry import log_event

CLEAN_SIZE = PodSize(1, 0.125, 1)
LOG_LINES, LOG_BYTES = 40, 8_000


def plan_release(data: dict[str, Any]) -> dict[str, Any]:
    """See that nobody uses the database, and which nodes are to be cleaned.

    Args:
        data: ``database``, ``cluster``, ``force``.

    Returns:
        ``nodes``: user nodes that are ready; ``not_ready``: those that are not; ``force``, for the looks that follow.

    Raises:
        ConflictError: ``database_in_use``.
    """
    cluster = ClusterRef.from_dict(data["cluster"])
    if not data.get("force"):
        check_not_used(data["database"], clients().searches.unfinished(cluster.key))
    nodes = [node for node in map(read_node, clients().kube(cluster).nodes()) if not node.system]
    return {
        "nodes": sorted(node.name for node in nodes if node.ready),
        "not_ready": sorted(node.name for node in nodes if not node.ready),
        "force": bool(data.get("force")),
    }


def remove_warmup_objects(data: dict[str, Any]) -> dict[str, Any]:
    """Delete the database's warmup Jobs and legacy DaemonSets that are there now, while nobody else has the database.

    Args:
        data: ``database``, ``cluster``, ``instance``, ``force`` (inputs of before do not say it: they look no more).

    Returns:
        ``deleted``: kind and name of each; ``left``: how many objects, their pods included, were there still.

    Raises:
        ConflictError: ``release_superseded``, or ``database_in_use`` by a search that was let in before the release.
    """
    cluster, label = ClusterRef.from_dict(data["cluster"]), label_value(data["database"])
    kube = clients().kube(cluster)
    found = [
        (kind, f"{one}/{name}", name, uid, going)
        for kind, one, app in (("jobs", "job", APP_WARMUP), ("daemonsets", "daemonset", APP_LEGACY_WARMUP))
        for name, uid, going in kube.listed(kind, f"app={app},db={label}", _identity)
    ]
    check_releasing(cluster, data["database"], data["instance"])
    if not data.get("force", True):
        check_not_used(data["database"], clients().searches.unfinished(cluster.key))
    for kind, _, name, uid, going in found:
        if not going:
            kube.delete(kind, name, uid)
    pods = kube.pods(f"app in ({APP_WARMUP},{APP_LEGACY_WARMUP}),db={label}")
    return {"deleted": [named for _, named, *_ in found], "left": len(found) + len(pods)}


def _identity(obj: Mapping[str, Any]) -> tuple[str, str, bool]:
    meta = obj["metadata"]
    return str(meta["name"]), str(meta.get("uid") or ""), bool(meta.get("deletionTimestamp"))


def create_clean_job(data: dict[str, Any]) -> dict[str, Any]:
    """Make sure that this release's clean-up Job of one node is there.

    Args:
        data: ``database``, ``cluster``, ``node``, ``instance``.

    Returns:
        ``created``.

    Raises:
        ConflictError: ``release_superseded``.
        TransientError: ``job_terminating``, one of another release is still going.
    """
    cluster = ClusterRef.from_dict(data["cluster"])
    kube = clients().kube(cluster)
    check_releasing(cluster, data["database"], data["instance"])
    image = clients().settings.image(BLAST_IMAGE)
    job = CleanJob(data["database"], data["node"], image, CLEAN_SIZE, data["instance"])
    try:
        kube.create("jobs", job.manifest())
    except ConflictError as error:
        present = find_job(kube, job.name)
        if present is not None and not present.deleting:
            if present.annotations.get(MADE_BY) == data["instance"]:
                return {"created": False}
            kube.delete("jobs", job.name, present.uid)
        raise TransientError("job_terminating", f"Job {job.name} of before is still going", "try again") from error
    return {"created": True}


def observe_cleaning(data: dict[str, Any]) -> dict[str, Any]:
    """How far the clean-up of each node is.

    Args:
        data: ``database``, ``cluster``, ``nodes``.

    Returns:
        ``cleanings``: one per node, as ``Cleaning.to_dict``.
    """
    kube = clients().kube(ClusterRef.from_dict(data["cluster"]))
    return {"cleanings": [_cleaning(kube, data["database"], node).to_dict() for node in data["nodes"]]}


def _cleaning(kube: Kube, database: str, node: str) -> Cleaning:
    name = clean_job_name(database, node)
    job = find_job(kube, name)
    if job is None:
        return Cleaning(node, done=True, error=f"node {node}: its clean-up Job was removed by somebody")
    if job.state not in (JobState.SUCCEEDED, JobState.FAILED):
        return Cleaning(node, done=False)
    pods = [read_pod(pod) for pod in kube.pods(f"app={APP_CLEAN},db={label_value(database)}")]
    own = sorted((p for p in pods if p.owner_job == name), key=lambda p: (p.phase == "Succeeded", p.name))
    log = kube.log_tail(own[-1].name, LOG_LINES, LOG_BYTES) if own else ""
    return read_cleaning(node, log, failed=job.state is JobState.FAILED)


def end_release(data: dict[str, Any]) -> dict[str, Any]:
    """Remove the clean-up Jobs, and leave the work at the database.

    Args:
        data: ``database``, ``cluster``, ``nodes``, ``instance``; without nodes no cluster is asked.
    """
    cluster = ClusterRef.from_dict(data["cluster"])
    for node in data["nodes"]:
        kube = clients().kube(cluster)
        name = clean_job_name(data["database"], node)
        job = find_job(kube, name)
        if job is not None and job.annotations.get(MADE_BY) == data["instance"]:
            kube.delete("jobs", name, job.uid)
    leave_work(cluster, data["database"], data["instance"])
    log_event("database_released", database=data["database"], cluster=cluster.cluster_name)
    return {}
