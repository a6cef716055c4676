"""elb-openapi as Kubernetes objects, and what a look at it means: what the command-line engine's helper runs as.

Pure; called by ``activities/openapi.py``. The helper takes image, service account and environment from the running pod
(``shared.domain.cli_manifest.surroundings_of``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.domain.cli_manifest import APP_OPENAPI
from shared.domain.manifests import MANAGED_BY, SCRIPTS_HASH, literal
from shared.domain.planner import TAINT
from shared.domain.search import ClusterRef
from shared.domain.snapshot import read_pod

OPENAPI_IMAGE = "elb-openapi:4.14"
CONTENT_HASH = SCRIPTS_HASH
"""Annotation with a hash of the object's content: one that is unchanged is not written again."""
PORT = 8000
_RBAC = "rbac.authorization.k8s.io"
_CHANGES = ["create", "delete", "get", "list", "patch", "update", "watch"]
_LOOKS = ["get", "list", "watch"]
_RULES = [
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": _CHANGES},
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": _CHANGES},
    {"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": _LOOKS},
]
"""What the command line does in the namespace: it makes Jobs and their scripts, and looks how they are."""


@dataclass(frozen=True, slots=True)
class OpenApi:
    """Everything that makes elb-openapi on one cluster.

    Attributes:
        image: as the cluster may pull it.
        namespace: where it is and works.
    """

    cluster: ClusterRef
    image: str
    namespace: str
    region: str
    registry: str

    def objects(self) -> tuple[tuple[str, dict[str, Any]], ...]:
        """Kind and manifest of each object, in the order in which they are needed."""
        return (
            ("serviceaccounts", _object("v1", "ServiceAccount")),
            ("roles", _object(f"{_RBAC}/v1", "Role", rules=_RULES)),
            ("rolebindings", _object(f"{_RBAC}/v1", "RoleBinding", **self._binding())),
            ("services", _object("v1", "Service", spec=_SERVICE)),
            ("deployments", _object("apps/v1", "Deployment", spec=self._deployment())),
        )

    def _binding(self) -> dict[str, Any]:
        return {
            "roleRef": {"apiGroup": _RBAC, "kind": "Role", "name": APP_OPENAPI},
            "subjects": [{"kind": "ServiceAccount", "name": APP_OPENAPI, "namespace": self.namespace}],
        }

    def _deployment(self) -> dict[str, Any]:
        environment = {
            "AZCOPY_AUTO_LOGIN_TYPE": "MSI",
            "AZURE_SUBSCRIPTION_ID": self.cluster.subscription_id,
            "AZURE_STORAGE_ACCOUNT": self.cluster.storage_account,
            "ELB_AZURE_REGION": self.region,
            "ELB_AZURE_RESOURCE_GROUP": self.cluster.resource_group,
            "ELB_AZURE_ACR_NAME": self.registry,
            "ELB_CLUSTER_NAME": self.cluster.cluster_name,
        }
        container = {
            "name": "openapi",
            "image": self.image,
            "ports": [{"name": "http", "containerPort": PORT}],
            "env": [{"name": name, "value": literal(value)} for name, value in environment.items() if value],
            "resources": {
                "requests": {"cpu": "100m", "memory": "256Mi"},
                "limits": {"cpu": "1", "memory": "1Gi"},
            },
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        }
        key, value = TAINT
        pod = {
            "serviceAccountName": APP_OPENAPI,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 5,
            "tolerations": [{"key": key, "operator": "Equal", "value": value, "effect": "NoSchedule"}],
            "containers": [container],
        }
        return {
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": {"app": APP_OPENAPI}},
            "template": {"metadata": {"labels": _LABELS}, "spec": pod},
        }


_LABELS = {"app": APP_OPENAPI, "app.kubernetes.io/managed-by": MANAGED_BY}
_SERVICE = {
    "type": "ClusterIP",
    "selector": {"app": APP_OPENAPI},
    "ports": [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}],
}


def _object(api_version: str, kind: str, **content: Any) -> dict[str, Any]:
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    metadata = {"name": APP_OPENAPI, "labels": _LABELS, "annotations": {CONTENT_HASH: digest}}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **content}


def is_as_wanted(present: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether an object is what it is to be: written from this content, and nothing of it changed since.

    What the API server adds (defaults, status, uid) is left out of account.
    """
    annotations = (present.get("metadata") or {}).get("annotations") or {}
    return annotations.get(CONTENT_HASH) == wanted["metadata"]["annotations"][CONTENT_HASH] and _holds(present, wanted)


def _holds(present: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping):
        return isinstance(present, Mapping) and all(_holds(present.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        there = isinstance(present, list) and len(present) == len(wanted)
        return there and all(map(_holds, present, wanted))
    return bool(present == wanted)


def replacement(present: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What takes the place of an object: the wanted content, with what the API server gave the object for good."""
    metadata = {**wanted["metadata"]}
    if version := (present.get("metadata") or {}).get("resourceVersion"):
        metadata["resourceVersion"] = version
    after = {**wanted, "metadata": metadata}
    if wanted["kind"] == "Service":
        kept = {key: present["spec"][key] for key in ("clusterIP", "clusterIPs") if key in (present.get("spec") or {})}
        after["spec"] = {**wanted["spec"], **kept}
    return after


def is_available(deployment: Mapping[str, Any]) -> bool:
    """Whether the deployment's pod of this very version runs and is available."""
    status, meta = deployment.get("status") or {}, deployment["metadata"]
    return (
        int(status.get("observedGeneration") or 0) >= int(meta.get("generation") or 0)
        and int(status.get("updatedReplicas") or 0) >= 1
        and int(status.get("availableReplicas") or 0) >= 1
    )


def why_not(deployment: Mapping[str, Any], pods: Sequence[Mapping[str, Any]]) -> str:
    """What the pods say of themselves, or else the deployment."""
    views = [read_pod(pod) for pod in pods]
    reasons = [view.why_waiting for view in views if not view.deleting and view.why_waiting]
    if reasons:
        return "; ".join(sorted(set(reasons)))
    conditions = (deployment.get("status") or {}).get("conditions") or ()
    said = [
        c.get("message") or "" for c in conditions if c.get("status") == "False" or c.get("type") == "ReplicaFailure"
    ]
    return "; ".join(filter(None, said)) or "its pod has not begun yet"
