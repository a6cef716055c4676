"""The exit codes: what scripts decide by."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from elb.errors import Exit, exit_code_of
from tests.elb.conftest import JOB, Run, detail
from tests.elb.fake_api import Answer, FakeApi, refusal

DOCUMENT = Path(__file__).parents[2] / "docs" / "client.md"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, 8),
        (401, 5),
        (403, 5),
        (404, 4),
        (409, 8),
        (410, 4),
        (412, 8),
        (413, 8),
        (422, 8),
        (429, 8),
        (500, 6),
        (503, 6),
    ],
)
def test_an_error_of_the_api_has_an_exit_code(status: int, code: int, api: FakeApi, run: Run) -> None:
    api.on("GET /api/me", refusal(status, "some_code"))
    ran = run("me")
    assert (ran.code, exit_code_of(status)) == (code, code)
    assert ran.out == ""
    for part in ("what some_code says", "some_code", "what to do about some_code", "GET /api/me"):
        assert part in ran.err


@pytest.mark.parametrize(("status", "code"), [("completed", 0), ("failed", 1), ("cancelled", 3), ("delete_failed", 1)])
def test_the_end_of_a_search_is_the_end_of_watch(status: str, code: int, api: FakeApi, run: Run) -> None:
    api.on("GET /api/blast/jobs/{id}", Answer(body=detail(status)))
    assert run("watch", JOB).code == code


@pytest.mark.parametrize(("status", "code"), [("completed", 0), ("failed", 1), ("cancelled", 3)])
def test_the_end_of_a_search_is_the_end_of_submit(
    status: str, code: int, api: FakeApi, run: Run, tmp_path: Path
) -> None:
    query = tmp_path / "q.fasta"
    query.write_text(">q\nACGT\n")
    api.on("POST /api/blast/jobs", Answer(202, {"job_id": JOB, "status_url": "x"}))
    api.on("GET /api/blast/jobs/{id}", Answer(body=detail(status)))
    assert run("submit", "--program", "blastn", "--db", "d", str(query), "--wait").code == code


@pytest.mark.parametrize(("status", "code"), [("cancelled", 0), ("completed", 8), ("failed", 8)])
def test_cancel_is_done_when_the_search_is_cancelled(status: str, code: int, api: FakeApi, run: Run) -> None:
    api.on("POST /api/blast/jobs/{id}/cancel", Answer(202, {"job_id": JOB}))
    api.on("GET /api/blast/jobs/{id}", Answer(body=detail("running", "cancelling")), Answer(body=detail(status)))
    assert run("cancel", JOB, "--wait").code == code


def test_delete_is_done_when_the_search_is_gone(api: FakeApi, run: Run) -> None:
    api.on("DELETE /api/blast/jobs/{id}", Answer(202, {"job_id": JOB, "status": "running"}))
    states = [Answer(body=detail(status)) for status in ("running", "cancelled", "deleting")]
    api.on("GET /api/blast/jobs/{id}", *states, refusal(404, "job_not_found"))
    assert run("delete", JOB, "--wait").code == 0
    assert len(api.requests("GET /api/blast/jobs/{id}")) == 4, "neither cancelled nor deleting is its end"


def test_a_delete_that_cannot_be_done_says_what_is_left(api: FakeApi, run: Run) -> None:
    api.on("DELETE /api/blast/jobs/{id}", Answer(202, {"job_id": JOB, "status": "deleting"}))
    api.on("GET /api/blast/jobs/{id}", Answer(body=detail("delete_failed", waiting_reason="3 blobs are locked")))
    ran = run("delete", JOB, "--wait")
    assert ran.code == 1
    assert "3 blobs are locked" in ran.err


def test_work_that_finished_with_a_failure_has_failed(api: FakeApi, run: Run) -> None:
    api.on("POST /api/warmup/start", Answer(202, {"instance_id": "w", "status_url": "/api/warmup/w/status"}))
    error = {"code": "cluster_too_small", "message": "it needs 8 nodes", "hint": "add nodes"}
    ended = {"runtime_status": "completed", "output": {"status": "failed", "error": error}}
    running = {"runtime_status": "running", "output": None}
    api.on("GET /api/warmup/w/status", Answer(body=running), Answer(body=ended))
    api.on("GET /api/monitor/aks/warmup-status", refusal(503, "no_matter"))
    ran = run("warm", "d", "--wait")
    assert ran.code == 1
    assert all(text in ran.err for text in error.values())


def test_a_release_that_could_not_be_finished_has_failed(api: FakeApi, run: Run) -> None:
    body = {"status": "partial", "deleted": [], "errors": [{"message": "node n3 does not answer"}]}
    api.on("POST /api/warmup/release", Answer(body=body))
    ran = run("release", "d")
    assert (ran.code, "node n3 does not answer" in ran.out) == (1, True)


def test_a_search_that_would_be_refused_is_refused(api: FakeApi, run: Run, tmp_path: Path) -> None:
    query = tmp_path / "q.fasta"
    query.write_text(">q\nACGT\n")
    checks = [{"id": "database", "status": "failed", "message": "unknown database d", "hint": "list them"}]
    api.on("POST /api/blast/jobs/validate", Answer(body={"ok": False, "checks": checks, "plan": None}))
    ran = run("validate", "--program", "blastn", "--db", "d", str(query))
    assert (ran.code, "unknown database d" in ran.out) == (8, True)


@pytest.mark.parametrize("words", [["watch", JOB], ["warm", "d", "--wait"]])
def test_a_wait_that_is_too_long_ends_and_the_work_goes_on(words: list[str], api: FakeApi, run: Run) -> None:
    api.on("GET /api/blast/jobs/{id}", Answer(body=detail()))
    api.on("POST /api/warmup/start", Answer(202, {"instance_id": "w", "status_url": "/api/warmup/w/status"}))
    api.on("GET /api/warmup/w/status", Answer(body={"runtime_status": "running", "output": None}))
    api.on("GET /api/monitor/aks/warmup-status", Answer(body={"items": []}))
    ran = run(*words, "--timeout", "90s")
    assert (ran.code, sum(run.clock.slept)) == (7, 90)
    assert f"it goes on; follow it with: python -m elb --api {api.address} {' '.join(words)}" in ran.err
    assert not api.requests("POST /api/blast/jobs/{id}/cancel")


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["nonsense"],
        ["show"],
        ["submit", "--program", "blastz", "--db", "d", "q"],
        ["submit", "--program", "blastn", "--db", "d", "/no/such/file"],
        ["submit", "--program", "blastn", "--db", "d", "/dev/null"],
        ["submit", "--program", "blastn", "--db", "d", "--label", "no-equals-sign", "q"],
        ["watch", JOB, "--timeout", "soon"],
        ["jobs", "--limit", "0"],
        ["show", ".."],
        ["me", "--api", "ftp://x"],
        ["me", "--api", "http://user:secret@x"],
    ],
)
def test_a_wrong_command_line_asks_nothing(words: list[str], api: FakeApi, run: Run) -> None:
    if "--api" in words:
        from elb.__main__ import main

        assert main(words) == 2
    else:
        assert run(*words).code == 2
    assert api.asked == []


def test_nobody_there(run: Run) -> None:
    from elb.__main__ import main

    assert main(["me", "--api", "http://127.0.0.1:1", "--patience", "0"]) == 6


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, b"<html>a page</html>"),
        Answer(200, []),
        Answer(404, b"no such page"),
        Answer(500, b"oops"),
        Answer(302, b"", {"Location": "https://login.example/"}),
        Answer(404, {"error": "text"}),
    ],
    ids=["page", "list", "404", "500", "login", "other error"],
)
def test_what_is_not_the_api_is_said_to_be_none(answer: Answer, api: FakeApi, run: Run) -> None:
    api.on("GET /api/me", answer)
    ran = run("me", patience="0")
    assert (ran.code, "not_the_api" in ran.err) == (6, True)


def test_the_document_has_every_exit_code() -> None:
    rows = re.findall(r"^\| (\d+) \|", DOCUMENT.read_text(), re.MULTILINE)
    assert [int(row) for row in rows] == sorted(Exit)


def test_the_document_has_every_command() -> None:
    from tests.elb.test_json import COMMANDS

    text = DOCUMENT.read_text()
    assert [name for name in COMMANDS if f"`{name.split()[0]}" not in text] == []


def test_a_defect_is_not_taken_for_a_failed_search(api: FakeApi, run: Run) -> None:
    api.on("GET /api/blast/jobs", Answer(body={"items": ["no object"], "next_cursor": None}))
    ran = run("jobs")
    assert (ran.code, "Traceback" in ran.err) == (70, True)
