"""The warm cache's Kubernetes objects as whole values: the warmup Job of a shard, the clean-up Job of a node.

Pure functions of what they need to know; the rules are in ``docs/kubernetes.md``, "Warmup".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.domain.manifests import (
    APP_WARMUP,
    LAYOUT,
    MANAGED_BY,
    MOUNT,
    SCRIPTS_MOUNT,
    SOURCE_VERSION,
    PodSize,
    failure_policy,
    host_path,
    literal,
    mount,
    pod_spec,
    scripts_mounts,
    unprivileged,
)
from shared.domain.names import clean_job_name, label_value, warmup_job_name

APP_CLEAN = "elb-cache-clean"
APP_LEGACY_WARMUP = "db-warmup"
"""Label ``app`` of the DaemonSets by which databases were warmed before; they are only ever deleted."""
MADE_BY = "elb-control/made-by"
"""Annotation: the orchestration that made the Job, so that the same work done twice knows its own."""
FINAL_EXIT_CODES = (65, 66, 67, 68, 69)
"""Of ``warm.sh``: no role, bad database, memory full, disk full, firewall. Another pod at once would end likewise."""
_CORDONED = {"key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule"}


@dataclass(frozen=True, slots=True)
class WarmupJob:
    """Everything that makes one warmup Job: one shard on one node.

    Attributes:
        dbtype: ``nucl`` or ``prot``.
        layout: number of shards that the database is prepared in.
        source_url: URL of the database container (signed, short-lived; read and list).
        files: ``(name, bytes)`` of the shard's files and of its alias.
        touch_limit_bytes: bytes that may be touched into the node's memory; 0 is no limit.
        made_by: instance id of the warmup.
    """

    database: str
    dbtype: str
    layout: int
    shard: int
    alias: str
    volumes: Sequence[str]
    source_version: str
    node: str
    source_url: str
    files: Sequence[tuple[str, int]]
    touch_limit_bytes: int
    image: str
    size: PodSize
    deadline_seconds: int
    made_by: str = ""

    @property
    def name(self) -> str:
        """``warm-<db>-<NN>``."""
        return warmup_job_name(self.database, self.shard)

    def manifest(self) -> dict[str, Any]:
        """The whole Job. It has no TTL: the Job is the state."""
        labels = {
            "app": APP_WARMUP,
            "db": label_value(self.database),
            "shard": f"{self.shard:02d}",
            "app.kubernetes.io/managed-by": MANAGED_BY,
        }
        env = {
            "ELB_DB": self.database,
            "ELB_DBTYPE": self.dbtype,
            "ELB_SHARD": f"{self.shard:02d}",
            "ELB_LAYOUT": f"{self.layout:02d}",
            "ELB_ALIAS": self.alias,
            "ELB_VOLUMES": " ".join(self.volumes),
            "ELB_SOURCE_VERSION": self.source_version,
            "ELB_SOURCE_URL": self.source_url,
            "ELB_FILES": "\n".join(f"{size} {path}" for path, size in self.files),
            "ELB_TOUCH_LIMIT_BYTES": str(self.touch_limit_bytes),
        }
        container = _container("warmup", "warm.sh", self.image, env, self.size)
        annotations = {SOURCE_VERSION: self.source_version, LAYOUT: str(self.layout)}
        annotations |= {MADE_BY: self.made_by} if self.made_by else {}
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": self.name, "labels": labels, "annotations": annotations},
            "spec": {
                "backoffLimit": 1,
                "activeDeadlineSeconds": self.deadline_seconds,
                "podFailurePolicy": failure_policy("warmup", FINAL_EXIT_CODES),
                "template": {
                    "metadata": {"labels": labels, "annotations": annotations},
                    "spec": pod_spec(self.node, container, host_path("DirectoryOrCreate")),
                },
            },
        }


@dataclass(frozen=True, slots=True)
class CleanJob:
    """Everything that makes one clean-up Job: one database's folder on one node.

    Attributes:
        made_by: instance id of the release.
    """

    database: str
    node: str
    image: str
    size: PodSize
    made_by: str
    deadline_seconds: int = 300
    ttl_seconds: int = 600

    @property
    def name(self) -> str:
        """``elb-cache-clean-<db>-<node>``."""
        return clean_job_name(self.database, self.node)

    def manifest(self) -> dict[str, Any]:
        """The whole Job. The release removes it when it has read it; the TTL is for a release that was lost."""
        labels = {
            "app": APP_CLEAN,
            "db": label_value(self.database),
            "app.kubernetes.io/managed-by": MANAGED_BY,
        }
        container = _container("clean", "clean.sh", self.image, {"ELB_DB": self.database}, self.size)
        container["securityContext"] = unprivileged(read_only=True)
        spec = pod_spec(self.node, container, host_path("DirectoryOrCreate"))
        spec["tolerations"] = [*spec["tolerations"], dict(_CORDONED)]
        annotations = {MADE_BY: self.made_by}
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": self.name, "labels": labels, "annotations": annotations},
            "spec": {
                "backoffLimit": 1,
                "activeDeadlineSeconds": self.deadline_seconds,
                "ttlSecondsAfterFinished": self.ttl_seconds,
                "template": {"metadata": {"labels": labels, "annotations": annotations}, "spec": spec},
            },
        }


def _container(name: str, script: str, image: str, env: Mapping[str, str], size: PodSize) -> dict[str, Any]:
    return {
        "name": name,
        "image": image,
        "command": ["/bin/bash", f"{SCRIPTS_MOUNT}/{script}"],
        "env": [{"name": key, "value": literal(value)} for key, value in env.items()],
        "resources": size.resources(),
        "volumeMounts": [mount("blastdb", MOUNT), *scripts_mounts()],
        "securityContext": unprivileged(),
    }
