"""The one cluster that the emulator knows, and its long-running operations. Pure: time is an argument.

AKS keeps two words apart, and so does this: ``provisioningState`` is what ARM is doing (Succeeded, Starting, Stopping,
Failed, ...), ``powerState`` is what it is to be. While it starts it is Starting and Running.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

from local.azure.errors import ArmError

RUNNING, STOPPED = "Running", "Stopped"
SUCCEEDED, STARTING, STOPPING, IN_PROGRESS = "Succeeded", "Starting", "Stopping", "InProgress"
_KEPT_OPERATIONS = 50


@dataclass(slots=True)
class Operation:
    """A long-running operation.

    Args:
        name: its id.
        target: the power state that it leads to.
        started_at: seconds since the epoch.
        ends_at: when it will have ended.
        ended: whether it has.
    """

    name: str
    target: str
    started_at: float
    ends_at: float
    ended: bool = False

    def to_arm(self) -> dict[str, Any]:
        """The answer to a poll of ``Azure-AsyncOperation``."""
        body = {
            "name": self.name,
            "status": SUCCEEDED if self.ended else IN_PROGRESS,
            "startTime": _time(self.started_at),
        }
        return body | ({"endTime": _time(self.ends_at)} if self.ended else {})


@dataclass(slots=True)
class Cluster:
    """What is known of the cluster, all of which survives a restart of the emulator.

    Args:
        power: ``Running`` or ``Stopped``.
        provisioning: ARM's provisioning state.
        exists: False answers 404.
        start_seconds: how long a start takes.
        stop_seconds: how long a stop takes.
        operations: newest last.
    """

    power: str = RUNNING
    provisioning: str = SUCCEEDED
    exists: bool = True
    start_seconds: float = 4.0
    stop_seconds: float = 2.0
    operations: list[Operation] = field(default_factory=list)

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> Cluster:
        """The inverse of :meth:`to_dict`; tolerates missing and unknown names."""
        known = {f.name: kept[f.name] for f in fields(cls) if f.name in kept}
        return cls(**{**known, "operations": [Operation(**operation) for operation in kept.get("operations", [])]})

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    @property
    def under_way(self) -> Operation | None:
        """The operation that has not ended, if there is one."""
        return next((operation for operation in reversed(self.operations) if not operation.ended), None)

    def request(self, target: str, now: float) -> Operation:
        """Start or stop the cluster.

        Args:
            target: the power state wanted; one that it is in already ends at once.
            now: seconds since the epoch.

        Raises:
            ArmError: the opposite is under way, or the cluster is being changed otherwise.
        """
        if (current := self.under_way) is not None:
            if current.target == target:
                return current
            verb = "start" if current.target == RUNNING else "stop"
            message = f"Operation is not allowed because there's an in-progress {verb} managed cluster operation."
            raise ArmError(409, "OperationNotAllowed", message)
        if self.provisioning not in (SUCCEEDED, "Failed", "Canceled"):
            message = f"Operation is not allowed: the cluster's provisioning state is {self.provisioning}."
            raise ArmError(409, "OperationNotAllowed", message)
        there = self.power == target
        seconds = self.start_seconds if target == RUNNING else self.stop_seconds
        operation = Operation(str(uuid.uuid4()), target, now, now if there else now + seconds, ended=there)
        self.operations = [*self.operations[1 - _KEPT_OPERATIONS :], operation]
        if not there:
            self.provisioning = STARTING if target == RUNNING else STOPPING
            self.power = RUNNING
        return operation

    def finish(self, operation: Operation) -> None:
        """The operation has reached its target."""
        operation.ended = True
        self.power = operation.target
        self.provisioning = SUCCEEDED


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
