"""The sender against real servers on loopback: where it connects to, what it sends, and what it makes of any answer."""

from __future__ import annotations

import http.client
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from shared.clients.webhook_sender import MAX_ANSWER_BYTES, HttpWebhookSender, Resolve, resolve_name
from shared.domain.webhook_urls import AllowedReceivers, read_allowed
from shared.domain.webhooks import Answer
from tests.clients.tls import Authority, make_authority

LOOPBACK = read_allowed("127.0.0.0/8")
ANYTHING = read_allowed("127.0.0.0/8,hooks.test,localhost")
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
SHORT = 0.5
"""Seconds of a try where the receiver is to be too slow."""

type Talk = Callable[[socket.socket], None]


class Receiver:
    """A server that takes each connection as ``talk`` says, and keeps what it was sent.

    Args:
        answer: what it answers to every request.
        talk: in place of that, what it does with a connection whose request was read.
        tls: its certificate; none for plain HTTP.
    """

    def __init__(
        self, answer: bytes = NO_CONTENT, *, talk: Talk | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.connections = 0
        self.ended = threading.Event()
        receiver = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                receiver.connections += 1
                connection: socket.socket = self.request
                try:
                    if tls is not None:
                        connection = tls.wrap_socket(connection, server_side=True)
                    with connection:
                        receiver.requests.append(read_request(connection))
                        (talk or (lambda to: to.sendall(answer)))(connection)
                except OSError:  # the sender hangs up: that is what some tests are about
                    return

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]

    @contextmanager
    def serving(self) -> Iterator[Receiver]:
        """Serve while the block lasts."""
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield self
        finally:
            self.ended.set()
            self._server.shutdown()
            self._server.server_close()
            thread.join()


def read_request(connection: socket.socket) -> tuple[str, dict[str, str], bytes]:
    """The request line, the headers in lower case, and the body."""
    file = connection.makefile("rb")
    line = file.readline().decode().strip()
    headers = {name.lower(): value for name, value in http.client.parse_headers(file).items()}
    return line, headers, file.read(int(headers.get("content-length", 0)))


class Names:
    """A resolver that knows these names and counts what it is asked."""

    def __init__(self, **names: list[str]) -> None:
        self.names = {name.replace("_", "."): addresses for name, addresses in names.items()}
        self.asked: list[str] = []

    def __call__(self, host: str, port: int, seconds: float) -> list[str]:
        self.asked.append(host)
        assert seconds > 0
        if host not in self.names:
            raise OSError("no such name")
        return self.names[host]


def sender(
    allowed: AllowedReceivers = ANYTHING,
    names: Resolve | None = None,
    *,
    trusted: Authority | None = None,
    seconds: float = 10.0,
) -> HttpWebhookSender:
    """A sender that trusts the test's own authority only."""

    def tls() -> ssl.SSLContext:
        assert trusted is not None
        return ssl.create_default_context(cadata=trusted.pem.decode())

    return HttpWebhookSender(allowed, resolve=names or Names(hooks_test=["127.0.0.1"]), tls=tls, seconds=seconds)


def send(by: HttpWebhookSender, url: str, **headers: str) -> Answer:
    """Send a small body."""
    return by.send(url, {"Content-Type": "application/json", **headers}, b'{"a":1}')


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """With a certificate for ``hooks.test`` and for 127.0.0.1."""
    return make_authority(tmp_path_factory.mktemp("authority"), "hooks.test")


class TestRequest:
    def test_as_it_is_sent(self) -> None:
        with Receiver().serving() as receiver:
            answer = send(sender(), f"http://hooks.test:{receiver.port}/in/a%20b?k=v", **{"X-Elb-Event": "e"})
        assert answer == Answer(204)
        [(line, headers, body)] = receiver.requests
        assert line == "POST /in/a%20b?k=v HTTP/1.1"
        assert body == b'{"a":1}'
        assert headers == {
            "host": f"hooks.test:{receiver.port}",
            "connection": "close",
            "content-type": "application/json",
            "x-elb-event": "e",
            "content-length": "7",
            "accept-encoding": "identity",
        }

    def test_no_proxy_of_the_environment_is_asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with Receiver().serving() as proxy, Receiver().serving() as receiver:
            for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            assert send(sender(), f"http://hooks.test:{receiver.port}/") == Answer(204)
        assert (proxy.connections, receiver.connections) == (0, 1)

    def test_a_redirect_is_not_followed(self) -> None:
        with Receiver().serving() as other:
            location = f"Location: http://127.0.0.1:{other.port}/\r\nContent-Length: 0\r\n\r\n"
            redirect = b"HTTP/1.1 307 Temporary Redirect\r\n" + location.encode()
            with Receiver(redirect).serving() as receiver:
                assert send(sender(), f"http://hooks.test:{receiver.port}/") == Answer(307)
        assert other.connections == 0

    def test_a_header_that_holds_another_one_is_not_sent(self) -> None:
        with Receiver().serving() as receiver, pytest.raises(ValueError, match="Invalid header"):
            send(sender(), f"http://hooks.test:{receiver.port}/", **{"X-A": "b\r\nX-C: d"})
        assert receiver.requests == [] or "x-c" not in receiver.requests[0][1]


