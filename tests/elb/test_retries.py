"""What is sent again and when; above all that a lost answer never makes a second search."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from elb.retries import backoff, may_repeat_answered, may_repeat_lost, retry_after
from tests.elb.conftest import JOB, Run, accepted, detail
from tests.elb.fake_api import Answer, FakeApi, refusal

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SUBMIT = ["submit", "--program", "blastn", "--db", "d"]


@pytest.fixture
def query(tmp_path: Path) -> str:
    file = tmp_path / "q.fasta"
    file.write_text(">q1\nACGT\n")
    return str(file)


class TestRules:
    @pytest.mark.parametrize(
        ("error", "repeatable", "again"),
        [
            (httpx.ConnectError("refused"), False, True),
            (httpx.ConnectTimeout("slow"), False, True),
            (httpx.ReadError("reset"), False, False),
            (httpx.ReadTimeout("slow"), False, False),
            (httpx.RemoteProtocolError("closed"), False, False),
            (httpx.ReadError("reset"), True, True),
            (httpx.ReadTimeout("slow"), True, True),
        ],
    )
    def test_a_lost_answer(self, error: httpx.TransportError, repeatable: bool, again: bool) -> None:
        assert may_repeat_lost(error, repeatable=repeatable) is again

    @pytest.mark.parametrize(
        ("status", "repeatable", "again"),
        [
            (429, False, True),
            (503, False, True),
            (502, False, False),
            (504, False, False),
            (502, True, True),
            (504, True, True),
            (500, True, False),
            (409, True, False),
            (200, True, False),
        ],
    )
    def test_an_answer(self, status: int, repeatable: bool, again: bool) -> None:
        assert may_repeat_answered(status, repeatable=repeatable) is again

    def test_the_pauses_double_and_are_bounded(self) -> None:
        assert [backoff(n, lambda: 1.0) for n in (1, 2, 3, 4, 5, 6, 5000)] == [0.5, 1, 2, 4, 8, 8, 8]
        assert backoff(3, lambda: 0.0) == 1

    @pytest.mark.parametrize(
        ("header", "seconds"),
        [
            (None, None),
            ("", None),
            ("7", 7),
            (" 0 ", 0),
            ("soon", None),
            ("-3", None),
            ("Fri, 02 Jan 2026 00:00:30 GMT", 30),
            ("Thu, 01 Jan 2026 00:00:00 GMT", 0),
            ("9" * 400, 999_999_999),
        ],
    )
    def test_retry_after(self, header: str | None, seconds: float | None) -> None:
        assert retry_after(header, NOW) == seconds


def test_a_lost_answer_makes_one_search(api: FakeApi, run: Run, query: str) -> None:
    api.on("POST /api/blast/jobs", Answer(lost=True), Answer(504, b"gateway"), accepted())
    assert run(*SUBMIT, query).out == f"{JOB}\n"
    asked = api.requests("POST /api/blast/jobs")
    assert len(asked) == 3
    assert len({one.headers["Idempotency-Key"] for one in asked}) == 1
    assert len({one.body for one in asked}) == 1


def test_two_submits_are_two_searches(api: FakeApi, run: Run, query: str) -> None:
    api.on("POST /api/blast/jobs", accepted())
    run(*SUBMIT, query)
    run(*SUBMIT, query)
    run(*SUBMIT, query, "--key", "mine")
    keys = [one.headers["Idempotency-Key"] for one in api.requests("POST /api/blast/jobs")]
    assert len(set(keys)) == 3
    assert keys[2] == "mine"


@pytest.mark.parametrize(
    "answer", [Answer(lost=True), Answer(504, b"gateway"), refusal(500, "internal_error"), refusal(503, "starting")]
)
def test_a_submit_whose_fate_is_not_known_says_how_to_find_out(
    answer: Answer, api: FakeApi, run: Run, query: str
) -> None:
    api.on("POST /api/blast/jobs", answer)
    ran = run(*SUBMIT, query, "--json")
    key = api.requests("POST /api/blast/jobs")[0].headers["Idempotency-Key"]
    assert ran.code == 6
    assert ran.error()["idempotency_key"] == key
    assert f"--key {key}" in ran.error()["error"]["hint"]


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured(status: int, api: FakeApi, run: Run, query: str) -> None:
    not_now = refusal(status, "rate_limited")
    not_now.headers["Retry-After"] = "7"
    api.on("POST /api/blast/jobs", not_now, not_now, accepted())
    assert run(*SUBMIT, query).code == 0
    assert run.clock.slept == [7, 7]


def test_a_retry_after_beyond_the_patience_is_not_waited_for(api: FakeApi, run: Run, query: str) -> None:
    not_now = refusal(429, "rate_limited")
    not_now.headers["Retry-After"] = "61"
    api.on("POST /api/blast/jobs", not_now)
    ran = run(*SUBMIT, query, "--json")
    assert (ran.code, run.clock.slept, ran.error()["retry_after"]) == (8, [], 61)


def test_an_api_that_is_gone_is_asked_for_the_patience(api: FakeApi, run: Run) -> None:
    api.on("GET /api/me", Answer(lost=True))
    ran = run("me", patience="60s")
    assert ran.code == 6
    assert 50 < sum(run.clock.slept) <= 60
    assert "attempts" in ran.err


def test_an_error_is_not_asked_for_again(api: FakeApi, run: Run, query: str) -> None:
    api.on("POST /api/blast/jobs", refusal(422, "unknown_database"))
    run(*SUBMIT, query)
    assert len(api.asked) == 1


def test_a_new_attempt_is_not_begun_twice(api: FakeApi, run: Run) -> None:
    api.on("POST /api/blast/jobs/{id}/retry", Answer(lost=True))
    assert run("retry", JOB).code == 6
    assert len(api.asked) == 1


def test_a_cancel_is_repeated(api: FakeApi, run: Run) -> None:
    api.on("POST /api/blast/jobs/{id}/cancel", Answer(lost=True), Answer(202, {"job_id": JOB, "status": "running"}))
    assert run("cancel", JOB).code == 0


def test_a_delete_whose_answer_was_lost_has_deleted(api: FakeApi, run: Run) -> None:
    api.on("DELETE /api/blast/jobs/{id}", Answer(lost=True), refusal(404, "job_not_found"))
    assert run("delete", JOB, "--json").json()["status"] == "deleted"
    api.on("DELETE /api/blast/jobs/{id}", refusal(404, "job_not_found"))
    assert run("delete", JOB).code == 4


def test_a_warmup_is_begun_once(api: FakeApi, run: Run) -> None:
    work = Answer(202, {"instance_id": "w", "status_url": "/api/warmup/w/status"})
    api.on("POST /api/warmup/start", Answer(lost=True), work)
    assert run("warm", "d").code == 0
    assert len({one.headers["Idempotency-Key"] for one in api.asked}) == 1


def test_a_clone_changes_the_options_that_are_given_and_keeps_the_others(api: FakeApi, run: Run) -> None:
    api.on("GET /api/blast/jobs/{id}", Answer(body=detail("completed")))
    api.on("POST /api/blast/jobs/{id}/clone", accepted("job-2"))
    assert run("clone", JOB, "--evalue", "0.5").out == "job-2\n"
    (asked,) = api.requests("POST /api/blast/jobs/{id}/clone")
    assert asked.json() == {"options": {"task": "megablast", "outfmt": "6 std", "evalue": 0.5, "extra": ""}}
