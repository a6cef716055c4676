"""The smoke test of a deployment, on servers that are right, wrong, late and not there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from deploy.smoke import EXPECTED, smoke


@contextmanager
def server(answers: dict[str, int], *, wrong_rounds: int = 0) -> Iterator[str]:
    """Answers of a server on loopback; the first rounds everything is 503."""
    asked = dict.fromkeys(answers, 0)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked[self.path] = asked.get(self.path, 0) + 1
            self.send_response(503 if asked[self.path] <= wrong_rounds else answers.get(self.path, 404))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the test says what it wants to know."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.server_port}"
        finally:
            listening.shutdown()
            thread.join()


RIGHT = {path: int(status) for path, status in EXPECTED.items()}


def test_it_asks_what_a_deployment_must_answer() -> None:
    assert RIGHT == {"/": 200, "/health": 200, "/api/health": 200, "/api/me": 401}
    with server(RIGHT) as address:
        assert smoke(address + "/", patience=0) == {}


@pytest.mark.parametrize("path", RIGHT)
def test_each_wrong_answer_is_told(path: str) -> None:
    with server({**RIGHT, path: 500}) as address:
        assert smoke(address, patience=0) == {path: 500}


def test_an_open_api_is_wrong() -> None:
    with server({**RIGHT, "/api/me": 200}) as address:
        assert smoke(address, patience=0) == {"/api/me": 200}


def test_a_start_that_takes_a_while_is_waited_for() -> None:
    with server(RIGHT, wrong_rounds=3) as address:
        assert smoke(address, patience=30, pause=0.01) == {}


def test_nobody_there_is_told_for_every_path() -> None:
    with server(RIGHT) as address:
        pass
    wrong = smoke(address, patience=0)
    assert set(wrong) == set(RIGHT)
    assert all(isinstance(said, str) for said in wrong.values())
