"""Submitting: checked before anything is written; the row first, then the query, then the orchestration; repeatable."""

from __future__ import annotations

import json
from typing import Any

import azure.functions as func
import grpc
import pytest

from shared import responses
from shared.auth import Caller
from shared.clients.provider import use
from shared.domain.errors import TransientError
from shared.domain.states import Phase
from tests.activities.fakes import World
from tests.activities.worlds import DB, Json, new_world, put_database
from triggers import jobs
from triggers.requests import SubmitRequest, as_model
from triggers.submission import Submission

FASTA = ">q1\nACGTACGTAC\n>q2\nACGTACGTAC\n"
BODY: Json = {"program": "blastn", "database": DB, "query_fasta": FASTA, "title": "run 7"}


@pytest.fixture(autouse=True)
def app(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The app with a prepared database, and one user on loopback."""
    monkeypatch.setattr(responses, "settings", lambda: world.settings)
    put_database(world)
    world.store.written.clear()


def post(world: World, body: Any, key: str | None = None, *, alias: bool = False) -> tuple[int, Json]:
    """Submit; the status and the body of the answer."""
    headers = {"Host": "localhost:7071"} | ({"Idempotency-Key": key} if key is not None else {})
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = func.HttpRequest("POST", "http://localhost:7071/api/blast/jobs", headers=headers, body=content)
    submit = jobs.submit_search_alias if alias else jobs.submit_search
    answer = submit(request, world.durable)
    return answer.status_code, json.loads(answer.get_body())


def written(world: World) -> tuple[int, int, int]:
    """How many rows, blobs and orchestrations there are because of submits."""
    return len(world.searches.rows), len(world.store.written), len(world.durable.started)


class TestOrder:
    def test_row_query_and_orchestration(self, world: World) -> None:
        status, body = post(world, BODY)
        assert status == 202
        job_id = body["job_id"]
        assert body["status_url"] == f"/api/blast/jobs/{job_id}"
        search = world.searches.find(job_id)
        assert (search.phase, search.title, search.query["sequences"]) == (Phase.PREPARING, "run 7", 2)
        assert world.store.read("queries", str(search.query["blob"])) == FASTA.encode()
        assert list(world.durable.started) == [job_id]

    def test_the_alias_does_the_same(self, world: World) -> None:
        status, body = post(world, BODY, alias=True)
        assert status == 202
        assert list(world.durable.started) == [body["job_id"]]

    @pytest.mark.proves("S1")
    def test_a_row_that_cannot_be_written_means_an_error_and_that_nothing_happened(self, world: World) -> None:
        world.searches.failing = TransientError("state_unavailable", "the state store did not answer")
        status, body = post(world, BODY)
        assert (status, body["error"]["code"]) == (503, "state_unavailable")
        assert written(world) == (0, 0, 0)
        assert not world.cluster.calls

    @pytest.mark.proves("S1")
    def test_the_row_is_there_before_the_query_is_stored(self, world: World) -> None:
        world.store.failing = TransientError("storage_unavailable", "storage did not answer")
        assert post(world, BODY)[0] == 503
        assert written(world) == (1, 0, 0)

    @pytest.mark.proves("S1")
    def test_and_before_the_orchestration_is_started(self, world: World) -> None:
        world.durable.failing = grpc.StatusCode.UNAVAILABLE
        assert post(world, BODY)[0] == 503
        assert written(world) == (1, 1, 0)

    def test_the_orchestration_gets_references_never_the_query(self, world: World) -> None:
        _, body = post(world, BODY)
        name, data = world.durable.started[body["job_id"]]
        assert name == "search_orchestrator"
        assert "ACGT" not in json.dumps(data)
        assert {"job_id": body["job_id"], "owner": "dev@localhost", "run": 1}.items() <= data.items()
        assert (data["parallel"], data["deadline_seconds"], data["results_grace_seconds"]) == (True, 86_400, 120)

    def test_the_settings_of_the_app_go_along(self, monkeypatch: pytest.MonkeyPatch) -> None:
        world = new_world(ELB_PARALLEL_WARM_REUSE="0", ELB_RESULTS_GRACE_SECONDS="7", ELB_WARMUP_WAIT_SECONDS="9")
        monkeypatch.setattr(responses, "settings", lambda: world.settings)
        with use(world):
            put_database(world)
            _, body = post(world, BODY)
        _, data = world.durable.started[body["job_id"]]
        assert (data["parallel"], data["results_grace_seconds"], data["warmup_wait_seconds"]) == (False, 7, 9)


class TestIdempotency:
    def test_the_same_key_and_body_make_one_search(self, world: World) -> None:
        answers = [post(world, BODY, "run-7") for _ in range(3)]
        assert len({(status, body["job_id"]) for status, body in answers}) == 1
        assert len(world.searches.rows) == len(world.durable.started) == 1

    def test_without_a_key_each_is_a_search_of_its_own(self, world: World) -> None:
        assert len({post(world, BODY)[1]["job_id"] for _ in range(3)}) == 3

    def test_another_body_is_a_conflict(self, world: World) -> None:
        post(world, BODY, "run-7")
        status, body = post(world, BODY | {"title": "another"}, "run-7")
        assert (status, body["error"]["code"]) == (409, "idempotency_key_reused")
        assert len(world.searches.rows) == 1

    def test_the_order_of_the_fields_does_not_matter(self, world: World) -> None:
        first = post(world, BODY, "run-7")
        assert post(world, dict(reversed(BODY.items())), "run-7") == first

    @pytest.mark.parametrize("died_at", ["query", "orchestration"])
    def test_a_repeat_starts_what_died_in_between(self, world: World, died_at: str) -> None:
        if died_at == "query":
            world.store.failing = TransientError("storage_unavailable", "no")
        else:
            world.durable.failing = grpc.StatusCode.UNAVAILABLE
        assert post(world, BODY, "run-7")[0] == 503
        world.store.failing = world.durable.failing = None
        status, body = post(world, BODY, "run-7")
        assert status == 202
        assert list(world.durable.started) == [body["job_id"]]
        search = world.searches.find(body["job_id"])
        assert world.store.read("queries", str(search.query["blob"])) == FASTA.encode()

    def test_a_repeat_while_it_runs_starts_and_writes_nothing(self, world: World) -> None:
        _, body = post(world, BODY, "run-7")
        world.searches.update("dev@localhost", body["job_id"], _running)
        before = written(world)
        assert post(world, BODY, "run-7") == (202, body)
        assert written(world) == before

    def test_a_repeat_gives_the_same_search_whatever_has_become_of_its_database(self, world: World) -> None:
        """It asks for nothing new, so there is nothing to check."""
        _, body = post(world, BODY, "run-7")
        world.searches.update("dev@localhost", body["job_id"], _running)
        for name in list(world.store.blobs):
            if name[0] == "blast-db":
                del world.store.blobs[name]
        assert post(world, BODY)[0] == 422
        assert post(world, BODY, "run-7") == (202, body)

    def test_a_repeat_that_would_be_refused_otherwise_is_still_a_conflict(self, world: World) -> None:
        post(world, BODY, "run-7")
        status, body = post(world, BODY | {"database": "other"}, "run-7")
        assert (status, body["error"]["code"]) == (409, "idempotency_key_reused")

    def test_only_what_was_sent_makes_the_request(self) -> None:
        """A field that a later release adds must not make an old key another request."""
        caller = Caller("anna", "anna", frozenset())

        class Tomorrow(SubmitRequest):
            of_tomorrow: str = "usual"

        today = Submission(caller, as_model(BODY, SubmitRequest)).idempotency("run-7")
        assert today is not None
        assert Submission(caller, as_model(BODY, Tomorrow)).idempotency("run-7") == today
        given = as_model(BODY | {"of_tomorrow": "else"}, Tomorrow)
        assert Submission(caller, given).idempotency("run-7") != today


def _running(search: Any) -> Any:
    from dataclasses import replace

    return replace(search, phase=Phase.RUNNING)


WRONG: dict[str, tuple[Json, str]] = {
    "unknown program": ({"program": "blastz"}, "unknown_program"),
    "unknown database": ({"database": "other"}, "unknown_database"),
    "a path as database": ({"database": "../db"}, "unknown_database"),
    "wrong kind of database": ({"program": "blastp", "query_fasta": ">p\nMKVLAAGE\n"}, "wrong_database_type"),
    "no query": ({"query_fasta": None}, "one_query_required"),
    "two queries": ({"query_blob": "uploads/x"}, "one_query_required"),
    "somebody else's blob": ({"query_fasta": None, "query_blob": "uploads/0/q"}, "query_not_found"),
    "an empty query": ({"query_fasta": ""}, "empty_query"),
    "not FASTA": ({"query_fasta": "ACGT"}, "not_fasta"),
    "no letters": ({"query_fasta": ">a\n>b\nACGT\n"}, "empty_sequence"),
    "a wrong letter": ({"query_fasta": ">a\nACGE\n"}, "invalid_letter"),
    "an id twice": ({"query_fasta": ">a\nAC\n>a\nAC\n"}, "duplicate_query_id"),
    "an unknown task": ({"options": {"task": "hugeblast"}}, "unknown_task"),
    "a format without a merge": ({"options": {"outfmt": "0"}}, "outfmt_not_mergeable"),
    "an option that is not allowed": ({"options": {"extra": "-remote"}}, "option_not_allowed"),
    "a shell": ({"options": {"extra": "-dust no; id"}}, "option_not_allowed"),
    "a wrong number": ({"options": {"evalue": -1}}, "invalid_request"),
    "a misspelt field": ({"databse": "db"}, "invalid_request"),
    "a wrong type": ({"title": 7}, "invalid_request"),
    "a wrong label": ({"labels": {"a b": "c"}}, "invalid_label"),
    "a wrong cluster": ({"cluster": {"cluster_name": "x/y"}}, "invalid_request"),
    "another engine": ({"engine": "warp"}, "invalid_request"),
}


class TestRefused:
    @pytest.mark.parametrize("case", WRONG)
    def test_a_wrong_request_leaves_nothing(self, world: World, case: str) -> None:
        change, code = WRONG[case]
        status, body = post(world, BODY | change)
        error = body["error"]
        assert (status, error["code"]) == (422, code)
        assert error["message"]
        assert error["hint"]
        assert written(world) == (0, 0, 0)

    @pytest.mark.parametrize("field", ["program", "database"])
    def test_a_field_that_is_missing(self, world: World, field: str) -> None:
        status, body = post(world, {name: value for name, value in BODY.items() if name != field})
        assert (status, body["error"]["details"][0]["field"]) == (422, field)
        assert written(world) == (0, 0, 0)

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [(b"{", 400, "not_json"), (b"[]", 400, "not_an_object"), (b" " * 2_000_001, 413, "body_too_large")],
    )
    def test_a_body_that_is_none(self, world: World, body: bytes, status: int, code: str) -> None:
        found, answer = post(world, body)
        assert (found, answer["error"]["code"]) == (status, code)
        assert written(world) == (0, 0, 0)

    @pytest.mark.parametrize("key", ["", "a\tb", "x" * 201, "ä"])
    def test_a_wrong_key(self, world: World, key: str) -> None:
        status, body = post(world, BODY, key)
        assert (status, body["error"]["code"]) == (422, "invalid_idempotency_key")
        assert written(world) == (0, 0, 0)

    def test_a_key_as_long_as_it_may_be(self, world: World) -> None:
        assert post(world, BODY, "x" * 200)[0] == 202

    def test_a_query_that_is_too_large(self, world: World) -> None:
        status, body = post(world, BODY | {"query_fasta": ">a\n" + "A" * 1_000_000})
        assert (status, body["error"]["code"]) == (413, "query_too_large")
        assert "1000000" in body["error"]["hint"]
        assert written(world) == (0, 0, 0)

    def test_more_jobs_than_a_cluster_should_have(self, world: World) -> None:
        """Two shards: so one batch more than a thousand is too many, and the hint leads to fewer."""
        fasta = "".join(f">q{number}\nACGTACGTAC\n" for number in range(1001))
        status, body = post(world, BODY | {"query_fasta": fasta, "batch_len": 10})
        error = body["error"]
        assert (status, error["code"]) == (422, "too_many_jobs")
        assert error["details"][0]["field"] == "batch_len"
        assert "1001 batches and up to 2 shards make 2002 Jobs" in error["message"]
        assert written(world) == (0, 0, 0)
        named = int(error["hint"].split("batch_len about ")[1].split(",")[0])
        assert post(world, BODY | {"query_fasta": fasta, "batch_len": 2 * named})[0] == 202

    def test_as_many_jobs_as_there_may_be(self, world: World) -> None:
        fasta = "".join(f">q{number}\nACGTACGTAC\n" for number in range(1000))
        assert post(world, BODY | {"query_fasta": fasta, "batch_len": 10})[0] == 202

    def test_a_query_as_long_as_it_may_be(self, world: World) -> None:
        assert post(world, BODY | {"query_fasta": ">a\n" + "A" * (1_000_000 - 3)})[0] == 202

    def test_an_incomplete_database(self, world: World) -> None:
        del world.store.blobs["blast-db", f"{DB}/{DB}.01.nsq"]
        status, body = post(world, BODY)
        assert (status, body["error"]["code"]) == (422, "database_incomplete")
        assert written(world) == (0, 0, 0)
