"""The four programs of the stack, in the order of starting. The one place that knows their command lines."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from local.stack import ports as port_tools
from local.stack.component import Component, Ports, printed_ready
from local.stack.home import REPOSITORY, Home
from local.stack.identity import CLUSTER, REGION, RESOURCE_GROUP, STORAGE_ACCOUNT, SUBSCRIPTION, Identity
from local.stack.settings import app_settings

AZURITE = REPOSITORY / "node_modules/azurite/dist/src/azurite.js"
_HOST_EXIT_CODES = {
    3: "the app's settings or its functions are wrong",
    4: "its port is taken",
    5: "its state file is in use",
}


def components(home: Home, identity: Identity, overrides: Mapping[str, str]) -> list[Component]:
    """Azurite, cluster, ARM, host.

    Args:
        home: the stack's folder.
        identity: its keys and tokens.
        overrides: settings of the app that replace or extend the usual ones.
    """
    return [azurite(home, identity), cluster(home, identity), arm(home, identity), host(home, identity, overrides)]


def azurite(home: Home, identity: Identity) -> Component:
    """Microsoft's storage emulator: blobs, queues, tables, on disk."""

    def command(ports: Ports) -> list[str]:
        listen = [part for name in ("blob", "queue", "table") for part in (f"--{name}Port", str(ports[name]))]
        options = ["--skipApiVersionCheck", "--silent", "--disableTelemetry", "--location", str(home.state / "azurite")]
        # Started by node itself: npm's wrapper would be one more process between it and the supervisor.
        return ["node", str(AZURITE), *options, *listen]

    return Component(
        name="azurite",
        port_names=("blob", "queue", "table"),
        command=command,
        environment=lambda _: {"AZURITE_ACCOUNTS": f"{STORAGE_ACCOUNT}:{identity.storage_key}"},
        is_ready=lambda ports, _: all(port_tools.is_listening(ports[name]) for name in ("blob", "queue", "table")),
        deadline_seconds=60,
    )


def cluster(home: Home, identity: Identity) -> Component:
    """The Kubernetes API with its controllers, scheduler and kubelets."""

    def command(ports: Ports) -> list[str]:
        return [
            *(sys.executable, "-m", "local.cluster"),
            *("--port", str(ports["cluster"]), "--control-port", str(ports["cluster_control"])),
            *("--root", str(home.state / "cluster"), "--nodes", str(home.nodes)),
            *("--tools", str(home.tools), "--region", REGION),
        ]

    return Component(
        name="cluster",
        port_names=("cluster", "cluster_control"),
        command=command,
        environment=lambda _: {"ELB_CLUSTER_TOKEN": identity.cluster_token},
        is_ready=printed_ready,
    )


def arm(home: Home, identity: Identity) -> Component:
    """Azure Resource Manager for that cluster."""

    def command(ports: Ports) -> list[str]:
        return [
            *(sys.executable, "-m", "local.azure", "--port", str(ports["arm"])),
            *("--cluster-url", f"http://127.0.0.1:{ports['cluster']}"),
            *("--cluster-control", f"http://127.0.0.1:{ports['cluster_control']}"),
            *("--subscription", SUBSCRIPTION, "--resource-group", RESOURCE_GROUP, "--cluster", CLUSTER),
            *("--region", REGION, "--nodes", str(home.nodes), "--state", str(home.state / "arm.json")),
        ]

    return Component(
        name="arm",
        port_names=("arm",),
        command=command,
        # In the environment: everybody on the machine can read a command line.
        environment=lambda _: {"ELB_ARM_TOKEN": identity.arm_token, "ELB_CLUSTER_TOKEN": identity.cluster_token},
        is_ready=printed_ready,
    )


def host(home: Home, identity: Identity, overrides: Mapping[str, str]) -> Component:
    """The Functions host with the app."""

    def command(ports: Ports) -> list[str]:
        state = home.state / "host.sqlite"
        place = ["--app", str(REPOSITORY), "--port", str(ports["app"]), "--state", str(state)]
        return [sys.executable, "-m", "local.host", *place]

    return Component(
        name="host",
        port_names=("app",),
        command=command,
        environment=lambda ports: {**app_settings(ports, identity), **overrides},
        is_ready=printed_ready,
        deadline_seconds=60,
        explain=_HOST_EXIT_CODES,
        grace_seconds=10,
    )
