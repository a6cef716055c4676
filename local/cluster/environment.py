"""A container's environment and command line as the kubelet computes them. Pure but for the look-ups it is given."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any

from local.cluster.kinds import CONFIG_MAPS, SECRETS, Kind

Json = dict[str, Any]
Lookup = Callable[[Kind, str], Json | None]

_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_.][A-Za-z0-9_.-]*)\)")
_KEYED_FIELD = re.compile(r"^metadata\.(labels|annotations)\['([^']+)'\]$")


class CreateContainerConfigError(Exception):
    """A container cannot be configured (a missing ConfigMap or key); the text is what the kubelet reports."""


def expand(text: str, env: dict[str, str]) -> str:
    """Replace `$(NAME)` for the names in env; `$$` stands for `$`; other references stay as they are."""

    def value(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        return env.get(found[1], found[0])

    return _REFERENCE.sub(value, text)


def command_of(container: Json, entrypoint: list[str], env: dict[str, str]) -> list[str]:
    """The command line: `command` replaces the image's entrypoint, `args` its arguments."""
    words = [*(container.get("command") or entrypoint), *(container.get("args") or [])]
    return [expand(str(word), env) for word in words]


def data_of(kind: Kind, obj: Json) -> dict[str, bytes]:
    """The keys and values of a ConfigMap or a Secret."""
    if kind is SECRETS:
        return {key: base64.b64decode(value) for key, value in (obj.get("data") or {}).items()}
    data = {key: str(value).encode() for key, value in (obj.get("data") or {}).items()}
    return data | {key: base64.b64decode(value) for key, value in (obj.get("binaryData") or {}).items()}


def field_value(pod: Json, path: str) -> str:
    """A `fieldRef` path of a pod as text."""
    if found := _KEYED_FIELD.match(path):
        return str((pod["metadata"].get(found[1]) or {}).get(found[2], ""))
    value: Any = pod
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, dict):
        return "\n".join(f'{key}="{item}"' for key, item in sorted(value.items()))
    return "" if value is None else str(value)


def environment_of(pod: Json, container: Json, lookup: Lookup) -> dict[str, str]:
    """The variables that the pod gives a container; CreateContainerConfigError when a reference leads nowhere."""
    env: dict[str, str] = {}
    for source in container.get("envFrom") or []:
        for kind, field in ((CONFIG_MAPS, "configMapRef"), (SECRETS, "secretRef")):
            if reference := source.get(field):
                data = _referenced(kind, reference, lookup)
                env |= {source.get("prefix", "") + key: value.decode() for key, value in data.items()}
    for entry in container.get("env") or []:
        value = _entry_value(pod, container, entry, env, lookup)
        if value is not None:
            env[entry["name"]] = value
    return env


def _entry_value(pod: Json, container: Json, entry: Json, env: dict[str, str], lookup: Lookup) -> str | None:
    source = entry.get("valueFrom")
    if not source:
        return expand(str(entry.get("value", "")), env)
    if reference := source.get("fieldRef"):
        return field_value(pod, reference["fieldPath"])
    if reference := source.get("resourceFieldRef"):
        section, _, name = reference["resource"].partition(".")
        return str(((container.get("resources") or {}).get(section) or {}).get(name, "0"))
    for kind, field in ((CONFIG_MAPS, "configMapKeyRef"), (SECRETS, "secretKeyRef")):
        if reference := source.get(field):
            data = _referenced(kind, reference, lookup)
            if reference["key"] in data:
                return data[reference["key"]].decode()
            if not reference.get("optional"):
                raise CreateContainerConfigError(
                    f"couldn't find key {reference['key']} in {kind.kind} "
                    f"{pod['metadata']['namespace']}/{reference['name']}"
                )
    return None


def _referenced(kind: Kind, reference: Json, lookup: Lookup) -> dict[str, bytes]:
    found = lookup(kind, reference["name"])
    if found is not None:
        return data_of(kind, found)
    if reference.get("optional"):
        return {}
    raise CreateContainerConfigError(f'{kind.singular} "{reference["name"]}" not found')
