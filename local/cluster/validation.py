"""Refuses what the API server refuses, with its messages (apimachinery `util/validation`). Used by `verbs.py`."""

from __future__ import annotations

import re
from typing import Any

from local.cluster import errors
from local.cluster.kinds import (
    CONFIG_MAPS,
    DAEMON_SETS,
    DEPLOYMENTS,
    EVENTS,
    JOBS,
    NAMESPACES,
    PODS,
    SECRETS,
    SERVICES,
    Kind,
)
from local.cluster.pathrules import mount_causes, volume_causes
from local.cluster.quantities import parse_quantity

Json = dict[str, Any]
Causes = list[tuple[str, str]]

MAX_ANNOTATIONS = 256 * 1024
MAX_DATA = 1024 * 1024

_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
_SUBDOMAIN = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
_LABEL_VALUE = re.compile(r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")
_LABEL_NAME = re.compile(r"^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$")

_LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_VALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_NAME_TEXT = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)


def validate(kind: Kind, obj: Json) -> None:
    """Check a whole object; ApiError 422 with every cause, or 400 when a text is not a text."""
    _check_types(kind, obj)
    meta = obj.get("metadata") or {}
    name = str(meta.get("name") or "")
    causes = _name_causes(kind, name) + label_causes(meta.get("labels"), "metadata.labels")
    spec = obj.get("spec") or {}
    causes += _size_causes(kind, obj)
    if kind is PODS:
        causes += pod_causes(spec, "spec")
    if kind in (JOBS, DAEMON_SETS, DEPLOYMENTS):
        template = spec.get("template") or {}
        labels = (template.get("metadata") or {}).get("labels") or {}
        causes += label_causes(labels, "spec.template.metadata.labels")
        causes += pod_causes(template.get("spec") or {}, "spec.template.spec")
    if kind is JOBS:
        causes += _job_causes(spec)
    if kind in (DAEMON_SETS, DEPLOYMENTS):
        causes += _selector_causes(spec)
    if causes:
        raise errors.invalid(kind, name, causes)


def _name_causes(kind: Kind, name: str) -> Causes:
    if not name:
        return [("metadata.name", "Required value: name or generateName is required")]
    if kind in (NAMESPACES, SERVICES):
        return [("metadata.name", text) for text in _label_problems(name)]
    causes: Causes = []
    if len(name) > 253:
        causes.append(("metadata.name", f'Invalid value: "{name}": must be no more than 253 characters'))
    if not _SUBDOMAIN.match(name):
        causes.append(("metadata.name", f'Invalid value: "{name}": {_SUBDOMAIN_TEXT}'))
    if kind is JOBS and len(name) > 63:
        causes.append(("spec.template.labels", f'Invalid value: "{name}": must be no more than 63 characters'))
    return causes


def _size_causes(kind: Kind, obj: Json) -> Causes:
    annotations = (obj.get("metadata") or {}).get("annotations") or {}
    causes: Causes = []
    if sum(len(key) + len(value) for key, value in annotations.items()) > MAX_ANNOTATIONS:
        causes.append(("metadata.annotations", f"Too long: may not be more than {MAX_ANNOTATIONS} bytes"))
    data = (obj.get("data") or {}) | (obj.get("binaryData") or {}) if kind in (CONFIG_MAPS, SECRETS) else {}
    if sum(len(value.encode()) for value in data.values()) > MAX_DATA:
        causes.append(("data", f"Too long: may not be more than {MAX_DATA} bytes"))
    return causes


def _label_problems(name: str) -> list[str]:
    problems = []
    if len(name) > 63:
        problems.append(f'Invalid value: "{name}": must be no more than 63 characters')
    if not _LABEL.match(name):
        problems.append(f'Invalid value: "{name}": {_LABEL_TEXT}')
    return problems


