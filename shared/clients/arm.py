"""Azure Resource Manager: what is asked of it about a cluster, over azure-core's pipeline (retries, tokens, logging).

The management SDKs are not used: two calls do not need their size and import time (docs/decisions).
"""

from __future__ import annotations

from typing import Any, Protocol
from urllib.parse import quote

from shared.clients.credentials import TokenCredential
from shared.config import Settings
from shared.domain.errors import NotFoundError, PermanentError, TransientError
from shared.domain.search import ClusterRef

API_VERSION = "2025-05-01"
LONGEST_RETRY_AFTER = 5.0
"""Seconds that a call waits on ARM's word; a longer wait is left to the caller, whose thread is not held by it."""


class Arm(Protocol):
    """Azure Resource Manager."""

    def cluster(self, cluster: ClusterRef) -> dict[str, Any]:
        """The managed cluster's JSON. Raises NotFoundError ``cluster_not_found``."""

    def kubeconfig(self, cluster: ClusterRef) -> bytes:
        """The user kubeconfig, as YAML."""


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

    def cluster(self, cluster: ClusterRef) -> dict[str, Any]:
        """The managed cluster's JSON."""
        return self._call("GET", cluster, "")

    def kubeconfig(self, cluster: ClusterRef) -> bytes:
        """The user kubeconfig, as YAML, decoded."""
        from base64 import b64decode

        answer = self._call("POST", cluster, "/listClusterUserCredential")
        try:
            return b64decode(answer["kubeconfigs"][0]["value"])
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise TransientError(
                "arm_unavailable", f"Azure gave no kubeconfig of {cluster.cluster_name}", "try again"
            ) from error

    def _call(self, method: str, cluster: ClusterRef, tail: str) -> dict[str, Any]:
        from azure.core.exceptions import AzureError
        from azure.core.rest import HttpRequest

        names = (cluster.subscription_id, cluster.resource_group, cluster.cluster_name)
        subscription, group, name = (quote(part, safe="") for part in names)
        path = (
            f"/subscriptions/{subscription}/resourceGroups/{group}"
            f"/providers/Microsoft.ContainerService/managedClusters/{name}{tail}"
        )
        request = HttpRequest(method, self._endpoint + path, params={"api-version": API_VERSION})
        try:
            # The bearer policy refuses http; the settings allow http with a static loopback token only.
            response = self._client.send_request(
                request, enforce_https=self._https, connection_timeout=10, read_timeout=30
            )
        except AzureError as error:
            raise TransientError(
                "arm_unavailable", f"Azure did not answer about {cluster.cluster_name}: {error}", "try again"
            ) from error
        if response.status_code == 404:
            raise NotFoundError(
                "cluster_not_found",
                f"there is no cluster {cluster.cluster_name} in {cluster.resource_group}",
                "check the subscription, the resource group and the name",
            )
        if response.status_code in (401, 403):
            raise PermanentError(
                "arm_denied",
                f"Azure refused to tell about {cluster.cluster_name} ({response.status_code})",
                "give the app's identity the role 'Azure Kubernetes Service Cluster User' on the cluster",
            )
        if response.status_code >= 300:
            after = response.headers.get("Retry-After", "")
            raise TransientError(
                "arm_unavailable",
                f"Azure answered {response.status_code} about {cluster.cluster_name}",
                "try again",
                retry_after=float(after) if after.isdigit() else None,
            )
        try:
            body: dict[str, Any] = response.json()
        except ValueError as error:
            raise TransientError(
                "arm_unavailable", f"Azure's answer about {cluster.cluster_name} is not JSON", "try again"
            ) from error
        return body


def _retry_policy() -> Any:
    """A few quick tries; a long Retry-After goes to the caller instead of being slept through."""
    from azure.core.pipeline.policies import RetryPolicy

    class QuickRetryPolicy(RetryPolicy[Any, Any]):
        def is_retry(self, settings: Any, response: Any) -> bool:
            if (self.get_retry_after(response) or 0) > LONGEST_RETRY_AFTER:
                return False
            return super().is_retry(settings, response)

    return QuickRetryPolicy(retry_total=3, retry_backoff_factor=0.3)
