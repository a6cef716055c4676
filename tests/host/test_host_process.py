"""`python -m local.host` as its users see it: exit codes, output, HTTP, timers, admin calls."""

import json
import socket
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from local.host.harness import HostNotReadyError, HostProcess
from tests.host.sample_client import SAMPLE_APP, SampleApp, eventually


class TestStart:
    def test_a_host_says_where_it_serves_and_nothing_else_on_stdout(self, own_sample: SampleApp) -> None:
        assert own_sample.http.get("/echo/x").status_code == 201  # this function prints
        assert own_sample.http.get("/admin/host/status").json()["state"] == "Running"
        process = own_sample.host._running()
        assert process.stdout is not None
        assert own_sample.host.terminate() == 0
        assert "printed" in own_sample.host.log_text()

    def test_an_app_that_refuses_its_settings_stops_the_start_with_its_reason(self, tmp_path: Path) -> None:
        host = HostProcess(SAMPLE_APP, tmp_path / "state.db", {"SAMPLE_BROKEN": "sideways"})
        with pytest.raises(HostNotReadyError, match="exit code 3"):
            host.start()
        lines = host.log_text().splitlines()
        assert "ConfigurationError: SAMPLE_BROKEN is sideways" in lines[-1]
        assert "function_app.py:" in lines[-1]
        assert [line for line in lines if "Traceback" in line] == []

    def test_a_folder_without_an_app(self, empty_app: Path, tmp_path: Path) -> None:
        with pytest.raises(HostNotReadyError, match=r"(?s)exit code 3.*no function_app\.py"):
            HostProcess(empty_app, tmp_path / "state.db").start()

    def test_a_host_json_without_its_setting(self, empty_app: Path, tmp_path: Path) -> None:
        (empty_app / "host.json").write_text('{"extensions": {"durableTask": {"hubName": "%NO_SUCH_SETTING%"}}}')
        with pytest.raises(HostNotReadyError, match=r"(?s)exit code 3.*host\.json: the app setting NO_SUCH_SETTING"):
            HostProcess(empty_app, tmp_path / "state.db").start()

    def test_a_schedule_without_its_setting(self, tmp_path: Path) -> None:
        host = HostProcess(SAMPLE_APP, tmp_path / "state.db", {"SAMPLE_LOG": "/dev/null"})
        with pytest.raises(HostNotReadyError, match=r"(?s)exit code 3.*SAMPLE_SCHEDULE"):
            host.start()

    @pytest.mark.parametrize("threads", ["none", "0"])
    def test_a_wrong_number_of_threads(self, tmp_path: Path, threads: str) -> None:
        settings = {"PYTHON_THREADPOOL_THREAD_COUNT": threads, "SAMPLE_SCHEDULE": "0 0 0 1 1 *"}
        with pytest.raises(HostNotReadyError, match=f"(?s)exit code 3.*THREAD_COUNT is '{threads}'"):
            HostProcess(SAMPLE_APP, tmp_path / "state.db", settings).start()

    def test_fewer_threads_than_durable_functions_may_take(self, tmp_path: Path) -> None:
        with SampleApp.started(tmp_path, PYTHON_THREADPOOL_THREAD_COUNT="20") as sample:
            assert "24 durable functions run at once on 20 threads" in sample.host.log_text()

    def test_a_port_that_is_taken(self, tmp_path: Path) -> None:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            host = HostProcess(SAMPLE_APP, tmp_path / "state.db", port=other.getsockname()[1])
            with pytest.raises(HostNotReadyError, match=r"(?s)exit code 4.*Address already in use"):
                host.start()

    def test_a_state_file_that_is_in_use(self, sample: SampleApp, tmp_path: Path) -> None:
        host = HostProcess(SAMPLE_APP, sample.host.state, log=tmp_path / "log")
        with pytest.raises(HostNotReadyError, match=r"(?s)exit code 5.*used by another host"):
            host.start()

    def test_a_state_file_of_another_kind(self, tmp_path: Path) -> None:
        with sqlite3.connect(tmp_path / "state.db") as other:
            other.execute("PRAGMA user_version=99")
        other.close()
        environment = {"SAMPLE_SCHEDULE": "0 0 0 1 1 *"}
        with pytest.raises(HostNotReadyError, match=r"(?s)exit code 5.*format 99"):
            HostProcess(SAMPLE_APP, tmp_path / "state.db", environment).start()


class TestEnd:
    def test_it_ends_at_once_while_functions_run(self, own_sample: SampleApp) -> None:
        own_sample.start("slow_fan_out", "busy", [60])
        eventually(lambda: "slow begins 60" in own_sample.notes())
        began = time.monotonic()
        assert own_sample.host.terminate() == 0
        assert time.monotonic() - began < 10  # of 60


