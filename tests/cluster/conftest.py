"""One emulator for all tests that do not harm it, a namespace for each test, a second emulator for those that do."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from kubernetes import client, config

from local.cluster.harness import RunningCluster, blast_nodes, start_cluster
from tests.cluster.support import Raw

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    """A cluster with three nodes and short back-offs."""
    running = start_cluster(tmp_path_factory.mktemp("cluster"), blast_nodes(3), backoff_seconds=0.2)
    yield running
    running.stop()


@pytest.fixture
def new_cluster(tmp_path: Path) -> Iterator[Callable[..., RunningCluster]]:
    """Makes clusters of a test's own; they end with the test."""
    made: list[RunningCluster] = []

    def make(nodes: int = 2, cpu: str = "8", **options: object) -> RunningCluster:
        folder = tmp_path / f"cluster{len(made)}"
        made.append(start_cluster(folder, blast_nodes(nodes, cpu), **({"backoff_seconds": 0.2} | options)))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for running in made:
        running.stop()


@pytest.fixture
def raw(cluster: RunningCluster) -> Iterator[Raw]:
    """A namespace of the test's own."""
    name = f"test-{next(_numbers)}"
    url = f"{cluster.api_url}/api/v1/namespaces"
    assert httpx.post(url, json={"metadata": {"name": name}}).status_code == 201
    yield Raw(cluster, name)
    httpx.delete(f"{url}/{name}")


@pytest.fixture(scope="session")
def api(cluster: RunningCluster) -> Iterator[Any]:
    """The official client, configured from the kubeconfig."""
    settings = client.Configuration()
    config.load_kube_config(str(cluster.kubeconfig), client_configuration=settings)  # type: ignore[no-untyped-call]
    with client.ApiClient(settings) as connected:
        yield connected
