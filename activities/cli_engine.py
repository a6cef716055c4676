"""Submit a search by the elastic-blast command line: start a helper Job, look at it, remove it.

Starting and looking are separate steps, and each is safe to run twice: a helper's name is derived from the search.
"""

from __future__ import annotations

import logging
import shlex
from dataclasses import replace
from typing import Any

from shared.clients.jobs import ensure_job, find_job
from shared.clients.kube import Kube
from shared.clients.provider import clients
from shared.domain.blast_options import read_options
from shared.domain.cli_engine import (
    LOG_BYTES,
    LOG_LINES,
    HelperLook,
    HelperState,
    look_at_helper,
    openapi_missing,
)
from shared.domain.cli_manifest import (
    APP_HELPER,
    APP_OPENAPI,
    CliConfig,
    HelperJob,
    helper_name,
    surroundings_of,
)
from shared.domain.errors import NotFoundError
from shared.domain.ids import is_job_id
from shared.domain.names import label_value
from shared.domain.planner import read_node
from shared.domain.programs import Program
from shared.domain.results import DATABASES_CONTAINER, QUERIES_CONTAINER, RESULTS_CONTAINER
from shared.domain.search import Search
from shared.domain.snapshot import JOB_ID_LABEL, read_snapshot
from shared.telemetry import log_event

_INSTANCE_TYPE = "node.kubernetes.io/instance-type"


def start_cli_submit(data: dict[str, Any]) -> dict[str, Any]:
    """Make the helper, unless it is there already.

    Args:
        data: the search's reference, ``number`` (which helper of this attempt, from 1), ``parallel``,
            ``deadline_seconds``.

    Returns:
        ``helper``, its name, empty for a search that is cancelled, ended or has another run; or ``error``, code
        ``openapi_missing``.

    Raises:
        TransientError: an older helper of that name is still being deleted, or the API server is busy.
        PermanentError: ``job_name_taken``, ``config_value_refused``, or what the API server refused.
    """
    search = clients().searches.get(data["owner"], data["job_id"])
    if search.cancel_requested_at is not None or not search.is_active or search.run != data["run"]:
        return {"helper": ""}
    kube = clients().kube(search.cluster)
    surroundings = surroundings_of(kube.pods(f"app={APP_OPENAPI}"))
    if surroundings is None:
        return {"error": openapi_missing()}
    job = HelperJob(
        job_id=search.job_id,
        attempt=search.attempt,
        number=int(data.get("number", 1)),
        config=_config(search, kube).text(),
        parallel_warm_reuse=bool(data.get("parallel", True)),
        deadline_seconds=int(data.get("deadline_seconds", 600)),
        surroundings=surroundings,
    )
    ensure_job(kube, job.manifest(), {JOB_ID_LABEL: label_value(job.job_id), "app": APP_HELPER})
    log_event("cli_submit_started", job_id=search.job_id, job=job.name, cluster=search.cluster.cluster_name)
    return {"helper": job.name}


def check_cli_submit(data: dict[str, Any]) -> dict[str, Any]:
    """One look at the helper: its Job, its pods, its log.

    Args:
        data: the search's reference, ``number``, and ``with_log`` where the log is wanted whatever the state.

    Returns:
        ``{"state": "running" | "stuck" | "succeeded" | "failed" | "gone", "alias", "code", "error", "reasons",
        "may_try_again", "log"?}``, or ``{"state": "cancelled" | "ended" | "missing"}`` as the row says.
    """
    try:
        search = clients().searches.get(data["owner"], data["job_id"])
    except NotFoundError:
        return {"state": "missing"}
    if not search.is_active or search.run != data["run"]:
        return {"state": "ended"}
    # Also for a search that is to be cancelled: the id that the command uses is needed to find what it has made.
    kube = clients().kube(search.cluster)
    name = helper_name(search.job_id, search.attempt, int(data.get("number", 1)))
    look = _look(kube, name, search.job_id)
    alias = _free_alias(search, look.alias)
    if alias and alias not in search.aliases:
        _note_alias(search, data["run"], alias)
    if search.cancel_requested_at is not None:
        return {"state": "cancelled"}
    if look.unmarked_bytes is not None:
        log_event(
            "cli_exit_marker_missing",
            level=logging.WARNING,
            job_id=search.job_id,
            job=name,
            bytes=look.unmarked_bytes,
        )
    if look.state in (HelperState.SUCCEEDED, HelperState.FAILED):
        log_event("cli_submit_ended", job_id=search.job_id, job=name, code=look.code, alias=look.alias)
    log = {"log": look.log} if data.get("with_log") else {}
    return {**look.to_dict(), "alias": alias, **log}


