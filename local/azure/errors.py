"""ARM's errors. Raised by the handlers of this package, turned into answers by its middleware."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ArmError(Exception):
    """What ARM answers instead of a result.

    Args:
        status: HTTP status.
        code: ARM's name of the problem, as its clients compare it.
        message: for people.
        headers: such as ``Retry-After``.
    """

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """The answer's JSON."""
        return {"error": {"code": self.code, "message": self.message}}


def subscription_not_found(subscription: str) -> ArmError:
    """Another subscription than the emulated one."""
    return ArmError(404, "SubscriptionNotFound", f"The subscription '{subscription}' could not be found.")


def group_not_found(group: str) -> ArmError:
    """Another resource group than the emulated one."""
    return ArmError(404, "ResourceGroupNotFound", f"Resource group '{group}' could not be found.")


def cluster_not_found(group: str, cluster: str) -> ArmError:
    """No such cluster in that group."""
    what = f"The Resource 'Microsoft.ContainerService/managedClusters/{cluster}' under resource group '{group}'"
    return ArmError(404, "ResourceNotFound", f"{what} was not found.")
