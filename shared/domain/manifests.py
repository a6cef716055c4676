"""Kubernetes objects as whole values: the BLAST Job, the ConfigMap of scripts, and the parts that all pods share.

Pure functions of what they need to know; the rules are in ``docs/kubernetes.md``. The warmup's objects are in
``warm_manifests``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.domain.names import blast_job_name, label_value
from shared.domain.snapshot import ATTEMPT_LABEL, JOB_ID_ENV, JOB_ID_LABEL

MANAGED_BY = "elb-control-plane"
SCRIPTS_CONFIG_MAP = "elb-control-scripts"
"""Not ``elb-scripts``: that one belongs to elastic-blast, and a foreign write to it breaks searches."""
SCRIPTS_HASH = "elb-control/content-hash"
SOURCE_VERSION = "elb-control/source-version"
LAYOUT = "elb-control/layout"
APP_BLAST = "blast"
APP_WARMUP = "elb-db-warmup"
NODE_FOLDER = "/workspace/blast"
MOUNT = "/blast/blastdb"
SCRIPTS_MOUNT = "/scripts"
BLAST_IMAGE = "ncbi/elb:1.4.0"
OWN_EXIT_CODES = (1, 2)
"""BLAST's exit codes for a bad query or options and a bad database: running again cannot help."""


@dataclass(frozen=True, slots=True)
class PodSize:
    """What a pod asks for and may take at most.

    Attributes:
        cpus: cores requested; also BLAST's threads.
        memory_request_gib: GiB requested.
        memory_limit_gib: GiB at which the pod is killed.
    """

    cpus: int
    memory_request_gib: float
    memory_limit_gib: float

    def resources(self) -> dict[str, Any]:
        """The ``resources`` of a container."""
        return {
            "requests": {"cpu": str(self.cpus), "memory": _mebibytes(self.memory_request_gib)},
            "limits": {"memory": _mebibytes(self.memory_limit_gib), "cpu": str(max(self.cpus, 1) * 2)},
        }


@dataclass(frozen=True, slots=True)
class BlastJob:
    """Everything that makes one BLAST Job: one batch in one shard.

    Attributes:
        layout: number of shards of the layout that the shard is of.
        source_version: of the database; the Job ends with 71 on a node that has another one.
        command: the BLAST program and its arguments, without query and output; never seen by a shell.
        full_evalues: the table gets the E-values with all digits as its last column.
        query_url: URL from which the pod reads its batch (signed, short-lived).
        result_url: URL to which it writes its result (signed, short-lived).
        deadline_seconds: ``activeDeadlineSeconds``.
        ttl_seconds: ``ttlSecondsAfterFinished``.
    """

    job_id: str
    attempt: int
    program: str
    database: str
    shard: int
    batch: int
    layout: int
    source_version: str
    node: str
    command: Sequence[str]
    query_url: str
    result_url: str
    callback_url: str
    callback_token: str
    image: str
    size: PodSize
    deadline_seconds: int
    ttl_seconds: int
    full_evalues: bool = False

    @property
    def name(self) -> str:
        """The Job's name: the same for the same batch, shard and attempt."""
        return blast_job_name(self.program, self.database, self.shard, self.batch, self.job_id, self.attempt)

    def manifest(self) -> dict[str, Any]:
        """The whole Job."""
        labels = {
            "app": APP_BLAST,
            JOB_ID_LABEL: self.job_id,
            ATTEMPT_LABEL: str(self.attempt),
            "db": label_value(self.database),
            "shard": f"{self.shard:02d}",
            "batch": f"{self.batch:03d}",
            "app.kubernetes.io/managed-by": MANAGED_BY,
        }
        env = {
            JOB_ID_ENV: self.job_id,
            "ELB_QUERY_URL": self.query_url,
            "ELB_RESULT_URL": self.result_url,
            "ELB_MARKER": f"{MOUNT}/{self.database}/.warm-{self.layout:02d}-{self.shard:02d}",
            "ELB_SOURCE_VERSION": self.source_version,
            "ELB_FULL_EVALUES": "yes" if self.full_evalues else "",
            "ELB_CALLBACK_URL": self.callback_url,
            "ELB_CALLBACK_TOKEN": self.callback_token,
        }
        container = {
            "name": "blast",
            "image": self.image,
            "command": ["/bin/bash", f"{SCRIPTS_MOUNT}/blast.sh"],
            "args": [literal(argument) for argument in self.command],
            "env": [{"name": name, "value": literal(value)} for name, value in env.items()],
            "resources": self.size.resources(),
            "volumeMounts": [mount("blastdb", MOUNT, read_only=True), *scripts_mounts(), mount("work", "/work")],
            "securityContext": unprivileged(read_only=True),
            "workingDir": "/work",
        }
        spec = pod_spec(self.node, container, host_path("Directory"))
        spec["volumes"].append({"name": "work", "emptyDir": {}})
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": self.name, "labels": labels},
            "spec": {
                "backoffLimit": 3,
                "activeDeadlineSeconds": self.deadline_seconds,
                "ttlSecondsAfterFinished": self.ttl_seconds,
                "podFailurePolicy": failure_policy("blast", OWN_EXIT_CODES),
                "template": {"metadata": {"labels": labels}, "spec": spec},
            },
        }


