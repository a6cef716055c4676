"""Names of the Durable functions and events: one place, because triggers know orchestrators by name only."""

from __future__ import annotations

import hashlib
import re
from typing import Final

SEARCH_ORCHESTRATOR: Final = "search_orchestrator"
MONITOR_ORCHESTRATOR: Final = "monitor_orchestrator"
WARMUP_ORCHESTRATOR: Final = "warmup_orchestrator"
RELEASE_ORCHESTRATOR: Final = "release_orchestrator"
SHARDS_ORCHESTRATOR: Final = "shards_orchestrator"
CLI_SUBMIT_ORCHESTRATOR: Final = "cli_submit_orchestrator"
REMOVAL_ORCHESTRATOR: Final = "removal_orchestrator"
DELETION_ORCHESTRATOR: Final = "deletion_orchestrator"
CLUSTER_POWER_ORCHESTRATOR: Final = "cluster_power_orchestrator"
OPENAPI_DEPLOY_ORCHESTRATOR: Final = "openapi_deploy_orchestrator"

WAKE_EVENT: Final = "wake"
"""Raised for a monitor when there may be something new to see; it carries no truth."""

CHECK_ADMISSION: Final = "check_admission"
ADVANCE_SEARCH: Final = "advance_search"
CLEANUP_STALE_JOBS: Final = "cleanup_stale_jobs"
ENSURE_SCRIPTS: Final = "ensure_scripts"
STAGE_QUERIES: Final = "stage_queries"
REGISTER_CLI_SEARCH: Final = "register_cli_search"
CREATE_SEARCH_JOBS: Final = "create_search_jobs"
OBSERVE_CLUSTER: Final = "observe_cluster"
CHECK_RESULTS: Final = "check_results"
MERGE_BATCH: Final = "merge_batch"
PUBLISH_RESULTS: Final = "publish_results"
STOP_SEARCH_JOBS: Final = "stop_search_jobs"
REMOVE_SEARCH_OBJECTS: Final = "remove_search_objects"
WAKE_WAITING: Final = "wake_waiting"
CHECK_DELETION: Final = "check_deletion"
DELETE_SEARCH_BLOBS: Final = "delete_search_blobs"
DELETE_SEARCH_ROW: Final = "delete_search_row"
DELIVER_WEBHOOK: Final = "deliver_webhook"
PLAN_WARMUP: Final = "plan_warmup"
CREATE_WARMUP_JOB: Final = "create_warmup_job"
OBSERVE_WARMUP: Final = "observe_warmup"
PREPARE_SHARDS: Final = "prepare_shards"
ENSURE_PROBE: Final = "ensure_probe"
REMOVE_WARMUP_LEFTOVERS: Final = "remove_warmup_leftovers"
END_WARMUP: Final = "end_warmup"
PLAN_RELEASE: Final = "plan_release"
REMOVE_WARMUP_OBJECTS: Final = "remove_warmup_objects"
CREATE_CLEAN_JOB: Final = "create_clean_job"
OBSERVE_CLEANING: Final = "observe_cleaning"
END_RELEASE: Final = "end_release"
START_CLI_SUBMIT: Final = "start_cli_submit"
CHECK_CLI_SUBMIT: Final = "check_cli_submit"
REMOVE_CLI_SUBMIT: Final = "remove_cli_submit"
REGISTER_RESULTS: Final = "register_results"
REQUEST_POWER: Final = "request_power"
OBSERVE_CLUSTER_POWER: Final = "observe_cluster_power"
WARM_CONFIGURED: Final = "warm_configured"
ENSURE_ROLES: Final = "ensure_roles"
DEPLOY_OPENAPI: Final = "deploy_openapi"
OBSERVE_OPENAPI: Final = "observe_openapi"

_PLAIN_ID = re.compile(r"job-[0-9a-f]+")
CLUSTER_OPERATION = re.compile(r"(start|stop|openapi)-[0-9a-f]{16}-[0-9]{1,9}")
"""Instance ids of what is done to a cluster."""


def cluster_operation(kind: str, cluster_key: str, number: int) -> str:
    """Instance id of the number-th operation of a kind (``start``, ``stop``, ``openapi``) on a cluster.

    The cluster's key is hashed: it has characters and a length that not every id may have.
    """
    return f"{kind}-{hashlib.sha256(cluster_key.encode()).hexdigest()[:16]}-{number}"


def search_instance(job_id: str, run: int) -> str:
    """Instance id of the run-th orchestration of a search: the job id, from the second on with ``-n`` behind it.

    A used instance id cannot be used again, so a retry and a restart after a loss both take the next run. An id that
    others made may have any form, that of an instance of ours too: in front of it stands what no instance begins with.
    """
    if _PLAIN_ID.fullmatch(job_id):
        return job_id if run <= 1 else f"{job_id}-{run}"
    return f"external-{job_id}" if run <= 1 else f"external{run}-{job_id}"


def monitor_instance(job_id: str, run: int) -> str:
    """Instance id of the monitor that the run-th orchestration of a search has."""
    return f"monitor-{search_instance(job_id, run)}"


def cli_submit_instance(job_id: str, run: int) -> str:
    """Instance id of the child that submits the run-th orchestration of a search by the command line."""
    return f"cli-{search_instance(job_id, run)}"


def deletion_instance(job_id: str, delete_run: int) -> str:
    """Instance id of the n-th orchestration that deletes a search."""
    return f"delete-{job_id}-{delete_run}"


def deletion_removal_instance(job_id: str, delete_run: int) -> str:
    """Instance id of its child that takes the search off its cluster."""
    return f"removal-{deletion_instance(job_id, delete_run)}"
