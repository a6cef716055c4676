"""The settings that infra gives against those that the app reads: every one that is read is set, and the other way."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

import pytest

from deploy.package import REPOSITORY
from shared.config import read_settings
from tests.infra.bicep import INFRA, read, settings_of_the_app, text

RIGHT_BY_DEFAULT = {
    "AUTH_ISSUER": "made of the tenant",
    "AUTH_KEYS_URL": "made of the tenant",
    "AzureWebJobsStorage": "left out: the app's identity is used (AzureWebJobsStorage__...)",
    "ELB_ARM_ENDPOINT": "public Azure",
    "ELB_BLOB_ENDPOINT": "public Azure",
    "ELB_CALLBACK_URL": "the app's own host name",
    "ELB_CREDENTIAL": "the app's identity",
    "ELB_DEV_USER": "for AUTH_MODE=dev, which does not start on Azure",
    "ELB_KUBECONFIG": "Azure is asked for it",
    "ELB_STATE_TABLE_ENDPOINT": "public Azure",
}
BY_THE_PLATFORM = {
    "AZURE_FUNCTIONS_ENVIRONMENT",
    "FUNCTIONS_WORKER_RUNTIME",
    "WEBSITE_AUTH_ENABLED",
    "WEBSITE_HOSTNAME",
    "WEBSITE_INSTANCE_ID",
}
READ_BY_OTHERS = {
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": "the Functions host: telemetry as the app's identity",
    "APPLICATIONINSIGHTS_CONNECTION_STRING": "the Functions host: where telemetry goes",
    "AZURE_CLIENT_ID": "azure-identity: which identity the app has",
    "AzureFunctionsJobHost__extensions__durableTask__storageProvider__connectionStringName": "the Functions host",
    "AzureFunctionsJobHost__extensions__durableTask__storageProvider__type": "the Functions host",
    "AzureWebJobsDisableHomepage": "the Functions host: the page is at /",
    "AzureWebJobsStorage__accountName": "the Functions host",
    "AzureWebJobsStorage__clientId": "the Functions host",
    "AzureWebJobsStorage__credential": "the Functions host",
    "DURABLE_TASK_SCHEDULER_CONNECTION_STRING": "the Functions host",
    "OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID": "App Service authentication: the identity instead of a secret",
    "PYTHON_THREADPOOL_THREAD_COUNT": "the Python worker",
}


class Recording(Mapping[str, str]):
    """An empty environment that notes what is asked of it."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.names.add(name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def read_by_the_app() -> set[str]:
    """Names that the settings module asks for, and those that host.json refers to."""
    environment = Recording()
    read_settings(environment)
    return environment.names


def read_by_host_json() -> set[str]:
    """Names in percent signs."""
    return set(re.findall(r"%(\w+)%", (REPOSITORY / "host.json").read_text()))


def test_every_setting_that_the_app_reads_is_set() -> None:
    missing = (read_by_the_app() | read_by_host_json()) - set(settings_of_the_app()) - set(RIGHT_BY_DEFAULT)
    assert missing - BY_THE_PLATFORM == set()


def test_every_setting_that_is_set_is_read() -> None:
    unread = set(settings_of_the_app()) - read_by_the_app() - read_by_host_json() - set(READ_BY_OTHERS)
    assert unread == set()
    assert (set(RIGHT_BY_DEFAULT) | BY_THE_PLATFORM) - read_by_the_app() <= {"FUNCTIONS_WORKER_RUNTIME"}


def test_the_lists_of_exceptions_hold_nothing_else() -> None:
    given = set(settings_of_the_app())
    assert not given & set(RIGHT_BY_DEFAULT)
    assert not given & BY_THE_PLATFORM
    assert set(READ_BY_OTHERS) <= given


def test_the_numbers_are_the_defaults_of_the_code() -> None:
    given: dict[str, str] = json.loads((INFRA / "app-settings.json").read_text())
    read = read_by_the_app()
    assert read_settings({name: value for name, value in given.items() if name in read}) == read_settings({})


def test_the_values_that_infra_makes_are_taken_by_the_app() -> None:
    settings = read_settings(
        {
            "ELB_DEFAULT_CLUSTER": "00000000-0000-0000-0000-000000000000/rg-elb/aks-elb",
            "ELB_NAMESPACE": "default",
            "AUTH_MODE": "easyauth",
            "WEBSITE_HOSTNAME": "func-elb.azurewebsites.net",
        }
    )
    assert settings.cluster is not None
    assert settings.cluster.cluster_name == "aks-elb"
    assert "${subscription().subscriptionId}/${groupName}/${cluster}" in (INFRA / "main.bicep").read_text()


def test_the_worker_has_a_thread_for_each_activity_and_orchestrator_that_the_host_gives_it() -> None:
    extensions = json.loads((REPOSITORY / "host.json").read_text())["extensions"]
    durable = extensions["durableTask"]
    threads = durable["maxConcurrentActivityFunctions"] + durable["maxConcurrentOrchestratorFunctions"]
    app = read(INFRA / "modules" / "app.bicep")
    made_of = "host.durableTask.maxConcurrentActivityFunctions + host.durableTask.maxConcurrentOrchestratorFunctions"
    assert text(app.variables["threads"]) == f"var threads = {made_of}"
    assert settings_of_the_app()["PYTHON_THREADPOOL_THREAD_COUNT"] == "string(threads)"
    (site,) = app.of_type("Microsoft.Web/sites")
    http = site.property(
        "properties", "functionAppConfig", "scaleAndConcurrency", "triggers", "http", "perInstanceConcurrency"
    )
    assert http is not None
    assert text(http) == "host.http.maxConcurrentRequests"
    assert 1 <= extensions["http"]["maxConcurrentRequests"] <= threads <= 32


def test_the_task_hub_has_a_name_that_durable_functions_takes_and_is_of_this_app_and_environment() -> None:
    main = (INFRA / "main.bicep").read_text()
    assert "var taskHub = 'elb${suffix}'" in main
    assert "var suffix = uniqueString(subscription().id, groupName, environmentName)" in main
    assert re.fullmatch(r"[A-Za-z][A-Za-z0-9]{2,44}", "elb" + "a" * 13)  # uniqueString has 13 characters
    assert "ELB_TASK_HUB" in read_by_host_json()


def test_the_scheduler_has_an_instance_that_functions_would_not_start_for_it() -> None:
    (app,) = [module for module in read(INFRA / "main.bicep").modules if module.symbol == "app"]
    ready = app.property("params", "alwaysReadyDurable")
    assert ready is not None
    assert text(ready) == "usesScheduler ? max(1, alwaysReadyDurable) : alwaysReadyDurable"


@pytest.mark.parametrize("name", ["ELB_CALLBACK_SECRET", "ELB_WEBHOOK_SECRET"])
def test_secrets_come_from_the_vault(name: str) -> None:
    value = settings_of_the_app()[name]
    output = re.search(
        rf"output {value} string = (.*\n?.*\n?.*SecretUri=[^']*)", (INFRA / "modules/vault.bicep").read_text()
    )
    assert output
    assert "@Microsoft.KeyVault(SecretUri=" in output[1]
