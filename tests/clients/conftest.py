"""One stack without the Functions host for all of these tests, and the app's clients set up for it.

Tables, blobs and ARM are reached through a :class:`tests.clients.wire.Wire` each, the cluster through one more. Every
test has owners, clusters and blob names of its own, so that the order of tests does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from local.stack.components import AZURITE
from local.stack.settings import app_settings
from local.stack.stack import Stack
from shared.clients.blobs import AzureBlobs, Blobs
from shared.clients.cluster_rows import ClusterRows
from shared.clients.kube import KubeClient
from shared.clients.kube_credentials import KubeAccess
from shared.clients.provider import AzureClients
from shared.clients.searches import SearchStore
from shared.config import Settings, read_settings
from tests.clients.support import fresh
from tests.clients.wire import Wire


@dataclass(frozen=True, slots=True)
class Place:
    """The stack, and the wires that lead to it."""

    stack: Stack
    blob: Wire
    table: Wire
    arm: Wire
    kubernetes: Wire

    def environment(self, **more: str) -> dict[str, str]:
        """The app's environment; ``more`` replaces."""
        ports = {"app": 1, "queue": 1, "blob": self.blob.port, "table": self.table.port, "arm": self.arm.port}
        return {**app_settings(ports, self.stack.identity), **more}

    def settings(self, **more: str) -> Settings:
        """The app's settings."""
        return read_settings(self.environment(**more))

    def kube(self, token: Callable[[], str] | None = None, **more: Any) -> KubeClient:
        """A client of the cluster, with its own token unless another is given."""
        return KubeClient(
            KubeAccess(self.kubernetes.url, "", ""),
            "default",
            token or (lambda: self.stack.identity.cluster_token),
            **more,
        )

    def control(self, path: str, body: Any = None) -> Any:
        """POST to the cluster's control endpoint; GET when there is no body."""
        url = self.stack.stack_json["cluster_control"] + path
        answer = httpx.get(url) if body is None else httpx.post(url, json=body)
        answer.raise_for_status()
        return answer.json()

    def arm_faults(self, *faults: dict[str, Any]) -> None:
        """Set the ARM emulator's faults; none ends them."""
        url = self.stack.stack_json["arm"] + "/control/faults"
        headers = {"Authorization": f"Bearer {self.stack.identity.arm_token}"}
        httpx.put(
            url, json={"faults": [{"path": "managedClusters", **fault} for fault in faults]}, headers=headers
        ).raise_for_status()


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Storage, cluster and ARM."""
    if not AZURITE.exists():
        pytest.skip("Azurite is not installed: make setup")
    parts = ("azurite", "cluster", "arm")
    with Stack(tmp_path_factory.mktemp("clients"), fresh=True, parts=parts) as stack, ExitStack() as wires:
        described = stack.stack_json

        def wire(name: str) -> Wire:
            address = urlsplit(described[name])
            return wires.enter_context(Wire(f"{address.scheme}://{address.netloc}").serving())

        names = ("blob_endpoint", "table_endpoint", "arm", "kubernetes")
        yield Place(stack, *map(wire, names))


@pytest.fixture(scope="session")
def clients(place: Place) -> AzureClients:
    """The app's clients."""
    return AzureClients(place.settings())


@pytest.fixture(scope="session")
def searches(clients: AzureClients) -> SearchStore:
    """Where searches are kept."""
    return clients.searches


@pytest.fixture(scope="session")
def cluster_rows(clients: AzureClients) -> ClusterRows:
    """Where looks at clusters are agreed."""
    return clients.clusters


@pytest.fixture(scope="session")
def blobs(place: Place, clients: AzureClients) -> Blobs:
    """Blobs of the stack's account."""
    return AzureBlobs(place.settings(), "elblocal", clients.credential)


@pytest.fixture
def owner() -> str:
    """An owner of the test's own."""
    return fresh("owner")
