"""Label and field selectors, parsed as the API server parses them. Pure; used by lists, watches, controllers."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from local.cluster.errors import bad_request

Json = dict[str, Any]
Predicate = Callable[[Json], bool]

_SET = re.compile(r"^(?P<key>[^\s!=,()]+)\s+(?P<op>in|notin)\s*\((?P<values>[^)]*)\)$")
_EQUAL = re.compile(r"^(?P<key>[^\s!=,()]+)\s*(?P<op>==|=|!=)\s*(?P<value>[^\s=!,()]*)$")
_COMPARE = re.compile(r"^(?P<key>[^\s!=,()<>]+)\s*(?P<op>[<>])\s*(?P<value>-?\d+)$")
_EXISTS = re.compile(r"^(?P<not>!?)\s*(?P<key>[^\s!=,()]+)$")


def _split(text: str) -> list[str]:
    """Cut at the commas that are outside parentheses."""
    return [part.strip() for part in re.split(r",(?![^(]*\))", text) if part.strip()]


def match_labels(text: str) -> Predicate:
    """A test of a labels dict for a selector such as `app=blast,shard in (00,01),!old`; ApiError 400 if unreadable."""
    tests = [_label_test(part) for part in _split(text)]
    return lambda labels: all(test(labels) for test in tests)


def _label_test(part: str) -> Predicate:
    if found := _SET.match(part):
        key, values = found["key"], {value.strip() for value in found["values"].split(",")}
        return requirement(key, "In" if found["op"] == "in" else "NotIn", values)
    if found := _EQUAL.match(part):
        return requirement(found["key"], "NotIn" if found["op"] == "!=" else "In", {found["value"]})
    if found := _COMPARE.match(part):
        return requirement(found["key"], "Gt" if found["op"] == ">" else "Lt", {found["value"]})
    if found := _EXISTS.match(part):
        return requirement(found["key"], "DoesNotExist" if found["not"] else "Exists", set())
    raise bad_request(f"unable to parse requirement: found '{part}', expected: in, notin, =, ==, !=, gt, lt")


def requirement(key: str, operator: str, values: set[str]) -> Predicate:
    """One requirement with an operator of the API (In, NotIn, Exists, DoesNotExist, Gt, Lt) as a test of labels."""
    match operator:
        case "In":
            return lambda labels: key in labels and labels[key] in values
        case "NotIn":
            return lambda labels: labels.get(key) not in values
        case "Exists":
            return lambda labels: key in labels
        case "DoesNotExist":
            return lambda labels: key not in labels
        case "Gt" | "Lt":
            limit, sign = int(next(iter(values))), 1 if operator == "Gt" else -1
            return lambda labels: labels.get(key, "").lstrip("-").isdigit() and sign * (int(labels[key]) - limit) > 0
    raise bad_request(f'"{operator}" is not a valid label selector operator')


_FIELDS = {
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "status.phase",
    "status.podIP",
    "status.successful",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.unschedulable",
    "reason",
    "type",
    "source",
    "reportingComponent",
}


def match_fields(text: str) -> Predicate:
    """A test of a whole object for a field selector such as `spec.nodeName=n1,status.phase!=Failed`; ApiError 400."""
    tests = [_field_test(part) for part in _split(text)]
    return lambda obj: all(test(obj) for test in tests)


def _field_test(part: str) -> Predicate:
    found = re.match(r"^(?P<key>[\w.]+)(?P<op>==|=|!=)(?P<value>.*)$", part)
    if not found:
        raise bad_request(f"invalid selector: '{part}'; can't understand '{part}'")
    key, wanted, equal = found["key"], found["value"], found["op"] != "!="
    if key not in _FIELDS and not key.startswith("involvedObject."):
        raise bad_request(f"field label not supported: {key}")
    return lambda obj: (field(obj, key) == wanted) is equal


def field(obj: Json, path: str) -> str:
    """The value of a dotted path as a field selector compares it: text, empty when absent."""
    value: Any = obj
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if path == "source" and isinstance(value, dict):
        value = value.get("component")
    if path == "status.successful":
        value = (obj.get("status") or {}).get("succeeded", 0)
    if isinstance(value, bool):
        return "true" if value else "false"
    if path == "spec.unschedulable":
        return "false"
    return "" if value is None else str(value)
