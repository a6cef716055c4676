"""``python -m local.azure``: serves until SIGTERM; prints ``ready http://127.0.0.1:N``. Exit code 4: port taken.

The tokens are in the environment, because everybody on the machine can read a command line: ``ELB_ARM_TOKEN``, and
``ELB_CLUSTER_TOKEN`` when the Kubernetes API has another one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from aiohttp import web

from local.azure.app import Arm
from local.azure.resources import Scope
from local.azure.service import Service

PORT_TAKEN = 4


def main() -> int:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m local.azure", description="ARM for one emulated AKS cluster.")
    parser.add_argument("--port", type=int, required=True, help="0 for any free one")
    parser.add_argument("--cluster-url", required=True, help="address of the Kubernetes API")
    parser.add_argument("--cluster-control", default="", help="control endpoint of the cluster emulator")
    parser.add_argument("--subscription", required=True)
    parser.add_argument("--resource-group", required=True)
    parser.add_argument("--cluster", required=True, help="name of the cluster")
    parser.add_argument("--region", default="local")
    given = os.environ.get
    parser.add_argument("--token", default=given("ELB_ARM_TOKEN"), help="in place of ELB_ARM_TOKEN")
    parser.add_argument("--cluster-token", default=given("ELB_CLUSTER_TOKEN"), help="in place of ELB_CLUSTER_TOKEN")
    parser.add_argument("--nodes", type=Path, help="the cluster emulator's node list, for the agent pools")
    parser.add_argument("--state", type=Path, help="file that keeps the state over a restart")
    parser.add_argument("--start-seconds", type=float, default=4.0, help="how long a start takes")
    parser.add_argument("--stop-seconds", type=float, default=2.0, help="how long a stop takes")
    arguments = parser.parse_args()
    if not arguments.token:
        parser.error("the environment has no ELB_ARM_TOKEN")
    return asyncio.run(serve(arguments))


async def serve(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    scope = Scope(
        subscription=arguments.subscription,
        group=arguments.resource_group,
        cluster=arguments.cluster,
        region=arguments.region,
        server=arguments.cluster_url.rstrip("/"),
        token=arguments.cluster_token or arguments.token,
        nodes=json.loads(arguments.nodes.read_text()) if arguments.nodes else [],
    )
    control = arguments.cluster_control.rstrip("/")
    seconds = {"start_seconds": arguments.start_seconds, "stop_seconds": arguments.stop_seconds}
    service = Service(control, arguments.state, **seconds)
    runner = web.AppRunner(Arm(scope, service, arguments.token).application(), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", arguments.port, reuse_address=True)
    try:
        await site.start()
    except OSError as error:
        print(f"port {arguments.port}: {error}", file=sys.stderr)
        await runner.cleanup()
        return PORT_TAKEN
    port = runner.addresses[0][1]
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    print(f"ready http://127.0.0.1:{port}", flush=True)
    await ended.wait()
    await runner.cleanup()
    return 0


if __name__ == "__main__":
    sys.exit(main())
