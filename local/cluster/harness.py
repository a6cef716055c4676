"""Starts the emulator as a process of its own, for tests and for the one-machine stack."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = dict[str, Any]

_STOP_SECONDS = 5.0
REPOSITORY = Path(__file__).resolve().parents[2]


def write_kubeconfig(path: Path, server: str, token: str, cluster_name: str) -> Path:
    """Write a kubeconfig (as JSON, which is YAML) for one cluster, readable by its owner only.

    kubectl withholds bearer tokens from servers without TLS, so for these the URL carries the token, too.
    """
    if token and server.startswith("http://"):
        server = server.replace("http://", f"http://token:{token}@", 1)
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster_name, "cluster": {"server": server}}],
        "users": [{"name": f"user_{cluster_name}", "user": {"token": token} if token else {}}],
        "contexts": [{"name": cluster_name, "context": {"cluster": cluster_name, "user": f"user_{cluster_name}"}}],
        "current-context": cluster_name,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(json.dumps(config, indent=2) + "\n")
    return path


def blast_nodes(count: int, cpu: str = "8", memory: str = "8Gi") -> list[Json]:
    """`count` nodes of a BLAST pool, named as AKS names them."""
    return [
        {
            "name": f"aks-blast-00000000-vmss{number:06d}",
            "pool": "blast",
            "mode": "User",
            "cpu": cpu,
            "memory": memory,
            "labels": {"workload": "blast"},
        }
        for number in range(count)
    ]


@dataclass(frozen=True, slots=True)
class RunningCluster:
    """A started emulator: where it listens and its kubeconfig."""

    api_url: str
    control_url: str
    kubeconfig: Path
    root: Path
    process: subprocess.Popen[str]

    def node_folder(self, name: str) -> Path:
        """The disk of a node."""
        return self.root / "nodes" / name

    def stop(self) -> int:
        """End it and every pod; returns its exit code."""
        self.process.terminate()
        try:
            code = self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code


def start_cluster(
    root: Path,
    nodes: list[Json] | None = None,
    *,
    token: str = "",
    tools: list[Path] | None = None,
    backoff_seconds: float = 10.0,
    port: int = 0,
    control_port: int = 0,
    cluster_name: str = "local",
) -> RunningCluster:
    """Start the emulator below `root` and wait until it answers; RuntimeError when it ends instead."""
    root.mkdir(parents=True, exist_ok=True)
    nodes_file = root / "nodes.json"
    nodes_file.write_text(json.dumps(nodes if nodes is not None else blast_nodes(2)))
    argv = [sys.executable, "-m", "local.cluster", "--root", str(root), "--nodes", str(nodes_file)]
    argv += ["--port", str(port), "--control-port", str(control_port), "--backoff-seconds", str(backoff_seconds)]
    argv += ["--tools", *map(str, tools)] if tools else []
    environment = {**os.environ, "ELB_CLUSTER_TOKEN": token}
    log = (root / "cluster.log").open("a")
    with log:
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=log, text=True, cwd=REPOSITORY, env=environment)
    if process.stdout is None:
        raise RuntimeError("the emulator has no output")
    words = process.stdout.readline().split()
    if len(words) != 4 or words[0] != "ready":
        code = process.wait()
        process.stdout.close()
        raise RuntimeError(f"the cluster emulator ended with {code}: {(root / 'cluster.log').read_text()[-2000:]}")
    kubeconfig = write_kubeconfig(root / "kubeconfig", words[1], token, cluster_name)
    return RunningCluster(words[1], words[3], kubeconfig, root, process)
