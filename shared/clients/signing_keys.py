"""The public keys that a tenant signs its tokens with: fetched when they are needed, kept while they may be used.

Whoever sends a token names its key, so that anybody can name keys that do not exist. What that costs is bounded:

- keys are fetched at most once in ``PAUSE`` seconds, whatever is asked for, and by one thread at a time;
- a fetch has ``FETCH_SECONDS`` in all, reads ``MAX_BYTES`` at most, and follows no redirect;
- keys older than ``FRESH`` are fetched again by one of those who ask, while the others go on with what is there;
- keys older than ``OLDEST`` are not used any more: without an answer by then nobody gets in.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from shared.domain.errors import ElbError, TransientError
from shared.telemetry import log_event

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

FRESH = 3600.0
"""Seconds. Microsoft rolls keys at any time and asks to look for new ones at least once a day (Microsoft Entra,
"Signing key rollover")."""
OLDEST = 86_400.0
"""Seconds that keys are used while new ones cannot be had."""
PAUSE = 30.0
"""Seconds from the end of a fetch to the next one for a key that is not known."""
FAILURE_PAUSE = 5.0
"""Seconds from a fetch that failed to the next one."""
FETCH_SECONDS = 10.0
"""In which a fetch ends, from the connection to the last byte."""
MAX_BYTES = 1_000_000
MAX_KEYS = 100
KEY_BITS = range(2048, 8193)
"""Sizes that a key may have: RFC 7518, 3.3 asks for 2048 at least; a larger one only costs time."""


@dataclass(frozen=True, slots=True)
class _Held:
    """Keys by their id, and when they were asked for."""

    keys: Mapping[str, RSAPublicKey] = field(default_factory=dict)
    at: float = float("-inf")


class SigningKeys:
    """The keys at one address.

    Args:
        url: of a JSON Web Key Set (RFC 7517), https or on loopback.
        clock: seconds that only grow; tests move it.
    """

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._url, self._clock = url, clock
        self._held = _Held()
        self._next_try = float("-inf")
        self._failed = False
        self._fetching = threading.Lock()

    def key(self, kid: str) -> RSAPublicKey | None:
        """The key of that id; None when the tenant has no such key.

        Raises:
            TransientError: ``signing_keys_unavailable``: whether it has cannot be told.
        """
        age = self._clock() - self._held.at
        is_usable = kid in self._held.keys and age < OLDEST
        if not is_usable or age >= FRESH:
            self._refresh(wait=not is_usable)
        held = self._held
        if self._clock() - held.at < OLDEST and (kid in held.keys or not self._failed):
            return held.keys.get(kid)
        raise TransientError(
            "signing_keys_unavailable",
            "tokens cannot be checked now: the tenant's signing keys cannot be had",
            "try again; if it stays, check AUTH_KEYS_URL and the app's way out",
            retry_after=FAILURE_PAUSE,
        )

    def _refresh(self, *, wait: bool) -> None:
        """Fetch, unless somebody has just done so; without ``wait`` not while somebody does."""
        if not self._fetching.acquire(blocking=wait):
            return
        try:
            now = self._clock()
            if now < self._next_try:
                return
            try:
                self._held, self._failed = _Held(read_keys(fetch(self._url)), now), False
            except ElbError as error:
                self._failed = True
                log_event(error.code, level=logging.WARNING, message=error.message)
            self._next_try = self._clock() + (FAILURE_PAUSE if self._failed else PAUSE)
        finally:
            self._fetching.release()


@lru_cache(maxsize=4)
def signing_keys(url: str) -> SigningKeys:
    """The keys at an address, of this process: the tenant's, in an app that serves one."""
    return SigningKeys(url)


def read_keys(document: bytes) -> dict[str, RSAPublicKey]:
    """The keys of a key set that may sign with RS256, by their id; others are left out.

    Raises:
        TransientError: ``signing_keys_unreadable``: it is no key set, or has no such key.
    """
    try:
        found = json.loads(document)["keys"]
        rows = [row for row in found[:MAX_KEYS] if isinstance(row, dict)]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise TransientError("signing_keys_unreadable", "what AUTH_KEYS_URL gives is no key set") from error
    keys = {str(row["kid"]): key for row in rows if _may_sign(row) and (key := _public_key(row)) is not None}
    if not keys:
        raise TransientError("signing_keys_unreadable", "what AUTH_KEYS_URL gives has no key for RS256")
    return keys


def _may_sign(row: Mapping[str, Any]) -> bool:
    is_named = isinstance(row.get("kid"), str) and bool(row["kid"])
    return (
        is_named and row.get("kty") == "RSA" and row.get("use", "sig") == "sig" and row.get("alg", "RS256") == "RS256"
    )


def _public_key(row: Mapping[str, Any]) -> RSAPublicKey | None:
    """None for one that is no key, or of a size that is not taken."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from jwt import PyJWTError
    from jwt.algorithms import RSAAlgorithm

    public = {name: row.get(name) for name in ("kty", "n", "e")}  # never a private part, whatever is sent
    try:
        key = RSAAlgorithm.from_jwk(public)
    except (PyJWTError, ValueError, TypeError, AttributeError):  # the library's own, or of the numbers in it
        return None
    return key if isinstance(key, RSAPublicKey) and key.key_size in KEY_BITS else None


def fetch(url: str, seconds: float = FETCH_SECONDS) -> bytes:
    """What an address gives, in bounded time and size; a redirect is not followed.

    Raises:
        TransientError: ``signing_keys_unreachable``.
    """
    from http.client import HTTPException

    try:
        status, content = _get(url, seconds)
    except (OSError, HTTPException, ValueError) as error:  # the last one: of an address that is none
        message = f"AUTH_KEYS_URL does not answer: {type(error).__name__}"
        raise TransientError("signing_keys_unreachable", message) from error
    if status != 200 or len(content) > MAX_BYTES:
        message = f"AUTH_KEYS_URL answers {status} with {len(content)} bytes"
        raise TransientError("signing_keys_unreachable", message)
    return content


def _get(url: str, seconds: float) -> tuple[int, bytes]:
    import ssl
    from http.client import HTTPConnection, HTTPSConnection
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    host, silence = parts.hostname or "", seconds / 2
    connection: HTTPConnection = (
        HTTPSConnection(host, parts.port, timeout=silence, context=ssl.create_default_context())
        if parts.scheme == "https"
        else HTTPConnection(host, parts.port, timeout=silence)
    )
    # A timeout is one of silence; this ends a server that goes on sending a little.
    end = threading.Timer(seconds, _cut, (connection,))
    end.daemon = True
    end.start()
    try:
        connection.connect()
        if end.finished.is_set():
            raise TimeoutError("it took too long to connect")
        connection.request("GET", f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}")
        answer = connection.getresponse()
        return answer.status, answer.read(MAX_BYTES + 1)
    finally:
        end.cancel()
        connection.close()


def _cut(connection: Any) -> None:
    """End a connection that takes too long: whoever reads from it gets an error or the end."""
    import socket

    try:
        connection.sock.shutdown(socket.SHUT_RDWR)
    except (OSError, AttributeError):  # it has no socket yet, or none any more
        return
