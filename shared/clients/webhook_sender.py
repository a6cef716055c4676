"""Sends a webhook: to the address that was checked and to no other, within ten seconds, whatever the receiver does.

- A name is resolved once. Every address that it has must be allowed, and one of these is connected to: a name that
  leads elsewhere a moment later (DNS rebinding) gains nothing. Certificate and ``Host`` are by the name all the same.
- No redirect is followed, no proxy of the environment is used, no credential of the app goes along.
- Of the answer at most 16 KiB are read. All time limits are one: that of the whole try.
"""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Callable, Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import TYPE_CHECKING, Any, Protocol

from shared.domain.errors import InvalidInputError
from shared.domain.webhook_urls import AllowedReceivers, WebhookUrl, parse_webhook_url, refused_because
from shared.domain.webhooks import Answer

if TYPE_CHECKING:
    import ssl

TRY_SECONDS = 10.0
CONNECT_SECONDS = 4.0
"""For one of several addresses."""
MAX_ADDRESSES = 4
MAX_ANSWER_BYTES = 16_384
_BODY_BYTES = 4096
"""Read of an answer's body, so that a receiver is not cut off in the middle of a short one. Nobody looks at it."""
_MAX_LOOKUPS = 16

type Resolve = Callable[[str, int, float], list[str]]
"""Host, port and seconds -> addresses; raises OSError."""


class WebhookSender(Protocol):
    """Sends a webhook once."""

    def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send it; whatever happens is an answer."""


class HttpWebhookSender:
    """The sender over sockets.

    Args:
        allowed: receivers that may be where others may not.
        resolve: how names become addresses.
        tls: makes the TLS settings; called once, when first needed.
        seconds: of a whole try.
    """

    def __init__(
        self,
        allowed: AllowedReceivers,
        *,
        resolve: Resolve | None = None,
        tls: Callable[[], ssl.SSLContext] | None = None,
        seconds: float = TRY_SECONDS,
    ) -> None:
        self._allowed = allowed
        self._resolve = resolve or resolve_name
        self._make_tls = tls or _usual_tls
        self._seconds = seconds
        self._tls: ssl.SSLContext | None = None
        self._lock = threading.Lock()

    def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """One try, over a connection of its own."""
        import ssl

        deadline = _Deadline(self._seconds)
        try:
            where = parse_webhook_url(url, self._allowed)
        except InvalidInputError:  # allowed when it was submitted, and not any more
            return Answer(problem="url_refused")
        try:
            addresses = self._addresses(where, deadline)
        except OSError:
            return Answer(problem="dns_failed")
        if not self._allowed.has_name(where.host) and any(refused_because(a, self._allowed) for a in addresses):
            return Answer(problem="address_refused")
        try:
            with self._connected(where, addresses, deadline) as connection:
                return _exchange(connection, deadline, where, headers, body)
        except TimeoutError:
            return Answer(problem="timeout")
        except ssl.SSLError:
            return Answer(problem="tls_failed")
        except OSError:
            return Answer(problem="unreachable")
        except HTTPException:  # it does not speak HTTP
            return Answer(problem="broken_answer")

    def _addresses(self, where: WebhookUrl, deadline: _Deadline) -> list[str]:
        """Of a name; an address is its own. Raises OSError."""
        if where.address is not None:
            return [where.host]
        found = self._resolve(where.host, where.port, deadline.left)
        if not found:
            raise OSError("the name has no address")
        return found

    def _connected(self, where: WebhookUrl, addresses: list[str], deadline: _Deadline) -> socket.socket:
        """A connection to the first address that answers. Raises OSError, the last one's."""
        failure: OSError = TimeoutError("no time to connect")
        for address in addresses[:MAX_ADDRESSES]:
            try:
                return self._connect(where, address, min(CONNECT_SECONDS, deadline.left), deadline)
            except OSError as error:  # the next address may answer
                failure = error
        raise failure

    def _connect(self, where: WebhookUrl, address: str, seconds: float, deadline: _Deadline) -> socket.socket:
        plain = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        try:
            plain.settimeout(seconds)
            plain.connect((address, where.port))
            if where.scheme == "http":
                return plain
            plain.settimeout(deadline.left)
            return self._tls_settings().wrap_socket(plain, server_hostname=where.host)
        except BaseException:
            plain.close()
            raise

    def _tls_settings(self) -> ssl.SSLContext:
        with self._lock:
            if self._tls is None:
                self._tls = self._make_tls()
            return self._tls


