"""The tenant's keys: kept, renewed, and never fetched more often than is good, whatever is asked for."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from shared.clients.signing_keys import (
    FAILURE_PAUSE,
    FETCH_SECONDS,
    FRESH,
    MAX_BYTES,
    MAX_KEYS,
    OLDEST,
    PAUSE,
    SigningKeys,
    fetch,
    read_keys,
    signing_keys,
)
from shared.domain.errors import TransientError
from tests.clients.tls import make_authority
from tests.unit.key_server import KeyServer, key_server, key_set, private_key, public_row

SECOND = 1.0
SILENCE = FETCH_SECONDS / 2
"""Seconds after which a fetch of which nothing is heard has failed."""


class Clock:
    """Seconds that the test moves."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def server() -> Iterator[KeyServer]:
    """A server with one key."""
    with key_server("k1") as made:
        yield made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(server: KeyServer, clock: Clock) -> SigningKeys:
    """The keys at the server."""
    return SigningKeys(server.url, clock)


def is_key(found: RSAPublicKey | None, name: str) -> bool:
    """Whether that is the key of that name."""
    return found is not None and found.public_numbers() == private_key(name).public_key().public_numbers()


class TestFetching:
    def test_nothing_is_fetched_before_it_is_needed(self, keys: SigningKeys, server: KeyServer) -> None:
        assert server.asked == 0

    def test_once_for_many(self, keys: SigningKeys, server: KeyServer, clock: Clock) -> None:
        for _ in range(10):
            assert is_key(keys.key("k1"), "k1")
        clock.seconds += FRESH - SECOND
        assert is_key(keys.key("k1"), "k1")
        assert server.asked == 1

    def test_again_when_they_are_not_fresh_any_more(self, keys: SigningKeys, server: KeyServer, clock: Clock) -> None:
        keys.key("k1")
        clock.seconds += FRESH
        server.content = key_set("k1", "k2")
        assert is_key(keys.key("k1"), "k1")
        assert is_key(keys.key("k2"), "k2")
        assert server.asked == 2

    def test_a_key_that_was_taken_back_is_none(self, keys: SigningKeys, server: KeyServer, clock: Clock) -> None:
        keys.key("k1")
        clock.seconds += FRESH
        server.content = key_set("k2")
        assert keys.key("k1") is None

    def test_one_thread_at_a_time(self, keys: SigningKeys, server: KeyServer) -> None:
        found: list[Any] = []
        together = threading.Barrier(8)

        def ask() -> None:
            together.wait()
            found.append(keys.key("k1"))

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert server.asked == 1
        assert [is_key(key, "k1") for key in found] == [True] * 8

    def test_while_one_fetches_the_others_go_on_with_what_is_there(
        self, keys: SigningKeys, server: KeyServer, clock: Clock
    ) -> None:
        keys.key("k1")
        clock.seconds += FRESH
        asked, go_on = threading.Event(), threading.Event()

        def hold(_: Any) -> None:
            asked.set()
            go_on.wait(30)

        server.during = hold
        fetching = threading.Thread(target=keys.key, args=("k1",))
        fetching.start()
        try:
            assert asked.wait(30)
            found: list[Any] = []
            asking = threading.Thread(target=lambda: found.append(keys.key("k1")))
            asking.start()
            asking.join(SILENCE / 2)
            assert is_key(found[0], "k1")
            assert server.asked == 2
        finally:
            go_on.set()
            fetching.join()


class TestUnknownKeys:
    def test_a_new_one_is_found_at_once(self, keys: SigningKeys, server: KeyServer, clock: Clock) -> None:
        keys.key("k1")
        clock.seconds += PAUSE
        server.content = key_set("k2")
        assert is_key(keys.key("k2"), "k2")
        assert keys.key("k1") is None

    def test_a_flood_of_made_up_ones_makes_one_fetch_in_a_pause(
        self, keys: SigningKeys, server: KeyServer, clock: Clock
    ) -> None:
        for number in range(1000):
            assert keys.key(f"made up {number}") is None
        assert server.asked == 1
        clock.seconds += PAUSE - SECOND
        assert keys.key("made up") is None
        assert server.asked == 1
        clock.seconds += SECOND
        assert keys.key("made up") is None
        assert server.asked == 2
        assert is_key(keys.key("k1"), "k1")


class TestWithoutAnAnswer:
    def test_never_fetched(self, keys: SigningKeys, server: KeyServer, clock: Clock) -> None:
        server.status = 503
        for _ in range(10):
            with pytest.raises(TransientError) as unavailable:
                keys.key("k1")
            assert (unavailable.value.code, unavailable.value.retry_after) == (
                "signing_keys_unavailable",
                FAILURE_PAUSE,
            )
        assert server.asked == 1
        clock.seconds += FAILURE_PAUSE
        server.status = 200
        assert is_key(keys.key("k1"), "k1")

    def test_those_that_are_there_are_used_until_they_are_too_old(
        self, keys: SigningKeys, server: KeyServer, clock: Clock
    ) -> None:
        keys.key("k1")
        server.status = 500
        clock.seconds += FRESH
        assert is_key(keys.key("k1"), "k1")
        clock.seconds += OLDEST - FRESH - SECOND
        assert is_key(keys.key("k1"), "k1")
        clock.seconds += SECOND
        with pytest.raises(TransientError):
            keys.key("k1")
        server.status = 200
        clock.seconds += FAILURE_PAUSE
        assert is_key(keys.key("k1"), "k1")

    def test_one_that_is_not_there_may_be_a_new_one(self, keys: SigningKeys, server: KeyServer, clock: Clock) -> None:
        keys.key("k1")
        clock.seconds += PAUSE
        server.status = 500
        with pytest.raises(TransientError):
            keys.key("k2")
        assert is_key(keys.key("k1"), "k1")

    @pytest.mark.parametrize("content", [b"", b"x", b"[]", b"{}", b'{"keys": []}', b'{"keys": {}}', b'{"keys": 1}'])
    def test_what_is_no_key_set_replaces_nothing(
        self, keys: SigningKeys, server: KeyServer, clock: Clock, content: bytes
    ) -> None:
        keys.key("k1")
        clock.seconds += FRESH
        server.content = content
        assert is_key(keys.key("k1"), "k1")
        assert server.asked == 2


