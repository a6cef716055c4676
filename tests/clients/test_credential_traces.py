"""Nothing is left of a cluster's credentials, no file and no line of a log, wherever the way to it breaks off."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AccessToken

from local.stack.home import REPOSITORY
from shared.clients.arm import AzureArm
from shared.clients.credentials import TokenCredential
from shared.clients.provider import RENEWAL_PAUSE, AzureClients
from shared.config import read_settings
from shared.domain.errors import TransientError
from tests.clients.support import eventually
from tests.clients.tls import make_authority
from tests.clients.wire import Rule, Wire

ALWAYS = 1_000_000
TOKEN, ARM_TOKEN, CLIENT_KEY = "the-clusters-own-token", "the-token-for-azure", "the-private-key-of-a-client"
JSON = {"Content-Type": "application/json"}
NODES = b'{"kind": "NodeList", "items": []}'


@dataclass
class Surroundings:
    """Azure and a cluster with TLS, as stand-ins; what is secret; and a folder for everything that a process writes."""

    arm: Wire
    server: Wire
    ca: str
    folder: Path
    rules: list[Rule] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """Of a process: its home, its temporary files and its working folder are in the folder."""
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(REPOSITORY),
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder),
            **self.settings,
        }

    @property
    def settings(self) -> dict[str, str]:
        """Of the app."""
        return {
            "ELB_ARM_ENDPOINT": self.arm.url,
            "ELB_BLOB_ENDPOINT": "http://127.0.0.1:1/{account}",
            "ELB_STATE_TABLE_ENDPOINT": "http://127.0.0.1:1/{account}",
            "ELB_CREDENTIAL": f"static:{ARM_TOKEN}",
            "ELB_DEFAULT_CLUSTER": "sub/group/cluster",
        }

    def kubeconfig(self) -> dict[str, Any]:
        """What ARM gives, with a client's key that nobody uses."""
        user = {"token": TOKEN, "client-key-data": b64encode(CLIENT_KEY.encode()).decode()}
        config = {
            "clusters": [
                {
                    "name": "c",
                    "cluster": {
                        "server": self.server.url,
                        "certificate-authority-data": b64encode(self.ca.encode()).decode(),
                    },
                }
            ],
            "users": [{"name": "u", "user": user}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        return {"kubeconfigs": [{"value": b64encode(json.dumps(config).encode()).decode()}]}

    def secrets(self) -> list[str]:
        """All that must not be found, in the forms in which it might be."""
        line = self.ca.splitlines()[1]
        whole = self.kubeconfig()["kubeconfigs"][0]["value"]
        plain = [TOKEN, ARM_TOKEN, CLIENT_KEY, line, whole[:60]]
        return plain + [b64encode(text.encode()).decode()[:30] for text in plain[:3]]

    def found_in(self, text: str) -> list[str]:
        """Which of it a text has."""
        return [secret for secret in self.secrets() if secret in text]

    def run(self, what: str) -> subprocess.Popen[str]:
        """Start the process."""
        command = [sys.executable, "-m", "tests.clients.credential_child", what]
        return subprocess.Popen(
            command,
            env=self.environment,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def left(self) -> list[str]:
        """Files in the folder."""
        return [str(path) for path in self.folder.rglob("*") if path.is_file()]


@pytest.fixture
def around(tmp_path: Path) -> Iterator[Surroundings]:
    """Both stand-ins, serving."""
    authority = make_authority(tmp_path)
    folder = tmp_path / "of-the-process"
    folder.mkdir()
    with ExitStack() as stack:
        arm = stack.enter_context(Wire().serving())
        server = stack.enter_context(Wire(tls=authority.server).serving())
        made = Surroundings(arm, server, authority.pem.decode(), folder)
        given = json.dumps(made.kubeconfig()).encode()
        made.rules = [
            Rule("POST", "listClusterUserCredential", ALWAYS, 200, headers=JSON, body=given),
            Rule("GET", "managedClusters", ALWAYS, 200, headers=JSON, body=b'{"name": "cluster"}'),
        ]
        stack.enter_context(arm.breaking(*made.rules))
        stack.enter_context(server.breaking(Rule("GET", "/api/v1/nodes", ALWAYS, 200, headers=JSON, body=NODES)))
        yield made


@pytest.mark.proves("C3")
def test_a_failure_at_every_call_of_the_way_leaves_nothing(around: Surroundings) -> None:
    process = around.run("all")
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said[-2000:]
    seen = json.loads(said.splitlines()[-1])
    assert seen["calls"] > 100, "the way was not gone"
    assert len(seen["reached"]) == seen["calls"]
    assert said.count("failed at call") > seen["calls"] / 2, "the failures were not met"
    assert seen["written"] == [], "a file was opened for writing"
    assert around.left() == []
    assert around.found_in(said) == []


@pytest.mark.proves("C3")
def test_a_process_that_is_killed_at_any_call_of_the_way_leaves_nothing(around: Surroundings) -> None:
    process = around.run("killed")
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said[-2000:]
    ended = json.loads(said.splitlines()[-1])
    assert set(ended) <= {-signal.SIGKILL, 0}
    # An answer may come in fewer pieces than the first time, and the way be some calls shorter.
    assert ended.count(-signal.SIGKILL) > max(100, 0.9 * len(ended))
    assert around.left() == []
    assert around.found_in(said) == []


@pytest.mark.proves("C3")
@pytest.mark.parametrize("where", ["arm", "server"])
def test_a_process_that_is_killed_on_the_way_leaves_nothing(around: Surroundings, where: str) -> None:
    gate = threading.Event()
    held = Rule("POST", "listClusterUserCredential", status=200, gate=gate)
    wire, rules = around.arm, [held, *around.rules]
    if where == "server":  # certificate and token are in use then
        held = Rule("GET", "/api/v1/nodes", status=200, gate=gate)
        wire, rules = around.server, [held]
    with wire.breaking(*rules), around.run("once") as process:
        try:
            eventually(lambda: held.times == 0, f"the request that {where} holds", 30)
            process.kill()
            said, _ = process.communicate(timeout=30)
        finally:
            process.kill()
            gate.set()
    assert process.returncode == -9
    assert around.left() == []
    assert around.found_in(said) == []


def test_the_search_would_find_them(around: Surroundings) -> None:
    """The tests above can fail."""
    for secret in around.secrets():
        assert around.found_in(f"x{secret}x") != []
    (around.folder / "below").mkdir()
    (around.folder / "below" / "f").write_text(TOKEN)
    assert len(around.left()) == 1


class Renewing:
    """A credential whose tokens end after so many seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.given = seconds, 0

    def get_token(self, *_scopes: str, **_kwargs: Any) -> AccessToken:
        self.given += 1
        return AccessToken(f"token-{self.given}", int(time.time() + self.seconds))


@pytest.mark.proves("C3")
class TestRenewal:
    @pytest.mark.parametrize(("seconds", "tokens"), [(3600, ["token-1"] * 2), (250, ["token-1", "token-2"])])
    def test_azures_before_its_end(self, around: Surroundings, seconds: float, tokens: list[str]) -> None:
        settings = read_settings(around.settings)
        cluster = settings.cluster
        assert cluster is not None
        arm = AzureArm(settings, Renewing(seconds))
        with around.arm.watching() as seen:
            for _ in range(2):
                arm.cluster(cluster)
        assert [each.headers["Authorization"] for each in seen] == [f"Bearer {token}" for token in tokens]

    def test_the_clusters_is_asked_for_each_request(self, around: Surroundings, tmp_path: Path) -> None:
        """The credential keeps it, and gives another one before it ends."""
        config = {
            "clusters": [
                {
                    "name": "c",
                    "cluster": {
                        "server": around.server.url,
                        "certificate-authority-data": b64encode(around.ca.encode()).decode(),
                    },
                }
            ],
            "users": [{"name": "u", "user": {"exec": {"command": "kubelogin"}}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        path = tmp_path / "kubeconfig"
        path.write_text(json.dumps(config))
        settings = read_settings(around.settings | {"ELB_KUBECONFIG": str(path)})
        assert settings.cluster is not None
        kube = _Clients(settings, Renewing(250)).kube(settings.cluster)
        with around.server.watching() as seen:
            kube.nodes()
            kube.nodes()
        assert [each.headers["Authorization"] for each in seen] == ["Bearer token-1", "Bearer token-2"]

    def test_one_that_the_cluster_refuses_is_not_used_until_the_connection_is_old(self, around: Surroundings) -> None:
        settings = read_settings(around.settings)
        assert settings.cluster is not None
        now = 0.0
        clients = AzureClients(settings, lambda: now)
        refused = Rule("GET", "/api/v1/nodes", 3, status=401, headers=JSON, body=b"{}")
        well = Rule("GET", "/api/v1/nodes", ALWAYS, 200, headers=JSON, body=NODES)
        with around.arm.watching() as seen, around.server.breaking(refused, well):
            for _ in range(3):
                with pytest.raises(TransientError) as caught:
                    clients.kube(settings.cluster).nodes()
                assert caught.value.code == "kube_denied"
            now = RENEWAL_PAUSE + 1
            clients.kube(settings.cluster).nodes()
            clients.kube(settings.cluster).nodes()
        assert [each.path.partition("?")[0].rpartition("/")[2] for each in seen] == ["listClusterUserCredential"] * 2


class _Clients(AzureClients):
    """The app's, with another credential."""

    def __init__(self, settings: Any, credential: TokenCredential) -> None:
        super().__init__(settings)
        self._given = credential

    @property
    def credential(self) -> TokenCredential:
        return self._given
