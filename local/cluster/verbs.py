"""Get, list, create, update, patch and delete on the store, as the API server does them. Called by `routes.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from local.cluster import deletion, errors, patch
from local.cluster.defaults import apply_defaults
from local.cluster.jobs import random_suffix
from local.cluster.kinds import ALL_KINDS, NAMESPACES, NODE_METRICS, NODES, POD_METRICS, PODS, SERVICE_ACCOUNTS, Kind
from local.cluster.lists import Lists
from local.cluster.nodes import is_ready, node_metrics, pod_metrics
from local.cluster.paths import Target
from local.cluster.podstatus import set_condition
from local.cluster.store import Change, Store, clone
from local.cluster.tables import metadata_only, table, wants_metadata, wants_table
from local.cluster.validation import validate, validate_update

Json = dict[str, Any]
Query = Mapping[str, str]


class Verbs:
    """The verbs that answer at once; `usage` overrides NodeMetrics by node name."""

    def __init__(self, store: Store, lists: Lists) -> None:
        self._store = store
        self._lists = lists
        self.usage: dict[str, dict[str, str]] = {}
        self._applied: dict[str, dict[str, Json]] = {}  # uid -> field manager -> what it applied last
        store.subscribe(self._forget)

    def _forget(self, change: Change) -> None:
        if change.type == "DELETED":
            self._applied.pop(change.obj["metadata"]["uid"], None)

    def run(self, verb: str, target: Target, query: Query, headers: Query, body: Any) -> tuple[int, Json]:
        """Run a verb; returns the HTTP status and the answer."""
        accept = headers.get("Accept", "")
        match verb:
            case "list":
                return 200, self._list(target, query, accept)
            case "get":
                return 200, self._shown(target.kind, self._get(target), accept, query)
            case "create":
                made = (
                    self._evict(target, body) if target.subresource == "eviction" else self._create(target, body, query)
                )
                return 201, self._shown(target.kind, made, accept, query)
            case "update":
                return 200, self._shown(target.kind, self._update(target, body, query), accept, query)
            case "patch":
                code, obj = self._patch(target, body, query, headers.get("Content-Type", ""))
                return code, self._shown(target.kind, obj, accept, query)
            case "delete":
                return 200, self._delete(target, body, query)
            case "deletecollection":
                return 200, self._delete_collection(target, body, query)
        raise errors.method_not_allowed()

    def _shown(self, kind: Kind, obj: Json, accept: str, query: Query) -> Json:
        if wants_table(accept) and obj.get("kind") != "Status":
            meta = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
            return table(kind, [obj], meta, query.get("includeObject", "Metadata"), self._store.clock.now())
        return metadata_only(obj) if wants_metadata(accept) else obj

    def _key(self, target: Target) -> tuple[Kind, str, str]:
        return target.kind, target.namespace or "", target.name

    def _get(self, target: Target) -> Json:
        if target.kind in (NODE_METRICS, POD_METRICS):
            found = [each for each in self._metrics(target) if each["metadata"]["name"] == target.name]
            if not found:
                raise errors.not_found(target.kind, target.name)
            return found[0]
        return self._store.get(*self._key(target))

    def _list(self, target: Target, query: Query, accept: str) -> Json:
        computed = self._metrics(target) if target.kind in (NODE_METRICS, POD_METRICS) else None
        return self._lists.answer(target, query, accept, computed)

    def _metrics(self, target: Target) -> list[Json]:
        """What the metrics server would say now."""
        running = [pod for pod in self._store.listing(PODS, None) if (pod["status"] or {}).get("phase") == "Running"]
        clock = self._store.clock
        if target.kind is POD_METRICS:
            spaces = (None, "") if target.namespace is None else (target.namespace,)
            return [
                pod_metrics(pod, clock) for pod in running if None in spaces or pod["metadata"]["namespace"] in spaces
            ]
        result = []
        for node in self._store.listing(NODES):
            name = node["metadata"]["name"]
            if is_ready(node):
                count = sum(1 for pod in running if pod["spec"].get("nodeName") == name)
                result.append(node_metrics(node, count, self.usage.get(name, {}), clock))
        return result

    def _prepared(self, target: Target, body: Any) -> Json:
        """A body as an object of the target's kind in the target's namespace; ApiError 400 when it is none."""
        kind = target.kind
        if not isinstance(body, dict) or not isinstance(body.get("metadata", {}), dict):
            raise errors.bad_request("the object provided is unrecognized")
        if body.get("kind", kind.kind) != kind.kind or body.get("apiVersion", kind.api_version) != kind.api_version:
            found = f"{body.get('apiVersion')}, Kind={body.get('kind')}"
            raise errors.bad_request(f"the object provided is unrecognized: {found} for {kind.resource}")
        obj: Json = _without_nulls(body)
        meta = obj["metadata"] = obj.get("metadata") or {}
        if kind.namespaced:
            if meta.get("namespace") not in (None, "", target.namespace):
                raise errors.bad_request(
                    "the namespace of the provided object does not match the namespace sent on the request"
                )
            meta["namespace"] = target.namespace
        else:
            meta.pop("namespace", None)
        if target.name and meta.setdefault("name", target.name) != target.name:
            text = "the name of the object ({}) does not match the name on the URL ({})"
            raise errors.bad_request(text.format(meta["name"], target.name))
        return obj

    def _create(self, target: Target, body: Any, query: Query) -> Json:
        obj, kind = self._prepared(target, body), target.kind
        meta = obj["metadata"]
        for field in (
            "uid",
            "resourceVersion",
            "creationTimestamp",
            "deletionTimestamp",
            "generation",
            "managedFields",
        ):
            meta.pop(field, None)
        if not meta.get("name") and meta.get("generateName"):
            meta["name"] = f"{meta['generateName'][:58]}{random_suffix()}"
        if kind.status and kind is not NODES:
            obj.pop("status", None)
        if kind.namespaced and self._store.find(NAMESPACES, "", str(target.namespace)) is None:
            raise errors.not_found(NAMESPACES, str(target.namespace))
        validate_first = clone(obj)
        apply_defaults(kind, obj) if meta.get("name") else None
        validate(kind, obj if meta.get("name") else validate_first)
        if _is_dry_run(query):
            return obj | {"apiVersion": kind.api_version, "kind": kind.kind}
        made = self._store.create(kind, obj)
        if kind is NAMESPACES:
            self._store.create(SERVICE_ACCOUNTS, {"metadata": {"name": "default", "namespace": meta["name"]}})
        return made

    def _update(self, target: Target, body: Any, query: Query) -> Json:
        new = self._prepared(target, body)
        return self._replace(target, self._store.get(*self._key(target)), new, query)

    def _replace(self, target: Target, old: Json, new: Json, query: Query) -> Json:
        kind = target.kind
        if target.subresource == "status":
            new = clone(old) | {"status": new.get("status") or {}}
        else:
            if kind.status:
                new["status"] = old.get("status") or {}
            new["metadata"]["uid"] = new["metadata"].get("uid") or old["metadata"]["uid"]
            if kind is not NAMESPACES:
                apply_defaults(kind, new)
            new["metadata"].pop("managedFields", None)
            validate(kind, new)
            validate_update(kind, old, new)
        return new if _is_dry_run(query) else self._store.update(kind, new)

    def _patch(self, target: Target, body: Any, query: Query, content_type: str) -> tuple[int, Json]:
        content_type = content_type.split(";")[0].strip()
        old = self._store.find(*self._key(target))
        if content_type == patch.APPLY_PATCH:
            return self._apply(target, old, body, query)
        if old is None:
            raise errors.not_found(target.kind, target.name)
        if content_type == patch.JSON_PATCH:
            new = patch.json_patch(old, body)
        elif content_type == patch.MERGE_PATCH:
            new = patch.merge_patch(old, body)
        elif content_type in (patch.STRATEGIC_PATCH, "application/json", ""):
            new = patch.strategic_patch(old, body)
        else:
            raise errors.ApiError(
                415, "UnsupportedMediaType", f"the body of the request was in an unknown format - {content_type}"
            )
        new = self._prepared(target, new)  # a copy: patches share what they leave alone with the stored object
        if not (isinstance(body, dict) and (body.get("metadata") or {}).get("resourceVersion")):
            new["metadata"].pop("resourceVersion", None)
        return 200, self._replace(target, old, new, query)

    def _apply(self, target: Target, old: Json | None, body: Any, query: Query) -> tuple[int, Json]:
        if not query.get("fieldManager"):
            text = 'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch'
            raise errors.ApiError(422, "Invalid", text)
        applied = self._prepared(target, body)
        if old is None:
            obj = self._create(target, applied, query)
            code = 201
        else:
            before = self._applied.get(old["metadata"]["uid"], {}).get(query["fieldManager"], {})
            obj = self._replace(target, old, patch.apply_patch(old, applied, before), query)
            code = 200
        if not _is_dry_run(query):
            self._applied.setdefault(obj["metadata"]["uid"], {})[query["fieldManager"]] = applied
        return code, obj

    def _delete(self, target: Target, body: Any, query: Query) -> Json:
        obj, options = self._store.get(*self._key(target)), _delete_options(body, query)
        if target.kind is NAMESPACES:
            deletion.empty_namespace(self._store, target.name, ALL_KINDS)
            return obj
        answer = obj if _is_dry_run(query) else deletion.delete_object(self._store, target.kind, obj, options)
        if target.kind is PODS or self._store.find(*self._key(target)) is not None:
            return answer
        meta = obj["metadata"]
        details: Json = {"name": meta["name"], "kind": target.kind.plural, "uid": meta["uid"]}
        if target.kind.group:
            details["group"] = target.kind.group
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}

    def _delete_collection(self, target: Target, body: Any, query: Query) -> Json:
        options = _delete_options(body, query)
        selected = self._lists.select(target, query)
        for obj in selected:
            if not _is_dry_run(query):
                deletion.delete_object(self._store, target.kind, obj, options)
        return self._lists.wrap(target.kind, selected, {"resourceVersion": str(self._store.version)})

    def _evict(self, target: Target, body: Any) -> Json:
        """The eviction API: the pod is marked as disrupted, then deleted."""
        pod = self._store.get(PODS, target.namespace or "", target.name)
        now = self._store.clock.stamp()

        def mark(new: Json) -> None:
            text = "Eviction API: evicting"
            set_condition(new["status"], "DisruptionTarget", True, "EvictionByEvictionAPI", text, now)

        pod = self._store.mutate(PODS, target.namespace or "", target.name, mark) or pod
        options = body.get("deleteOptions") or {} if isinstance(body, dict) else {}
        deletion.delete_object(self._store, PODS, pod, options)
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


def _without_nulls(value: Any) -> Any:
    """A copy in which a field that is null is absent, as the API server reads it."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def _is_dry_run(query: Query) -> bool:
    return query.get("dryRun") == "All"


def _delete_options(body: Any, query: Query) -> Json:
    options: Json = dict(body) if isinstance(body, dict) else {}
    if "gracePeriodSeconds" in query:
        options["gracePeriodSeconds"] = int(query["gracePeriodSeconds"])
    if "propagationPolicy" in query:
        options["propagationPolicy"] = query["propagationPolicy"]
    if "orphanDependents" in query:
        options["orphanDependents"] = query["orphanDependents"] == "true"
    policy = options.get("propagationPolicy")
    if policy not in (None, "Background", "Foreground", "Orphan"):
        text = (
            f'DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: Unsupported value: "{policy}": supported '
            'values: "Foreground", "Background", "Orphan"'
        )
        raise errors.ApiError(422, "Invalid", text)
    return options
