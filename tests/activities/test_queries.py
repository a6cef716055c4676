"""Queries that are brought before the search: checked, kept once, frozen, used by searches, forgotten."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import azure.functions as func
import pytest

from activities.preparation import stage_queries
from activities.removal import delete_search_blobs
from shared import responses
from shared.auth import Caller, Role
from shared.clients.provider import use
from shared.clients.uploads import INCOMING_LIFE, purge_uploads
from shared.domain.errors import TransientError
from shared.domain.ids import owner_key
from shared.domain.results import QUERIES_CONTAINER, query_blob
from shared.domain.states import Phase
from tests.activities.fakes import World
from tests.activities.worlds import CLUSTER, DB, Json, new_world, put_database, ref
from triggers import changes, jobs, queries, validation

OWNER = "dev@localhost"
FASTA = b">q1\nACGTACGTAC\n>q2\nACGT\n"
MARK = b"\xef\xbb\xbf"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
Handler = Callable[..., func.HttpResponse]


@pytest.fixture(autouse=True)
def app(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The app with a prepared database, one user on loopback, and a clock of the test's."""
    monkeypatch.setattr(responses, "settings", lambda: world.settings)
    put_database(world)
    world.clock = lambda: NOW


def become(monkeypatch: pytest.MonkeyPatch, owner: str) -> None:
    """Somebody else asks from now on."""
    monkeypatch.setattr(responses, "identify", lambda *_: Caller(owner, owner, frozenset({Role.USER})))


def ask(handler: Handler, body: bytes = b"", upload_id: str = "", *, client: Any = None, **more: Any) -> Any:
    """Call a handler: the status, and the answer's body."""
    request = func.HttpRequest(
        "POST",
        "http://localhost:7071/api/blast/queries",
        headers={"Host": "localhost:7071", **more.pop("headers", {})},
        params=more,
        route_params={"id": upload_id} if upload_id else {},
        body=body,
    )
    answer = handler(request, client) if client is not None else handler(request)
    return answer.status_code, json.loads(answer.get_body())


def refused(handler: Handler, body: bytes = b"", upload_id: str = "", **more: Any) -> tuple[int, str]:
    """Status and code of a refusal."""
    status, answer = ask(handler, body, upload_id, **more)
    return status, answer["error"]["code"]


def names(world: World) -> list[str]:
    """The blobs of queries."""
    return sorted(name for container, name in world.store.blobs if container == QUERIES_CONTAINER)


def begin(world: World, content: bytes | None = None) -> Json:
    """Ask for an upload, and write to it what a caller would."""
    status, begun = ask(queries.begin_upload)
    assert status == 201
    if content is not None:
        write(world, begun, content)
    return dict(begun)


def write(world: World, begun: Json, content: bytes) -> None:
    """Write by the signed URL."""
    found = re.fullmatch(
        r"https://store/queries/(incoming/[0-9a-f]{32}/[0-9a-f]{32})\?sp=cw&seconds=900", begun["upload_url"]
    )
    assert found
    world.store.put(QUERIES_CONTAINER, found[1], content, "anything")


def submit(world: World, blob: str, **more: Any) -> Any:
    """Submit a search of an upload: status and answer."""
    body = {"program": "blastn", "database": DB, "query_blob": blob, **more}
    return ask(jobs.submit_search, json.dumps(body).encode(), client=world.durable)


