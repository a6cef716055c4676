"""Remove what a search made: Kubernetes objects (and see that none is left), blobs, rows."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from shared.clients.capacity import searches_to_wake
from shared.clients.orchestrations import DurableOrchestrations
from shared.clients.provider import clients
from shared.clients.search_payloads import STATE_CONTAINER
from shared.domain.errors import NotFoundError
from shared.domain.functions import WAKE_EVENT, search_instance
from shared.domain.observation import ids_of
from shared.domain.results import QUERIES_CONTAINER, RESULTS_CONTAINER
from shared.domain.search import Search
from shared.domain.snapshot import JOB_ID_LABEL, PodView, read_job, read_pod
from shared.domain.states import Phase
from shared.telemetry import log_event

APPS = ("blast", "elb-submit", "submit", "setup", "finalizer")
"""Labels ``app`` of everything that a search makes, by itself or through the command line."""
PARALLEL_DELETES = 20


def remove_search_objects(data: dict[str, Any]) -> dict[str, Any]:
    """Delete the Jobs and pods of a search that are there now.

    Returns:
        ``left``: how many objects this look found; 0 means that nothing was left.

    Raises:
        TransientError: the cluster did not answer; nothing is known then.
    """
    try:
        search = clients().searches.get(data["owner"], data["job_id"])
    except NotFoundError:  # the whole search is gone, which it is only after its objects
        return {"left": 0}
    clearing = bool(data.get("clear")) and search.phase is Phase.SUBMITTING
    if search.run != data["run"] or not (clearing or search.phase in (Phase.CANCELLING, Phase.DELETING)):
        return {"left": 0}  # a look of before: the search has moved on, and what it has now is not ours
    try:
        kube = clients().kube(search.cluster)
    except NotFoundError:  # the cluster itself is gone, and everything on it
        return {"left": 0}
    selector = f"app in ({','.join(APPS)})"
    # Jobs first: a pod that is made between the two lists then still counts.
    jobs = [read_job(job) for job in kube.jobs(selector)]
    pods = [read_pod(pod) for pod in kube.pods(selector)]
    own_pods = [pod for pod in pods if _is_own(search, pod.labels.get(JOB_ID_LABEL), pod.job_ids)]
    by_env = {pod.owner_job for pod in own_pods}
    own_jobs = [job for job in jobs if _is_own(search, job.labels.get(JOB_ID_LABEL), ()) or job.name in by_env]
    deletes = [partial(kube.delete, "jobs", job.name) for job in own_jobs if not job.deleting]
    deletes += [partial(kube.delete, "pods", pod.name) for pod in own_pods if _is_orphan(pod, by_env, own_jobs)]
    with ThreadPoolExecutor(PARALLEL_DELETES) as pool:
        for deleted in [pool.submit(delete) for delete in deletes]:
            deleted.result()
    left = len(own_jobs) + len(own_pods)
    if clearing and not left:
        _delete_command_results(search)
    log_event("search_objects_removed", job_id=search.job_id, jobs=len(own_jobs), pods=len(own_pods))
    return {"left": left}


def _delete_command_results(search: Search) -> None:
    """What the command line wrote in an earlier attempt: its markers would speak for the next one."""
    blobs = clients().blobs(search.cluster.storage_account)
    for elb_id in sorted(ids_of(search)):
        blobs.delete(RESULTS_CONTAINER, [blob.name for blob in blobs.listing(RESULTS_CONTAINER, f"{elb_id}/")])


def _is_own(search: Search, label: str | None, env_ids: Iterable[str]) -> bool:
    ids = ids_of(search)
    return label in ids or bool(ids & set(env_ids))


def _is_orphan(pod: PodView, by_env: set[str], own_jobs: list[Any]) -> bool:
    """A pod whose Job is not there any more, which nobody else would remove."""
    return not pod.deleting and pod.owner_job not in {job.name for job in own_jobs} and pod.owner_job in by_env


def check_deletion(data: dict[str, Any]) -> dict[str, Any]:
    """Whether a search may be taken apart: it has ended; and whether its row is gone already.

    Returns:
        ``ready``, ``gone``, and the ``run`` that the search has by now: a revival may have given it another one.
    """
    try:
        search = clients().searches.get(data["owner"], data["job_id"])
    except NotFoundError:
        return {"ready": False, "gone": True}
    return {"ready": not search.is_active, "gone": False, "run": search.run}


def delete_search_blobs(data: dict[str, Any]) -> dict[str, Any]:
    """Delete queries, pieces and results of a search; of one that was begun outside what lies in its results' folder.

    Returns:
        ``deleted``: how many blobs.
    """
    try:
        search = clients().searches.get(data["owner"], data["job_id"])
    except NotFoundError:
        return {"deleted": 0}
    if search.run != data["run"] or search.phase is not Phase.DELETING:
        return {"deleted": 0}
    deleted = 0
    blobs = clients().blobs(search.cluster.storage_account)
    # An id that others chose may be the name of any folder; only among the results it is theirs.
    containers = (RESULTS_CONTAINER,) if search.engine == "external" else (QUERIES_CONTAINER, RESULTS_CONTAINER)
    for container in containers:
        for any_id in sorted(ids_of(search)):
            names = [blob.name for blob in blobs.listing(container, f"{any_id}/")]
            blobs.delete(container, names)
            deleted += len(names)
    return {"deleted": deleted}


def delete_search_row(data: dict[str, Any]) -> dict[str, Any]:
    """Delete a search's history, its rows, and the payloads that rows referred to: the last things that go.

    Returns:
        ``deleted``: whether there was a row.
    """
    state = clients().blobs(clients().settings.default_storage_account)
    payloads = [blob.name for blob in state.listing(STATE_CONTAINER, f"{data['job_id']}/")]
    try:
        search = clients().searches.get(data["owner"], data["job_id"])
    except NotFoundError:
        state.delete(STATE_CONTAINER, payloads)
        return {"deleted": False}
    if search.run != data["run"] or search.phase is not Phase.DELETING:
        return {"deleted": False}
    clients().events.clear(search.job_id)
    clients().searches.delete(search)
    state.delete(STATE_CONTAINER, payloads)
    log_event("search_deleted", job_id=search.job_id)
    return {"deleted": True}


def wake_waiting(data: dict[str, Any], client: Any) -> dict[str, Any]:
    """Wake the searches that get the slots which are free now.

    Returns:
        ``woken``: how many.
    """
    search = clients().searches.get(data["owner"], data["job_id"])
    orchestrations = DurableOrchestrations(client)
    waiting = searches_to_wake(search.cluster)
    for other in waiting:
        orchestrations.wake(search_instance(other.job_id, other.run), WAKE_EVENT)
    return {"woken": len(waiting)}
