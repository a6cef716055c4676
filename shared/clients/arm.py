"""Azure Resource Manager: what is asked of it about a cluster, over azure-core's pipeline (retries, tokens, logging).

The management SDKs are not used: five calls do not need their size and import time (docs/decisions).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import quote

from shared.clients.credentials import TokenCredential
from shared.config import Settings
from shared.domain.errors import ConflictError, NotFoundError, PermanentError, TransientError
from shared.domain.roles import RoleAssignment
from shared.domain.search import ClusterRef

API_VERSION = "2025-05-01"
ROLES_API_VERSION = "2022-04-01"
PATIENT: Mapping[str, Any] = {"connection_timeout": 10, "read_timeout": 30}
QUICK: Mapping[str, Any] = {"connection_timeout": 3, "read_timeout": 8, "retry_total": 0}
"""For a look that is repeated anyway, and for which somebody may be waiting."""
LONGEST_RETRY_AFTER = 5.0
"""Seconds that a call waits on ARM's word; a longer wait is left to the caller, whose thread is not held by it."""


_READER = "Reader"
_USER = "Azure Kubernetes Service Cluster User Role"
_CONTRIBUTOR = "Azure Kubernetes Service Contributor Role"
_ADMINISTRATOR = "Role Based Access Control Administrator"


class Arm(Protocol):
    """Azure Resource Manager."""

    def cluster(self, cluster: ClusterRef, *, patient: bool = True) -> dict[str, Any]:
        """The managed cluster's JSON. Raises NotFoundError ``cluster_not_found``.

        Args:
            patient: whether what may pass is tried again; one short try where somebody waits, or will ask again anyway.
        """

    def kubeconfig(self, cluster: ClusterRef) -> bytes:
        """The user kubeconfig, as YAML."""

    def start(self, cluster: ClusterRef) -> None:
        """Ask for the start. Raises ConflictError ``cluster_busy`` while another operation is under way."""

    def stop(self, cluster: ClusterRef) -> None:
        """Ask for the stop. Raises ConflictError ``cluster_busy`` while another operation is under way."""

    def assign_role(self, assignment: RoleAssignment) -> bool:
        """Assign a role; whether the assignment is new. Raises PermanentError ``arm_denied`` without the permission."""


