"""The Durable client in memory: what was started, what has ended, who was woken, and refusals on demand."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import grpc


class RefusedError(grpc.RpcError):
    """A gRPC error with a code."""

    def __init__(self, code: grpc.StatusCode) -> None:
        super().__init__(code.name)
        self._code = code

    def code(self) -> grpc.StatusCode:
        return self._code


@dataclass
class FakeDurable:
    """The SDK's client, as ``DurableOrchestrations`` uses it."""

    started: dict[str, tuple[str, Any]] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)
    woken: list[str] = field(default_factory=list)
    failing: grpc.StatusCode | None = None

    def schedule_new_orchestration(self, name: str, *, input: Any, instance_id: str) -> str:
        self._check()
        if instance_id in self.started:
            raise RefusedError(grpc.StatusCode.ALREADY_EXISTS)
        self.started[instance_id] = name, input
        return instance_id

    def raise_orchestration_event(self, instance_id: str, event: str) -> None:
        self._check()
        self.woken.append(instance_id)

    def get_orchestration_state(self, instance_id: str) -> Any:
        self._check()
        if instance_id not in self.started:
            return None
        status = self.ended.get(instance_id, "RUNNING")
        return SimpleNamespace(
            runtime_status=SimpleNamespace(name=status),
            serialized_custom_status=None,
            serialized_output=None,
            failure_details=None,
        )

    def _check(self) -> None:
        if self.failing is not None:
            raise RefusedError(self.failing)