REFUSED = ["127.0.0.1", "10.0.0.1", "169.254.169.254", "168.63.129.16", "100.64.0.1", "0.0.0.0"]  # noqa: S104
REFUSED += ["192.168.0.1", "224.0.0.1", "::1", "::", "fe80::1", "fd00:ec2::254", "::ffff:127.0.0.1"]
REFUSED += ["64:ff9b::7f00:1", "2002:7f00:1::1", "ff02::1", "fec0::1", "nonsense"]


@pytest.mark.proves("Q3")
class TestAddress:
    @pytest.mark.parametrize("address", REFUSED)
    def test_a_public_name_that_leads_inside_is_refused(self, address: str) -> None:
        names = Names(evil_example=[address])
        assert send(sender(AllowedReceivers(), names), "https://evil.example/") == Answer(problem="address_refused")

    def test_nothing_is_connected_to(self) -> None:
        """The port is a server's: a connection would be seen."""
        with Receiver().serving() as receiver:
            by = sender(AllowedReceivers(), Names(evil_example=["127.0.0.1"]))
            assert send(by, f"https://evil.example:{receiver.port}/") == Answer(problem="address_refused")
        assert receiver.connections == 0

    def test_one_address_of_several_is_enough_to_refuse(self) -> None:
        with Receiver().serving() as receiver:
            names = Names(evil_example=["127.0.0.1", "10.0.0.1"])
            by = sender(LOOPBACK, names)
            assert send(by, f"https://evil.example:{receiver.port}/") == Answer(problem="address_refused")
        assert receiver.connections == 0

    @pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "[::1]", "[fd00:ec2::254]"])
    def test_an_address_in_the_url_is_refused(self, host: str) -> None:
        by = sender(AllowedReceivers(), Names())
        assert send(by, f"https://{host}/") == Answer(problem="url_refused")

    def test_a_name_that_leads_elsewhere_a_moment_later_gains_nothing(self, authority: Authority) -> None:
        """DNS rebinding: the second look-up would give another address, but there is none."""
        with Receiver(tls=authority.server).serving() as checked:
            asked: list[str] = []

            def rebinding(host: str, port: int, seconds: float) -> list[str]:
                asked.append(host)
                return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

            by = sender(LOOPBACK, rebinding, trusted=authority)
            assert send(by, f"https://hooks.test:{checked.port}/") == Answer(204)
            assert asked == ["hooks.test"]
            assert send(by, f"https://hooks.test:{checked.port}/") == Answer(problem="address_refused")
        assert checked.connections == 1
        assert checked.requests[0][1]["host"] == f"hooks.test:{checked.port}"

    def test_each_try_looks_the_name_up_once(self) -> None:
        with Receiver().serving() as receiver:
            names = Names(hooks_test=["127.0.0.1"])
            by = sender(ANYTHING, names)
            for _ in range(3):
                send(by, f"http://hooks.test:{receiver.port}/")
        assert names.asked == ["hooks.test"] * 3

    def test_an_address_needs_no_resolver(self) -> None:
        with Receiver().serving() as receiver:
            names = Names()
            assert send(sender(LOOPBACK, names), f"http://127.0.0.1:{receiver.port}/") == Answer(204)
        assert names.asked == []

    def test_the_next_address_is_tried_where_the_first_does_not_answer(self) -> None:
        with Receiver().serving() as receiver:
            names = Names(hooks_test=["127.0.0.9", "127.0.0.1"])
            assert send(sender(ANYTHING, names), f"http://hooks.test:{receiver.port}/") == Answer(204)

    def test_what_was_allowed_when_it_was_submitted_may_be_refused_now(self) -> None:
        with Receiver().serving() as receiver:
            url = f"http://hooks.test:{receiver.port}/"
            assert send(sender(AllowedReceivers()), url) == Answer(problem="url_refused")
        assert receiver.connections == 0


