"""`python -m local.cluster --port P --control-port C --root DIR --nodes FILE.json [--tools DIR ...]`

Prints one line, `ready http://127.0.0.1:P control http://127.0.0.1:C`, when the API answers. SIGTERM or SIGINT ends it
and every pod. The bearer token that the API asks for is in the environment, `ELB_CLUSTER_TOKEN`: everybody on the
machine can read a command line. Started by the one-machine stack and by `harness.py`. The control endpoint is described
in `control.py`.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import shutil
import signal
from pathlib import Path

from local.cluster.cluster import Cluster, Settings
from local.cluster.control import Control
from local.cluster.nodes import read_nodes


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.cluster", description="A Kubernetes cluster of one process")
    parser.add_argument("--port", type=int, default=0, help="port of the Kubernetes API; 0 is any free one")
    parser.add_argument("--control-port", type=int, default=0, help="port of the control endpoint; 0 is any free one")
    parser.add_argument("--root", type=Path, required=True, help="folder for node disks, pod folders and logs")
    parser.add_argument("--nodes", type=Path, required=True, help="JSON file with the list of nodes")
    token = os.environ.get("ELB_CLUSTER_TOKEN", "")
    parser.add_argument("--token", default=token, help="in place of ELB_CLUSTER_TOKEN; empty: none")
    parser.add_argument("--region", default="local", help="what the nodes' labels say")
    parser.add_argument("--tools", type=Path, nargs="*", default=[], help="folders put first in the pods' PATH")
    parser.add_argument("--backoff-seconds", type=float, default=10.0, help="first back-off of Jobs, images, crashes")
    return parser.parse_args()


async def _serve(arguments: argparse.Namespace) -> None:
    root: Path = arguments.root.resolve()
    settings = Settings(
        root=root,
        nodes=read_nodes(arguments.nodes),
        port=arguments.port,
        token=arguments.token,
        tools=tuple(folder.resolve() for folder in arguments.tools),
        backoff_seconds=arguments.backoff_seconds,
        region=arguments.region,
    )
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    cluster = Cluster(settings)
    control = Control(cluster)
    await cluster.start()
    control_port = await control.start(arguments.control_port)
    print(f"ready http://127.0.0.1:{cluster.port} control http://127.0.0.1:{control_port}", flush=True)
    await ended.wait()
    await control.stop()
    await cluster.close()


def main() -> None:
    """Run until a signal."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    arguments = _arguments()
    if shutil.which("bwrap") is None:
        raise SystemExit("bwrap is missing: apt-get install bubblewrap")
    arguments.root.mkdir(parents=True, exist_ok=True)
    # Pods end with the emulator, and nobody knows those of an earlier one: their folders would only pile up.
    shutil.rmtree(arguments.root / "pods", ignore_errors=True)
    asyncio.run(_serve(arguments))


if __name__ == "__main__":
    main()