class AzureArm:
    """ARM by azure-core."""

    def __init__(self, settings: Settings, credential: TokenCredential) -> None:
        from azure.core import PipelineClient
        from azure.core.pipeline.policies import BearerTokenCredentialPolicy, UserAgentPolicy

        self._endpoint = settings.arm_endpoint.rstrip("/")
        self._https = settings.arm_endpoint.startswith("https:")
        scope = f"{self._endpoint}/.default" if self._https else "https://management.azure.com/.default"
        policies = [
            UserAgentPolicy("elb-control-plane"),
            _retry_policy(),
            BearerTokenCredentialPolicy(credential, scope),
        ]
        self._client: Any = PipelineClient(settings.arm_endpoint, policies=policies)

    def cluster(self, cluster: ClusterRef, *, patient: bool = True) -> dict[str, Any]:
        """The managed cluster's JSON."""
        return self._json(self._call("GET", cluster, "", **({} if patient else QUICK)), cluster)

    def kubeconfig(self, cluster: ClusterRef) -> bytes:
        """The user kubeconfig, as YAML, decoded."""
        from base64 import b64decode

        answer = self._json(self._call("POST", cluster, "/listClusterUserCredential", role=_USER), cluster)
        try:
            return b64decode(answer["kubeconfigs"][0]["value"])
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise TransientError(
                "arm_unavailable", f"Azure gave no kubeconfig of {cluster.cluster_name}", "try again"
            ) from error

    def start(self, cluster: ClusterRef) -> None:
        """Ask for the start; how far it is the cluster itself says. One that runs already is fine."""
        self._call("POST", cluster, "/start", role=_CONTRIBUTOR)

    def stop(self, cluster: ClusterRef) -> None:
        """Ask for the stop; how far it is the cluster itself says. One that is stopped already is fine."""
        self._call("POST", cluster, "/stop", role=_CONTRIBUTOR)

    def assign_role(self, assignment: RoleAssignment) -> bool:
        """Assign a role; whether the assignment is new.

        Raises:
            PermanentError: ``arm_denied`` without the permission to assign, ``role_scope_not_found``.
            TransientError: ``principal_not_found``, as of an identity that was just made; ``arm_unavailable``.
        """
        path = f"{quote(assignment.scope)}/providers/Microsoft.Authorization/roleAssignments/{assignment.name}"
        what = f"role {assignment.role.label}"
        response = self._send("PUT", path, ROLES_API_VERSION, what, body={"properties": assignment.properties()})
        code = _code_of(response)
        if response.status_code == 409:  # the same assignment under another name
            return False
        if response.status_code == 404:
            hint = f"correct the names in the settings, or assign the role where it is: {assignment.command()}"
            raise PermanentError("role_scope_not_found", f"there is no {assignment.scope}", hint)
        if code == "PrincipalNotFound":
            raise TransientError("principal_not_found", f"{what}: Azure does not know the identity yet", "try again")
        _refuse(response, what, _ADMINISTRATOR)
        return bool(response.status_code == 201)

    def _call(self, method: str, cluster: ClusterRef, tail: str, *, role: str = _READER, **options: Any) -> Any:
        names = (cluster.subscription_id, cluster.resource_group, cluster.cluster_name)
        subscription, group, name = (quote(part, safe="") for part in names)
        path = (
            f"/subscriptions/{subscription}/resourceGroups/{group}"
            f"/providers/Microsoft.ContainerService/managedClusters/{name}{tail}"
        )
        response = self._send(method, path, API_VERSION, cluster.cluster_name, **options)
        if response.status_code == 404:
            raise NotFoundError(
                "cluster_not_found",
                f"there is no cluster {cluster.cluster_name} in {cluster.resource_group}",
                "check the subscription, the resource group and the name",
            )
        _refuse(response, cluster.cluster_name, role)
        return response

    def _send(
        self, method: str, path: str, version: str, what: str, *, body: Mapping[str, Any] | None = None, **options: Any
    ) -> Any:
        """One request through the pipeline. Raises TransientError ``arm_unavailable`` when nobody answers."""
        from azure.core.exceptions import AzureError
        from azure.core.rest import HttpRequest

        request = HttpRequest(method, self._endpoint + path, params={"api-version": version}, json=body)
        try:
            # The bearer policy refuses http; the settings allow http with a static loopback token only.
            return self._client.send_request(request, enforce_https=self._https, **{**PATIENT, **options})
        except AzureError as error:
            raise TransientError(
                "arm_unavailable", f"Azure did not answer about {what}: {error}", "try again"
            ) from error

    def _json(self, response: Any, cluster: ClusterRef) -> dict[str, Any]:
        try:
            body: dict[str, Any] = response.json()
        except ValueError as error:
            raise TransientError(
                "arm_unavailable", f"Azure's answer about {cluster.cluster_name} is not JSON", "try again"
            ) from error
        return body


def _refuse(response: Any, what: str, role: str) -> None:
    """Raise what an answer that is none means.

    Args:
        role: the role whose lack a 403 would mean.
    """
    status = response.status_code
    if status in (401, 403):
        hint = f"give the app's identity the role '{role}'"
        raise PermanentError("arm_denied", f"Azure refused to tell about {what} ({status})", hint)
    if status == 409:
        message = _error_of(response).get("message") or "another operation is under way"
        raise ConflictError("cluster_busy", f"{what}: {message}", "wait for the operation that is under way")
    said = _error_of(response)
    if 400 <= status < 500 and status not in (408, 429) and said.get("code"):  # without one it was not ARM that spoke
        message = f"Azure refused what was asked of {what} ({status} {said['code']}): {said.get('message') or ''}"
        raise PermanentError("arm_refused", message, "see the cluster's activity log in the Azure Portal")
    if status >= 300:
        after = response.headers.get("Retry-After", "")
        raise TransientError(
            "arm_unavailable",
            f"Azure answered {status} about {what}",
            "try again",
            retry_after=float(after) if after.isdigit() else None,
        )


def _code_of(response: Any) -> str:
    return str(_error_of(response).get("code") or "")


def _error_of(response: Any) -> Mapping[str, Any]:
    """The error object of an answer; an empty one where there is none."""
    try:
        found = response.json()["error"]
    except (ValueError, KeyError, TypeError):
        return {}
    return found if isinstance(found, Mapping) else {}


def _retry_policy() -> Any:
    """A few quick tries; a long Retry-After goes to the caller instead of being slept through."""
    from azure.core.pipeline.policies import RetryPolicy

    class QuickRetryPolicy(RetryPolicy[Any, Any]):
        def is_retry(self, settings: Any, response: Any) -> bool:
            if (self.get_retry_after(response) or 0) > LONGEST_RETRY_AFTER:
                return False
            return super().is_retry(settings, response)

    return QuickRetryPolicy(retry_total=3, retry_backoff_factor=0.3)
