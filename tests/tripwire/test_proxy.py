"""Requests go through as they are, and end in each way that an action can ask for."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from local.stack.component import Component
from local.tripwire.tripwires import Tripwires
from local.tripwire.wires import Moment, Tripwire, answer, kill, look, reset, silence


class _Upstream(BaseHTTPRequestHandler):
    """Answers with what it got, and keeps it."""

    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, str, list[tuple[str, str]], bytes]]

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.seen.append((self.command, self.path, self.headers.items(), body))
        self.send_response(201, "Made")
        self.send_header("ETag", 'W/"1"')
        self.send_header("x-MS-Case", "kept")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_HEAD = _serve  # noqa: N815 - names of the standard library

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


class Setup:
    """Tripwires in front of one upstream that stands for ARM."""

    def __init__(self, tripwires: Tripwires, upstream: ThreadingHTTPServer) -> None:
        self.tripwires = tripwires
        self.seen: list[tuple[str, str, list[tuple[str, str]], bytes]] = []
        upstream.RequestHandlerClass = type("Handler", (_Upstream,), {"seen": self.seen})
        given: dict[str, int] = {}
        host = Component(
            name="host",
            port_names=(),
            command=lambda _: [],
            environment=lambda ports: given.update(ports) or {},
            is_ready=lambda *_: True,
        )
        port = upstream.server_port
        tripwires.rewired(host).environment({"blob": port, "table": port, "arm": port, "app": 1})
        self.port, self.app_port = given["arm"], given["app"]
        self.url = f"http://127.0.0.1:{self.port}"


@pytest.fixture
def setup() -> Iterator[Setup]:
    with Tripwires() as tripwires, ThreadingHTTPServer(("127.0.0.1", 0), _Upstream) as upstream:
        thread = threading.Thread(target=upstream.serve_forever)
        thread.start()
        yield Setup(tripwires, upstream)
        upstream.shutdown()
        thread.join()


def test_a_request_goes_through_byte_for_byte(setup: Setup) -> None:
    target = "/acc/a%2Fb(P=%27x%27)?$filter=a%20eq%20%27b%27&c=d+e"
    lines = [
        f"PUT {target} HTTP/1.1",
        "Host: 127.0.0.1:1",
        "x-ms-Date: now",
        "Authorization: SharedKey a:b==",
        "Content-Length: 5",
    ]
    with socket.create_connection(("127.0.0.1", setup.port)) as raw:
        raw.sendall("\r\n".join(lines).encode() + b"\r\n\r\n\x00\xff\r\n!")
        got = raw.recv(65536)
        while not got.endswith(b"\x00\xff\r\n!"):
            got += raw.recv(65536)
    ((method, path, headers, body),) = setup.seen
    assert (method, path, body) == ("PUT", target, b"\x00\xff\r\n!")
    assert [line.partition(": ")[::2] for line in lines[1:]] == headers[:4]
    assert {name for name, _ in headers[4:]} <= {"Connection"}
    assert got.startswith(b"HTTP/1.1 201 Made\r\n")
    assert b'\r\nETag: W/"1"\r\nx-MS-Case: kept\r\n' in got


def test_a_head_keeps_its_length(setup: Setup) -> None:
    assert httpx.head(f"{setup.url}/blob").headers["content-length"] == "0"
    assert httpx.get(f"{setup.url}/blob").headers["etag"] == 'W/"1"'


def test_other_ports_are_not_touched(setup: Setup) -> None:
    assert setup.app_port == 1


def test_calls_are_recorded_and_those_of_pods_are_not(setup: Setup) -> None:
    mark = setup.tripwires.mark()
    httpx.put(f"{setup.url}/a?x=1", content=b"body")
    httpx.get(f"{setup.url}/b?sig=secret")
    (call,) = setup.tripwires.calls(mark)
    assert (call.service, call.method, call.path, call.body, call.status) == ("arm", "PUT", "/a?x=1", "body", 201)


def test_an_answer_that_the_upstream_did_not_give(setup: Setup) -> None:
    setup.tripwires.set(Tripwire(answer(429, retry_after_seconds=1), path="/a"))
    busy = httpx.get(f"{setup.url}/a")
    assert (busy.status_code, busy.headers["retry-after"], setup.seen) == (429, "1", [])
    assert httpx.get(f"{setup.url}/a").status_code == 201


@pytest.mark.parametrize("moment", Moment)
def test_a_reset_before_or_after_the_upstream_has_seen_it(setup: Setup, moment: Moment) -> None:
    setup.tripwires.set(Tripwire(reset(), moment=moment))
    with pytest.raises(httpx.ReadError):
        httpx.get(f"{setup.url}/a")
    assert len(setup.seen) == (moment is Moment.AFTER)


def test_done_and_nobody_told(setup: Setup) -> None:
    setup.tripwires.set(Tripwire(silence(0.05), moment=Moment.AFTER))
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.post(f"{setup.url}/a")
    assert len(setup.seen) == 1


def test_a_look_changes_nothing(setup: Setup) -> None:
    looked: list[str] = []
    setup.tripwires.set(Tripwire(look(lambda call: looked.append(call.path)), times=None))
    assert [httpx.get(f"{setup.url}/{n}").status_code for n in range(2)] == [201, 201]
    assert looked == ["/0", "/1"]


def _send(port: int, path: str) -> socket.socket:
    """A request that the kernel has when this returns, whether or not the proxy has looked at it."""
    raw = socket.create_connection(("127.0.0.1", port), timeout=10)
    raw.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
    return raw


def _answer_on(raw: socket.socket) -> bytes:
    """What came back; nothing when the connection was cut."""
    try:
        return raw.recv(65536)
    except ConnectionResetError:
        return b""


def test_nothing_that_a_dead_host_has_sent_goes_through(setup: Setup) -> None:
    dying, dead = threading.Event(), threading.Event()

    def end() -> None:
        dying.set()
        assert dead.wait(10)

    setup.tripwires.set(Tripwire(kill(end), path="/killer"))
    with ThreadPoolExecutor() as pool, ExitStack() as connections:
        killer: Future[httpx.Response] = pool.submit(httpx.get, f"{setup.url}/killer")
        assert dying.wait(10)
        assert httpx.get(f"{setup.url}/pod?sig=x").status_code == 201
        late = [connections.enter_context(closing(_send(setup.port, f"/late/{number}"))) for number in range(20)]
        dead.set()
        with pytest.raises(httpx.TransportError):
            killer.result(10)
        assert [_answer_on(connection) for connection in late] == [b""] * len(late)
    assert [path for _, path, _, _ in setup.seen] == ["/pod?sig=x"]
    assert httpx.get(f"{setup.url}/new-host").status_code == 201


def test_an_upstream_that_is_gone_is_a_lost_connection(setup: Setup) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        setup.tripwires.point("arm", unused.getsockname()[1])
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{setup.url}/a")
