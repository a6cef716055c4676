"""The columns that kubectl shows for each kind: a header and a function of the object. Used by `tables.py`.

Source: `pkg/printers/internalversion/printers.go` of Kubernetes 1.32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from local.cluster.clock import parse_stamp
from local.cluster.kinds import (
    CONFIG_MAPS,
    DAEMON_SETS,
    DEPLOYMENTS,
    EVENTS,
    JOBS,
    LEASES,
    NAMESPACES,
    NODES,
    PODS,
    SECRETS,
    SERVICE_ACCOUNTS,
    Kind,
)

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """One column; `wide` ones are shown with `-o wide` only."""

    name: str
    value: Callable[[Json, datetime], Any]
    wide: bool = False
    kind: str = "string"


def human_duration(seconds: float) -> str:
    """A duration as kubectl writes it: two units at most (`duration.HumanDuration`)."""
    whole = int(seconds)
    if whole < 0:
        return "<invalid>" if whole < -1 else "0s"
    if whole < 120:
        return f"{whole}s"
    minutes, rest = divmod(whole, 60)
    if minutes < 10:
        return f"{minutes}m{rest}s" if rest else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    hours, minutes = divmod(minutes, 60)
    if hours < 8:
        return f"{hours}h{minutes}m" if minutes else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    days, hours = divmod(hours, 24)
    if days < 8 and hours:
        return f"{days}d{hours}h"
    return f"{days}d"


def _since(text: str | None, now: datetime) -> str:
    return human_duration((now - parse_stamp(text)).total_seconds()) if text else "<unknown>"


def _age(obj: Json, now: datetime) -> str:
    return _since(obj["metadata"].get("creationTimestamp"), now)


def _status(obj: Json) -> Json:
    return obj.get("status") or {}


def _containers(obj: Json) -> list[Json]:
    return list(obj["spec"]["template"]["spec"]["containers"])


def _pairs(labels: Json | None) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items())) or "<none>"


def _is_true(obj: Json, condition: str) -> bool:
    return any(c["type"] == condition and c["status"] == "True" for c in _status(obj).get("conditions") or [])


def job_state(job: Json) -> str:
    """The STATUS column of a Job."""
    if _is_true(job, "Complete"):
        return "Complete"
    if _is_true(job, "Failed"):
        return "Failed"
    if job["metadata"].get("deletionTimestamp"):
        return "Terminating"
    if _is_true(job, "Suspended"):
        return "Suspended"
    if _is_true(job, "FailureTarget"):
        return "FailureTarget"
    return "SuccessCriteriaMet" if _is_true(job, "SuccessCriteriaMet") else "Running"


def _completions(job: Json, _now: datetime) -> str:
    done, spec = _status(job).get("succeeded", 0), job["spec"]
    if spec.get("completions") is not None:
        return f"{done}/{spec['completions']}"
    parallelism = spec.get("parallelism") or 0
    return f"{done}/1 of {parallelism}" if parallelism > 1 else f"{done}/1"


def _job_duration(job: Json, now: datetime) -> str:
    started, ended = _status(job).get("startTime"), _status(job).get("completionTime")
    if not started:
        return ""
    end = parse_stamp(ended) if ended else now
    for condition in _status(job).get("conditions") or []:
        if not ended and condition["type"] == "Failed":
            end = parse_stamp(condition["lastTransitionTime"])
    return human_duration((end - parse_stamp(started)).total_seconds())


def pod_state(pod: Json) -> str:
    """The STATUS column of a pod."""
    status = _status(pod)
    state = status.get("reason") or status.get("phase") or "Unknown"
    inits = status.get("initContainerStatuses") or []
    for index, container in enumerate(inits):
        ended, waits = container["state"].get("terminated"), container["state"].get("waiting")
        if ended and ended["exitCode"] == 0:
            continue
        if ended:
            state = f"Init:{ended.get('reason') or 'ExitCode:' + str(ended['exitCode'])}"
        elif waits and waits.get("reason") not in (None, "PodInitializing"):
            state = f"Init:{waits['reason']}"
        else:
            state = f"Init:{index}/{len(inits)}"
        break
    else:
        for container in reversed(status.get("containerStatuses") or []):
            ended, waits = container["state"].get("terminated"), container["state"].get("waiting")
            if waits and waits.get("reason"):
                state = waits["reason"]
            elif ended:
                state = ended.get("reason") or f"ExitCode:{ended['exitCode']}"
    return "Terminating" if pod["metadata"].get("deletionTimestamp") else str(state)


def _pod_ready(pod: Json, _now: datetime) -> str:
    statuses = _status(pod).get("containerStatuses") or []
    return f"{sum(1 for each in statuses if each.get('ready'))}/{len(pod['spec']['containers'])}"


def _pod_restarts(pod: Json, _now: datetime) -> str:
    return str(sum(each.get("restartCount", 0) for each in _status(pod).get("containerStatuses") or []))


def _node_state(node: Json, _now: datetime) -> str:
    state = "Ready" if _is_true(node, "Ready") else "NotReady"
    return state + (",SchedulingDisabled" if node["spec"].get("unschedulable") else "")


def _node_address(node: Json, _now: datetime) -> str:
    addresses = _status(node).get("addresses") or []
    return next((each["address"] for each in addresses if each["type"] == "InternalIP"), "<none>")


def _node_info(field: str) -> Callable[[Json, datetime], Any]:
    return lambda node, _now: _status(node)["nodeInfo"][field]


def _counter(field: str) -> Callable[[Json, datetime], Any]:
    return lambda obj, _now: _status(obj).get(field, 0)


_NAME = Column("Name", lambda obj, _now: obj["metadata"]["name"])
_AGE = Column("Age", _age)
_TEMPLATE_COLUMNS = (
    Column("Containers", lambda obj, _now: ",".join(each["name"] for each in _containers(obj)), wide=True),
    Column("Images", lambda obj, _now: ",".join(each["image"] for each in _containers(obj)), wide=True),
    Column("Selector", lambda obj, _now: _pairs((obj["spec"].get("selector") or {}).get("matchLabels")), wide=True),
)
DEFAULT_COLUMNS = (_NAME, _AGE)

COLUMNS: dict[Kind, tuple[Column, ...]] = {
    PODS: (
        _NAME,
        Column("Ready", _pod_ready),
        Column("Status", lambda pod, _now: pod_state(pod)),
        Column("Restarts", _pod_restarts),
        _AGE,
        Column("IP", lambda pod, _now: _status(pod).get("podIP") or "<none>", wide=True),
        Column("Node", lambda pod, _now: pod["spec"].get("nodeName") or "<none>", wide=True),
        Column("Nominated Node", lambda _pod, _now: "<none>", wide=True),
        Column("Readiness Gates", lambda _pod, _now: "<none>", wide=True),
    ),
    JOBS: (
        _NAME,
        Column("Status", lambda job, _now: job_state(job)),
        Column("Completions", _completions),
        Column("Duration", _job_duration),
        _AGE,
        *_TEMPLATE_COLUMNS,
    ),
    NODES: (
        _NAME,
        Column("Status", _node_state),
        Column("Roles", lambda _node, _now: "<none>"),
        _AGE,
        Column("Version", _node_info("kubeletVersion")),
        Column("Internal-IP", _node_address, wide=True),
        Column("External-IP", lambda _node, _now: "<none>", wide=True),
        Column("OS-Image", _node_info("osImage"), wide=True),
        Column("Kernel-Version", _node_info("kernelVersion"), wide=True),
        Column("Container-Runtime", _node_info("containerRuntimeVersion"), wide=True),
    ),
    DAEMON_SETS: (
        _NAME,
        Column("Desired", _counter("desiredNumberScheduled"), kind="integer"),
        Column("Current", _counter("currentNumberScheduled"), kind="integer"),
        Column("Ready", _counter("numberReady"), kind="integer"),
        Column("Up-to-date", _counter("updatedNumberScheduled"), kind="integer"),
        Column("Available", _counter("numberAvailable"), kind="integer"),
        Column("Node Selector", lambda obj, _now: _pairs(obj["spec"]["template"]["spec"].get("nodeSelector"))),
        _AGE,
        *_TEMPLATE_COLUMNS,
    ),
    DEPLOYMENTS: (
        _NAME,
        Column("Ready", lambda obj, _now: f"{_status(obj).get('readyReplicas', 0)}/{obj['spec'].get('replicas', 1)}"),
        Column("Up-to-date", _counter("updatedReplicas"), kind="integer"),
        Column("Available", _counter("availableReplicas"), kind="integer"),
        _AGE,
        *_TEMPLATE_COLUMNS,
    ),
    CONFIG_MAPS: (_NAME, Column("Data", lambda obj, _now: len(obj.get("data") or {}), kind="integer"), _AGE),
    SECRETS: (
        _NAME,
        Column("Type", lambda obj, _now: obj.get("type", "Opaque")),
        Column("Data", lambda obj, _now: len(obj.get("data") or {}), kind="integer"),
        _AGE,
    ),
    NAMESPACES: (_NAME, Column("Status", lambda obj, _now: _status(obj).get("phase", "Active")), _AGE),
    SERVICE_ACCOUNTS: (_NAME, Column("Secrets", lambda _obj, _now: 0, kind="integer"), _AGE),
    LEASES: (_NAME, Column("Holder", lambda obj, _now: obj["spec"].get("holderIdentity") or ""), _AGE),
    EVENTS: (
        Column("Last Seen", lambda event, now: _since(event.get("lastTimestamp"), now)),
        Column("Type", lambda event, _now: event.get("type", "")),
        Column("Reason", lambda event, _now: event.get("reason", "")),
        Column(
            "Object",
            lambda event, _now: f"{event['involvedObject']['kind'].lower()}/{event['involvedObject'].get('name', '')}",
        ),
        Column("Subobject", lambda event, _now: event["involvedObject"].get("fieldPath", ""), wide=True),
        Column("Source", lambda event, _now: (event.get("source") or {}).get("component", ""), wide=True),
        Column("Message", lambda event, _now: str(event.get("message", "")).strip()),
        Column("First Seen", lambda event, now: _since(event.get("firstTimestamp"), now), wide=True),
        Column("Count", lambda event, _now: str(event.get("count", 1)), wide=True),
        Column("Name", lambda event, _now: event["metadata"]["name"], wide=True),
    ),
}
