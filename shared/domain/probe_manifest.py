"""The residency probe as a Kubernetes object: one pod on every node that may hold a database.

The script is part of the pod's command line and not of the ConfigMap: a pod then runs the script that its DaemonSet was
written with, whichever of two objects was written first, and a changed script replaces the pods by itself.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from shared.domain.manifests import MANAGED_BY, MOUNT, NODE_FOLDER, SCRIPTS_HASH, literal

APP_PROBE = "elb-cache-probe"
"""Name of the DaemonSet, and its label ``app``."""
PROBE_HASH = SCRIPTS_HASH
"""Annotation with a hash of the whole object: one that is unchanged is not written again."""
_RESOURCES = {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "250m", "memory": "128Mi"}}
"""mincore(2) costs a byte per page that is looked at, and no page is read: 16 MiB for a file of 64 GiB."""
_USER_POOLS = {"key": "kubernetes.azure.com/mode", "operator": "NotIn", "values": ["system"]}


@dataclass(frozen=True, slots=True)
class ProbeSet:
    """Everything that makes the DaemonSet.

    Attributes:
        image: one that has bash and vmtouch, run as the user that the warmup's pods run as: mincore(2) tells the truth
            about a file only to its owner (Linux >= 5.2).
        script: ``probe.sh``.
        every_seconds: from one measurement to the next.
    """

    image: str
    script: str
    every_seconds: int

    def manifest(self) -> dict[str, Any]:
        """The whole DaemonSet, with the hash of its content."""
        labels = {"app": APP_PROBE, "app.kubernetes.io/managed-by": MANAGED_BY}
        spec = {
            "selector": {"matchLabels": {"app": APP_PROBE}},
            "template": {"metadata": {"labels": labels}, "spec": self._pod_spec()},
        }
        digest = hashlib.sha256(json.dumps([labels, spec], sort_keys=True).encode()).hexdigest()
        return {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": APP_PROBE, "labels": labels, "annotations": {PROBE_HASH: digest}},
            "spec": spec,
        }

    def _pod_spec(self) -> dict[str, Any]:
        return {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 1,
            "tolerations": [{"key": "workload", "operator": "Equal", "value": "blast", "effect": "NoSchedule"}],
            "affinity": {
                "nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [{"matchExpressions": [_USER_POOLS]}]
                    }
                }
            },
            "containers": [
                {
                    "name": "probe",
                    "image": self.image,
                    "command": ["/bin/bash", "-c", literal(self.script)],
                    "env": [{"name": "ELB_PROBE_SECONDS", "value": str(self.every_seconds)}],
                    "resources": _RESOURCES,
                    "volumeMounts": [{"name": "blastdb", "mountPath": MOUNT, "readOnly": True}],
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                        "readOnlyRootFilesystem": True,
                    },
                }
            ],
            "volumes": [{"name": "blastdb", "hostPath": {"path": NODE_FOLDER, "type": "DirectoryOrCreate"}}],
        }
