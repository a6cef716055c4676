"""A running emulator, and a stand-in for the cluster emulator that it switches."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

SUBSCRIPTION, GROUP, CLUSTER, TOKEN = "11111111-1111-4111-8111-111111111111", "group", "cluster", "secret"
NODES = [
    {
        "name": f"node-{number}",
        "pool": "blast",
        "mode": "User",
        "cpu": "4",
        "memory": "8Gi",
        "labels": {"workload": "blast"},
        "taints": [{"key": "workload", "value": "blast", "effect": "NoSchedule"}],
    }
    for number in range(2)
] + [{"name": "node-s", "pool": "system", "mode": "System", "cpu": "2", "memory": "4Gi"}]


class Switch:
    """Records what the cluster emulator would have been told."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        switch = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                switch.calls.append((self.path, json.loads(body)))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @contextmanager
    def serving(self) -> Iterator[Switch]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()


@contextmanager
def running_arm(folder: Path, *options: str) -> Iterator[httpx.Client]:
    """One emulator process with its state in ``folder``; the client has the token and an API version."""
    nodes = folder / "nodes.json"
    nodes.write_text(json.dumps(NODES))
    command = [
        *(sys.executable, "-m", "local.azure", "--port", "0", "--cluster-url", "http://127.0.0.1:6443"),
        *("--subscription", SUBSCRIPTION, "--resource-group", GROUP, "--cluster", CLUSTER, "--token", TOKEN),
        *("--cluster-token", "of the cluster", "--nodes", str(nodes), "--state", str(folder / "arm.json")),
        *("--start-seconds", "0.2", "--stop-seconds", "0.2", *options),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().removeprefix("ready ").strip()
            headers = {"Authorization": f"Bearer {TOKEN}"}
            with httpx.Client(base_url=address, headers=headers, params={"api-version": "2024-09-01"}) as client:
                yield client
        finally:
            process.terminate()


@pytest.fixture
def switch() -> Iterator[Switch]:
    with Switch().serving() as serving:
        yield serving


@pytest.fixture
def start_arm(tmp_path: Path) -> Iterator[Callable[..., httpx.Client]]:
    """Starts an emulator with further options; ended after the test."""
    with ExitStack() as stack:
        yield lambda *options: stack.enter_context(running_arm(tmp_path, *options))


@pytest.fixture(scope="module")
def arm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """An emulator that the tests of a module share; for those that only read, or clean up after themselves."""
    with running_arm(tmp_path_factory.mktemp("arm")) as client:
        yield client
