"""The Durable client behind one small adapter: start, wake, ask. The only place that knows the SDK's names.

azure-functions-durable 2.x talks the durabletask protocol; a synchronous function gets a synchronous client.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from shared.domain.errors import TransientError

PURGE_TIME = timedelta(minutes=4)
"""How long one purge may take; what it does not reach the next one does."""


@dataclass(frozen=True, slots=True)
class OrchestrationView:
    """How an orchestration stands.

    Attributes:
        runtime_status: Durable's own word, lower case.
        created_at: when it was asked for; of one that continued as new, perhaps when its last generation began.
        updated_at: when it last wrote a checkpoint (the local engine: or was last sent something).
        input: of one that continued as new, the input of its last generation.
    """

    instance_id: str
    runtime_status: str
    custom_status: Any
    output: Any
    error: str
    created_at: datetime
    updated_at: datetime
    input: Any = None

    @property
    def has_ended(self) -> bool:
        """Whether it will do nothing more."""
        return self.runtime_status in ("completed", "failed", "terminated")


class Orchestrations(Protocol):
    """What triggers and activities may do with orchestrations."""

    def start(self, name: str, instance_id: str, data: Any) -> bool:
        """Start one; False when the instance id is in use already."""

    def wake(self, instance_id: str, event: str) -> None:
        """Raise an event without content; an instance that is not there is fine."""

    def find(self, instance_id: str) -> OrchestrationView | None:
        """How it stands; None when there is no such instance."""

    def terminate(self, instance_id: str) -> None:
        """End one without asking it; one that is not there or has ended is fine."""

    def purge(self, before: datetime) -> int:
        """Forget the ended ones that were created before then; how many."""


class DurableOrchestrations:
    """The adapter over the SDK's synchronous client."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def start(self, name: str, instance_id: str, data: Any) -> bool:
        """Start one; False when the instance id is in use already.

        Raises:
            TransientError: ``durable_unavailable``.
        """
        import grpc

        if self.find(instance_id) is not None:
            # On Azure Storage the id of an ended orchestration could be used again; here it means "done before".
            return False
        try:
            self._client.schedule_new_orchestration(name, input=data, instance_id=instance_id)
        except grpc.RpcError as error:
            if _code(error) == grpc.StatusCode.ALREADY_EXISTS:
                return False
            raise TransientError("durable_unavailable", f"{instance_id} could not be started", "try again") from error
        return True

    def wake(self, instance_id: str, event: str) -> None:
        """Raise an event without content; an instance that is not there or has ended is fine."""
        import grpc

        try:
            self._client.raise_orchestration_event(instance_id, event)
        except grpc.RpcError as error:
            if _code(error) in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION):
                return
            raise TransientError("durable_unavailable", f"{instance_id} could not be woken", "try again") from error

    def find(self, instance_id: str) -> OrchestrationView | None:
        """How it stands; None when there is no such instance."""
        import grpc

        try:
            state = self._client.get_orchestration_state(instance_id)
        except grpc.RpcError as error:
            raise TransientError("durable_unavailable", f"{instance_id} could not be asked", "try again") from error
        if state is None:
            return None
        failure = state.failure_details
        return OrchestrationView(
            instance_id=instance_id,
            runtime_status=state.runtime_status.name.lower(),
            custom_status=_json(state.serialized_custom_status),
            output=_json(state.serialized_output),
            error=failure.message if failure else "",
            created_at=state.created_at.replace(tzinfo=UTC),  # the SDK gives UTC without saying so
            updated_at=state.last_updated_at.replace(tzinfo=UTC),
            input=_json(state.serialized_input),
        )

    def terminate(self, instance_id: str) -> None:
        """End one without asking it, and none of its children; one that is not there or has ended is fine."""
        import grpc

        view = self.find(instance_id)  # the local engine answers nothing to either, Azure refuses both
        if view is None or view.has_ended:
            return
        try:
            self._client.terminate_orchestration(instance_id, recursive=False)
        except grpc.RpcError as error:
            if _code(error) in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION):
                return
            raise TransientError("durable_unavailable", f"{instance_id} could not be ended", "try again") from error

    def purge(self, before: datetime) -> int:
        """Forget the ended ones that were created before then, as many as ``PURGE_TIME`` allows.

        Returns:
            How many.
        """
        import grpc
        from durabletask.client import OrchestrationStatus

        ended = [OrchestrationStatus.COMPLETED, OrchestrationStatus.FAILED, OrchestrationStatus.TERMINATED]
        try:
            purged = self._client.purge_orchestrations_by(
                created_time_to=before, runtime_status=ended, timeout=PURGE_TIME
            )
        except grpc.RpcError as error:
            raise TransientError("durable_unavailable", "no history could be purged", "try again") from error
        return int(purged.deleted_instance_count)


def _code(error: Any) -> Any:
    return error.code() if hasattr(error, "code") else None


def _json(text: str | None) -> Any:
    return json.loads(text) if text else None
