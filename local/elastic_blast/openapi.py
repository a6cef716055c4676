"""A pod in the place of elb-openapi, from which the submit helper takes image, service account and environment.

It runs nothing. What it hands on is how the stand-in reaches the emulated cluster and storage; in Azure, where the
real elb-openapi runs, its service account's identity does that. Used by tests and by whoever fills a local cluster.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

IMAGE = "elb-openapi:4.14"
NAME = "elb-openapi"
_LIFE = timedelta(days=30)


def openapi_pod(kubernetes: str, token: str, signature: str, *, registry: str = "", faults: str = "") -> dict[str, Any]:
    """The pod.

    Args:
        kubernetes: URL of the API server, as pods reach it.
        token: bearer token for it.
        signature: query string of a signature for the storage account (``sign``).
        registry: what stands before the image's name; empty for none.
        faults: what the stand-in shall do wrong (``local.elastic_blast.faults``).
    """
    env = {
        "ELB_STAND_IN_KUBERNETES": kubernetes,
        "ELB_STAND_IN_TOKEN": token,
        "ELB_STAND_IN_SAS": signature,
        "ELB_STAND_IN": faults,
    }
    container = {
        "name": "openapi",
        "image": f"{registry}/{IMAGE}" if registry else IMAGE,
        "command": ["sleep", "infinity"],
        "env": [{"name": name, "value": value} for name, value in env.items()],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": NAME, "labels": {"app": "elb-openapi"}},
        "spec": {
            "serviceAccountName": "elb-openapi",
            "terminationGracePeriodSeconds": 0,
            "tolerations": [{"key": "workload", "operator": "Equal", "value": "blast", "effect": "NoSchedule"}],
            "containers": [container],
        },
    }


def sign(account: str, key: str) -> str:
    """A signature with which the stand-in reads and writes the blobs of an account of the storage emulator."""
    from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas

    return generate_account_sas(
        account,
        key,
        ResourceTypes(container=True, object=True),
        AccountSasPermissions(read=True, write=True, create=True, list=True),
        datetime.now(UTC) + _LIFE,
    )
