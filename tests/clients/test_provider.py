"""The clients of a process: made once, kept within bounds, renewed in time, and nobody waits for another's cluster."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import ClientAuthenticationError

from shared.clients.credentials import StaticCredential, TokenCredential
from shared.clients.provider import CONNECTION_LIFE, MAX_CACHED, AzureClients, use
from shared.clients.provider import clients as clients_of_the_process
from shared.domain.errors import PermanentError, TransientError
from shared.domain.search import ClusterRef
from tests.clients.conftest import Place
from tests.clients.support import a_cluster, at_once, eventually
from tests.clients.wire import Rule, Wire


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def cluster(place: Place) -> ClusterRef:
    found = place.settings().cluster
    assert found is not None
    return found


def kubeconfig(folder: Path, server: str, user: dict[str, Any]) -> str:
    """Write a kubeconfig; its path."""
    config = {
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(config))
    return str(path)


class TestOnce:
    def test_each_client(self, place: Place) -> None:
        clients = AzureClients(place.settings())
        for made in (
            at_once(16, lambda _: clients.searches),
            at_once(16, lambda _: clients.clusters),
            at_once(16, lambda _: clients.arm),
            at_once(16, lambda _: clients.tables),
            at_once(16, lambda _: clients.blobs("elblocal")),
        ):
            assert len({id(each) for each in made}) == 1

    def test_each_connection(self, place: Place, cluster: ClusterRef) -> None:
        clients = AzureClients(place.settings())
        with place.arm.watching() as seen:
            made = at_once(16, lambda number: clients.kube(cluster, patient=number % 2 == 0))
        assert len({id(each) for each in made[0::2]}) == len({id(each) for each in made[1::2]}) == 1
        assert made[0] is not made[1]
        assert len(seen) == 1
        assert clients.kube(replace(cluster, cluster_name=cluster.cluster_name.upper())) is made[0]

    def test_each_table_is_made_when_it_is_first_used(self, place: Place) -> None:
        clients = AzureClients(place.settings())
        with place.table.watching() as seen:
            at_once(8, lambda _: clients.clusters.read(a_cluster()))
        assert len([each for each in seen if each.path.endswith("/Tables")]) == 1


class TestConnections:
    def test_renewed_after_their_life(self, place: Place, cluster: ClusterRef) -> None:
        clock = Clock()
        clients = AzureClients(place.settings(), clock)
        first = clients.kube(cluster)
        clock.seconds += CONNECTION_LIFE
        assert clients.kube(cluster) is first
        clock.seconds += 1
        second = clients.kube(cluster)
        assert second is not first
        assert len(second.nodes()) >= 4
        assert clients.kube(cluster) is second

    def test_a_failure_is_not_kept(self, place: Place, cluster: ClusterRef) -> None:
        clients = AzureClients(place.settings())
        with place.arm.breaking(Rule(status=403)), pytest.raises(PermanentError):
            clients.kube(cluster)
        assert clients.kube(cluster).nodes()

    def test_one_that_hangs_holds_up_no_other(self, place: Place, cluster: ClusterRef) -> None:
        clients = AzureClients(place.settings())
        gate, slow = threading.Event(), replace(cluster, cluster_name="slow")
        rule = Rule("POST", "/slow/", status=403, gate=gate)
        with place.arm.breaking(rule), ThreadPoolExecutor(4) as pool:
            try:
                hanging = pool.submit(clients.kube, slow)
                eventually(lambda: rule.times == 0, "the request about the slow cluster")
                assert pool.submit(clients.kube, cluster).result(timeout=10).nodes()
                assert pool.submit(lambda: clients.searches.page("nobody", 1, None)).result(timeout=10) == ([], None)
                assert not hanging.done()
            finally:
                gate.set()
            with pytest.raises(PermanentError):
                hanging.result(timeout=10)

    def test_they_are_bounded(self, place: Place, tmp_path: Path) -> None:
        path = kubeconfig(tmp_path, place.kubernetes.url, {"token": "x"})
        clients = AzureClients(place.settings(ELB_KUBECONFIG=path))
        many = [a_cluster() for _ in range(MAX_CACHED + 1)]
        made = [clients.kube(each) for each in many]
        assert [clients.kube(each) is one for each, one in zip(many[1:], made[1:], strict=True)] == [True] * MAX_CACHED
        assert clients.kube(many[0]) is not made[0]

    def test_storage_accounts_are_bounded(self, place: Place) -> None:
        clients = AzureClients(place.settings(ELB_BLOB_ENDPOINT="https://127.0.0.1:1/{account}"))
        names = [f"account{number}" for number in range(MAX_CACHED + 1)]
        made = [clients.blobs(name) for name in names]
        assert clients.blobs(names[-1]) is made[-1]
        assert clients.blobs(names[0]) is not made[0]

    def test_a_kubeconfig_that_is_not_there(self, place: Place, cluster: ClusterRef, tmp_path: Path) -> None:
        clients = AzureClients(place.settings(ELB_KUBECONFIG=str(tmp_path / "none")))
        with pytest.raises(PermanentError) as caught:
            clients.kube(cluster)
        assert caught.value.code == "bad_kubeconfig"


class TestTokens:
    def test_the_kubeconfigs_own(self, place: Place, cluster: ClusterRef, tmp_path: Path) -> None:
        assert self.sent(place, cluster, tmp_path, {"token": "its own"}) == "Bearer its own"

    def test_the_apps_where_it_has_none(self, place: Place, cluster: ClusterRef, tmp_path: Path) -> None:
        sent = self.sent(place, cluster, tmp_path, {"exec": {"command": "kubelogin"}})
        assert sent == f"Bearer {place.stack.identity.arm_token}"

    def sent(self, place: Place, cluster: ClusterRef, folder: Path, user: dict[str, Any]) -> str:
        answer = Rule(status=200, body=b'{"kind": "NodeList", "items": []}', times=2)
        with Wire().serving() as wire, wire.breaking(answer), wire.watching() as seen:
            clients = AzureClients(place.settings(ELB_KUBECONFIG=kubeconfig(folder, wire.url, user)))
            assert [clients.kube(cluster, patient=patient).nodes() for patient in (True, False)] == [[], []]
        (token,) = {each.headers["Authorization"] for each in seen}
        return token

    def test_none_to_be_had_is_transient(self, place: Place, cluster: ClusterRef, tmp_path: Path) -> None:
        class NoIdentity(StaticCredential):
            def get_token(self, *_scopes: str, **_kwargs: Any) -> Any:
                raise ClientAuthenticationError("secret details")

        class Clients(AzureClients):
            @property
            def credential(self) -> TokenCredential:
                return NoIdentity("")

        path = kubeconfig(tmp_path, place.kubernetes.url, {})
        with place.kubernetes.watching() as seen, pytest.raises(TransientError) as caught:
            Clients(place.settings(ELB_KUBECONFIG=path)).kube(cluster).nodes()
        assert caught.value.code == "kube_denied"
        assert "secret" not in str(caught.value)
        assert seen == []


def test_others_can_be_put_in_for_a_while(place: Place) -> None:
    one, other = AzureClients(place.settings()), AzureClients(place.settings())
    with use(one):
        with use(other):
            assert clients_of_the_process() is other
        assert clients_of_the_process() is one
