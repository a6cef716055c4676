"""``--json``: one document on standard output and nothing else, whatever the command, whatever its end."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import pytest

from elb.arguments import parser
from tests.elb.conftest import JOB, Run, accepted, detail
from tests.elb.fake_api import Answer, FakeApi, refusal

ROWS = b"q1\ts1\t100.000\n"
MANIFEST = [
    {
        "name": "results.tsv",
        "size": len(ROWS),
        "sha256": hashlib.sha256(ROWS).hexdigest(),
        "content_type": "text/tab-separated-values",
        "url": f"/api/blast/jobs/{JOB}/results/results.tsv",
    }
]
WORK = {"instance_id": "work-1", "status_url": "/api/aks/operations/work-1"}
COMMANDS = {
    "submit": ["submit", "--program", "blastn", "--db", "d", "QUERY"],
    "submit --wait": ["submit", "--program", "blastn", "--db", "d", "QUERY", "--wait"],
    "submit --out": ["submit", "--program", "blastn", "--db", "d", "QUERY", "--out", "FOLDER"],
    "clone": ["clone", JOB, "--evalue", "1"],
    "validate": ["validate", "--program", "blastn", "--db", "d", "QUERY"],
    "jobs": ["jobs"],
    "show": ["show", JOB],
    "watch": ["watch", JOB],
    "events": ["events", JOB],
    "logs": ["logs", JOB],
    "cancel": ["cancel", JOB],
    "cancel --wait": ["cancel", JOB, "--wait"],
    "retry": ["retry", JOB],
    "retry --wait": ["retry", JOB, "--wait"],
    "delete": ["delete", JOB],
    "delete --wait": ["delete", JOB, "--wait"],
    "results": ["results", JOB],
    "results --out": ["results", JOB, "--out", "FOLDER"],
    "hits": ["hits", JOB],
    "databases": ["databases"],
    "warm": ["warm", "d"],
    "warm --wait": ["warm", "d", "--wait"],
    "release": ["release", "d"],
    "clusters": ["clusters"],
    "cluster": ["cluster", "status"],
    "cluster start": ["cluster", "start"],
    "cluster stop --wait": ["cluster", "stop", "--wait"],
    "me": ["me"],
}


@pytest.fixture
def whole_api(api: FakeApi) -> FakeApi:
    """An API on which everything goes well."""
    page = Answer(body={"items": [], "next_cursor": None})
    change = Answer(202, {"job_id": JOB, "status": "cancelled", "phase": "cancelled", "status_url": "x"})
    api.on("POST /api/blast/jobs", accepted())
    api.on("POST /api/blast/jobs/{id}/clone", accepted())
    api.on("POST /api/blast/jobs/validate", Answer(body={"ok": True, "checks": [], "plan": None, "estimate": None}))
    api.on("GET /api/blast/jobs", page)
    api.on("GET /api/blast/jobs/{id}", Answer(body=detail("completed")))
    for name in ("events", "hits", "logs"):
        api.on(f"GET /api/blast/jobs/{{id}}/{name}", page)
    for name in ("cancel", "retry"):
        api.on(f"POST /api/blast/jobs/{{id}}/{name}", change)
    api.on("DELETE /api/blast/jobs/{id}", change)
    api.on("GET /api/blast/jobs/{id}/results", Answer(body={"manifest": MANIFEST, "summary": {}, "provenance": {}}))
    api.on("GET /api/blast/jobs/{id}/results/results.tsv", Answer(body=ROWS))
    api.on("GET /api/blast/databases", page)
    api.on("GET /api/monitor/aks", page)
    api.on("GET /api/me", Answer(body={"owner": "me", "name": "Me", "roles": ["user"]}))
    for route in ("warmup/start", "aks/start", "aks/stop"):
        api.on(f"POST /api/{route}", Answer(202, WORK))
    ended = Answer(body={"runtime_status": "completed", "output": {"status": "succeeded"}})
    api.on("GET /api/aks/operations/work-1", ended)
    api.on("POST /api/warmup/release", Answer(body={"status": "released", "deleted": [], "errors": []}))
    return api


def test_every_command_is_in_the_table() -> None:
    (commands,) = (a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    assert set(commands.choices) == {name.split()[0] for name in COMMANDS}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_prints_one_document(name: str, whole_api: FakeApi, run: Run, tmp_path: Path) -> None:
    query = tmp_path / "q.fasta"
    query.write_text(">q1\nACGT\n")
    places = {"QUERY": str(query), "FOLDER": str(tmp_path / "out")}
    if name == "delete --wait":
        whole_api.on("GET /api/blast/jobs/{id}", Answer(body=detail("deleting")), refusal(404, "job_not_found"))
    elif name == "cancel --wait":
        whole_api.on("GET /api/blast/jobs/{id}", Answer(body=detail("cancelled")))
    ran = run(*(places.get(word, word) for word in COMMANDS[name]), "--json")
    assert (ran.code, ran.err) == (0, "")
    assert isinstance(ran.json(), dict)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_refused_command_prints_one_error_and_no_document(name: str, api: FakeApi, run: Run, tmp_path: Path) -> None:
    query = tmp_path / "q.fasta"
    query.write_text(">q1\nACGT\n")
    for method in ("GET", "POST", "DELETE"):
        for depth in range(1, 6):
            api.on(f"{method} /api" + "/{part}" * depth, refusal(403, "role_missing"))
    places = {"QUERY": str(query), "FOLDER": str(tmp_path / "out")}
    ran = run(*(places.get(word, word) for word in COMMANDS[name]), "--json")
    assert (ran.code, ran.out) == (5, "")
    error = ran.error()
    assert error["exit_code"] == 5
    assert error["error"] == {
        "code": "role_missing",
        "message": "what role_missing says",
        "hint": "what to do about role_missing",
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_for_people_a_command_prints_no_json_and_no_control_characters(
    name: str, whole_api: FakeApi, run: Run, tmp_path: Path
) -> None:
    query = tmp_path / "q.fasta"
    query.write_text(">q1\nACGT\n")
    if name == "delete --wait":
        whole_api.on("GET /api/blast/jobs/{id}", Answer(body=detail("deleting")), refusal(404, "job_not_found"))
    elif name == "cancel --wait":
        whole_api.on("GET /api/blast/jobs/{id}", Answer(body=detail("cancelled")))
    places = {"QUERY": str(query), "FOLDER": str(tmp_path / "out")}
    ran = run(*(places.get(word, word) for word in COMMANDS[name]))
    assert ran.code == 0
    assert not ran.out.startswith("{")
    assert "\x1b" not in ran.out + ran.err


def test_the_option_may_stand_before_the_command(whole_api: FakeApi, run: Run) -> None:
    assert run("--json", "me").json()["owner"] == "me"


def test_the_document_is_the_api_s_own(whole_api: FakeApi, run: Run) -> None:
    assert run("show", JOB, "--json").json() == detail("completed")


def test_a_search_that_was_waited_for_is_one_document_with_its_files(
    whole_api: FakeApi, run: Run, tmp_path: Path
) -> None:
    query = tmp_path / "q.fasta"
    query.write_text(">q1\nACGT\n")
    whole_api.on("GET /api/blast/jobs/{id}", Answer(body=detail("queued")), Answer(body=detail("completed")))
    words = ["submit", "--program", "blastn", "--db", "d", str(query), "--out", str(tmp_path / "out"), "--json"]
    ran = run(*words)
    found = ran.json()
    assert (found["job_id"], found["search"]["status"]) == (JOB, "completed")
    (file,) = found["files"]
    assert Path(file["path"]).read_bytes() == ROWS


def test_a_failed_search_has_both_a_document_and_an_error(whole_api: FakeApi, run: Run, tmp_path: Path) -> None:
    query = tmp_path / "q.fasta"
    query.write_text(">q1\nACGT\n")
    error = {"code": "out_of_memory", "message": "a Job had too little memory", "hint": "more shards"}
    whole_api.on("GET /api/blast/jobs/{id}", Answer(body=detail("failed", error=error)))
    ran = run("submit", "--program", "blastn", "--db", "d", str(query), "--wait", "--json")
    assert ran.code == 1
    assert ran.json()["search"]["status"] == "failed"
    named = error | {"message": f"{JOB} is failed: a Job had too little memory"}
    assert ran.error() == {"error": named, "exit_code": 1, "job_id": JOB}


def test_a_list_goes_over_pages_until_the_limit(api: FakeApi, run: Run) -> None:
    def page(first: int, size: int, after: str | None) -> Answer:
        return Answer(body={"items": [{"job_id": f"job-{first + n}"} for n in range(size)], "next_cursor": after})

    api.on("GET /api/blast/jobs", page(0, 0, "a"), page(0, 2, "b"), page(2, 3, "c"))
    found = run("jobs", "--limit", "5", "--json").json()
    assert [item["job_id"] for item in found["items"]] == [f"job-{n}" for n in range(5)]
    assert found["next_cursor"] == "c"
    asked = [(one.params["limit"], one.params.get("cursor")) for one in api.requests("GET /api/blast/jobs")]
    assert asked == [("5", None), ("5", "a"), ("3", "b")]


def test_all_rows_are_read_to_the_end_and_a_circle_is_an_error(api: FakeApi, run: Run) -> None:
    api.on("GET /api/blast/jobs", Answer(body={"items": [], "next_cursor": "a"}))
    ran = run("jobs", "--all", "--json")
    assert (ran.code, ran.error()["error"]["code"]) == (6, "endless_list")
