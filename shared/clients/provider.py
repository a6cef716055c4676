"""The clients of this process: each made on first use and kept, so that a cold start pays for none it does not need.

Activities and triggers ask here; tests put their own in with ``use``. Clusters are few, so the caches are bounded by
dropping the oldest entry, and a connection is renewed before its token ends.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from shared.clients.arm import Arm, AzureArm
from shared.clients.blobs import AzureBlobs, Blobs
from shared.clients.cluster_rows import ClusterRows, TableClusterRows
from shared.clients.credentials import TokenCredential, make_credential
from shared.clients.event_log import EventLog, TableEventLog
from shared.clients.kube import Kube, KubeClient
from shared.clients.kube_credentials import AKS_SERVER_APP, read_kubeconfig
from shared.clients.outbox import Outbox, TableOutbox
from shared.clients.preferences import Preferences, TablePreferences
from shared.clients.rates import Rates, TableRates
from shared.clients.retrying_kube import RetryingKube
from shared.clients.search_store import TableSearchStore
from shared.clients.searches import SearchStore
from shared.clients.stats import Stats, TableStats
from shared.clients.table_rows import Tables
from shared.clients.webhook_sender import HttpWebhookSender, WebhookSender
from shared.config import Settings, settings
from shared.domain.errors import PermanentError, TransientError
from shared.domain.search import ClusterRef

CONNECTION_LIFE = 600.0
"""Seconds that a cluster's kubeconfig is used before it is asked for again."""
RENEWAL_PAUSE = 10.0
"""Seconds after which it is asked for again when the server does not accept its token."""
MAX_CACHED = 16
QUICK_TIMEOUT = (3.0, 10.0)
"""Seconds to connect and of silence for a look: it is repeated anyway, and somebody may be waiting for it."""


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
    def preferences(self) -> Preferences:
        """What clusters are to have warm by themselves."""

    @property
    def events(self) -> EventLog:
        """Histories of searches."""

    @property
    def stats(self) -> Stats:
        """What was counted."""

    @property
    def rates(self) -> Rates:
        """How often each owner has asked."""

    @property
    def outbox(self) -> Outbox:
        """What receivers are still to be told."""

    @property
    def webhooks(self) -> WebhookSender:
        """Who tells them."""

    @property
    def arm(self) -> Arm:
        """Azure Resource Manager."""

    def blobs(self, account: str) -> Blobs:
        """Blobs of a storage account."""

    def kube(self, cluster: ClusterRef, *, patient: bool = True) -> Kube:
        """A cluster's API server; a patient client tries again what may pass, the other one is for a quick look."""

    def now(self) -> datetime:
        """The time, UTC."""


