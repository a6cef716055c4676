"""The nodes of the emulated cluster, read by both emulators, and the programs that pods find on them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from typing import Any

from local.elastic_blast.install import install
from local.stack.files import write_atomically
from local.stack.home import REPOSITORY, Home

_AZCOPY = REPOSITORY / "node_modules/@azure-tools/azcopy-linux/dist/bin/azcopy_linux_amd64"
# Unequal on purpose: a planner that takes all nodes for the same is found out.
_MEMORY = ("8Gi", "8Gi", "12Gi", "16Gi")


def default_nodes() -> list[dict[str, Any]]:
    """Four nodes of one BLAST pool, named, labelled and tainted as AKS and ElasticBLAST do."""
    return [
        {
            "name": f"aks-blast-28471560-vmss{number:06x}",
            "pool": "blast",
            "mode": "User",
            "cpu": "4",
            "memory": memory,
            "labels": {"workload": "blast"},
            "taints": [{"key": "workload", "value": "blast", "effect": "NoSchedule"}],
        }
        for number, memory in enumerate(_MEMORY)
    ]


def write_nodes(home: Home) -> None:
    """Write the node list where the emulators look for it."""
    write_atomically(home.nodes, json.dumps(default_nodes(), indent=2) + "\n")


def install_tools(home: Home) -> None:
    """Put AzCopy and the stand-in for ElasticBLAST, which Debian does not have, where pods find them by their names.

    Of AzCopy a second name for the same file where the disk allows it, a copy otherwise: a symbolic link would lead
    nowhere inside a sandbox.
    """
    install(home.tools)
    target = home.tools / "azcopy"
    if not _AZCOPY.exists() or (target.exists() and target.stat().st_size == _AZCOPY.stat().st_size):
        return
    target.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        os.link(_AZCOPY, target)
    if not target.exists():
        shutil.copyfile(_AZCOPY, target)
    target.chmod(0o755)