def failure_policy(container: str, exit_codes: Sequence[int]) -> dict[str, Any]:
    """A disruption is not a failure of the Job; an exit code that says "again is no use" ends it at once."""
    return {
        "rules": [
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
            {
                "action": "FailJob",
                "onExitCodes": {"containerName": container, "operator": "In", "values": list(exit_codes)},
            },
        ]
    }


def scripts_config_map(scripts: Mapping[str, str]) -> dict[str, Any]:
    """The ConfigMap of the product's own scripts, with a hash of its content to skip needless writes."""
    content = hashlib.sha256()
    for name in sorted(scripts):
        content.update(f"{name}\x00{scripts[name]}\x00".encode())
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": SCRIPTS_CONFIG_MAP,
            "labels": {"app": "elb-control", "app.kubernetes.io/managed-by": MANAGED_BY},
            "annotations": {SCRIPTS_HASH: content.hexdigest()},
        },
        "data": dict(scripts),
    }


def literal(text: str) -> str:
    """Text that Kubernetes passes on as it is: in args and env it expands ``$(NAME)`` and makes ``$`` of ``$$``."""
    return text.replace("$", "$$")


def _mebibytes(gib: float) -> str:
    return f"{round(gib * 1024)}Mi"


def mount(name: str, path: str, *, read_only: bool = False) -> dict[str, Any]:
    """Where a container finds a volume."""
    place: dict[str, Any] = {"name": name, "mountPath": path}
    return place | {"readOnly": True} if read_only else place


def scripts_mounts() -> list[dict[str, Any]]:
    """Where a container finds the product's own scripts."""
    return [mount("scripts", SCRIPTS_MOUNT, read_only=True)]


def host_path(kind: str) -> dict[str, Any]:
    """The volume with the node's databases; ``kind`` is the hostPath's type."""
    return {"name": "blastdb", "hostPath": {"path": NODE_FOLDER, "type": kind}}


def unprivileged(*, read_only: bool = False) -> dict[str, Any]:
    """The security context of every container of the product.

    Args:
        read_only: the image is read-only, for a container that writes to its volumes only.
    """
    context = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return context | {"readOnlyRootFilesystem": True} if read_only else context


def pod_spec(node: str, container: Mapping[str, Any], blastdb: Mapping[str, Any]) -> dict[str, Any]:
    """A pod pinned to its node by affinity, never by ``nodeName``, which goes around the scheduler."""
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 5,
        "tolerations": [{"key": "workload", "operator": "Equal", "value": "blast", "effect": "NoSchedule"}],
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [
                        {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
                    ]
                }
            }
        },
        "containers": [dict(container)],
        "volumes": [
            dict(blastdb),
            {"name": "scripts", "configMap": {"name": SCRIPTS_CONFIG_MAP, "defaultMode": 0o555}},
        ],
    }
