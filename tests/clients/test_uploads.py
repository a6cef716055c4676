"""Uploads with real storage: the signed URL is good for one blob, and what was committed is not reached by it."""

from __future__ import annotations

import base64
import gzip
import hashlib
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from shared.clients.blobs import BLOCK_BYTES, Blobs
from shared.clients.given_queries import query_of_search, query_of_upload
from shared.clients.provider import AzureClients, use
from shared.clients.query_files import read_record, record_blob
from shared.clients.uploads import commit_upload, incoming_blob, purge_uploads, store_body, upload_blob, upload_url
from shared.config import Settings
from shared.domain.errors import ConflictError, InvalidInputError, NotFoundError
from shared.domain.results import QUERIES_CONTAINER
from tests.clients.conftest import Place
from tests.clients.support import T0, fresh
from tests.clients.wire import Rule

FASTA = b">q1\nACGTACGTAC\n>q2\nACGT\n"
HOUR = timedelta(hours=1)


@pytest.fixture
def settings(place: Place) -> Settings:
    """The app's."""
    return place.settings()


@pytest.fixture
def upload_id() -> str:
    """An id as the app makes it."""
    return hashlib.sha256(fresh("upload").encode()).hexdigest()[:32]


@pytest.fixture(autouse=True)
def container(blobs: Blobs) -> None:
    """The container of queries is there."""
    blobs.put(QUERIES_CONTAINER, "here", b"", "text/plain")


def put(url: str, content: bytes, **headers: str) -> int:
    return httpx.put(url, content=content, headers={"x-ms-blob-type": "BlockBlob", **headers}).status_code


def act(url: str, parameters: dict[str, str], headers: dict[str, str]) -> int:
    """Do something else by the signed URL."""
    return httpx.put(httpx.URL(url).copy_merge_params(parameters), headers=headers).status_code


def put_in_blocks(url: str, content: bytes, size: int) -> None:
    """As a program uploads a large file."""
    ids = []
    for number, start in enumerate(range(0, len(content), size)):
        ids.append(base64.b64encode(b"%08d" % number).decode())
        part = {"comp": "block", "blockid": ids[-1]}
        httpx.put(httpx.URL(url).copy_merge_params(part), content=content[start : start + size]).raise_for_status()
    listed = "".join(f"<Latest>{each}</Latest>" for each in ids)
    body = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{listed}</BlockList>'
    httpx.put(httpx.URL(url).copy_merge_params({"comp": "blocklist"}), content=body).raise_for_status()


