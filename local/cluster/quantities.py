"""Resource quantities ("500m", "8Gi") as numbers. Pure; used by the scheduler, the validation, the metrics."""

from __future__ import annotations

import re

_SUFFIXES = {
    "": 1.0,
    "m": 1e-3,
    "u": 1e-6,
    "n": 1e-9,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "Ki": 2.0**10,
    "Mi": 2.0**20,
    "Gi": 2.0**30,
    "Ti": 2.0**40,
}
_QUANTITY = re.compile(r"^([+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)(m|u|n|k|M|G|T|Ki|Mi|Gi|Ti)?$")


def parse_quantity(text: object) -> float:
    """The number that a quantity stands for (cores, bytes, pods); ValueError when it is none."""
    found = _QUANTITY.match(str(text))
    if not found:
        raise ValueError("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")
    return float(found[1]) * _SUFFIXES[found[2] or ""]


def requests_of(pod_spec: dict[str, object]) -> dict[str, float]:
    """What the scheduler reserves for a pod: the sum over its containers, at least the largest init container."""
    total: dict[str, float] = {"pods": 1.0}
    for container in _containers(pod_spec, "containers"):
        for name, value in _requests(container).items():
            total[name] = total.get(name, 0.0) + value
    for container in _containers(pod_spec, "initContainers"):
        for name, value in _requests(container).items():
            total[name] = max(total.get(name, 0.0), value)
    return total


def _containers(pod_spec: dict[str, object], field: str) -> list[dict[str, object]]:
    found = pod_spec.get(field)
    return found if isinstance(found, list) else []


def _requests(container: dict[str, object]) -> dict[str, float]:
    resources = container.get("resources")
    if not isinstance(resources, dict):
        return {}
    wanted = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return {name: parse_quantity(value) for name, value in wanted.items()}