class TestTls:
    def test_by_name(self, authority: Authority) -> None:
        with Receiver(tls=authority.server).serving() as receiver:
            assert send(sender(trusted=authority), f"https://hooks.test:{receiver.port}/") == Answer(204)

    def test_by_address(self, authority: Authority) -> None:
        with Receiver(tls=authority.server).serving() as receiver:
            assert send(sender(trusted=authority), f"https://127.0.0.1:{receiver.port}/") == Answer(204)

    def test_another_s_certificate_is_refused_and_nothing_is_sent(self, authority: Authority) -> None:
        names = Names(other_test=["127.0.0.1"])
        with Receiver(tls=authority.server).serving() as receiver:
            by = sender(LOOPBACK, names, trusted=authority)
            assert send(by, f"https://other.test:{receiver.port}/") == Answer(problem="tls_failed")
        assert receiver.requests == []

    def test_an_unknown_authority_is_refused(self, authority: Authority, tmp_path: Path) -> None:
        with Receiver(tls=authority.server).serving() as receiver:
            by = sender(trusted=make_authority(tmp_path, "hooks.test"))
            assert send(by, f"https://hooks.test:{receiver.port}/") == Answer(problem="tls_failed")
        assert receiver.requests == []

    def test_the_usual_settings_trust_no_test(self, authority: Authority) -> None:
        with Receiver(tls=authority.server).serving() as receiver:
            by = HttpWebhookSender(ANYTHING, resolve=Names(hooks_test=["127.0.0.1"]))
            assert send(by, f"https://hooks.test:{receiver.port}/") == Answer(problem="tls_failed")

    def test_a_receiver_without_tls(self, authority: Authority) -> None:
        with Receiver().serving() as receiver:
            answer = send(sender(trusted=authority), f"https://hooks.test:{receiver.port}/")
        assert answer.problem in ("tls_failed", "unreachable", "timeout")


def head(status: str, *headers: str) -> bytes:
    """A whole answer without a body."""
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "Content-Length: 0", "", ""]).encode()


ANSWERS: dict[str, tuple[bytes, Answer]] = {
    "ok": (head("200 OK"), Answer(200)),
    "gone": (head("410 Gone"), Answer(410)),
    "busy": (head("503 Busy", "Retry-After: 120"), Answer(503, retry_after=120.0)),
    "busy until a date": (head("503 Busy", "Retry-After: Fri, 31 Dec 1999 23:59:59 GMT"), Answer(503)),
    "busy for ever": (head("429 Slow", "Retry-After: " + "9" * 400), Answer(429)),
    "busy for less than nothing": (head("429 Slow", "Retry-After: -5"), Answer(429)),
    "older HTTP": (b"HTTP/1.0 200 OK\r\n\r\nbody", Answer(200)),
    "continue first": (b"HTTP/1.1 100 Continue\r\n\r\n" + head("201 Made"), Answer(201)),
    "a body in chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", Answer(200)),
    "a broken body": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", Answer(200)),
    "a chunk of less than nothing": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n", Answer(200)),
    "a body that never ends": (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1_000_000, Answer(200)),
    "a body shorter than said": (b"HTTP/1.1 202 OK\r\nContent-Length: 1000\r\n\r\nx", Answer(202)),
    "nothing": (b"", Answer(problem="unreachable")),
    "no HTTP": (b"220 mail.example.org ESMTP\r\n", Answer(problem="broken_answer")),
    "no status": (b"HTTP/1.1 abc OK\r\n\r\n", Answer(problem="broken_answer")),
    "a line too long": (b"HTTP/1.1 200 " + b"x" * 100_000, Answer(problem="broken_answer")),
    "headers without end": (
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 90 + b"C: " + b"d" * 50_000,
        Answer(problem="broken_answer"),
    ),
    "too many headers": (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 1000, Answer(problem="broken_answer")),
    "continue for ever": (b"HTTP/1.1 100 Continue\r\n\r\n" * 5000, Answer(problem="broken_answer")),
}