class TestReading:
    @pytest.mark.parametrize(
        "row",
        [
            public_row("k2", use="enc"),
            public_row("k2", alg="RS512"),
            public_row("k2", alg=None),
            public_row("k2", kty="EC"),
            public_row("k2", kid=""),
            public_row("k2", kid=7),
            public_row("k2", n=""),
            public_row("k2", n=7),
            public_row("k2", n=None),
            public_row("k2", n="é"),
            public_row("k2", e="AA"),
            public_row("small"),
            {"kty": "oct", "kid": "k2", "k": "c2VjcmV0", "alg": "HS256"},
            {},
            [],
            "k2",
            None,
        ],
    )
    def test_what_does_not_sign_with_rs256_is_left_out(self, row: Any) -> None:
        document = json.dumps({"keys": [row, public_row("k1")]}).encode()
        assert set(read_keys(document)) == {"k1"}
        with pytest.raises(TransientError, match="no key"):
            read_keys(json.dumps({"keys": [row]}).encode())

    def test_as_entra_writes_them(self) -> None:
        row = public_row("k1", x5t="k1", x5c=["MIIC"], issuer="https://login.microsoftonline.com/{tenantid}/v2.0")
        assert is_key(read_keys(json.dumps({"keys": [row]}).encode())["k1"], "k1")

    def test_a_private_part_is_not_taken(self) -> None:
        row = public_row("k1", d="AQAB", p="AQAB")
        assert isinstance(read_keys(json.dumps({"keys": [row]}).encode())["k1"], RSAPublicKey)

    def test_not_more_than_so_many(self) -> None:
        rows = [public_row("k1", kid=f"k{number}") for number in range(MAX_KEYS + 1)]
        assert len(read_keys(json.dumps({"keys": rows}).encode())) == MAX_KEYS


class TestFetch:
    @pytest.mark.parametrize("status", [201, 204, 301, 302, 307, 400, 404, 429, 500, 503])
    def test_anything_but_200_is_no_answer(self, server: KeyServer, status: int) -> None:
        server.status, server.headers = status, {"Location": server.url + "/elsewhere"}
        with pytest.raises(TransientError, match=str(status)):
            fetch(server.url)
        assert server.asked == 1

    def test_too_much_is_no_answer(self, server: KeyServer) -> None:
        server.content = b" " * MAX_BYTES
        assert len(fetch(server.url)) == MAX_BYTES
        server.content += b" "
        with pytest.raises(TransientError, match="bytes"):
            fetch(server.url)

    def test_no_more_is_read_than_that(self, server: KeyServer) -> None:
        def endless(handler: Any) -> None:
            try:
                handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
                while True:
                    handler.wfile.write(b" " * 65_536)
            except OSError:  # whoever asked has gone
                handler.close_connection = True

        server.during = endless
        with pytest.raises(TransientError, match=f"200 with {MAX_BYTES + 1} bytes"):
            fetch(server.url)

    @pytest.mark.parametrize("url", ["http://127.0.0.1:99999/keys", "http://127.0.0.1:1/a b", "http://[::1/keys"])
    def test_an_address_that_is_none(self, url: str) -> None:
        with pytest.raises(TransientError, match="does not answer"):
            fetch(url)

    def test_nobody_listens(self) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            with pytest.raises(TransientError, match="ConnectionRefused"):
                fetch(f"http://127.0.0.1:{taken.getsockname()[1]}/keys")

    def test_a_server_that_says_nothing_is_not_waited_for(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(TransientError, match="not answer"):
            fetch(f"http://127.0.0.1:{silent.getsockname()[1]}/keys", seconds=0.2)

    def test_nor_one_that_says_a_little_now_and_then(self, server: KeyServer) -> None:
        """Each silence is short, the whole is not."""
        ended = threading.Event()

        def drip(handler: Any) -> None:
            try:
                while not ended.wait(0.02):
                    handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            except OSError:  # cut off, as it should be
                ended.set()

        server.during = drip
        try:
            with pytest.raises(TransientError, match="does not answer"):
                fetch(server.url, seconds=0.4)
        finally:
            ended.set()

    def test_a_certificate_that_nobody_knows_is_no_answer(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        authority = make_authority(tmp_path)
        with key_server("k1", tls=authority.server) as server:
            with pytest.raises(TransientError, match="SSLCertVerificationError"):
                fetch(server.url)
            assert server.asked == 0
            (tmp_path / "known.pem").write_bytes(authority.pem)
            monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "known.pem"))
            assert fetch(server.url) == key_set("k1")
            with pytest.raises(TransientError, match="SSLCertVerificationError"):
                fetch(server.url.replace("127.0.0.1", "localhost"))


def test_each_address_has_its_keys_once() -> None:
    assert signing_keys("http://127.0.0.1:1/a") is signing_keys("http://127.0.0.1:1/a")
    assert signing_keys("http://127.0.0.1:1/a") is not signing_keys("http://127.0.0.1:1/b")
    assert signing_keys.cache_parameters()["maxsize"]