def label_causes(labels: Json | None, path: str) -> Causes:
    """What is wrong with a labels dict."""
    causes: Causes = []
    for key, value in (labels or {}).items():
        prefix, _, name = key.rpartition("/")
        if not _LABEL_NAME.match(name) or len(name) > 63 or (prefix and not _SUBDOMAIN.match(prefix)):
            causes.append((path, f'Invalid value: "{key}": {_NAME_TEXT}'))
        if len(value) > 63:
            causes.append((path, f'Invalid value: "{value}": must be no more than 63 characters'))
        elif not _LABEL_VALUE.match(value):
            causes.append((path, f'Invalid value: "{value}": {_VALUE_TEXT}'))
    return causes


def pod_causes(spec: Json, path: str) -> Causes:
    """What is wrong with a pod's spec."""
    causes: Causes = []
    if not spec.get("containers"):
        causes.append((f"{path}.containers", "Required value"))
    volumes: set[str] = set()
    for index, volume in enumerate(spec.get("volumes") or []):
        if volume.get("name") in volumes:
            causes.append((f"{path}.volumes[{index}].name", f'Duplicate value: "{volume["name"]}"'))
        volumes.add(volume.get("name", ""))
        causes += [(f"{path}.volumes[{index}].name", text) for text in _label_problems(volume.get("name", ""))]
        causes += volume_causes(volume, f"{path}.volumes[{index}]")
    seen: set[str] = set()
    for group in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(group) or []):
            causes += _container_causes(container, f"{path}.{group}[{index}]", volumes, seen)
    return causes


def _container_causes(container: Json, path: str, volumes: set[str], seen: set[str]) -> Causes:
    causes: Causes = []
    name = container.get("name") or ""
    if not name:
        causes.append((f"{path}.name", "Required value"))
    elif name in seen:
        causes.append((f"{path}.name", f'Duplicate value: "{name}"'))
    else:
        causes += [(f"{path}.name", text) for text in _label_problems(name)]
    seen.add(name)
    if not container.get("image"):
        causes.append((f"{path}.image", "Required value"))
    for index, mount in enumerate(container.get("volumeMounts") or []):
        if mount.get("name") not in volumes:
            causes.append((f"{path}.volumeMounts[{index}].name", f'Not found: "{mount.get("name")}"'))
        if not mount.get("mountPath"):
            causes.append((f"{path}.volumeMounts[{index}].mountPath", "Required value"))
        causes += mount_causes(mount, f"{path}.volumeMounts[{index}]")
    for index, entry in enumerate(container.get("env") or []):
        if not entry.get("name"):
            causes.append((f"{path}.env[{index}].name", "Required value"))
    return causes + _resource_causes(container.get("resources") or {}, f"{path}.resources")


def _resource_causes(resources: Json, path: str) -> Causes:
    causes: Causes = []
    amounts: dict[str, dict[str, float]] = {"requests": {}, "limits": {}}
    for section, numbers in amounts.items():
        for name, text in (resources.get(section) or {}).items():
            try:
                numbers[name] = parse_quantity(text)
            except ValueError as error:
                raise errors.bad_request(
                    f"unable to parse quantity's suffix: {path}.{section}.{name}: {error}"
                ) from error
    for name, wanted in amounts["requests"].items():
        limit = amounts["limits"].get(name)
        if limit is not None and wanted > limit:
            text = resources["requests"][name]
            most = resources["limits"][name]
            causes.append(
                (f"{path}.requests", f'Invalid value: "{text}": must be less than or equal to {name} limit of {most}')
            )
    return causes


def _job_causes(spec: Json) -> Causes:
    causes: Causes = []
    path = "spec.template.spec.restartPolicy"
    policy = ((spec.get("template") or {}).get("spec") or {}).get("restartPolicy")
    if policy is None:
        causes.append((path, 'Required value: valid values: "OnFailure", "Never"'))
    elif policy not in ("OnFailure", "Never"):
        causes.append((path, f'Unsupported value: "{policy}": supported values: "OnFailure", "Never"'))
    if spec.get("podFailurePolicy") and policy != "Never":
        text = f'Invalid value: "{policy}": only "Never" is supported when podFailurePolicy is specified'
        causes.append((path, text))
    causes += _failure_policy_causes(spec.get("podFailurePolicy") or {})
    for field in ("parallelism", "completions", "backoffLimit", "ttlSecondsAfterFinished", "activeDeadlineSeconds"):
        value = spec.get(field)
        if value is not None and value < 0:
            causes.append((f"spec.{field}", f"Invalid value: {value}: must be greater than or equal to 0"))
    return causes


