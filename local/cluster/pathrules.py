"""Which paths of volumes the API server refuses, with its messages (kubernetes `pkg/apis/core/validation`).

Used by `validation.py`. What gets past these rules, by a symbolic link that a pod left on a node, `volumes.py` stops.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
Causes = list[tuple[str, str]]


def volume_causes(volume: Json, path: str) -> Causes:
    """What is wrong with the paths of one volume.

    Args:
        volume: an entry of a pod's `volumes`.
        path: where the entry is, as `spec.volumes[0]`.
    """
    host_path = str((volume.get("hostPath") or {}).get("path") or "")
    causes = [(f"{path}.hostPath.path", text) for text in _backstep_problems(host_path)]
    causes += _source_causes(volume, path)
    for index, source in enumerate((volume.get("projected") or {}).get("sources") or []):
        causes += _source_causes(source, f"{path}.projected.sources[{index}]")
    return causes


def mount_causes(mount: Json, path: str) -> Causes:
    """What is wrong with the sub-path of one entry of a container's `volumeMounts`."""
    return [(f"{path}.subPath", text) for text in _descending_problems(str(mount.get("subPath") or ""))]


def _source_causes(source: Json, path: str) -> Causes:
    """The file names that a ConfigMap, a Secret or the downward API is given in a volume."""
    causes: Causes = []
    for kind in ("configMap", "secret", "downwardAPI"):
        for index, item in enumerate((source.get(kind) or {}).get("items") or []):
            place = f"{path}.{kind}.items[{index}].path"
            causes += [(place, text) for text in _descending_problems(str(item.get("path") or ""))]
    return causes


def _descending_problems(text: str) -> list[str]:
    absolute = [f'Invalid value: "{text}": must be a relative path'] if text.startswith("/") else []
    return absolute + _backstep_problems(text)


def _backstep_problems(text: str) -> list[str]:
    return [f"Invalid value: \"{text}\": must not contain '..'"] if ".." in text.split("/") else []
