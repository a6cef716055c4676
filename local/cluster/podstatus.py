"""A pod's `status` from what its containers do: phase, conditions, container states. Pure; used by `podrunner.py`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(slots=True)
class ContainerRecord:
    """What is known of one container of a pod."""

    spec: Json
    is_init: bool
    state: Json
    last_state: Json = field(default_factory=dict)
    restarts: int = 0
    container_id: str = ""
    ended_for_good: bool = False

    @property
    def name(self) -> str:
        """The container's name."""
        return str(self.spec["name"])

    @property
    def exit_code(self) -> int | None:
        """The exit code, when the container is terminated now."""
        terminated = self.state.get("terminated")
        return int(terminated["exitCode"]) if terminated else None

    @property
    def running(self) -> bool:
        """Whether the container runs now."""
        return "running" in self.state

    def to_status(self) -> Json:
        """The entry of `containerStatuses`."""
        ready = self.running if not self.is_init else self.exit_code == 0
        return {
            "name": self.name,
            "state": self.state,
            "lastState": self.last_state,
            "ready": ready,
            "restartCount": self.restarts,
            "image": self.spec["image"],
            "imageID": f"{self.spec['image']}@sha256:emulated" if self.container_id else "",
            "containerID": self.container_id,
            "started": self.running,
        }


def waiting(reason: str, message: str = "") -> Json:
    """A container state `waiting`."""
    return {"waiting": {"reason": reason, "message": message} if message else {"reason": reason}}


def terminated(code: int, reason: str, started_at: str | None, now: str, container_id: str, message: str = "") -> Json:
    """A container state `terminated`; the times are RFC 3339."""
    state: Json = {"exitCode": code, "reason": reason, "startedAt": started_at or now, "finishedAt": now}
    if container_id:
        state["containerID"] = container_id
    if message:
        state["message"] = message
    return {"terminated": state}


def records_of(pod: Json) -> list[ContainerRecord]:
    """Fresh records of a pod's containers, init containers first; known restarts are kept."""
    known = {
        status["name"]: status
        for group in ("initContainerStatuses", "containerStatuses")
        for status in (pod.get("status") or {}).get(group) or []
    }
    initial = "PodInitializing" if pod["spec"].get("initContainers") else "ContainerCreating"
    records = []
    for group, is_init in (("initContainers", True), ("containers", False)):
        for spec in pod["spec"].get(group) or []:
            before = known.get(spec["name"], {})
            record = ContainerRecord(spec, is_init, waiting(initial), restarts=before.get("restartCount", 0))
            if ended := (before.get("state") or {}).get("terminated"):
                record.last_state = {"terminated": ended}
            records.append(record)
    return records


def phase_of(records: list[ContainerRecord]) -> str:
    """The pod's phase as the kubelet computes it."""
    mains = [record for record in records if not record.is_init]
    inits = [record for record in records if record.is_init]
    if any(record.ended_for_good and record.exit_code != 0 for record in inits):
        return "Failed"
    if mains and all(record.ended_for_good for record in mains):
        return "Succeeded" if all(record.exit_code == 0 for record in mains) else "Failed"
    begun = any(record.running or record.exit_code is not None or record.restarts for record in mains)
    return "Running" if begun else "Pending"


def conditions_of(status: Json, phase: str, records: list[ContainerRecord], now: str) -> list[Json]:
    """The pod's conditions: those that others wrote stay, those of the kubelet are computed."""
    initialized = all(record.exit_code == 0 for record in records if record.is_init)
    mains = [record for record in records if not record.is_init]
    ready = phase == "Running" and all(record.running for record in mains)
    ended = phase in ("Succeeded", "Failed")
    started = any(record.container_id for record in records) and not ended
    unready = [record.name for record in mains if not record.running]
    reason = "PodCompleted" if phase == "Succeeded" else "PodFailed" if phase == "Failed" else "ContainersNotReady"
    message = "" if ended else f"containers with unready status: [{' '.join(unready)}]"
    wanted: list[tuple[str, bool, str, str]] = [
        ("PodReadyToStartContainers", started, "", ""),
        ("Initialized", initialized or phase == "Succeeded", "" if initialized else "ContainersNotInitialized", ""),
        ("Ready", ready, "" if ready else reason, "" if ready else message),
        ("ContainersReady", ready, "" if ready else reason, "" if ready else message),
    ]
    if phase == "Succeeded":
        wanted[1] = ("Initialized", True, "PodCompleted", "")
    before = {condition["type"]: condition for condition in status.get("conditions") or []}
    for kind, is_true, why, text in wanted:
        before[kind] = _condition(before.get(kind), kind, is_true, why, text, now)
    return list(before.values())


def _condition(before: Json | None, kind: str, is_true: bool, reason: str, message: str, now: str) -> Json:
    value = "True" if is_true else "False"
    changed = before is None or before["status"] != value
    condition: Json = {
        "type": kind,
        "status": value,
        "lastProbeTime": None,
        "lastTransitionTime": now if before is None or changed else before["lastTransitionTime"],
    }
    if reason:
        condition["reason"] = reason
    if message:
        condition["message"] = message
    return condition


def set_condition(status: Json, kind: str, is_true: bool, reason: str, message: str, now: str) -> None:
    """Write one condition into `status`, as the scheduler and the eviction API do."""
    conditions = status.setdefault("conditions", [])
    for index, condition in enumerate(conditions):
        if condition["type"] == kind:
            conditions[index] = _condition(condition, kind, is_true, reason, message, now)
            return
    conditions.append(_condition(None, kind, is_true, reason, message, now))


def pod_status(old: Json, records: list[ContainerRecord], host_ip: str, pod_ip: str, now: str, failure: Json) -> Json:
    """The whole status. `failure` ({} or reason and message) makes a pod Failed whatever its exit codes say."""
    phase = phase_of(records)
    if failure and phase != "Succeeded" and all(not record.running for record in records):
        phase = "Failed"
    status: Json = {
        "phase": phase,
        "conditions": conditions_of(old, phase, records, now),
        "hostIP": host_ip,
        "hostIPs": [{"ip": host_ip}],
        "podIP": pod_ip,
        "podIPs": [{"ip": pod_ip}],
        "startTime": old.get("startTime") or now,
        "qosClass": old.get("qosClass", "BestEffort"),
        "containerStatuses": [record.to_status() for record in records if not record.is_init],
    }
    inits = [record.to_status() for record in records if record.is_init]
    if inits:
        status["initContainerStatuses"] = inits
    if phase == "Failed":
        status |= {key: value for key, value in failure.items() if value}
    return status
