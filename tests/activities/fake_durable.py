"""The Durable client in memory: what was started, what has ended, who was woken, and refusals on demand."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import grpc


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(value)


class RefusedError(grpc.RpcError):
    """A gRPC error with a code."""

    def __init__(self, code: grpc.StatusCode) -> None:
        super().__init__(code.name)
        self._code = code

    def code(self) -> grpc.StatusCode:
        return self._code


@dataclass
class FakeDurable:
    """The SDK's client, as ``DurableOrchestrations`` uses it.

    What was started is running until ``ended`` says how it ended, or ``pending`` that nobody has taken it up. Its times
    are those of ``clock``, and can be set.
    """

    started: dict[str, tuple[str, Any]] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    custom_statuses: dict[str, Any] = field(default_factory=dict)
    pending: set[str] = field(default_factory=set)
    created: dict[str, datetime] = field(default_factory=dict)
    updated: dict[str, datetime] = field(default_factory=dict)
    woken: list[str] = field(default_factory=list)
    terminated: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    failing: grpc.StatusCode | None = None
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def schedule_new_orchestration(self, name: str, *, input: Any, instance_id: str) -> str:
        self._check()
        if instance_id in self.started:
            raise RefusedError(grpc.StatusCode.ALREADY_EXISTS)
        self.started[instance_id] = name, input
        self.created[instance_id] = self.updated[instance_id] = self.clock()
        return instance_id

    def raise_orchestration_event(self, instance_id: str, event: str) -> None:
        self._check()
        self.woken.append(instance_id)

    def get_orchestration_state(self, instance_id: str) -> Any:
        self._check()
        self.asked.append(instance_id)
        if instance_id not in self.started:
            return None
        status = self.ended.get(instance_id, "PENDING" if instance_id in self.pending else "RUNNING")
        return SimpleNamespace(
            runtime_status=SimpleNamespace(name=status),
            created_at=self.created[instance_id].replace(tzinfo=None),  # UTC without saying so, as the SDK has it
            last_updated_at=self.updated[instance_id].replace(tzinfo=None),
            serialized_custom_status=_json(self.custom_statuses.get(instance_id)),
            serialized_input=_json(self.started[instance_id][1]),
            serialized_output=_json(self.outputs.get(instance_id)),
            failure_details=None,
        )

    def terminate_orchestration(self, instance_id: str, *, recursive: bool = True) -> None:
        self._check()
        if instance_id not in self.started:
            raise RefusedError(grpc.StatusCode.NOT_FOUND)
        if instance_id in self.ended:
            raise RefusedError(grpc.StatusCode.FAILED_PRECONDITION)
        self.ended[instance_id] = "TERMINATED"
        self.terminated.append(instance_id)

    def purge_orchestrations_by(self, *, created_time_to: datetime, runtime_status: Any, timeout: timedelta) -> Any:
        self._check()
        wanted = {status.name for status in runtime_status}
        old = [key for key, status in self.ended.items() if status in wanted and self.created[key] < created_time_to]
        for key in old:
            for kept in (self.started, self.ended, self.created, self.updated):
                kept.pop(key, None)
        return SimpleNamespace(deleted_instance_count=len(old))

    def _check(self) -> None:
        if self.failing is not None:
            raise RefusedError(self.failing)
