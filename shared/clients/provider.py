"""The clients of this process: each made on first use and kept, so that a cold start pays for none it does not need.

Activities and triggers ask here; tests put their own in with ``use``. Clusters are few, so the caches are bounded by
dropping the oldest entry, and a connection is renewed before its token ends.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from shared.clients.arm import Arm, AzureArm
from shared.clients.blobs import AzureBlobs, Blobs
from shared.clients.cluster_rows import ClusterRows, TableClusterRows
from shared.clients.credentials import TokenCredential, make_credential
from shared.clients.kube import Kube, KubeClient
from shared.clients.kube_credentials import AKS_SERVER_APP, read_kubeconfig
from shared.clients.search_store import SearchStore, TableSearchStore
from shared.clients.table_rows import Tables
from shared.config import Settings, settings
from shared.domain.search import ClusterRef

CONNECTION_LIFE = 600.0
"""Seconds that a cluster's kubeconfig is used before it is asked for again."""
MAX_CACHED = 16


class Clients(Protocol):
    """Everything that activities and triggers may talk to."""

    @property
    def settings(self) -> Settings:
        """The app's settings."""

    @property
    def searches(self) -> SearchStore:
        """Where searches are kept."""

    @property
    def clusters(self) -> ClusterRows:
        """Where looks at clusters are agreed."""

    @property
    def arm(self) -> Arm:
        """Azure Resource Manager."""

    def blobs(self, account: str) -> Blobs:
        """Blobs of a storage account."""

    def kube(self, cluster: ClusterRef) -> Kube:
        """A cluster's API server."""


class AzureClients:
    """The real ones, made lazily, safe to use from the threads of a worker."""

    def __init__(self, app_settings: Settings) -> None:
        self.settings = app_settings
        self._lock = threading.RLock()
        self._credential: TokenCredential | None = None
        self._tables: Tables | None = None
        self._searches: SearchStore | None = None
        self._clusters: ClusterRows | None = None
        self._arm: Arm | None = None
        self._blobs: OrderedDict[str, Blobs] = OrderedDict()
        self._kube: OrderedDict[str, tuple[float, Kube]] = OrderedDict()

    @property
    def credential(self) -> TokenCredential:
        """Who the app is."""
        with self._lock:
            if self._credential is None:
                self._credential = make_credential(self.settings)
            return self._credential

    @property
    def tables(self) -> Tables:
        """Tables of the state account."""
        with self._lock:
            if self._tables is None:
                self._tables = Tables(self.settings, self.credential)
            return self._tables

    @property
    def searches(self) -> SearchStore:
        """Where searches are kept."""
        with self._lock:
            if self._searches is None:
                blobs = self.blobs(self.settings.default_storage_account)
                self._searches = TableSearchStore(self.tables, blobs)
            return self._searches

    @property
    def clusters(self) -> ClusterRows:
        """Where looks at clusters are agreed."""
        with self._lock:
            if self._clusters is None:
                self._clusters = TableClusterRows(self.tables)
            return self._clusters

    @property
    def arm(self) -> Arm:
        """Azure Resource Manager."""
        with self._lock:
            if self._arm is None:
                self._arm = AzureArm(self.settings, self.credential)
            return self._arm

    def blobs(self, account: str) -> Blobs:
        """Blobs of a storage account."""
        with self._lock:
            if account not in self._blobs:
                self._blobs[account] = AzureBlobs(self.settings, account, self.credential)
                _bound(self._blobs)
            return self._blobs[account]

    def kube(self, cluster: ClusterRef) -> Kube:
        """A cluster's API server: by ``ELB_KUBECONFIG`` where it is set, else by what ARM says."""
        with self._lock:
            made, known = self._kube.get(cluster.key, (0.0, None))
            if known is None or time.monotonic() - made > CONNECTION_LIFE:
                known = self._connect(cluster)
                self._kube[cluster.key] = (time.monotonic(), known)
                _bound(self._kube)
            return known

    def _connect(self, cluster: ClusterRef) -> Kube:
        if self.settings.kubeconfig:
            access = read_kubeconfig(Path(self.settings.kubeconfig).read_bytes())
        else:
            access = read_kubeconfig(self.arm.kubeconfig(cluster))
        credential = self.credential

        def token() -> str:
            return access.token or str(credential.get_token(AKS_SERVER_APP).token)

        return KubeClient(access, self.settings.namespace, token)


def _bound[T](cache: OrderedDict[str, T]) -> None:
    while len(cache) > MAX_CACHED:
        cache.popitem(last=False)


_current: Clients | None = None
_lock = threading.Lock()


def clients() -> Clients:
    """The clients of this process."""
    global _current  # noqa: PLW0603  # the one place that keeps them
    with _lock:
        if _current is None:
            _current = AzureClients(settings())
        return _current


@contextmanager
def use(other: Clients) -> Iterator[None]:
    """Put other clients in for a while: the seam for tests."""
    global _current  # noqa: PLW0603
    before, _current = _current, other
    try:
        yield
    finally:
        _current = before