def _failure_policy_causes(policy: Json) -> Causes:
    causes: Causes = []
    for index, rule in enumerate(policy.get("rules") or []):
        path = f"spec.podFailurePolicy.rules[{index}]"
        if rule.get("action") not in ("FailJob", "Ignore", "Count", "FailIndex"):
            supported = '"Count", "FailIndex", "FailJob", "Ignore"'
            text = f'Unsupported value: "{rule.get("action")}": supported values: {supported}'
            causes.append((f"{path}.action", text))
        if bool(rule.get("onExitCodes")) == bool(rule.get("onPodConditions")):
            causes.append((path, "Invalid value: specifying one of OnExitCodes and OnPodConditions is required"))
        on_exit = rule.get("onExitCodes") or {}
        if on_exit.get("operator") == "In" and 0 in (on_exit.get("values") or []):
            causes.append((f"{path}.onExitCodes.values[0]", "Invalid value: 0: must not be 0 for the In operator"))
    return causes


def _selector_causes(spec: Json) -> Causes:
    wanted = (spec.get("selector") or {}).get("matchLabels") or {}
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    if not wanted:
        return [("spec.selector", "Required value")]
    if any(labels.get(key) != value for key, value in wanted.items()):
        return [("spec.template.metadata.labels", "Invalid value: `selector` does not match template `labels`")]
    return []


def validate_update(kind: Kind, old: Json, new: Json) -> None:
    """Refuse changes of what cannot change; ApiError 422."""
    name, causes = old["metadata"]["name"], []
    before, after = old.get("spec") or {}, new.get("spec") or {}
    if kind is JOBS:
        if before.get("template") != after.get("template") and not before.get("suspend"):
            causes.append(("spec.template", "Invalid value: core.PodTemplateSpec{...}: field is immutable"))
        causes += [
            (f"spec.{field}", f"Invalid value: {after.get(field)}: field is immutable")
            for field in ("selector", "completions", "completionMode", "podFailurePolicy")
            if before.get(field) != after.get(field)
        ]
    if kind is PODS and _frozen(before) != _frozen(after):
        fields = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`"
        causes.append(("spec", f"Forbidden: pod updates may not change fields other than {fields}"))
    if kind is CONFIG_MAPS and old.get("immutable") and old.get("data") != new.get("data"):
        causes.append(("data", "Forbidden: field is immutable when `immutable` is set"))
    if causes:
        raise errors.invalid(kind, name, causes)


def _frozen(spec: Json) -> Json:
    containers = [{k: v for k, v in each.items() if k != "image"} for each in spec.get("containers") or []]
    changeable = ("activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "initContainers")
    return {key: value for key, value in spec.items() if key not in changeable} | {"containers": containers}


def _check_types(kind: Kind, obj: Json) -> None:
    """The decoder's complaints about texts that are numbers, which hand-written manifests often have."""
    template = (obj.get("spec") or {}).get("template") or {}
    texts = [("metadata.labels", (obj.get("metadata") or {}).get("labels"))]
    texts.append(("metadata.annotations", (obj.get("metadata") or {}).get("annotations")))
    texts.append(("spec.template.metadata.labels", (template.get("metadata") or {}).get("labels")))
    if kind is CONFIG_MAPS:
        texts.append(("data", obj.get("data")))
    spec = obj.get("spec") if kind is PODS else template.get("spec")
    for container in (spec or {}).get("containers") or [] if kind is not EVENTS else []:
        texts += [("spec.containers.env.value", {"value": each.get("value")}) for each in container.get("env") or []]
    for path, values in texts:
        for value in (values or {}).values():
            if value is not None and not isinstance(value, str):
                found = "bool" if isinstance(value, bool) else "number" if isinstance(value, int | float) else "object"
                raise errors.bad_request(
                    f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: json: cannot '
                    f"unmarshal {found} into Go struct field {kind.kind}.{path} of type string"
                )