def remove_cli_submit(data: dict[str, Any]) -> dict[str, Any]:
    """Delete every helper of the search (Background); one that is gone already is fine.

    Returns:
        ``deleted``: the names.
    """
    search = clients().searches.get(data["owner"], data["job_id"])
    if search.run != data["run"]:  # a retry's helper is not ours to remove
        return {"deleted": []}
    kube = clients().kube(search.cluster)
    jobs = kube.jobs(f"app={APP_HELPER},{JOB_ID_LABEL}={label_value(search.job_id)}")
    names = [str(job["metadata"]["name"]) for job in jobs]
    for name in names:
        kube.delete("jobs", name)
        log_event("cli_submit_removed", job_id=search.job_id, job=name, cluster=search.cluster.cluster_name)
    return {"deleted": names}


def register_cli_search(data: dict[str, Any]) -> dict[str, Any]:
    """The command has made its Jobs: write that they are there, and by which other id they go.

    Args:
        data: the search's reference and ``alias``, empty for none.

    Returns:
        ``aliases`` of the search.
    """
    alias, now = str(data.get("alias") or ""), clients().now()
    search = clients().searches.get(data["owner"], data["job_id"])
    if search.run != data["run"]:  # a retry has a command, and an alias, of its own
        return {"aliases": list(search.aliases)}
    if alias:
        _note_alias(search, data["run"], alias)

    def change(row: Search) -> Search:
        return replace(row, jobs_created_at=row.jobs_created_at or now) if row.run == data["run"] else row

    row = clients().searches.update(data["owner"], data["job_id"], change)
    return {"aliases": list(row.aliases)}


def _note_alias(search: Search, run: int, alias: str) -> None:
    """Write by which other id the command's objects go; not one that is somebody else's by now."""
    if not clients().searches.add_alias(search.owner, search.job_id, alias):
        return

    def change(row: Search) -> Search:
        return row if row.run != run or alias in row.aliases else replace(row, aliases=(*row.aliases, alias))

    clients().searches.update(search.owner, search.job_id, change)


def _look(kube: Kube, name: str, job_id: str) -> HelperLook:
    job = find_job(kube, name)
    if job is None:
        return look_at_helper(None, (), "", job_id)
    seen = read_snapshot([], kube.pods(f"app={APP_HELPER},{JOB_ID_LABEL}={label_value(job_id)}"), clients().now())
    pods = seen.pods_of(job)
    # Of a helper that has ended, the log is whole by now: it is read after its end was seen.
    log = kube.log_tail(pods[0].name, LOG_LINES, LOG_BYTES) if pods else ""
    return look_at_helper(job, pods, log, job_id)


def _free_alias(search: Search, alias: str) -> str:
    """The alias, unless it is the id of somebody's search: a log may name others, whose Jobs are not ours."""
    if not alias or not is_job_id(alias):
        return ""
    try:
        known = clients().searches.find(alias)
    except NotFoundError:
        return alias
    if known.job_id == search.job_id:
        return alias
    log_event("cli_alias_refused", level=logging.WARNING, job_id=search.job_id, alias=alias)
    return ""


def _config(search: Search, kube: Kube) -> CliConfig:
    settings, cluster = clients().settings, search.cluster
    endpoint = settings.blob_endpoint.format(account=cluster.storage_account)
    options = read_options(Program(search.program), search.options)
    nodes = [node for node in kube.nodes() if read_node(node).is_candidate]
    machine = next((str((node["metadata"].get("labels") or {}).get(_INSTANCE_TYPE, "")) for node in nodes), "")
    return CliConfig(
        region=settings.region,
        resource_group=cluster.resource_group,
        storage_account=cluster.storage_account,
        acr_name=settings.acr_name,
        cluster_name=cluster.cluster_name,
        machine_type=machine,
        nodes=max(1, len(nodes)),
        program=search.program,
        database_url=f"{endpoint}/{DATABASES_CONTAINER}/{search.database}/{search.database}",
        queries_url=f"{endpoint}/{QUERIES_CONTAINER}/{search.query['blob']}",
        results_url=f"{endpoint}/{RESULTS_CONTAINER}",
        # What follows the program and the database is what elastic-blast calls the options.
        options=shlex.join(options.unsharded_command(Program(search.program), search.database)[3:]),
        batch_len=int(search.query["batch_len"]),
        memory_request=f"{settings.job_memory_gib:g}G",
        memory_limit=f"{settings.job_memory_limit_gib:g}G",
    )
