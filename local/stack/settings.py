"""The settings that the app gets here: all that makes one machine differ from Azure."""

from __future__ import annotations

from collections.abc import Mapping

from local.stack.identity import (
    CLUSTER,
    NAMESPACE,
    REGION,
    REGISTRY,
    RESOURCE_GROUP,
    STORAGE_ACCOUNT,
    SUBSCRIPTION,
    Identity,
    connection_string,
)

# The usual ports; a taken one is replaced by a free one. The emulators' own are nobody's business and always free ones.
USUAL_PORTS: Mapping[str, int] = {"app": 7071, "blob": 10000, "queue": 10001, "table": 10002}

# What is smaller here than the app's own defaults, so that Jobs of several shards run at once on four small nodes.
# And what is in memory is measured more often, so that nobody waits a minute to see it.
NUMBERS: Mapping[str, str] = {
    "ELB_JOB_CPUS": "1",
    "ELB_JOB_MEMORY_GIB": "1",
    "ELB_JOB_MEMORY_LIMIT_GIB": "4",
    "ELB_PROBE_SECONDS": "2",
}
# One person and their scripts: nobody is held back. The defaults are tested on their own.
RATES: Mapping[str, str] = {"ELB_RATE_SUBMIT": "0", "ELB_RATE_VALIDATE": "0", "ELB_RATE_UPLOAD": "0"}


def app_settings(ports: Mapping[str, int], identity: Identity) -> dict[str, str]:
    """The app's environment.

    Args:
        ports: ``app``, ``blob``, ``queue``, ``table`` and ``arm``.
        identity: the stack's keys and tokens.
    """
    local = "http://127.0.0.1:{}"
    return {
        "FUNCTIONS_WORKER_RUNTIME": "python",
        "AZURE_FUNCTIONS_ENVIRONMENT": "Development",
        "WEBSITE_HOSTNAME": f"127.0.0.1:{ports['app']}",
        "PYTHON_THREADPOOL_THREAD_COUNT": "32",
        "AzureWebJobsStorage": connection_string(identity, ports["blob"], ports["queue"], ports["table"]),
        "ELB_STATE_TABLE_ENDPOINT": local.format(ports["table"]) + "/{account}",
        "ELB_BLOB_ENDPOINT": local.format(ports["blob"]) + "/{account}",
        "ELB_ARM_ENDPOINT": local.format(ports["arm"]),
        "ELB_CREDENTIAL": f"static:{identity.arm_token}",
        "ELB_TASK_HUB": "elblocal",
        "ELB_KUBECONFIG": "",
        "ELB_DEFAULT_CLUSTER": f"{SUBSCRIPTION}/{RESOURCE_GROUP}/{CLUSTER}",
        "ELB_DEFAULT_STORAGE_ACCOUNT": STORAGE_ACCOUNT,
        "ELB_ACR_NAME": REGISTRY,
        "ELB_REGION": REGION,
        "ELB_NAMESPACE": NAMESPACE,
        "ELB_CALLBACK_SECRET": identity.callback_secret,
        "ELB_CALLBACK_URL": local.format(ports["app"]),
        "ELB_PARALLEL_WARM_REUSE": "1",
        "ELB_WEBHOOK_SECRET": identity.webhook_secret,
        "ELB_WEBHOOK_ALLOW": "localhost,127.0.0.0/8,::1",
        **NUMBERS,
        **RATES,
        "AUTH_MODE": "dev",
        "AUTH_TENANT_ID": "",
        "AUTH_AUDIENCE": "",
    }