class TestBody:
    def test_it_is_kept_under_its_checksum(self, world: World) -> None:
        status, answer = ask(queries.store_query, FASTA)
        digest = hashlib.sha256(FASTA).hexdigest()
        blob = f"uploads/{owner_key(OWNER)}/{digest}"
        assert status == 201
        assert answer == {
            "query_blob": blob,
            "sequences": 2,
            "letters": 14,
            "bytes": len(FASTA),
            "sha256": digest,
            "programs": ["blastn", "blastp", "blastx", "tblastn", "tblastx"],
        }
        assert names(world) == [blob, f"{blob}.json"]
        assert world.store.read(QUERIES_CONTAINER, blob) == FASTA

    @pytest.mark.parametrize(
        "body",
        [
            gzip.compress(FASTA),
            gzip.compress(FASTA[:9]) + gzip.compress(FASTA[9:]),
            MARK + FASTA,
            gzip.compress(MARK + FASTA),
        ],
        ids=["gzip", "two members", "byte order mark", "both"],
    )
    def test_packed_or_marked_it_is_the_same_query(self, world: World, body: bytes) -> None:
        first = ask(queries.store_query, FASTA)[1]
        assert ask(queries.store_query, body) == (200, first)
        assert len(names(world)) == 2
        assert world.store.written.count(first["query_blob"]) == 1

    @pytest.mark.parametrize("body", [FASTA, gzip.compress(FASTA)], ids=["unpacked on its way", "packed"])
    def test_what_the_encoding_says_is_seen_in_the_body(self, body: bytes) -> None:
        assert ask(queries.store_query, body, headers={"Content-Encoding": "gzip"})[0] == 201

    def test_line_ends_and_case_are_kept_as_they_are(self, world: World) -> None:
        body = b"\r\n>q1 x\r\nacgt\r\n\r\nAC GT\r\n"
        answer = ask(queries.store_query, body)[1]
        assert (answer["letters"], world.store.read(QUERIES_CONTAINER, answer["query_blob"])) == (8, body)

    WRONG = {  # noqa: RUF012
        "nothing": (b"", 422, "empty_query"),
        "not FASTA": (b"ACGT\n", 422, "not_fasta"),
        "an empty sequence": (b">a\n>b\nACGT\n", 422, "empty_sequence"),
        "a letter that is none": (b">a\nAC8GT\n", 422, "invalid_letter"),
        "an id twice": (b">a\nAC\n>b\nAC\n>a\nAC\n", 422, "duplicate_query_id"),
        "both types": (b">a\nMKVLE\n>b\n" + b"ACGT" * 9, 422, "wrong_query_type"),
        "a header with other letters": (">é\nACGT\n".encode(), 422, "invalid_header"),
        "a broken gzip": (gzip.compress(FASTA)[:-4], 422, "invalid_gzip"),
        "gzip with more behind it": (gzip.compress(FASTA) + b"x", 422, "invalid_gzip"),
        "gzip of nothing": (gzip.compress(b""), 422, "empty_query"),
        "nothing, packed over and over": (gzip.compress(b"") * 60_000, 422, "invalid_gzip"),
        "a query, and nothing over and over": (gzip.compress(FASTA) + gzip.compress(b"") * 60_000, 422, "invalid_gzip"),
        "another file": (b"PK\x03\x04", 422, "not_fasta"),
    }

    @pytest.mark.parametrize("case", WRONG)
    def test_a_wrong_body_leaves_nothing(self, world: World, case: str) -> None:
        body, status, code = self.WRONG[case]
        assert refused(queries.store_query, body) == (status, code)
        assert names(world) == []

    def test_the_line_is_named(self) -> None:
        error = ask(queries.store_query, b">a\nACGT\n\n>b\nAC?T\n")[1]["error"]
        assert "line 5 has '?'" in error["message"]
        assert error["details"][0]["field"] == "body"

    def test_a_program_may_be_named(self, world: World) -> None:
        protein = b">p\nMKVLAAGIVGLLLAQTLA\n"
        assert refused(queries.store_query, protein, program="blastn") == (422, "invalid_letter")
        assert refused(queries.store_query, protein, program="blastz") == (422, "unknown_program")
        assert names(world) == []
        assert ask(queries.store_query, protein, program="blastp")[1]["programs"] == ["blastp", "tblastn"]

    def test_an_encoding_that_is_not_unpacked(self) -> None:
        assert refused(queries.store_query, FASTA, headers={"Content-Encoding": "br"}) == (422, "unsupported_encoding")

    @pytest.mark.parametrize("account", ["Not-An-Account", "../x", "a"])
    def test_an_account_that_is_none(self, account: str) -> None:
        assert refused(queries.store_query, FASTA, storage_account=account) == (422, "invalid_request")

    def test_storage_that_does_not_answer(self, world: World) -> None:
        world.store.failing = TransientError("storage_unavailable", "no answer")
        assert refused(queries.store_query, FASTA) == (503, "storage_unavailable")


