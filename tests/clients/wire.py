"""A loopback HTTP server in front of another one: sees every request, and gets answers wrong when a test asks for it.

The clients' own SDKs stay as they are; what a test counts or breaks is what goes over the wire.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import struct
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "server"}


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it went over the wire. ``path`` has the query; ``received`` is the size of the answer's body."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    status: int
    received: int

    @property
    def writes(self) -> bool:
        """Whether it may have changed something."""
        return self.method not in ("GET", "HEAD")


@dataclass(slots=True)
class Rule:
    """What goes wrong with the next requests that match.

    Args:
        method: HTTP method.
        path: regular expression, searched in path and query.
        times: how many requests it meets.
        status: what the caller gets in place of the answer; 0 is a connection that breaks.
        forward: whether the request reaches the server all the same.
        gate: when given, the answer waits until it is set.
        headers: of the answer.
        body: of the answer.
    """

    method: str = ""
    path: str = ""
    times: int = 1
    status: int = 0
    forward: bool = False
    gate: threading.Event | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def meets(self, method: str, path: str) -> bool:
        """Whether this request is one of them."""
        return self.times > 0 and self.method in ("", method) and re.search(self.path, path) is not None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # many threads connect at the same moment, and one that is turned away waits for a second

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that hangs up is what some tests are about."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class Wire:
    """The server in between.

    Args:
        target: ``http://host:port`` of the real one; empty for none, where rules give all the answers.
        tls: to serve https.
    """

    def __init__(self, target: str = "", tls: ssl.SSLContext | None = None) -> None:
        self._target = urlsplit(target).netloc
        self._lock = threading.Lock()
        self._rules: list[Rule] = []
        self._seen: list[Seen] = []
        wire = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # or small answers wait for acknowledgements

            def handle_any(self) -> None:
                wire._handle(self)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_PATCH = do_MERGE = handle_any  # noqa: N815

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = _Server(("127.0.0.1", 0), Handler)
        if tls is not None:
            # The handshake is left to each connection's own thread.
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port: int = self._server.server_port
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self.port}"

    @contextmanager
    def serving(self) -> Iterator[Wire]:
        """Serve while in the block."""
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.socket.close()
            thread.join()

    @contextmanager
    def breaking(self, *rules: Rule) -> Iterator[None]:
        """Have things go wrong while in the block; the first rule that meets a request counts."""
        self._rules = list(rules)
        try:
            yield
        finally:
            self._rules = []

    @contextmanager
    def watching(self) -> Iterator[list[Seen]]:
        """The requests made while in the block."""
        with self._lock:
            self._seen = []
            seen = self._seen
        yield seen
        with self._lock:
            self._seen = []

    def _rule(self, method: str, path: str) -> Rule | None:
        with self._lock:
            for rule in self._rules:
                if rule.meets(method, path):
                    rule.times -= 1
                    return rule
        return None

    def _handle(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        rule = self._rule(request.command, request.path)
        if rule is not None and rule.gate is not None:
            rule.gate.wait(30)
        status, headers, answer = 599, [("Content-Type", "text/plain")], b"no rule and no server behind"
        if self._target and (rule is None or rule.forward):
            status, headers, answer = self._forward(request, body)
        if rule is not None:
            status, headers, answer = rule.status, list(rule.headers.items()), rule.body
        with self._lock:
            given = dict(request.headers.items())
            self._seen.append(Seen(request.command, request.path, given, body, status, len(answer)))
        if status == 0:
            _reset(request)
        else:
            _send(request, status, headers, answer)

    def _forward(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self._target, timeout=30)
        try:
            connection.putrequest(request.command, request.path, skip_host=True, skip_accept_encoding=True)
            for name, value in request.headers.items():
                if name.lower() != "connection":
                    connection.putheader(name, value)
            connection.endheaders(body or None)
            answer = connection.getresponse()
            data = answer.read()
            if request.command == "HEAD":
                return answer.status, answer.getheaders(), b""
            return answer.status, answer.getheaders(), data
        finally:
            connection.close()


def _send(request: BaseHTTPRequestHandler, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
    request.send_response_only(status)
    for name, value in headers:
        if name.lower() not in _HOP_BY_HOP or (name.lower() == "content-length" and request.command == "HEAD"):
            request.send_header(name, value)
    if request.command != "HEAD":
        request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)


def _reset(request: BaseHTTPRequestHandler) -> None:
    """Break the connection without an orderly end."""
    request.close_connection = True
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.connection.shutdown(socket.SHUT_RD)
