"""Blobs in Azurite: whole or not at all, in blocks, and errors that say what to do."""

from __future__ import annotations

import base64
import hashlib
import io
import random
import socket
from datetime import timedelta

import httpx
import pytest

from shared.clients.blobs import BLOCK_BYTES, AzureBlobs, BlobItem, Blobs
from shared.clients.credentials import StaticCredential
from shared.domain.errors import ConflictError, InvalidInputError, NotFoundError, TransientError
from tests.clients.conftest import Place
from tests.clients.support import at_once, fresh
from tests.clients.wire import Rule

TEXT = "text/plain"


@pytest.fixture
def container() -> str:
    """A container that is not there yet."""
    return fresh("container")


@pytest.fixture(scope="module")
def large() -> bytes:
    """Several blocks, and a bit."""
    return random.Random(1).randbytes(2 * BLOCK_BYTES + 12_345)  # noqa: S311 - the same in every run


class TestWriting:
    def test_what_is_put_is_read(self, blobs: Blobs, container: str) -> None:
        for name, data in (("a", b"one"), ("a", b"two"), ("folder/ä b#?%.gz", b""), ("x" * 900, b"\x00\xff")):
            blobs.put(container, name, data, TEXT)
            assert blobs.read(container, name) == data
            assert b"".join(blobs.stream(container, name)) == data

    @pytest.mark.parametrize("streamed", [False, True], ids=["bytes", "file"])
    def test_the_first_write_makes_the_container(
        self, place: Place, blobs: Blobs, container: str, large: bytes, streamed: bool
    ) -> None:
        blobs.put(container, "large", io.BytesIO(large) if streamed else large, TEXT)
        assert blobs.read(container, "large") == large
        with place.blob.watching() as seen:
            blobs.put(container, "small", b"x", TEXT)
        assert len(seen) == 1

    def test_first_writes_at_once(self, blobs: Blobs, container: str) -> None:
        at_once(8, lambda number: blobs.put(container, f"{number}", b"x", TEXT))
        assert len(blobs.listing(container, "")) == 8

    def test_a_write_that_breaks_off_leaves_what_was_there(
        self, place: Place, blobs: Blobs, container: str, large: bytes
    ) -> None:
        blobs.put(container, "a", b"old", TEXT)
        with place.blob.breaking(Rule("PUT", "comp=blocklist", times=9, status=400)), pytest.raises(TransientError):
            blobs.put(container, "a", io.BytesIO(large), TEXT)
        assert blobs.read(container, "a") == b"old"
        assert [each.size for each in blobs.listing(container, "")] == [3]

    def test_a_large_file_goes_through_in_blocks(
        self, place: Place, blobs: Blobs, container: str, large: bytes
    ) -> None:
        with place.blob.watching() as seen:
            blobs.put(container, "a", io.BytesIO(large), TEXT)
        assert max(len(each.body) for each in seen) <= BLOCK_BYTES


class TestReading:
    @pytest.mark.parametrize(
        ("offset", "length"),
        [(0, None), (0, 1), (5, 10), (BLOCK_BYTES - 1, 2), (BLOCK_BYTES, None), (1, 2 * BLOCK_BYTES)],
    )
    def test_a_part(self, blobs: Blobs, large: bytes, offset: int, length: int | None) -> None:
        put_once(blobs, "parts", large)
        end = None if length is None else offset + length
        got = b"".join(blobs.stream("parts", "large", offset, length))
        assert hashlib.sha256(got).digest() == hashlib.sha256(large[offset:end]).digest()

    def test_a_stream_holds_a_block_not_the_whole(self, place: Place, blobs: Blobs, large: bytes) -> None:
        put_once(blobs, "parts", large)
        with place.blob.watching() as seen:
            first = next(stream := blobs.stream("parts", "large"))
        assert len(first) <= BLOCK_BYTES
        assert sum(each.received for each in seen) <= BLOCK_BYTES
        stream.close()  # type: ignore[attr-defined]

    def test_a_blob_replaced_half_way_is_an_error_not_a_mixture(
        self, blobs: Blobs, container: str, large: bytes
    ) -> None:
        blobs.put(container, "a", large, TEXT)
        stream = blobs.stream(container, "a")
        next(stream)
        blobs.put(container, "a", large[::-1], TEXT)
        with pytest.raises(TransientError):
            list(stream)

    def test_a_part_behind_the_end_is_a_conflict(self, place: Place, blobs: Blobs, container: str) -> None:
        """Whoever asks for it has a size written down that is not true any more. Azurite gives an empty part."""
        blobs.put(container, "short", b"12345", TEXT)
        assert b"".join(blobs.stream(container, "short", 3, 100)) == b"45"
        refusing = Rule("GET", "/short", times=9, status=416)
        with place.blob.breaking(refusing), pytest.raises(ConflictError, match="blob_changed"):
            b"".join(blobs.stream(container, "short", 5, 1))

    def test_what_is_not_there(self, blobs: Blobs, container: str) -> None:
        for _ in ("no container", "no blob"):
            with pytest.raises(NotFoundError) as caught:
                blobs.read(container, "missing")
            assert caught.value.code == "blob_not_found"
            assert f"{container}/missing" in caught.value.message
            with pytest.raises(NotFoundError):
                list(blobs.stream(container, "missing"))
            assert blobs.listing(container, "") == []
            blobs.delete(container, ["missing"])
            blobs.put(fresh("other"), "x", b"", TEXT)