class TestLimits:
    """Each at the limit and just beyond it."""

    @pytest.fixture
    def limited(self, monkeypatch: pytest.MonkeyPatch) -> Callable[..., World]:
        def limit(**settings: str) -> World:
            made = new_world(**settings)
            monkeypatch.setattr(responses, "settings", lambda: made.settings)
            return made

        return limit

    @pytest.mark.parametrize(
        ("setting", "size", "code"),
        [
            ("ELB_QUERY_BODY_LIMIT_BYTES", len(FASTA), "query_too_large"),
            ("ELB_QUERY_UPLOAD_LIMIT_BYTES", len(FASTA), "query_too_large"),
            ("ELB_QUERY_SEQUENCES", 2, "too_many_sequences"),
        ],
    )
    def test_of_a_body(self, limited: Callable[..., World], setting: str, size: int, code: str) -> None:
        with use(limited(**{setting: str(size)})):
            assert ask(queries.store_query, FASTA)[0] == 201
        with use(limited(**{setting: str(size - 1)})):
            assert refused(queries.store_query, FASTA) == (413, code)

    def test_a_small_body_that_unpacks_to_much(self, limited: Callable[..., World]) -> None:
        world = limited(ELB_QUERY_UPLOAD_LIMIT_BYTES="1000000")
        bomb = gzip.compress(b">a\n" + b"A" * 50_000_000)
        assert len(bomb) < 100_000
        with use(world):
            assert refused(queries.store_query, bomb) == (413, "query_too_large")
        assert names(world) == []

    def test_of_an_upload(self, limited: Callable[..., World]) -> None:
        for limit, expected in ((len(FASTA), 200), (len(FASTA) - 1, 413)):
            world = limited(ELB_QUERY_UPLOAD_LIMIT_BYTES=str(limit))
            with use(world):
                begun = begin(world, FASTA)
                assert ask(queries.commit, upload_id=begun["upload_id"])[0] == expected
                assert (begun["query_blob"] in names(world)) == (expected == 200)

    @pytest.mark.parametrize("handler", [queries.store_query, queries.begin_upload, queries.commit])
    def test_so_many_a_minute(self, limited: Callable[..., World], handler: Handler) -> None:
        world = limited(ELB_RATE_UPLOAD="1")
        world.clock = lambda: NOW
        with use(world):
            statuses = [ask(handler, FASTA if handler is queries.store_query else b"", "0" * 32)[0] for _ in range(3)]
        assert statuses[-1] == 429
        assert 429 not in statuses[:2]