class _Deadline:
    """So many seconds from now."""

    def __init__(self, seconds: float) -> None:
        self._ends_at = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds. Raises TimeoutError when there are none."""
        left = self._ends_at - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time for the try is over")
        return left


def _exchange(
    connection: socket.socket, deadline: _Deadline, where: WebhookUrl, headers: Mapping[str, str], body: bytes
) -> Answer:
    """Send the request and read how it was answered. Raises OSError, HTTPException."""
    http = HTTPConnection(where.authority)
    timed: Any = _Timed(connection, deadline)
    http.sock = timed
    http.request("POST", where.target, body, {"Host": where.authority, "Connection": "close", **headers})
    with http.getresponse() as response:
        answer = Answer(status=response.status, retry_after=_seconds(response.headers.get("Retry-After")))
        _read_some(response)
    return answer


def _read_some(response: HTTPResponse) -> None:
    try:
        response.read(_BODY_BYTES)
    except (OSError, HTTPException, ValueError):  # the last: of a chunk of -5 bytes. The status was said: that counts
        return


def _seconds(text: str | None) -> float | None:
    """The seconds of a ``Retry-After``; a date is not read."""
    return float(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else None


class _Timed:
    """A socket as ``http.client`` uses it, whose every operation ends when the time of the whole try does."""

    def __init__(self, connection: socket.socket, deadline: _Deadline) -> None:
        self._connection, self._deadline = connection, deadline

    def sendall(self, data: bytes) -> None:
        """Send all, or raise OSError."""
        self._connection.settimeout(self._deadline.left)
        self._connection.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:  # noqa: ARG002 - always read
        """What the receiver answers."""
        return io.BufferedReader(_Answer(self._connection, self._deadline), 2048)

    def close(self) -> None:
        """Whoever made the connection closes it."""


class _Answer(io.RawIOBase):
    """What comes over a connection: bounded in time and in bytes."""

    def __init__(self, connection: socket.socket, deadline: _Deadline) -> None:
        super().__init__()
        self._connection, self._deadline, self._left = connection, deadline, MAX_ANSWER_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """As of any raw stream. Raises HTTPException where the answer is too long."""
        if self._left <= 0:
            raise HTTPException("the answer is too long")
        self._connection.settimeout(self._deadline.left)
        size = self._connection.recv_into(buffer, min(len(buffer), self._left))
        self._left -= size
        return size


def _usual_tls() -> ssl.SSLContext:
    """The machine's certificate authorities; host names and certificates are checked."""
    import ssl

    return ssl.create_default_context()


_lookups = threading.BoundedSemaphore(_MAX_LOOKUPS)


def resolve_name(host: str, port: int, seconds: float) -> list[str]:
    """The addresses of a name, in the order in which the machine would use them.

    The machine's resolver takes its own time. So it works in a thread that is left alone when the time is up; there are
    at most 16 of these.

    Raises:
        OSError: there is no such name, no answer in time, or too many look-ups are under way.
    """
    if not _lookups.acquire(timeout=seconds):
        raise TimeoutError("too many names are being looked up")
    found: list[str] = []
    failures: list[Exception] = []

    def look_up() -> None:
        try:
            for *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
                if str(address[0]) not in found:
                    found.append(str(address[0]))
        except (OSError, UnicodeError) as error:  # no such name, or none at all
            failures.append(error)
        finally:
            _lookups.release()

    thread = threading.Thread(target=look_up, name=f"resolve-{host[:50]}", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError("the name was not found in time")
    if failures:
        raise OSError("the name was not found") from failures[0]
    return found
