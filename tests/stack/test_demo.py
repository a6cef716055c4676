"""The demo's own parts: that it says what went wrong, that its comparison can fail, that its output can be read."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console

from local.demo import compare, sample, search
from local.demo.api import Api, DemoError
from local.demo.screen import Screen
from tests.stack.programs import own_environment, wait_until

ERROR = {"code": "unknown_database", "message": "there is no database x", "hint": "upload it"}


@contextmanager
def api_that(answers: Callable[[httpx.Request], httpx.Response]) -> Iterator[Api]:
    api = Api("http://127.0.0.1:7071/api", httpx.MockTransport(answers), patience_seconds=0.5)
    try:
        yield api
    finally:
        api.close()


def in_turn(*bodies: dict[str, Any]) -> Callable[[httpx.Request], httpx.Response]:
    """Answers one after another, the last one for ever."""
    left = list(bodies)
    return lambda _: httpx.Response(200, json=left.pop(0) if len(left) > 1 else left[0])


@pytest.fixture
def screen() -> Screen:
    return Screen(Console(file=io.StringIO()))


def printed(screen: Screen) -> str:
    assert isinstance(screen.console.file, io.StringIO)
    return screen.console.file.getvalue()


class TestApi:
    def test_a_refusal_carries_the_error_object(self) -> None:
        with api_that(lambda _: httpx.Response(404, json={"error": ERROR})) as api:
            with pytest.raises(DemoError, match=r"GET http://127\.0\.0\.1:7071/api/x: 404") as failed:
                api.get("x")
            assert failed.value.error == ERROR

    def test_an_answer_that_is_no_json_is_shown(self) -> None:
        with api_that(lambda _: httpx.Response(502, text="bad gateway")) as api:
            with pytest.raises(DemoError) as failed:
                api.get("x")
            assert failed.value.error == {"message": "bad gateway"}

    def test_a_host_that_is_started_again_is_waited_for(self) -> None:
        calls: list[str] = []

        def answer(request: httpx.Request) -> httpx.Response:
            calls.append(request.method)
            if len(calls) == 1:
                raise httpx.ConnectError("refused", request=request)
            return httpx.Response(200, json={"there": True})

        with api_that(answer) as api:
            assert api.get("x") == {"there": True}

    def test_what_changes_something_is_not_sent_twice(self) -> None:
        calls: list[str] = []

        def lose(request: httpx.Request) -> httpx.Response:
            calls.append(request.method)
            raise httpx.ReadError("reset", request=request)

        with api_that(lose) as api, pytest.raises(DemoError, match="no answer"):
            api.post("x", {})
        assert calls == ["POST"]

    def test_no_answer_is_an_error_of_the_demo(self) -> None:
        def refuse(request: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError("refused", request=request)

        with api_that(refuse) as api, pytest.raises(DemoError, match="no answer"):
            api.get("x")

    def test_an_address_that_the_api_gives_is_followed_as_it_is(self) -> None:
        seen: list[str] = []

        def answer(request: httpx.Request) -> httpx.Response:
            seen.append(str(request.url))
            return httpx.Response(200, json={})

        with api_that(answer) as api:
            for path in ("a", "/api/b", "http://127.0.0.1:7071/api/c"):
                api.get(path)
        assert seen == [f"http://127.0.0.1:7071/api/{name}" for name in "abc"]

    def test_work_is_waited_for(self) -> None:
        running = {"runtime_status": "running", "output": None}
        ended = {"runtime_status": "completed", "output": {"status": "succeeded"}}
        looks: list[int] = []
        with api_that(in_turn(running, ended)) as api:
            assert api.wait_for_work({"status_url": "s"}, "it", lambda: looks.append(1)) == {"status": "succeeded"}
        assert len(looks) == 2

    @pytest.mark.parametrize(
        "ended",
        [
            {"runtime_status": "completed", "output": {"status": "failed", "error": ERROR}},
            {"runtime_status": "failed", "output": {"status": "failed", "error": ERROR}},
        ],
    )
    def test_work_that_finished_with_a_failure_is_failed(self, ended: dict[str, Any]) -> None:
        with api_that(in_turn(ended)) as api, pytest.raises(DemoError, match="it failed") as failed:
            api.wait_for_work({"status_url": "s"}, "it")
        assert failed.value.error == ERROR


class TestFollowing:
    def test_each_step_is_printed_once_when_it_has_ended(self, screen: Screen) -> None:
        def detail(status: str, **steps: str) -> dict[str, Any]:
            rows = [{"name": name, "status": state, "seconds": 1.5, "detail": ""} for name, state in steps.items()]
            return {"status": status, "phase": "running", "steps": rows, "progress": {"succeeded": 0, "total": 8}}

        details = (
            detail("running", preparing="completed", running="running"),
            detail("running", preparing="completed", running="running"),
            detail("completed", preparing="completed", running="completed"),
        )
        with api_that(in_turn(*details)) as api:
            search.follow(api, screen, "job-1")
        assert printed(screen).count("preparing (completed)") == 1
        assert printed(screen).count("running (completed)") == 1

    def test_a_failed_search_fails_the_demo(self, screen: Screen) -> None:
        failed = {"status": "failed", "phase": "failed", "steps": [], "error": ERROR}
        with api_that(in_turn(failed)) as api, pytest.raises(DemoError, match="ended failed") as raised:
            search.follow(api, screen, "job-1")
        assert raised.value.error == ERROR

    def test_a_file_name_from_outside_chooses_no_folder(self, tmp_path: Path) -> None:
        def answer(request: httpx.Request) -> httpx.Response:
            if request.url.path.endswith("/results"):
                return httpx.Response(200, json={"manifest": [{"name": "../../evil.tsv", "url": "file"}]})
            return httpx.Response(200, content=b"rows")

        with api_that(answer) as api:
            _, file = search.fetch(api, "job-1", tmp_path / "a/b")
        assert file == tmp_path / "a/b/evil.tsv"
        assert file.read_bytes() == b"rows"


class TestComparing:
    @pytest.mark.parametrize(
        ("sharded", "unsharded", "difference"),
        [
            (b"a\nb\n", b"a\nb\n", None),
            (b"a\nb\n", b"a\nc\n", "line 2"),
            (b"a\n", b"a\nb\n", "1 lines here, 2 from blastn"),
            (b"a\nb", b"a\nb\n", "2 lines here, 2 from blastn"),
        ],
        ids=["equal", "another row", "a row less", "only the last newline"],
    )
    def test_a_difference_is_found(self, sharded: bytes, unsharded: bytes, difference: str | None) -> None:
        found = compare.first_difference(sharded, unsharded)
        assert (found is None) if difference is None else (found is not None and difference in found)

    def test_the_best_hit_of_each_query_comes_best_first(self) -> None:
        def row(query: str, subject: str, bits: str) -> str:
            return "\t".join([query, subject, "99.0", "100", "0", "0", "1", "100", "1", "100", "1e-50", bits])

        text = "\n".join([row("q1", "s1", "90.5"), row("q1", "s2", "80"), row("q2", "s3", "1200")])
        assert compare.best_hits(text.encode()) == [
            ["q2", "s3", "99.0", "100", "1e-50", "1200"],
            ["q1", "s1", "99.0", "100", "1e-50", "90.5"],
        ]

    def test_plain_blast_finds_the_sample_genes(self, tmp_path: Path) -> None:
        if shutil.which("blastn") is None:
            pytest.skip("blastn is not installed: make setup")
        assert sample.built(tmp_path / "database")
        assert not sample.built(tmp_path / "database"), "the second time it is there"
        rows = compare.run_unsharded(tmp_path / "database")
        assert len(compare.best_hits(rows, count=100)) == 39, "one of the 40 queries is random"


class TestInterruption:
    def test_ctrl_c_while_it_is_loaded_is_an_end_like_others(self, tmp_path: Path) -> None:
        command = [sys.executable, "-m", "local.demo", "--free-ports"]
        environment = own_environment(STACK_HOME=str(tmp_path))
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        ) as process:
            wait_until(lambda: catches(process.pid, signal.SIGHUP), "it takes signals")
            process.send_signal(signal.SIGINT)
            output = process.communicate(timeout=30)[0]
        assert process.returncode == 128 + signal.SIGINT
        assert "Stopped (SIGINT)" in output
        assert "Traceback" not in output

    def test_what_an_interrupted_one_has_half_built_goes(self, tmp_path: Path) -> None:
        with subprocess.Popen(["true"]) as gone:
            gone.wait()
        left, others = tmp_path / f"database.{gone.pid}.new", tmp_path / f"database.{os.getppid()}.new"
        for folder in (left, others, tmp_path / "database"):
            folder.mkdir()
        assert not sample.built(tmp_path / "database")
        assert not left.exists()
        assert others.exists(), "its process builds still"


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


class TestScreen:
    def test_plain_output_has_no_control_characters(self, screen: Screen) -> None:
        screen.part(1, "The stack")
        screen.done("uploaded [8 volumes]", 1.25, "1,234 bytes")
        with screen.moving() as place:
            place.show("nothing of this is printed")
        screen.hits([["q", "s", "99", "10", "1e-5", "50"]], 1)
        screen.timeline([{"name": "running", "seconds": 2.0, "detail": "8 Jobs"}], 2.5)
        screen.failure("it broke", ERROR, "/logs")
        text = printed(screen)
        assert "\x1b" not in text
        assert "uploaded [8 volumes]" in text
        assert "nothing of this" not in text
        assert all(part in text for part in (*ERROR.values(), "logs: /logs", "2.5 s"))
