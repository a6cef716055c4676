"""Reads a request path of the API into the resource, the namespace, the name and the subresource. Used by routes."""

from __future__ import annotations

from dataclasses import dataclass

from local.cluster.errors import no_resource
from local.cluster.kinds import Kind, find_kind


@dataclass(frozen=True, slots=True)
class Target:
    """What a path names; `namespace` None means all of them, `name` empty the collection."""

    kind: Kind
    namespace: str | None
    name: str = ""
    subresource: str = ""
    watch: bool = False


def parse_path(path: str) -> Target:
    """The target of `/api/v1/...` or `/apis/<group>/<version>/...`; ApiError 404 for any other path."""
    parts = [part for part in path.split("/") if part]
    if parts[:1] == ["api"] and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[:1] == ["apis"] and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        raise no_resource()
    watch = rest[0] == "watch"
    rest = rest[1:] if watch else rest
    namespace: str | None = None
    if len(rest) > 2 and rest[0] == "namespaces" and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    kind = find_kind(group, version, rest[0]) if rest else None
    if kind is None or len(rest) > 3 or (namespace is not None and not kind.namespaced):
        raise no_resource()
    if kind.namespaced and namespace is None and len(rest) > 1:
        raise no_resource()
    if not kind.namespaced:
        namespace = ""
    name = rest[1] if len(rest) > 1 else ""
    return Target(kind, namespace, name, rest[2] if len(rest) > 2 else "", watch)
