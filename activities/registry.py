"""Registers every activity under its name, each wrapped so that permanent errors come back as data.

A permanent error is not retried: it is returned as ``{"error": {...}}``. A transient one is raised, and the durable
retry handles it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import azure.durable_functions as df

from activities.admission import check_admission
from activities.cli_engine import check_cli_submit, register_cli_search, remove_cli_submit, start_cli_submit
from activities.cluster_power import observe_cluster_power, request_power, warm_configured
from activities.external_results import register_results
from activities.observation import observe_cluster
from activities.openapi import deploy_openapi, observe_openapi
from activities.preparation import cleanup_stale_jobs, ensure_scripts, stage_queries
from activities.progress import advance_search
from activities.publishing import publish_results
from activities.release import create_clean_job, end_release, observe_cleaning, plan_release, remove_warmup_objects
from activities.removal import (
    check_deletion,
    delete_search_blobs,
    delete_search_row,
    remove_search_objects,
    wake_waiting,
)
from activities.results import check_results, merge_search_batch
from activities.roles import ensure_roles
from activities.search_jobs import create_search_jobs, stop_search_jobs
from activities.warmup import (
    end_warmup,
    ensure_residency_probe,
    observe_warmup,
    plan_database_warmup,
    prepare_shards,
    remove_warmup_leftovers,
)
from activities.warmup_jobs import create_warmup_job
from activities.webhooks import deliver_webhook
from shared.clients.recording import flush_counts
from shared.domain import functions as names
from shared.domain.errors import PermanentError

Activity = Callable[[dict[str, Any]], dict[str, Any]]
WakingActivity = Callable[[dict[str, Any], Any], dict[str, Any]]
blueprint = df.Blueprint()


def errors_as_data(function: Activity) -> Activity:
    """Return permanent errors instead of raising them."""

    @wraps(function)
    def call(data: dict[str, Any]) -> dict[str, Any]:
        try:
            return function(data)
        except PermanentError as error:
            return {"error": error.to_dict()}

    call.__annotations__ = {"data": dict}
    return call


def then_flush[**P, T](function: Callable[P, T]) -> Callable[P, T]:
    """Write what was counted after each run, when that is due: an instance of the app may run activities only."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        finally:
            flush_counts()

    return call


ACTIVITIES: Mapping[str, Activity] = {
    names.CHECK_ADMISSION: check_admission,
    names.ADVANCE_SEARCH: advance_search,
    names.CLEANUP_STALE_JOBS: cleanup_stale_jobs,
    names.ENSURE_SCRIPTS: ensure_scripts,
    names.STAGE_QUERIES: stage_queries,
    names.CREATE_SEARCH_JOBS: create_search_jobs,
    names.STOP_SEARCH_JOBS: stop_search_jobs,
    names.CHECK_RESULTS: check_results,
    names.MERGE_BATCH: merge_search_batch,
    names.PUBLISH_RESULTS: publish_results,
    names.REGISTER_RESULTS: register_results,
    names.PLAN_WARMUP: plan_database_warmup,
    names.CREATE_WARMUP_JOB: create_warmup_job,
    names.OBSERVE_WARMUP: observe_warmup,
    names.PREPARE_SHARDS: prepare_shards,
    names.ENSURE_PROBE: ensure_residency_probe,
    names.REMOVE_WARMUP_LEFTOVERS: remove_warmup_leftovers,
    names.END_WARMUP: end_warmup,
    names.PLAN_RELEASE: plan_release,
    names.REMOVE_WARMUP_OBJECTS: remove_warmup_objects,
    names.CREATE_CLEAN_JOB: create_clean_job,
    names.OBSERVE_CLEANING: observe_cleaning,
    names.END_RELEASE: end_release,
    names.REGISTER_CLI_SEARCH: register_cli_search,
    names.START_CLI_SUBMIT: start_cli_submit,
    names.CHECK_CLI_SUBMIT: check_cli_submit,
    names.REMOVE_CLI_SUBMIT: remove_cli_submit,
    names.REMOVE_SEARCH_OBJECTS: remove_search_objects,
    names.CHECK_DELETION: check_deletion,
    names.DELETE_SEARCH_BLOBS: delete_search_blobs,
    names.DELETE_SEARCH_ROW: delete_search_row,
    names.DELIVER_WEBHOOK: deliver_webhook,
    names.REQUEST_POWER: request_power,
    names.OBSERVE_CLUSTER_POWER: observe_cluster_power,
    names.ENSURE_ROLES: ensure_roles,
    names.DEPLOY_OPENAPI: deploy_openapi,
    names.OBSERVE_OPENAPI: observe_openapi,
}
"""The activities that take their data only, by name."""
WAKING: Mapping[str, WakingActivity] = {
    names.OBSERVE_CLUSTER: observe_cluster,
    names.WAKE_WAITING: wake_waiting,
    names.WARM_CONFIGURED: warm_configured,
}
"""Those that wake orchestrations, and therefore take the Durable client too."""

for _name, _function in ACTIVITIES.items():
    blueprint.activity_trigger(input_name="data", activity=_name)(then_flush(errors_as_data(_function)))


def with_client(function: WakingActivity, name: str) -> Callable[..., dict[str, Any]]:
    """Return permanent errors of an activity that takes the Durable client; named and typed for the worker."""

    def call(data: dict[str, Any], client: Any) -> dict[str, Any]:
        return errors_as_data(lambda given: function(given, client))(data)

    call.__name__ = name
    call.__annotations__ = {"data": dict, "client": str}  # plain types: all that the worker takes
    return call


for _name, _waking in WAKING.items():
    blueprint.durable_client_input(client_name="client")(
        blueprint.activity_trigger(input_name="data", activity=_name)(then_flush(with_client(_waking, _name)))
    )