def genes(letters: int) -> bytes:
    """Sequences of several storage blocks together."""
    line = "".join(random.Random(1).choices("ACGT", k=10_000)) + "\n"  # noqa: S311 - the same in every run
    return "".join(f">g{number}\n{line}" for number in range(letters // 10_000)).encode()


class TestTheLink:
    def test_it_writes_one_blob_and_does_nothing_else(self, blobs: Blobs, owner: str, upload_id: str) -> None:
        url = upload_url(blobs, owner, upload_id)
        assert put(url, b"one") == 201
        assert put(url, b"two") == 201, "a wrong file can be replaced"
        assert put(url.replace(f"/{upload_id}?", f"/{'0' * 32}?"), b"x") == 403
        assert put(url.replace("/incoming/", "/uploads/"), b"x") == 403
        assert httpx.get(url).status_code == 403
        assert httpx.delete(url).status_code == 403
        assert blobs.read(QUERIES_CONTAINER, incoming_blob(owner, upload_id)) == b"two"

    def test_it_lasts_a_quarter_of_an_hour(self, blobs: Blobs, owner: str, upload_id: str) -> None:
        expires = httpx.URL(upload_url(blobs, owner, upload_id)).params["se"]
        left = datetime.fromisoformat(expires) - datetime.now(UTC)
        assert timedelta(minutes=13) < left <= timedelta(minutes=15)


class TestCommit:
    @pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
    def test_a_file_of_several_blocks(
        self, blobs: Blobs, settings: Settings, owner: str, upload_id: str, packed: bool
    ) -> None:
        text = genes(2 * BLOCK_BYTES)
        put_in_blocks(upload_url(blobs, owner, upload_id), gzip.compress(text, 1) if packed else text, 1 << 20)
        found = commit_upload(blobs, owner, upload_id, None, settings)
        assert (found.file.size, found.file.sha256) == (len(text), hashlib.sha256(text).hexdigest())
        assert b"".join(blobs.stream(QUERIES_CONTAINER, found.blob)) == text
        assert blobs.listing(QUERIES_CONTAINER, incoming_blob(owner, upload_id)) == []

    def test_a_plain_file_is_copied_within_storage(
        self, place: Place, blobs: Blobs, settings: Settings, owner: str, upload_id: str
    ) -> None:
        text = genes(2 * BLOCK_BYTES)
        put_in_blocks(upload_url(blobs, owner, upload_id), text, 1 << 20)
        with place.blob.watching() as seen:
            commit_upload(blobs, owner, upload_id, None, settings)
        assert sum(len(each.body) for each in seen) < 10_000

    def test_later_writes_do_not_reach_it(self, blobs: Blobs, settings: Settings, owner: str, upload_id: str) -> None:
        url = upload_url(blobs, owner, upload_id)
        put(url, FASTA)
        first = commit_upload(blobs, owner, upload_id, None, settings)
        assert put(url, b">other\nAAAA\n") == 201
        again = commit_upload(blobs, owner, upload_id, None, settings)
        assert (again.file.sha256, again.is_new) == (first.file.sha256, False)
        assert blobs.read(QUERIES_CONTAINER, first.blob) == FASTA

    @pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
    def test_written_to_between_check_and_copy(
        self,
        blobs: Blobs,
        settings: Settings,
        owner: str,
        upload_id: str,
        packed: bool,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        url, content = upload_url(blobs, owner, upload_id), gzip.compress(FASTA) if packed else FASTA
        put(url, content)
        write = blobs.put_blocks if packed else blobs.copy

        def late(*arguments: object, **more: object) -> None:
            assert put(url, b">other\nAAAA\n") == 201
            write(*arguments, **more)  # type: ignore[arg-type]

        monkeypatch.setattr(blobs, write.__name__, late)
        with pytest.raises(ConflictError) as refused:
            commit_upload(blobs, owner, upload_id, None, settings)
        assert refused.value.code == "upload_changed"
        assert blobs.listing(QUERIES_CONTAINER, upload_blob(owner, upload_id)) == []

    @pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
    def test_what_is_there_already_is_not_replaced(
        self, blobs: Blobs, settings: Settings, owner: str, upload_id: str, packed: bool
    ) -> None:
        blob = upload_blob(owner, upload_id)
        blobs.put(QUERIES_CONTAINER, "source", b"new", "text/plain")
        link = blobs.url(QUERIES_CONTAINER, "source", permissions="r", life=HOUR)
        blobs.put(QUERIES_CONTAINER, blob, FASTA, "text/plain")
        write: Callable[..., None] = blobs.put_blocks if packed else blobs.copy
        with pytest.raises(ConflictError) as refused:
            write(QUERIES_CONTAINER, blob, (lambda: [b"new"]) if packed else link, "text/plain", new=True)
        assert refused.value.code == "blob_exists"
        put(upload_url(blobs, owner, upload_id), b">late\nAC\n")
        assert commit_upload(blobs, owner, upload_id, None, settings).file.size == len(FASTA)

    def test_headers_of_the_uploader_are_not_kept(
        self, blobs: Blobs, settings: Settings, owner: str, upload_id: str
    ) -> None:
        """Storage would hand a plain text out as packed, and whoever reads it would fail."""
        url = upload_url(blobs, owner, upload_id)
        headers = {"Content-Encoding": "gzip", "x-ms-blob-content-encoding": "gzip"}
        assert put(url, gzip.compress(FASTA), **headers) == 201
        assert commit_upload(blobs, owner, upload_id, None, settings).file.size == len(FASTA)
        other = hashlib.sha256(upload_id.encode()).hexdigest()[:32]
        assert put(upload_url(blobs, owner, other), FASTA, **{"x-ms-blob-content-encoding": "gzip"}) == 201
        found = commit_upload(blobs, owner, other, None, settings)
        link = blobs.url(QUERIES_CONTAINER, found.blob, permissions="r", life=HOUR)
        answer = httpx.get(link)
        assert (answer.content, answer.headers.get("Content-Encoding")) == (FASTA, None)

    def test_a_wrong_file_is_not_kept(self, blobs: Blobs, settings: Settings, owner: str, upload_id: str) -> None:
        url = upload_url(blobs, owner, upload_id)
        put(url, b">a\nAC\n>b\nA1\n")
        with pytest.raises(InvalidInputError, match="line 4"):
            commit_upload(blobs, owner, upload_id, None, settings)
        assert blobs.listing(QUERIES_CONTAINER, upload_blob(owner, upload_id)) == []
        put(url, FASTA)
        assert commit_upload(blobs, owner, upload_id, None, settings).file.queries.sequences == 2

    def test_one_that_its_uploader_holds_is_committed_all_the_same(
        self, blobs: Blobs, settings: Settings, owner: str, upload_id: str
    ) -> None:
        url = upload_url(blobs, owner, upload_id)
        put(url, FASTA)
        assert act(url, {"comp": "lease"}, {"x-ms-lease-action": "acquire", "x-ms-lease-duration": "60"}) == 201
        assert commit_upload(blobs, owner, upload_id, None, settings).is_new

    def test_nothing_there(self, blobs: Blobs, settings: Settings, owner: str, upload_id: str) -> None:
        with pytest.raises(NotFoundError) as missing:
            commit_upload(blobs, owner, upload_id, None, settings)
        assert missing.value.code == "upload_not_found"


class TestBody:
    def test_a_wrong_body_that_is_packed_leaves_nothing(self, blobs: Blobs, settings: Settings, owner: str) -> None:
        with pytest.raises(InvalidInputError):
            store_body(blobs, owner, gzip.compress(genes(BLOCK_BYTES) + b">x\n!\n"), None, settings)
        assert blobs.listing(QUERIES_CONTAINER, upload_blob(owner, "")) == []

    def test_it_is_written_once(self, place: Place, blobs: Blobs, settings: Settings, owner: str) -> None:
        text = genes(2 * BLOCK_BYTES)
        first = store_body(blobs, owner, text, None, settings)
        with place.blob.watching() as seen:
            again = store_body(blobs, owner, text, None, settings)
        assert (again.blob, again.file.sha256, again.is_new) == (first.blob, first.file.sha256, False)
        assert sum(len(each.body) for each in seen) < 10_000
        assert b"".join(blobs.stream(QUERIES_CONTAINER, first.blob)) == text

    def test_a_write_that_breaks_off_leaves_no_record(
        self, place: Place, blobs: Blobs, settings: Settings, owner: str
    ) -> None:
        text = genes(2 * BLOCK_BYTES)
        broken = place.blob.breaking(Rule("PUT", "comp=blocklist", times=9, status=400))
        with broken, pytest.raises(Exception, match="storage_unavailable"):
            store_body(blobs, owner, text, None, settings)
        assert blobs.listing(QUERIES_CONTAINER, upload_blob(owner, "")) == []
        assert store_body(blobs, owner, text, None, settings).is_new


class TestSearches:
    def test_a_search_takes_a_copy(self, place: Place, blobs: Blobs, settings: Settings, owner: str) -> None:
        text, name = genes(2 * BLOCK_BYTES), f"{fresh('job')}/query.fa"
        blob = store_body(blobs, owner, text, None, settings).blob
        with place.blob.watching() as seen:
            query = query_of_upload(blobs, owner, blob, use=True)
            query.store(blobs, name)
        assert sum(len(each.body) for each in seen) < 10_000
        blobs.delete(QUERIES_CONTAINER, [blob, record_blob(blob)])
        assert b"".join(blobs.stream(QUERIES_CONTAINER, name)) == text
        kept = query_of_search(blobs, name, settings).file
        assert (kept.sha256, list(kept.queries.lengths)) == (query.file.sha256, list(query.file.queries.lengths))
        assert read_record(blobs, name).size == len(text)

    def test_into_a_container_that_is_not_there_yet(self, blobs: Blobs) -> None:
        blobs.put(QUERIES_CONTAINER, "source", FASTA, "text/plain")
        link = blobs.url(QUERIES_CONTAINER, "source", permissions="r", life=HOUR)
        container = fresh("copies")
        blobs.copy(container, "x", link, "text/plain")
        assert blobs.read(container, "x") == FASTA

    def test_a_source_that_is_gone(self, blobs: Blobs) -> None:
        link = blobs.url(QUERIES_CONTAINER, fresh("gone"), permissions="r", life=HOUR)
        with pytest.raises(NotFoundError):
            blobs.copy(QUERIES_CONTAINER, fresh("copy"), link, "text/plain")


class TestForgetting:
    @pytest.fixture
    def app(self, clients: AzureClients) -> Iterator[AzureClients]:
        with use(clients):
            yield clients

    def test_by_the_time_of_the_last_use(self, app: AzureClients, blobs: Blobs, settings: Settings, owner: str) -> None:
        blob = store_body(blobs, owner, FASTA, None, settings).blob
        before = blobs.stat(QUERIES_CONTAINER, record_blob(blob))
        query_of_upload(blobs, owner, blob, use=True)
        item = blobs.stat(QUERIES_CONTAINER, record_blob(blob))
        assert item.etag != before.etag
        assert not blobs.delete_unchanged(QUERIES_CONTAINER, before)
        assert item.modified
        assert before.modified
        assert item.modified >= before.modified
        purge_uploads(item.modified + timedelta(days=7))
        assert len(blobs.listing(QUERIES_CONTAINER, blob)) == 2
        assert purge_uploads(item.modified + timedelta(days=7, seconds=1)) >= 2
        assert blobs.listing(QUERIES_CONTAINER, blob) == []

    def test_a_purge_that_saw_no_record_leaves_what_has_one_by_now(
        self, blobs: Blobs, settings: Settings, owner: str, upload_id: str
    ) -> None:
        blob = upload_blob(owner, upload_id)
        blobs.put(QUERIES_CONTAINER, blob, FASTA, "text/plain")
        seen = blobs.stat(QUERIES_CONTAINER, blob)
        assert commit_upload(blobs, owner, upload_id, None, settings).blob == blob
        assert not blobs.delete_unchanged(QUERIES_CONTAINER, seen)

    def test_an_uploader_cannot_keep_what_is_to_go(
        self, app: AzureClients, blobs: Blobs, owner: str, upload_id: str
    ) -> None:
        """A signed URL to write is good for snapshots and leases too; neither keeps others' blobs from going."""
        ids = sorted(hashlib.sha256(f"{upload_id}{number}".encode()).hexdigest()[:32] for number in range(3))
        urls = [upload_url(blobs, owner, each) for each in ids]
        for url in urls:
            put(url, FASTA)
        assert act(urls[0], {"comp": "lease"}, {"x-ms-lease-action": "acquire", "x-ms-lease-duration": "-1"}) == 201
        assert act(urls[1], {"comp": "snapshot"}, {}) == 201
        written = max(blobs.stat(QUERIES_CONTAINER, incoming_blob(owner, each)).modified or T0 for each in ids)
        purge_uploads(written + timedelta(days=1, seconds=1))
        left = [item.name for item in blobs.listing(QUERIES_CONTAINER, incoming_blob(owner, ""))]
        assert left == [incoming_blob(owner, ids[0])]

    def test_what_was_not_committed(self, app: AzureClients, blobs: Blobs, owner: str, upload_id: str) -> None:
        put(upload_url(blobs, owner, upload_id), FASTA)
        name = incoming_blob(owner, upload_id)
        written = blobs.stat(QUERIES_CONTAINER, name).modified
        assert written
        purge_uploads(written + timedelta(days=1))
        assert len(blobs.listing(QUERIES_CONTAINER, name)) == 1
        purge_uploads(written + timedelta(days=1, seconds=1))
        assert blobs.listing(QUERIES_CONTAINER, name) == []