def put_once(blobs: Blobs, container: str, data: bytes) -> None:
    if not blobs.listing(container, "large"):
        blobs.put(container, "large", data, TEXT)


class TestListing:
    def test_says_what_writers_said_of_a_blob(self, place: Place, blobs: Blobs, container: str) -> None:
        """As a Job says which version of BLAST wrote its piece: by a header, with a signed URL."""
        blobs.put(container, "plain", b"x", TEXT)
        url = blobs.url(container, "piece", permissions="cw", life=timedelta(minutes=5))
        headers = {"x-ms-blob-type": "BlockBlob", "x-ms-version": "2021-12-02", "x-ms-meta-blast_version": "2.12.0+"}
        httpx.put(url, content=b"x", headers=headers).raise_for_status()
        found = {item.name: dict(item.metadata) for item in blobs.listing(container, "")}
        assert found == {"piece": {"blast_version": "2.12.0+"}, "plain": {}}

    def test_a_prefix(self, blobs: Blobs, container: str) -> None:
        for name in ("a/1", "a/2", "ab/3", "b"):
            blobs.put(container, name, name.encode(), TEXT)
        found = blobs.listing(container, "a/")
        assert [(each.name, each.size) for each in found] == [("a/1", 3), ("a/2", 3)]
        assert all(each.etag and '"' not in each.etag for each in found)

    def test_all_pages_are_read(self, place: Place, blobs: Blobs, container: str) -> None:
        rules = [
            Rule("GET", "comp=list", status=200, headers={"Content-Type": "application/xml"}, body=page)
            for page in (list_page("a", "next"), list_page("b", "more"), list_page("c", ""))
        ]
        with place.blob.breaking(*rules), place.blob.watching() as seen:
            assert blobs.listing(container, "") == [BlobItem(name, 7, "0x1") for name in "abc"]
        assert [("marker=next" in each.path, "marker=more" in each.path) for each in seen] == [
            (False, False),
            (True, False),
            (False, True),
        ]


def list_page(name: str, marker: str) -> bytes:
    """One page of List Blobs as the service writes it."""
    properties = (
        "<Properties><Etag>0x1</Etag><Content-Length>7</Content-Length><BlobType>BlockBlob</BlobType></Properties>"
    )
    blob = f"<Blob><Name>{name}</Name>{properties}</Blob>"
    text = f'<EnumerationResults ContainerName="c"><Blobs>{blob}</Blobs><NextMarker>{marker}</NextMarker>'
    return f'<?xml version="1.0" encoding="utf-8"?>{text}</EnumerationResults>'.encode()


class TestDeleting:
    def test_twice(self, blobs: Blobs, container: str) -> None:
        for name in "abc":
            blobs.put(container, name, b"", TEXT)
        for _ in range(2):
            blobs.delete(container, ["a", "not there", "b"])
            assert [each.name for each in blobs.listing(container, "")] == ["c"]


class TestTrouble:
    def test_a_wrong_key_is_denied(self, place: Place) -> None:
        key = base64.b64encode(b"another key").decode()
        storage = f"AccountName=elblocal;AccountKey={key}"
        refused = AzureBlobs(place.settings(AzureWebJobsStorage=storage), "elblocal", StaticCredential(""))
        with pytest.raises(TransientError) as caught:
            refused.read("blast-db", "x")
        # Azurite answers AuthorizationFailure, which is a firewall's, where Azure Storage says AuthenticationFailed.
        assert caught.value.code in ("storage_denied", "storage_firewall")
        assert caught.value.hint
        assert key not in str(caught.value)

    def test_a_token_is_not_sent_in_clear(self, place: Place) -> None:
        settings = place.settings(AzureWebJobsStorage="")
        with place.blob.watching() as seen, pytest.raises(InvalidInputError) as caught:
            AzureBlobs(settings, "elblocal", StaticCredential("secret-token")).read("blast-db", "x")
        assert (seen, caught.value.code, caught.value.status) == ([], "unknown_storage_account", 422)

    def test_nobody_there(self, place: Place) -> None:
        with socket.socket() as held:  # bound and not listening: nothing else can take the port
            held.bind(("127.0.0.1", 0))
            address = f"http://127.0.0.1:{held.getsockname()[1]}/{{account}}"
            settings = place.settings(ELB_BLOB_ENDPOINT=address)
            with pytest.raises(TransientError) as caught:
                AzureBlobs(settings, "elblocal", StaticCredential("")).read("blast-db", "x")
        assert caught.value.code == "storage_unavailable"

    def test_a_hiccup_is_not_noticed(self, place: Place, blobs: Blobs, container: str) -> None:
        blobs.put(container, "a", b"x", TEXT)
        broken = Rule("PUT", container, forward=True)
        with place.blob.breaking(Rule("GET", container, status=503), broken):
            assert [each.name for each in blobs.listing(container, "")] == ["a"]
            blobs.put(container, "a", b"y", TEXT)
        assert blobs.read(container, "a") == b"y"

    def test_tries_are_few(self, place: Place, blobs: Blobs, container: str) -> None:
        rule = Rule("GET", container, times=99, status=500)
        with place.blob.breaking(rule), place.blob.watching() as seen, pytest.raises(TransientError) as caught:
            blobs.listing(container, "a")
        assert caught.value.code == "storage_unavailable"
        assert len(seen) == 3
