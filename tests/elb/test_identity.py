"""The token: where it comes from, and that it goes to the API, and nowhere else."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

from elb.__main__ import main
from elb.errors import UsageError
from elb.tokens import token_source
from tests.elb.conftest import JOB, Run
from tests.elb.fake_api import Answer, FakeApi, refusal

SECRET = "eyJ0eXAi.very.secret-token"
ME = Answer(body={"owner": "me", "roles": []})


def command(program: str) -> str:
    """A command line that runs a Python program."""
    return f'{sys.executable} -c "{program}"'


@pytest.mark.parametrize(
    "printed",
    [SECRET, SECRET + "\\n", f"{{'accessToken': '{SECRET}', 'expiresOn': 'x'}}", f"{{'token': '{SECRET}'}}"],
    ids=["alone", "with a line end", "as az prints it", "another JSON"],
)
def test_a_command_gives_the_token(printed: str, api: FakeApi, run: Run) -> None:
    api.on("GET /api/me", ME)
    program = (
        f"import json; v = '{printed}'" if not printed.startswith("{") else f"import json; v = json.dumps({printed})"
    )
    assert run("me", "--token-command", command(f"{program}; print(v)")).code == 0
    assert api.asked[0].headers["Authorization"] == f"Bearer {SECRET}"


def test_the_environment_gives_the_token(api: FakeApi, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELB_TOKEN", SECRET)
    api.on("GET /api/me", ME)
    assert run("me").code == 0
    assert api.asked[0].headers["Authorization"] == f"Bearer {SECRET}"


def test_without_a_token_none_is_sent(api: FakeApi, run: Run) -> None:
    api.on("GET /api/me", ME)
    run("me")
    assert "Authorization" not in api.asked[0].headers


def test_a_token_that_has_ended_is_replaced(api: FakeApi, run: Run, tmp_path: Path) -> None:
    count = tmp_path / "count"
    program = f"import pathlib; p = pathlib.Path('{count}'); p.open('a').write('x'); print('t' + str(p.stat().st_size))"
    api.on("GET /api/me", lambda a: ME if a.headers["Authorization"] == "Bearer t2" else refusal(401, "token_expired"))
    assert run("me", "--token-command", command(program)).code == 0
    assert [one.headers["Authorization"] for one in api.asked] == ["Bearer t1", "Bearer t2"]


def test_the_same_token_is_not_sent_again(api: FakeApi, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELB_TOKEN", SECRET)
    api.on("GET /api/me", refusal(401, "token_expired"))
    ran = run("me")
    assert (ran.code, len(api.asked)) == (5, 1)
    assert SECRET not in ran.out + ran.err


@pytest.mark.parametrize(
    "line",
    [
        command(f"import sys; print('{SECRET}'); sys.exit('not signed in')"),
        command(f"print('{SECRET} {SECRET}')"),
        command(f"print('{{{SECRET}')"),
        command("pass"),
        "/no/such/program",
        "echo 'unfinished",
        "   ",
    ],
    ids=["fails", "two words", "broken JSON", "nothing", "no program", "no end", "blank"],
)
def test_a_command_that_gives_none_is_an_error_without_what_it_printed(line: str, api: FakeApi, run: Run) -> None:
    ran = run("me", "--token-command", line)
    assert (ran.code, api.asked) == (2, [])
    assert SECRET not in ran.out + ran.err


def test_what_the_command_complains_of_is_shown() -> None:
    with pytest.raises(UsageError, match="not signed in"):
        token_source(None, command("import sys; sys.exit('not signed in')"))()


def test_no_shell_reads_the_command(api: FakeApi, run: Run, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    api.on("GET /api/me", ME)
    run("me", "--token-command", f"echo token; touch {marker}")
    assert not marker.exists()


@pytest.mark.parametrize("address", ["http://192.0.2.1:7071", "http://elb.invalid", "http://127.0.0.1.elb.invalid"])
def test_a_token_is_not_sent_where_anybody_can_read_it(
    address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ELB_TOKEN", SECRET)
    assert main(["me", "--api", address, "--patience", "0"]) == 2
    assert "token_needs_https" in capsys.readouterr().err


def test_storage_gets_no_token(api: FakeApi, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ELB_TOKEN", SECRET)
    rows = b"q\ts\n"
    file = {"name": "r.tsv", "size": len(rows), "sha256": hashlib.sha256(rows).hexdigest(), "url": "/api/x/r.tsv"}
    with FakeApi() as storage:
        storage.on("GET /results/r.tsv", Answer(body=rows))
        api.on("GET /api/blast/jobs/{id}/results", Answer(body={"manifest": [file]}))
        api.on("GET /api/x/r.tsv", Answer(302, b"", {"Location": f"{storage.address}/results/r.tsv?sig=secret"}))
        ran = run("results", JOB, "--out", str(tmp_path / "out"))
        assert ran.code == 0
        (asked,) = storage.asked
    assert asked.params == {"sig": "secret"}
    assert "Authorization" not in asked.headers
    assert "secret" not in ran.out + ran.err


def test_a_foreign_address_in_a_manifest_gets_no_token(
    api: FakeApi, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ELB_TOKEN", SECRET)
    with FakeApi() as other:
        file = {"name": "r.tsv", "size": 1, "sha256": "0" * 64, "url": f"{other.address}/r.tsv"}
        api.on("GET /api/blast/jobs/{id}/results", Answer(body={"manifest": [file]}))
        run("results", JOB, "--out", str(tmp_path / "out"), patience="0")
        assert all("Authorization" not in asked.headers for asked in other.asked)
