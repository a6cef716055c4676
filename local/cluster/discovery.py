"""What the API says about itself: groups, resources, version, and an OpenAPI document that is just enough for kubectl.

kubectl looks into OpenAPI v3 for the parameter `fieldValidation` of PATCH; where it finds it, it leaves validation to
the server. So that is all that these documents hold.
"""

from __future__ import annotations

from typing import Any

from local.cluster.kinds import ALL_KINDS, Kind
from local.cluster.nodes import KUBERNETES_VERSION

Json = dict[str, Any]

VERSION: Json = {
    "major": "1",
    "minor": "32",
    "gitVersion": KUBERNETES_VERSION,
    "gitCommit": "emulated",
    "gitTreeState": "clean",
    "buildDate": "2025-04-22T16:03:58Z",
    "goVersion": "none",
    "compiler": "none",
    "platform": "linux/amd64",
}


def answer(path: str) -> Json | None:
    """The document at a discovery path, or None when the path is none."""
    path = path.rstrip("/")
    if path == "/version":
        return VERSION
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
    if path == "/apis":
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(name) for name in _groups()]}
    if path == "/openapi/v3":
        return {
            "paths": {_prefix(kind)[1:]: {"serverRelativeURL": f"/openapi/v3{_prefix(kind)}"} for kind in ALL_KINDS}
        }
    for kind in ALL_KINDS:
        if path == _prefix(kind):
            return _resources(kind.group, kind.version)
        if kind.group and path == f"/apis/{kind.group}":
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(kind.group)}
        if path == f"/openapi/v3{_prefix(kind)}":
            return _openapi(kind.group, kind.version)
    return None


def _prefix(kind: Kind) -> str:
    return f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"


def _groups() -> list[str]:
    return list(dict.fromkeys(kind.group for kind in ALL_KINDS if kind.group))


def _group(name: str) -> Json:
    versions = dict.fromkeys(kind.version for kind in ALL_KINDS if kind.group == name)
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def _resources(group: str, version: str) -> Json:
    resources: list[Json] = []
    for kind in ALL_KINDS:
        if (kind.group, kind.version) != (group, version):
            continue
        base: Json = {"singularName": kind.singular, "namespaced": kind.namespaced, "kind": kind.kind}
        entry = {"name": kind.plural, **base, "verbs": list(kind.verbs)}
        if kind.short_names:
            entry["shortNames"] = list(kind.short_names)
        if kind.categories:
            entry["categories"] = list(kind.categories)
        resources.append(entry)
        if kind.status:
            resources.append({"name": f"{kind.plural}/status", **base, "verbs": ["get", "patch", "update"]})
        if kind.plural == "pods" and not group:
            resources.append({"name": "pods/log", **base, "verbs": ["get"]})
            eviction = {"singularName": "", "namespaced": True, "kind": "Eviction", "group": "policy", "version": "v1"}
            resources.append({"name": "pods/eviction", **eviction, "verbs": ["create"]})
    name = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": resources}


def _openapi(group: str, version: str) -> Json:
    paths: Json = {}
    for kind in ALL_KINDS:
        if (kind.group, kind.version) != (group, version) or "patch" not in kind.verbs:
            continue
        scope = "/namespaces/{namespace}" if kind.namespaced else ""
        paths[f"{_prefix(kind)}{scope}/{kind.plural}/{{name}}"] = {
            "patch": {
                "parameters": [{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}],
                "responses": {"200": {"description": "OK"}},
                "x-kubernetes-group-version-kind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
            }
        }
    info = {"title": "Kubernetes", "version": KUBERNETES_VERSION}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": {}}}
