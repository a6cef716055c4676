"""Which node may take a pod, and why the others may not. Pure; used by the scheduler, the daemon sets and the kubelet.

The order of the tests and the words of the reasons are those of kube-scheduler 1.32.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from local.cluster.nodes import is_ready
from local.cluster.quantities import parse_quantity, requests_of
from local.cluster.selectors import requirement

Json = dict[str, Any]
Usage = dict[str, float]

NO_AFFINITY = "node(s) didn't match Pod's node affinity/selector"


def tolerates(tolerations: list[Json], taint: Json) -> bool:
    """Whether any toleration covers the taint."""
    for toleration in tolerations:
        if toleration.get("effect") not in (None, "", taint["effect"]):
            continue
        if toleration.get("operator") == "Exists":
            if toleration.get("key") in (None, "", taint["key"]):
                return True
        elif toleration.get("key") == taint["key"] and (toleration.get("value") or "") == (taint.get("value") or ""):
            return True
    return False


def untolerated(pod_spec: Json, node: Json) -> Json | None:
    """The first taint of the node that keeps the pod away."""
    for taint in node["spec"].get("taints") or []:
        if taint["effect"] != "PreferNoSchedule" and not tolerates(pod_spec.get("tolerations") or [], taint):
            return dict(taint)
    return None


def matches_affinity(pod_spec: Json, node: Json) -> bool:
    """The nodeSelector and the required nodeAffinity; terms are alternatives, their expressions all must hold."""
    labels = node["metadata"].get("labels") or {}
    if any(labels.get(key) != value for key, value in (pod_spec.get("nodeSelector") or {}).items()):
        return False
    affinity = (pod_spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if not required:
        return True
    return any(
        _matches_term(term, labels, node["metadata"]["name"]) for term in required.get("nodeSelectorTerms") or []
    )


def _matches_term(term: Json, labels: dict[str, str], name: str) -> bool:
    expressions, fields = term.get("matchExpressions") or [], term.get("matchFields") or []
    if not expressions and not fields:
        return False
    tests = [(expression, labels) for expression in expressions]
    tests += [(expression, {"metadata.name": name}) for expression in fields]
    return all(
        requirement(each["key"], each["operator"], set(each.get("values") or []))(values) for each, values in tests
    )


def shortages(pod_spec: Json, node: Json, used: Usage) -> list[str]:
    """The resources of which the node has too little left for the pod."""
    allocatable = {name: parse_quantity(value) for name, value in node["status"]["allocatable"].items()}
    missing = []
    for name, amount in requests_of(pod_spec).items():
        if amount > 0 and used.get(name, 0.0) + amount > allocatable.get(name, 0.0) + 1e-9:
            missing.append(name)
    return missing


def reasons_against(pod_spec: Json, node: Json, used: Usage) -> list[str]:
    """Why the pod cannot go to the node; empty when it can. The first test that fails gives the reasons."""
    if node["spec"].get("unschedulable"):
        return ["node(s) were unschedulable"]
    if taint := untolerated(pod_spec, node):
        return [f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value') or ''}}}"]
    if not is_ready(node):
        return ["node(s) were not ready"]
    if not matches_affinity(pod_spec, node):
        return [NO_AFFINITY]
    missing = shortages(pod_spec, node, used)
    return ["Too many pods" if name == "pods" else f"Insufficient {name}" for name in missing]


def unschedulable_message(reasons: list[list[str]]) -> str:
    """The text of PodScheduled=False for the reasons of each node."""
    total = len(reasons)
    if not total:
        return "no nodes available to schedule pods"
    counts = Counter(reason for node in reasons for reason in node)
    listed = ", ".join(sorted(f"{count} {reason}" for reason, count in counts.items()))
    full = sum(1 for node in reasons if any("Insufficient" in reason or "Too many" in reason for reason in node))
    victims = [f"{full} No preemption victims found for incoming pod"] if full else []
    if full < total:
        victims.append(f"{total - full} Preemption is not helpful for scheduling")
    return f"0/{total} nodes are available: {listed}. preemption: 0/{total} nodes are available: {', '.join(victims)}."


def usage_by_node(pods: list[Json]) -> dict[str, Usage]:
    """What the pods that have not ended reserve, by node."""
    usage: dict[str, Usage] = {}
    for pod in pods:
        name = pod["spec"].get("nodeName")
        if not name or (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            continue
        total = usage.setdefault(name, {})
        for resource, amount in requests_of(pod["spec"]).items():
            total[resource] = total.get(resource, 0.0) + amount
    return usage


def load(node: Json, used: Usage) -> float:
    """How full a node is, 0 to 1, for choosing the emptiest."""
    shares = []
    for name in ("cpu", "memory", "pods"):
        allocatable = parse_quantity(node["status"]["allocatable"].get(name, "0"))
        shares.append(used.get(name, 0.0) / allocatable if allocatable else 1.0)
    return sum(shares) / len(shares)
