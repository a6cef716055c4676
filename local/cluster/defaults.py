"""Fills in what the API server fills in before it stores an object. Used by `routes.py` on create, update and patch."""

from __future__ import annotations

import base64
import uuid
from typing import Any

from local.cluster.kinds import DAEMON_SETS, DEPLOYMENTS, JOBS, NAMESPACES, PODS, SECRETS, Kind

Json = dict[str, Any]


def apply_defaults(kind: Kind, obj: Json) -> None:
    """Complete `obj` in place."""
    if kind is PODS:
        _pod_spec(obj.setdefault("spec", {}), "Always")
        obj.setdefault("status", {"phase": "Pending", "qosClass": qos_class(obj["spec"])})
    elif kind is JOBS:
        _job(obj)
    elif kind is DAEMON_SETS:
        spec = obj.setdefault("spec", {})
        _pod_spec(spec.setdefault("template", {}).setdefault("spec", {}), "Always")
        spec.setdefault(
            "updateStrategy", {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}
        )
        spec.setdefault("revisionHistoryLimit", 10)
        obj.setdefault("status", {})
    elif kind is DEPLOYMENTS:
        spec = obj.setdefault("spec", {})
        _pod_spec(spec.setdefault("template", {}).setdefault("spec", {}), "Always")
        spec.setdefault("replicas", 1)
        spec.setdefault("revisionHistoryLimit", 10)
        obj.setdefault("status", {})
    elif kind is NAMESPACES:
        obj.setdefault("spec", {"finalizers": ["kubernetes"]})
        obj.setdefault("status", {"phase": "Active"})
        obj["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = obj["metadata"]["name"]
    elif kind is SECRETS:
        obj.setdefault("type", "Opaque")
        for key, value in (obj.pop("stringData", None) or {}).items():
            obj.setdefault("data", {})[key] = base64.b64encode(str(value).encode()).decode()


def _job(job: Json) -> None:
    meta, spec = job["metadata"], job.setdefault("spec", {})
    meta.setdefault("uid", str(uuid.uuid4()))
    if spec.get("parallelism") is None and spec.get("completions") is None:
        spec["completions"] = 1
    if spec.get("parallelism") is None:
        spec["parallelism"] = 1
    for field, value in (("backoffLimit", 6), ("completionMode", "NonIndexed"), ("suspend", False)):
        if spec.get(field) is None:
            spec[field] = value
    spec.setdefault("manualSelector", False)
    spec.setdefault("podReplacementPolicy", "Failed" if spec.get("podFailurePolicy") else "TerminatingOrFailed")
    for rule in (spec.get("podFailurePolicy") or {}).get("rules") or []:
        for pattern in rule.get("onPodConditions") or []:
            pattern.setdefault("status", "True")
    template = spec.setdefault("template", {})
    if template.setdefault("spec", {}).get("containers"):
        _pod_spec(template["spec"], None)
    if not spec.get("selector"):
        spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": meta["uid"]}}
        labels = (template.setdefault("metadata", {})).setdefault("labels", {})
        labels |= {
            "batch.kubernetes.io/controller-uid": meta["uid"],
            "batch.kubernetes.io/job-name": meta["name"],
            "controller-uid": meta["uid"],
            "job-name": meta["name"],
        }
    job.setdefault("status", {})
    if "labels" not in meta and template.get("metadata", {}).get("labels"):
        meta["labels"] = dict(template["metadata"]["labels"])


def _pod_spec(spec: Json, restart_policy: str | None) -> None:
    if restart_policy:
        spec.setdefault("restartPolicy", restart_policy)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("schedulerName", "default-scheduler")
    spec.setdefault("securityContext", {})
    spec.setdefault("terminationGracePeriodSeconds", 30)
    for container in (spec.get("initContainers") or []) + (spec.get("containers") or []):
        image = str(container.get("image") or "")
        latest = image.endswith(":latest") or ":" not in image.rsplit("/", 1)[-1]
        container.setdefault("imagePullPolicy", "Always" if latest else "IfNotPresent")
        container.setdefault("terminationMessagePath", "/dev/termination-log")
        container.setdefault("terminationMessagePolicy", "File")
        resources = container.setdefault("resources", {})
        if resources.get("limits"):
            resources["requests"] = dict(resources["limits"]) | (resources.get("requests") or {})
    for volume in spec.get("volumes") or []:
        if len(volume) == 1:
            volume["emptyDir"] = {}
        for field in ("configMap", "secret"):
            if isinstance(volume.get(field), dict):
                volume[field].setdefault("defaultMode", 0o644)
        if isinstance(volume.get("hostPath"), dict):
            volume["hostPath"].setdefault("type", "")


def qos_class(spec: Json) -> str:
    """The quality of service that the requests and limits give."""
    containers = (spec.get("initContainers") or []) + (spec.get("containers") or [])
    resources = [each.get("resources") or {} for each in containers]
    if not any(each.get("requests") or each.get("limits") for each in resources):
        return "BestEffort"
    guaranteed = all(
        {"cpu", "memory"} <= set(each.get("limits") or {}) and each.get("requests") == each.get("limits")
        for each in resources
    )
    return "Guaranteed" if guaranteed else "Burstable"
