"""PATCH: JSON patch, merge patch, strategic merge patch, server-side apply. Pure, used by `verbs.py`."""

from __future__ import annotations

from typing import Any

from local.cluster.errors import ApiError, bad_request
from local.cluster.store import clone

Json = dict[str, Any]

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

# The key by which a strategic merge finds the elements of a list (patchMergeKey in the API's types);
# a list that is not named here is replaced as a whole.
_MERGE_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "volumes": "name",
    "env": "name",
    "volumeMounts": "mountPath",
    "ports": "containerPort",
    "conditions": "type",
    "ownerReferences": "uid",
    "imagePullSecrets": "name",
    "taints": "key",
    "addresses": "type",
}


def json_patch(obj: Json, operations: list[Json]) -> Json:
    """RFC 6902; ApiError 422 when a path leads nowhere or a test fails, as the API server answers."""
    result: Any = clone(obj)
    for operation in operations:
        try:
            result = _operate(result, operation)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            text = f"the server rejected our request due to an error in our request: {operation}: {error}"
            raise ApiError(422, "Invalid", text) from error
    return dict(result)


def _operate(root: Any, operation: Json) -> Any:
    path = _pointer(operation["path"])
    match operation["op"]:
        case "add":
            return _add(root, path, clone(operation["value"]))
        case "replace":
            _take(root, path)
            return _add(root, path, clone(operation["value"]))
        case "remove":
            _take(root, path)
        case "test":
            if _read(root, path) != operation["value"]:
                raise ValueError("testing value failed")
        case "copy":
            return _add(root, path, clone(_read(root, _pointer(operation["from"]))))
        case "move":
            return _add(root, path, _take(root, _pointer(operation["from"])))
        case other:
            raise bad_request(f"unexpected kind of operation: {other}")
    return root


def _pointer(path: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]


def _read(value: Any, path: list[str]) -> Any:
    for part in path:
        value = value[int(part)] if isinstance(value, list) else value[part]
    return value


def _take(root: Any, path: list[str]) -> Any:
    parent = _read(root, path[:-1])
    return parent.pop(int(path[-1])) if isinstance(parent, list) else parent.pop(path[-1])


def _add(root: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    parent = _read(root, path[:-1])
    if isinstance(parent, list):
        parent.insert(len(parent) if path[-1] == "-" else int(path[-1]), value)
    else:
        parent[path[-1]] = value
    return root


def merge_patch(obj: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return clone(patch)
    result = dict(obj) if isinstance(obj, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def strategic_patch(obj: Any, patch: Any) -> Any:
    """A merge that knows the API's lists, with the directives that kubectl sends."""
    if not isinstance(patch, dict):
        return clone(patch)
    if patch.get("$patch") == "replace":
        return {key: clone(value) for key, value in patch.items() if key != "$patch"}
    result = dict(obj) if isinstance(obj, dict) else {}
    retained = patch.get("$retainKeys")
    if retained is not None:
        result = {key: value for key, value in result.items() if key in retained}
    for key, value in patch.items():
        if key.startswith("$deleteFromPrimitiveList/"):
            field = key.split("/", 1)[1]
            result[field] = [item for item in result.get(field) or [] if item not in value]
        elif key.startswith("$"):
            continue
        elif value is None:
            result.pop(key, None)
        elif isinstance(value, list):
            result[key] = _merge_list(result.get(key) or [], value, key)
        else:
            result[key] = strategic_patch(result.get(key), value)
    return result


def _merge_list(old: list[Any], patch: list[Any], field: str) -> list[Any]:
    if field == "finalizers":
        return old + [item for item in patch if item not in old]
    key = _MERGE_KEYS.get(field)
    if key is None or not all(isinstance(item, dict) for item in old + patch):
        return [clone(item) for item in patch]
    if any(item.get("$patch") == "replace" for item in patch):
        return [clone(item) for item in patch if "$patch" not in item]
    result = list(old)
    for item in patch:
        index = next((i for i, each in enumerate(result) if each.get(key) == item.get(key)), None)
        if item.get("$patch") == "delete":
            if index is not None:
                del result[index]
        elif index is None:
            result.append(clone(item))
        else:
            result[index] = strategic_patch(result[index], item)
    return result


def apply_patch(obj: Json, applied: Json, applied_before: Json) -> Json:
    """Server-side apply of one manager: merge `applied`, drop what it applied before and no longer does."""
    pruned = _prune(obj, applied_before, applied)
    return dict(strategic_patch(pruned, applied))


def _prune(obj: Any, before: Any, now: Any) -> Any:
    if not (isinstance(obj, dict) and isinstance(before, dict) and isinstance(now, dict)):
        return obj
    result = {}
    for key, value in obj.items():
        if key in before and key not in now and key not in ("metadata", "status"):
            continue
        result[key] = _prune(value, before.get(key), now[key]) if key in before else value
    return result