class AzureClients:
    """The real ones, made lazily, safe to use from the threads of a worker.

    Args:
        app_settings: the app's settings.
        clock: seconds that only grow; tests move it.
    """

    def __init__(self, app_settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self.settings = app_settings
        self._clock = clock
        self._lock = threading.RLock()
        self._made: dict[str, Any] = {}
        self._blobs: OrderedDict[str, Blobs] = OrderedDict()
        self._connections: OrderedDict[str, _Connection] = OrderedDict()

    def _once[T](self, name: str, make: Callable[[], T]) -> T:
        """What was made under a name, by whoever asked for it first."""
        with self._lock:
            if name not in self._made:
                self._made[name] = make()
            made: T = self._made[name]
            return made

    @property
    def credential(self) -> TokenCredential:
        """Who the app is."""
        return self._once("credential", lambda: make_credential(self.settings))

    @property
    def tables(self) -> Tables:
        """Tables of the state account."""
        return self._once("tables", lambda: Tables(self.settings, self.credential))

    @property
    def searches(self) -> SearchStore:
        """Where searches are kept."""
        account = self.settings.default_storage_account
        return self._once("searches", lambda: TableSearchStore(self.tables, self.blobs(account)))

    @property
    def clusters(self) -> ClusterRows:
        """Where looks at clusters are agreed."""
        return self._once("clusters", lambda: TableClusterRows(self.tables))

    @property
    def preferences(self) -> Preferences:
        """What clusters are to have warm by themselves."""
        return self._once("preferences", lambda: TablePreferences(self.tables))

    @property
    def events(self) -> EventLog:
        """Histories of searches."""
        return self._once("events", lambda: TableEventLog(self.tables))

    @property
    def stats(self) -> Stats:
        """What was counted."""
        return self._once("stats", lambda: TableStats(self.tables))

    @property
    def rates(self) -> Rates:
        """How often each owner has asked."""
        return self._once("rates", lambda: TableRates(self.tables))

    @property
    def outbox(self) -> Outbox:
        """What receivers are still to be told."""
        return self._once("outbox", lambda: TableOutbox(self.tables))

    @property
    def webhooks(self) -> WebhookSender:
        """Who tells them."""
        return self._once("webhooks", lambda: HttpWebhookSender(self.settings.allowed_receivers))

    @property
    def arm(self) -> Arm:
        """Azure Resource Manager."""
        return self._once("arm", lambda: AzureArm(self.settings, self.credential))

    def blobs(self, account: str) -> Blobs:
        """Blobs of a storage account."""
        with self._lock:
            if account not in self._blobs:
                self._blobs[account] = AzureBlobs(self.settings, account, self.credential)
                _bound(self._blobs)
            return self._blobs[account]

    def now(self) -> datetime:
        """The time, UTC."""
        return datetime.now(UTC)

    def kube(self, cluster: ClusterRef, *, patient: bool = True) -> Kube:
        """A cluster's API server: by ``ELB_KUBECONFIG`` where it is set, else by what ARM says.

        Connecting to one cluster holds up no caller that wants something else.

        Raises:
            NotFoundError: ``cluster_not_found``.
            PermanentError: ``arm_denied`` or ``bad_kubeconfig``.
            TransientError: ``arm_unavailable``.
        """
        with self._lock:
            connection = self._connections.setdefault(cluster.key, _Connection())
            _bound(self._connections)
        with connection.lock:
            life = RENEWAL_PAUSE if connection.refused else CONNECTION_LIFE
            if connection.clients is None or self._clock() - connection.made_at > life:
                connection.clients = self._connect(cluster, connection.refuse)
                connection.made_at, connection.refused = self._clock(), False
            return connection.clients[0 if patient else 1]

    def _connect(self, cluster: ClusterRef, refused: Callable[[], object]) -> tuple[Kube, Kube]:
        access = read_kubeconfig(self._kubeconfig(cluster))
        credential = self.credential

        def token() -> str:
            return access.token or _ask(credential)

        namespace = self.settings.namespace
        quick = KubeClient(access, namespace, token, refused=refused, timeout=QUICK_TIMEOUT)
        return RetryingKube(KubeClient(access, namespace, token, refused=refused)), quick

    def _kubeconfig(self, cluster: ClusterRef) -> bytes:
        if not self.settings.kubeconfig:
            return self.arm.kubeconfig(cluster)
        try:
            return Path(self.settings.kubeconfig).read_bytes()
        except OSError as error:
            raise PermanentError(
                "bad_kubeconfig", f"ELB_KUBECONFIG cannot be read: {error.strerror}", "correct the setting"
            ) from error


@dataclass(slots=True)
class _Connection:
    """One cluster's connection; whoever finds it missing or old holds the lock while it is made."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    made_at: float = 0.0
    clients: tuple[Kube, Kube] | None = None
    """The patient one and the quick one."""

    refused: bool = False
    """Whether the server did not accept its token: it is made anew soon, but not for every caller."""

    def refuse(self) -> None:
        """Note that the server did not accept the token."""
        self.refused = True


def _ask(credential: TokenCredential) -> str:
    """A bearer token for AKS API servers; the credential keeps one until shortly before its end."""
    from azure.core.exceptions import AzureError

    try:
        return str(credential.get_token(AKS_SERVER_APP).token)
    except AzureError as error:
        raise TransientError(
            "kube_denied", "no token for the cluster could be had", "check the app's managed identity"
        ) from error


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