class TestAnswer:
    @pytest.mark.parametrize("name", ANSWERS)
    def test_any(self, name: str) -> None:
        answer, wanted = ANSWERS[name]
        with Receiver(answer).serving() as receiver:
            assert send(sender(), f"http://hooks.test:{receiver.port}/") == wanted

    def test_no_more_of_it_is_read_than_is_allowed(self) -> None:
        """What the receiver gets rid of: the buffers of two sockets, and the little that was read."""
        sent = 0

        def pour(connection: socket.socket) -> None:
            nonlocal sent
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            for _ in range(100_000):
                sent += connection.send(b"x" * 4096)

        with Receiver(talk=pour).serving() as receiver:
            assert send(sender(), f"http://hooks.test:{receiver.port}/") == Answer(200)
        assert sent < 100_000_000
        assert MAX_ANSWER_BYTES == 16_384

    def test_nobody_listens(self) -> None:
        with Receiver().serving() as receiver:
            port = receiver.port
        assert send(sender(), f"http://hooks.test:{port}/") == Answer(problem="unreachable")

    def test_no_such_name(self) -> None:
        assert send(sender(names=Names()), "https://hooks.test/") == Answer(problem="dns_failed")
        assert send(sender(names=Names(hooks_test=[])), "https://hooks.test/") == Answer(problem="dns_failed")

    @pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\nA: "])
    def test_a_receiver_that_says_nothing_more(self, start: bytes) -> None:
        def wait(connection: socket.socket) -> None:
            connection.sendall(start)
            receiver.ended.wait(30)

        receiver = Receiver(talk=wait)
        with receiver.serving():
            assert send(sender(seconds=SHORT), f"http://hooks.test:{receiver.port}/") == Answer(problem="timeout")

    def test_a_receiver_that_says_a_little_all_the_time(self) -> None:
        """Each byte comes in time; the whole does not."""

        def drip(connection: socket.socket) -> None:
            connection.sendall(b"HTTP/1.1 200 OK\r\nA: ")
            while not receiver.ended.wait(0.05):
                connection.sendall(b"x")

        receiver = Receiver(talk=drip)
        with receiver.serving():
            began = time.monotonic()
            assert send(sender(seconds=SHORT), f"http://hooks.test:{receiver.port}/") == Answer(problem="timeout")
            assert time.monotonic() - began < 20

    def test_a_body_that_drips_does_not_undo_what_the_status_said(self) -> None:
        def drip(connection: socket.socket) -> None:
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while not receiver.ended.wait(0.05):
                connection.sendall(b"x")

        receiver = Receiver(talk=drip)
        with receiver.serving():
            assert send(sender(seconds=3.0), f"http://hooks.test:{receiver.port}/") == Answer(200)

    def test_a_handshake_that_does_not_end(self, authority: Authority) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            by = sender(trusted=authority, seconds=SHORT)
            assert send(by, f"https://hooks.test:{silent.getsockname()[1]}/") == Answer(problem="timeout")


class TestResolver:
    def test_the_machine_s_own(self) -> None:
        assert "127.0.0.1" in resolve_name("localhost", 80, 10) or "::1" in resolve_name("localhost", 80, 10)

    def test_no_such_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def unknown(*_: Any, **__: Any) -> list[Any]:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        with pytest.raises(OSError, match="the name was not found"):
            resolve_name("hooks.test", 80, 10)

    def test_a_name_that_cannot_be_asked_for(self) -> None:
        with pytest.raises(OSError, match="the name was not found"):
            resolve_name(f"{'a' * 64}.invalid", 80, 10)

    def test_one_that_takes_too_long_is_left_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        gate = threading.Event()

        def slow(*_: Any, **__: Any) -> list[Any]:
            gate.wait(30)
            return []

        monkeypatch.setattr(socket, "getaddrinfo", slow)
        try:
            with pytest.raises(TimeoutError):
                resolve_name("hooks.test", 80, 0.05)
        finally:
            gate.set()

    def test_a_look_up_counts_as_the_try_s_time(self) -> None:
        def slow(host: str, port: int, seconds: float) -> list[str]:
            raise TimeoutError("the name was not found in time")

        assert send(sender(names=slow), "https://hooks.test/") == Answer(problem="dns_failed")