class TestUpload:
    def test_what_the_caller_gets(self, world: World) -> None:
        begun = begin(world)
        assert begun["query_blob"] == f"uploads/{owner_key(OWNER)}/{begun['upload_id']}"
        assert begun["expires_at"] == "2026-03-01T12:15:00.000Z"
        assert begun["commit_url"] == f"/api/blast/queries/uploads/{begun['upload_id']}/commit"
        assert names(world) == []
        assert begin(world)["upload_id"] != begun["upload_id"]

    def test_another_account_is_named_again_at_the_commit(self) -> None:
        begun = ask(queries.begin_upload, storage_account="other")[1]
        assert begun["commit_url"].endswith("/commit?storage_account=other")

    @pytest.mark.parametrize("handler", [queries.begin_upload, queries.commit])
    def test_a_body_that_would_have_no_effect_is_refused(self, handler: Handler) -> None:
        assert refused(handler, b'{"program": "blastn"}', "0" * 32) == (422, "invalid_request")
        assert refused(handler, b"[", "0" * 32) == (400, "not_json")

    @pytest.mark.parametrize("content", [FASTA, gzip.compress(FASTA), MARK + FASTA], ids=["plain", "gzip", "marked"])
    def test_a_commit_keeps_the_text(self, world: World, content: bytes) -> None:
        begun = begin(world, content)
        status, answer = ask(queries.commit, upload_id=begun["upload_id"])
        digest = hashlib.sha256(FASTA).hexdigest()
        assert (status, answer["query_blob"], answer["sha256"]) == (200, begun["query_blob"], digest)
        assert (answer["sequences"], answer["letters"], answer["bytes"]) == (2, 14, len(FASTA))
        assert world.store.read(QUERIES_CONTAINER, begun["query_blob"]) == FASTA
        assert names(world) == [begun["query_blob"], f"{begun['query_blob']}.json"]
        assert (world.store.copied == [begun["query_blob"]]) == (content == FASTA), "unpacked text cannot be a copy"

    def test_again_it_answers_the_same(self, world: World) -> None:
        begun = begin(world, FASTA)
        first = ask(queries.commit, upload_id=begun["upload_id"])
        write(world, begun, b">other\nACGT\n")
        assert ask(queries.commit, upload_id=begun["upload_id"]) == first
        assert world.store.read(QUERIES_CONTAINER, begun["query_blob"]) == FASTA

    @pytest.mark.parametrize("upload_id", ["0" * 32, "0" * 31, "A" * 32, "../../x", "%2e%2e", "x" * 5000, "\x00", "é"])
    def test_what_was_never_uploaded(self, world: World, upload_id: str) -> None:
        assert refused(queries.commit, upload_id=upload_id) == (404, "upload_not_found")
        assert names(world) == []

    @pytest.mark.proves("Q2")
    def test_another_owners_is_as_if_it_were_not(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        begun = begin(world, FASTA)
        become(monkeypatch, "bob")
        theirs = ask(queries.commit, upload_id=begun["upload_id"])
        assert theirs == ask(queries.commit, upload_id="0" * 32)
        assert theirs[0] == 404
        become(monkeypatch, OWNER)
        assert ask(queries.commit, upload_id=begun["upload_id"])[0] == 200
        become(monkeypatch, "bob")
        assert ask(queries.commit, upload_id=begun["upload_id"]) == theirs

    def test_a_wrong_file_can_be_written_anew(self, world: World) -> None:
        begun = begin(world, b">a\nAC!T\n")
        status, answer = ask(queries.commit, upload_id=begun["upload_id"])
        assert (status, answer["error"]["code"]) == (422, "invalid_letter")
        assert "line 2" in answer["error"]["message"]
        assert begun["query_blob"] not in names(world)
        write(world, begun, FASTA)
        assert ask(queries.commit, upload_id=begun["upload_id"])[0] == 200

    def test_a_program_that_it_does_not_fit(self, world: World) -> None:
        begun = begin(world, b">p\nMKVLAAGIVGLLLAQTLA\n")
        assert refused(queries.commit, upload_id=begun["upload_id"], program="blastn") == (422, "invalid_letter")
        assert begun["query_blob"] not in names(world)
        assert ask(queries.commit, upload_id=begun["upload_id"], program="blastp")[0] == 200
        assert refused(queries.commit, upload_id=begun["upload_id"], program="blastn") == (422, "invalid_letter")

    @pytest.mark.parametrize("content", [FASTA * 9, gzip.compress(bytes(range(65, 69)) * 99)], ids=["plain", "gzip"])
    def test_written_to_while_it_is_checked(
        self, world: World, monkeypatch: pytest.MonkeyPatch, content: bytes
    ) -> None:
        """Neither the half that was read nor the half that came is kept."""
        text = b"".join(b">q%d\nACGTACGTAC\n" % number for number in range(20))
        content = gzip.compress(text) if content[:2] == b"\x1f\x8b" else text
        begun = begin(world, content)
        stream = world.store.stream

        def interfering(container: str, name: str, *arguments: Any, **more: Any) -> Any:
            for number, block in enumerate(stream(container, name, *arguments, **more)):
                if number == 0:
                    write(world, begun, content + b"\n")
                yield block

        monkeypatch.setattr(world.store, "stream", interfering)
        assert refused(queries.commit, upload_id=begun["upload_id"]) == (409, "upload_changed")
        assert begun["query_blob"] not in names(world)

    def test_a_commit_that_died_between_copy_and_record(self, world: World) -> None:
        """What lies under the final name is what counts: nobody writes there any more."""
        begun = begin(world, b">later\nACGTA\n")
        world.store.put(QUERIES_CONTAINER, begun["query_blob"], FASTA, "text/plain")
        answer = ask(queries.commit, upload_id=begun["upload_id"])[1]
        assert answer["sha256"] == hashlib.sha256(FASTA).hexdigest()
        assert len(names(world)) == 2

    def test_two_commits_at_once(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        begun = begin(world, FASTA)
        copy, answers = world.store.copy, []

        def after_the_other(*arguments: Any, **more: Any) -> None:
            monkeypatch.setattr(world.store, "copy", copy)
            answers.append(ask(queries.commit, upload_id=begun["upload_id"]))
            write(world, begun, b">x\nAC\n")
            copy(*arguments, **more)

        monkeypatch.setattr(world.store, "copy", after_the_other)
        status, answer = ask(queries.commit, upload_id=begun["upload_id"])
        assert (status, answer["error"]["code"]) == (409, "upload_changed")
        assert answers[0][0] == 200
        assert ask(queries.commit, upload_id=begun["upload_id"]) == answers[0]
        assert world.store.read(QUERIES_CONTAINER, begun["query_blob"]) == FASTA


class TestSearches:
    def upload(self, content: bytes = FASTA, **more: Any) -> str:
        """An upload's blob."""
        return str(ask(queries.store_query, content, **more)[1]["query_blob"])

    def test_a_search_has_a_copy_of_its_own(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        blob = self.upload()
        stream, streamed = world.store.stream, []

        def noted(container: str, name: str, *arguments: Any, **more: Any) -> Any:
            streamed.append(name)
            return stream(container, name, *arguments, **more)

        monkeypatch.setattr(world.store, "stream", noted)
        status, answer = submit(world, blob)
        assert status == 202, answer
        search = world.searches.find(answer["job_id"])
        own = query_blob(search.job_id)
        assert dict(search.query) | {"batch_len": 0} == {
            "blob": own,
            "sha256": hashlib.sha256(FASTA).hexdigest(),
            "sequences": 2,
            "letters": 14,
            "batch_len": 0,
        }
        assert world.store.copied == [own]
        assert streamed == [], "it is copied within storage, never read"
        assert world.store.read(QUERIES_CONTAINER, own) == FASTA
        assert stage_queries(ref(search)) == {"batches": 1, "sequences": 2, "letters": 14}

    def test_a_submit_whose_copy_failed_is_completed_by_its_repetition(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        blob, copy = self.upload(), world.store.copy

        def failing(*_: Any, **__: Any) -> None:
            monkeypatch.setattr(world.store, "copy", copy)
            raise TransientError("copy_pending", "storage is still copying")

        monkeypatch.setattr(world.store, "copy", failing)
        key: Json = {"headers": {"Idempotency-Key": "one"}}
        body = json.dumps({"program": "blastn", "database": DB, "query_blob": blob}).encode()
        first = ask(jobs.submit_search, body, client=world.durable, **key)
        assert (first[0], first[1]["error"]["code"]) == (503, "copy_pending")
        assert not world.durable.started
        status, answer = ask(jobs.submit_search, body, client=world.durable, **key)
        assert status == 202
        assert [search.job_id for search in world.searches.rows.values()] == [answer["job_id"]]
        assert world.store.read(QUERIES_CONTAINER, query_blob(answer["job_id"])) == FASTA

    def test_deleting_the_search_leaves_the_upload(self, world: World) -> None:
        blob = self.upload()
        first, second = (submit(world, blob)[1]["job_id"] for _ in range(2))
        search = world.searches.find(first)
        world.searches.update(search.owner, first, lambda row: replace(row, phase=Phase.DELETING))
        assert delete_search_blobs(ref(search)) == {"deleted": 2}
        assert names(world) == sorted([blob, f"{blob}.json", query_blob(second), f"{query_blob(second)}.json"])

    def test_a_clone_copies_the_copy(self, world: World) -> None:
        blob = self.upload()
        original = submit(world, blob)[1]["job_id"]
        world.store.delete(QUERIES_CONTAINER, [blob, f"{blob}.json"])
        status, answer = ask(changes.clone_search, b"{}", original, client=world.durable)
        assert status == 202, answer
        assert world.store.read(QUERIES_CONTAINER, query_blob(answer["job_id"])) == FASTA
        assert world.store.copied[-1] == query_blob(answer["job_id"])

    def test_a_clone_for_a_program_that_it_does_not_fit(self, world: World) -> None:
        put_database(world, "nucleotides")
        original = submit(world, self.upload(b">a\n" + b"ACGT" * 9))[1]["job_id"]
        body = b'{"program": "tblastn", "database": "nucleotides", "options": {}}'
        status, answer = ask(changes.clone_search, body, original, client=world.durable)
        assert (status, answer["error"]["code"]) == (422, "wrong_query_type")

    def test_the_check_of_the_upload_is_the_submits(self, world: World) -> None:
        protein = self.upload(b">p\nMK\n>q\nVLAAGIVGLLLAQTLA\n")
        status, answer = submit(world, protein)
        assert (status, answer["error"]["code"]) == (422, "invalid_letter")
        assert "line 4 has 'L'" in answer["error"]["message"]
        assert answer["error"]["details"][0]["field"] == "query_blob"
        assert not world.searches.rows

    def test_too_many_jobs_are_refused_by_the_record(self, world: World) -> None:
        blob = self.upload(b"".join(b">q%d\nACGTACGTAC\n" % number for number in range(1001)))
        assert submit(world, blob, batch_len=10)[1]["error"]["code"] == "too_many_jobs"
        assert submit(world, blob, batch_len=20)[0] == 202

    def test_a_validation_reads_the_record_and_uses_nothing(self, world: World) -> None:
        blob = self.upload()
        world.clock = lambda: NOW + timedelta(days=1)
        body = json.dumps({"program": "blastn", "database": DB, "query_blob": blob}).encode()
        checks = {check["id"]: check["status"] for check in ask(validation.validate_search, body)[1]["checks"]}
        assert checks["query"] == "ok"
        assert world.store.stat(QUERIES_CONTAINER, f"{blob}.json").modified == NOW

    @pytest.mark.proves("Q2")
    def test_another_owners_upload_cannot_be_searched_with(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        blob = self.upload()
        become(monkeypatch, "bob")
        absent = f"uploads/{owner_key('bob')}/{'0' * 64}"
        assert submit(world, blob) == submit(world, absent)
        assert submit(world, blob)[1]["error"]["code"] == "query_not_found"

    @pytest.mark.parametrize(
        "name",
        [
            "{own}/../{id}",
            "{own}/{id}.json",
            "{own}/",
            "{own}",
            "incoming/{key}/{id}",
            "/{own}/{id}",
            "{own}/{id}\n",
            "",
        ],
    )
    def test_nothing_else_is_an_upload(self, world: World, name: str) -> None:
        key = owner_key(OWNER)
        blob = name.format(own=f"uploads/{key}", key=key, id="0" * 32)
        world.store.put(QUERIES_CONTAINER, blob, FASTA, "text/plain")
        assert submit(world, blob)[1]["error"]["code"] == "query_not_found"

    def test_what_was_not_committed_is_no_upload(self, world: World) -> None:
        begun = begin(world, FASTA)
        assert submit(world, begun["query_blob"])[1]["error"]["code"] == "query_not_found"

    def test_a_record_that_cannot_be_read(self, world: World) -> None:
        blob = self.upload()
        for record in (b"{", b"[]", b'{"lengths": "!"}', b'{"lengths": "AAAA", "misfits": {}}'):
            world.store.put(QUERIES_CONTAINER, f"{blob}.json", record, "application/json")
            status, answer = submit(world, blob)
            assert (status, answer["error"]["code"]) == (500, "query_record_unreadable")

    def test_a_query_that_is_not_the_submitted_one_is_not_searched(self, world: World) -> None:
        job_id = submit(world, self.upload())[1]["job_id"]
        world.store.put(QUERIES_CONTAINER, query_blob(job_id), FASTA + b"A\n", "text/plain")
        with pytest.raises(Exception, match="queries_changed"):
            stage_queries(ref(world.searches.find(job_id)))


class TestForgetting:
    DAY = timedelta(days=1)

    def at(self, world: World, time: datetime) -> int:
        """Purge at a time."""
        world.clock = lambda: time
        return purge_uploads(time)

    def test_what_nobody_used_for_a_week_goes(self, world: World) -> None:
        blob = ask(queries.store_query, FASTA)[1]["query_blob"]
        assert self.at(world, NOW + 7 * self.DAY) == 0
        assert names(world) == [blob, f"{blob}.json"]
        assert self.at(world, NOW + 7 * self.DAY + timedelta(seconds=1)) == 2
        assert names(world) == []
        assert self.at(world, NOW + 8 * self.DAY) == 0

    @pytest.mark.parametrize("how", ["submit", "upload"])
    def test_using_it_keeps_it(self, world: World, how: str) -> None:
        blob = ask(queries.store_query, FASTA)[1]["query_blob"]
        world.clock = lambda: NOW + 6 * self.DAY
        if how == "submit":
            assert submit(world, blob)[0] == 202
        else:
            assert ask(queries.store_query, FASTA)[0] == 200
        assert self.at(world, NOW + 13 * self.DAY) == 0
        assert self.at(world, NOW + 14 * self.DAY) == 2

    def test_used_just_when_it_is_to_go(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """It was listed as unused; then somebody uses it."""
        blob = ask(queries.store_query, FASTA)[1]["query_blob"]
        listing, late = world.store.listing, NOW + 8 * self.DAY

        def then_used(container: str, prefix: str) -> Any:
            found = listing(container, prefix)
            if prefix == "uploads/":
                assert submit(world, blob)[0] == 202
            return found

        monkeypatch.setattr(world.store, "listing", then_used)
        assert self.at(world, late) == 0
        assert blob in names(world)

    def test_a_search_keeps_its_own(self, world: World) -> None:
        job_id = submit(world, ask(queries.store_query, FASTA)[1]["query_blob"])[1]["job_id"]
        assert self.at(world, NOW + 8 * self.DAY) == 2
        assert names(world) == [query_blob(job_id), f"{query_blob(job_id)}.json"]
        assert stage_queries(ref(world.searches.find(job_id)))["sequences"] == 2

    def test_what_was_never_committed_goes_after_a_day(self, world: World) -> None:
        begin(world, FASTA)
        world.store.put(QUERIES_CONTAINER, f"uploads/{'0' * 32}/{'0' * 32}", FASTA, "text/plain")
        assert self.at(world, NOW + INCOMING_LIFE) == 0
        assert self.at(world, NOW + INCOMING_LIFE + timedelta(seconds=1)) == 2
        assert names(world) == []

    def test_an_account_that_does_not_answer_keeps_no_other_from_its_turn(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cluster = replace(CLUSTER, cluster_name="gone", storage_account="gone")
        world.clusters.refs[cluster.key] = cluster
        ask(queries.store_query, FASTA)
        store, asked = world.store, []

        def blobs(account: str) -> Any:
            asked.append(account)
            if account == "gone":
                raise TransientError("storage_unavailable", "no answer")
            return store

        monkeypatch.setattr(world, "blobs", blobs)
        assert self.at(world, NOW + 8 * self.DAY) == 2
        assert asked == ["gone", "store"]

    def test_a_shorter_life_by_setting(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        made = new_world(ELB_UPLOAD_DAYS="1")
        made.clock = lambda: NOW
        monkeypatch.setattr(responses, "settings", lambda: made.settings)
        with use(made):
            ask(queries.store_query, FASTA)
            assert self.at(made, NOW + self.DAY + timedelta(seconds=1)) == 2