class TestHttp:
    def test_a_request_arrives_whole(self, sample: SampleApp) -> None:
        body = bytes(range(256))
        answer = sample.http.post("/echo/a%20b/7?x=1&x=2&y=", content=body, headers={"X-Test": "t"})
        got = answer.json()
        assert (answer.status_code, got["method"], got["header"]) == (201, "POST", "t")
        assert got["url"] == f"{sample.host.base_url}/echo/a%20b/7?x=1&x=2&y="
        assert got["route"] == {"name": "a b", "number": "7"}
        assert got["query"] == {"x": "1,2", "y": ""}
        assert bytes.fromhex(got["body"]) == body

    def test_a_path_may_have_any_character_in_it(self, sample: SampleApp) -> None:
        assert sample.http.get("/echo/a%0Ab%00%C2%85/7").json()["route"] == {"name": "a\nb\x00\x85", "number": "7"}

    def test_a_compressed_body_is_passed_on_as_it_is(self, sample: SampleApp) -> None:
        answer = sample.http.post("/echo/x", content=b"not gzip", headers={"Content-Encoding": "gzip"})
        assert bytes.fromhex(answer.json()["body"]) == b"not gzip"

    def test_an_answer_arrives_whole(self, sample: SampleApp) -> None:
        answer = sample.http.get("/echo/x")
        assert answer.headers["X-Answer"] == "yes"
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["Set-Cookie"] == "a=b; Path=/"

    def test_the_root_is_a_route_too(self, sample: SampleApp) -> None:
        answer = sample.http.get("/")
        assert (answer.text, answer.headers["Content-Type"]) == ("<p>root</p>", "text/html; charset=utf-8")

    def test_head_has_the_headers_and_no_body(self, sample: SampleApp) -> None:
        answer = sample.http.head("/echo/x")
        assert (answer.status_code, answer.content) == (201, b"")
        assert int(answer.headers["Content-Length"]) > 50

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [("GET", "/none", 404), ("DELETE", "/echo/x", 405), ("GET", "/echo/x/y", 404), ("GET", "/raise", 500)],
    )
    def test_what_is_not_answered_by_a_function(self, sample: SampleApp, method: str, path: str, status: int) -> None:
        answer = sample.http.request(method, path)
        assert (answer.status_code, answer.content) == (status, b"")
        assert (answer.headers.get("Allow") == "GET, HEAD, POST") is (status == 405)

    def test_a_failure_is_in_the_log_with_its_reason(self, sample: SampleApp) -> None:
        sample.http.get("/raise")
        line = next(line for line in sample.host.log_text().splitlines() if "raise_error failed" in line)
        assert "ValueError: a fault of the app" in line

    def test_a_record_of_the_app_has_its_time_and_its_function(self, sample: SampleApp) -> None:
        sample.http.get("/echo/logged")
        line = next(line for line in sample.host.log_text().splitlines() if "echo of logged" in line)
        assert "Z INFO    sample: [echo] echo of logged" in line

    def test_requests_are_answered_at_the_same_time(self, sample: SampleApp) -> None:
        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(lambda _: sample.http.get("/meet?n=20").text, range(20)))
        assert answers == ["met"] * 20

    def test_a_body_above_the_limit_is_refused(self, sample: SampleApp) -> None:
        assert sample.http.post("/bytes", content=bytes(1024 * 1024)).text == str(1024 * 1024)
        address = urlsplit(sample.host.base_url)
        with closing(HTTPConnection(str(address.hostname), address.port or 0, timeout=30)) as connection:
            connection.putrequest("POST", "/bytes")
            connection.putheader("Content-Length", str(100 * 1024 * 1024 + 1))
            connection.endheaders()  # the body itself is not needed: the length says it
            assert connection.getresponse().status == 413

    def test_a_body_without_a_length_is_refused_above_the_limit_too(self, sample: SampleApp) -> None:
        chunks = (bytes(1024 * 1024) for _ in range(101))
        assert sample.http.post("/bytes", content=chunks).status_code == 413


class TestTimers:
    def test_timers_fire_by_their_schedule_and_at_the_start(self, tmp_path: Path) -> None:
        with SampleApp.started(tmp_path, SAMPLE_SCHEDULE="* * * * * *") as sample:
            eventually(lambda: sample.notes().count("tick past_due=False") >= 2)
            assert sample.notes().count("yearly past_due=False") == 1

    def test_an_admin_call_runs_one_now(self, sample: SampleApp) -> None:
        before = sample.notes().count("tick past_due=False")
        assert sample.http.post("/admin/functions/tick", json={}).status_code == 202
        eventually(lambda: sample.notes().count("tick past_due=False") == before + 1)

    def test_a_disabled_function_is_not_there(self, tmp_path: Path) -> None:
        settings = {"AzureWebJobs.yearly.Disabled": "true", "AzureWebJobs_echo_Disabled": "1"}
        with SampleApp.started(tmp_path, **settings) as sample:
            assert sample.http.get("/echo/x").status_code == 404
            assert sample.http.post("/admin/functions/yearly", json={}).status_code == 404
            assert sample.notes() == []


class TestAdmin:
    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("GET", "/admin/host/status", 200),
            ("GET", "/admin/functions/tick", 404),
            ("POST", "/admin/functions/none", 404),
            ("POST", "/admin/functions/echo", 400),
            ("POST", "/admin/functions/fan_out", 400),
        ],
    )
    def test_calls(self, sample: SampleApp, method: str, path: str, status: int) -> None:
        assert sample.http.request(method, path).status_code == status

    def test_an_activity_can_be_run_with_an_input(self, sample: SampleApp) -> None:
        body = {"input": json.dumps("by hand")}
        assert sample.http.post("/admin/functions/write_note", json=body).status_code == 202
        eventually(lambda: "by hand" in sample.notes())

    @pytest.mark.parametrize(
        "headers", [{"Host": "example.org"}, {"Host": "127.0.0.1.example.org"}, {"Origin": "http://example.org"}]
    )
    def test_a_web_page_cannot_call_it(self, sample: SampleApp, headers: dict[str, str]) -> None:
        assert sample.http.get("/admin/host/status", headers=headers).status_code == 403
        assert sample.http.post("/admin/functions/tick", headers=headers, json={}).status_code == 403
