"""Tells scripts where everything of a running stack is: ``stack.json``, ``kubeconfig``, ``stack.env``."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping
from typing import Any

from local.azure.kubeconfig import kubeconfig
from local.stack.files import write_atomically
from local.stack.home import Home
from local.stack.identity import (
    CLUSTER,
    NAMESPACE,
    RESOURCE_GROUP,
    STORAGE_ACCOUNT,
    SUBSCRIPTION,
    Identity,
    connection_string,
)


def describe(home: Home, identity: Identity, ports: Mapping[str, int], pids: Mapping[str, int]) -> dict[str, Any]:
    """The content of ``stack.json``; an address whose port is not known is null.

    Args:
        home: the stack's folder.
        identity: its keys and tokens.
        ports: those that have been given.
        pids: component -> process id.
    """

    def at(name: str, path: str = "") -> str | None:
        return f"http://127.0.0.1:{ports[name]}{path}" if name in ports else None

    has_storage = {"blob", "queue", "table"} <= ports.keys()
    storage = connection_string(identity, ports["blob"], ports["queue"], ports["table"]) if has_storage else None
    return {
        "api": at("app", "/api"),
        "page": at("app", "/"),
        "arm": at("arm"),
        "kubernetes": at("cluster"),
        "kubeconfig": str(home.kubeconfig),
        "cluster_control": at("cluster_control"),
        "blob_endpoint": at("blob", f"/{STORAGE_ACCOUNT}"),
        "table_endpoint": at("table", f"/{STORAGE_ACCOUNT}"),
        "storage_account": STORAGE_ACCOUNT,
        "storage_connection_string": storage,
        "subscription_id": SUBSCRIPTION,
        "resource_group": RESOURCE_GROUP,
        "cluster_name": CLUSTER,
        "logs": str(home.logs),
        "pids": {"supervisor": os.getpid(), **pids},
    }


def shell_lines(stack: Mapping[str, Any], arm_token: str) -> str:
    """``stack.env``: what a shell needs for curl, kubectl and the Azure command line."""
    values = {
        "ELB_API": stack["api"],
        "ELB_PAGE": stack["page"],
        "ELB_ARM": stack["arm"],
        "ELB_ARM_TOKEN": arm_token,
        "ELB_CLUSTER_CONTROL": stack["cluster_control"],
        "KUBECONFIG": stack["kubeconfig"],
        "AZURE_STORAGE_CONNECTION_STRING": stack["storage_connection_string"],
    }
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items() if value)


def write(home: Home, identity: Identity, ports: Mapping[str, int], pids: Mapping[str, int]) -> None:
    """Write all three files, ``stack.json`` last: whoever finds it finds the others."""
    stack = describe(home, identity, ports, pids)
    if stack["kubernetes"] is not None:
        # kubectl keeps a bearer token from a server without TLS, so the address carries it, too. JSON is YAML to it.
        server = stack["kubernetes"].replace("http://", f"http://token:{identity.cluster_token}@", 1)
        config = kubeconfig(CLUSTER, server, identity.cluster_token, NAMESPACE)
        write_atomically(home.kubeconfig, json.dumps(config, indent=2) + "\n")
    write_atomically(home.stack_env, shell_lines(stack, identity.arm_token))
    write_atomically(home.stack_json, json.dumps(stack, indent=2) + "\n")


def remove(home: Home) -> None:
    """Remove all three; nothing happens to one that is not there."""
    for path in (home.stack_json, home.stack_env, home.kubeconfig):
        path.unlink(missing_ok=True)
