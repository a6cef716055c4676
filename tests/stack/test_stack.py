"""One stack as an object, with fake components: up, kept up, down, and nothing left."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from local.stack import commands
from local.stack.component import Component, Ports, StartError
from local.stack.home import Home
from local.stack.identity import Identity
from local.stack.lock import AlreadyUpError, holder
from local.stack.ports import is_listening
from local.stack.process import marked
from local.stack.stack import Stack
from tests.stack.programs import (
    DEAF,
    FLAPS,
    NEVER_READY,
    SERVER,
    TALKS,
    WRONG_SETTING,
    component,
    is_alive,
    making,
    own_environment,
    wait_until,
)

# A process that has a stack and waits; its own end is what the tests are about.
OWNER = """
import sys
from pathlib import Path
from local.stack.ending import EndRequested, ending_on_signals
from local.stack.stack import Stack
from tests.stack.programs import SERVER, making
try:
    with ending_on_signals(), Stack(Path(sys.argv[1]), make_components=making(SERVER, SERVER), say=print) as stack:
        print("up", flush=True)
        stack.wait()
except EndRequested as end:
    print("ended by", end)
"""


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with Stack(tmp_path, make_components=making(SERVER, SERVER, SERVER)) as running:
        yield running


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process with a stack in ``tmp_path``, which is up."""
    command = [sys.executable, "-c", OWNER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=own_environment()) as process:
        try:
            assert process.stdout is not None
            assert any(line.strip() == "up" for line in process.stdout), "it did not come up"
            yield process
        finally:
            process.kill()


def seen(home: Path, name: str) -> dict[str, Any]:
    """What a fake noted when it started."""
    noted: dict[str, Any] = json.loads((home / f"{name}.seen").read_text())
    return noted


class TestUp:
    def test_everything_listens_and_is_described(self, stack: Stack) -> None:
        described = stack.stack_json
        assert set(described["pids"]) == {"supervisor", "cluster", "arm", "host"}
        assert all(is_alive(pid) for pid in described["pids"].values())
        assert described["kubernetes"] == f"http://127.0.0.1:{seen(stack.home.root, 'cluster')['port']}"
        assert is_listening(seen(stack.home.root, "host")["port"])

    def test_a_component_knows_the_ports_of_those_before_it(self, stack: Stack) -> None:
        known = seen(stack.home.root, "host")["environment"]["PORTS"]
        assert [pair.partition("=")[0] for pair in known.split()] == ["cluster", "arm", "host"]

    def test_nothing_is_inherited_that_could_change_what_a_component_does(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("VITE_API", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID", "ELB_NAMESPACE", "PYTHONPATH", "HTTP_PROXY"):
            monkeypatch.setenv(name, "from a developer's shell")
        with Stack(tmp_path, make_components=making(SERVER)):
            environment = seen(tmp_path, "cluster")["environment"]
        kept = {"PATH", "HOME", "LANG", "LC_CTYPE", "LD_LIBRARY_PATH", "PYTHONUNBUFFERED", "ELB_STACK_ID", "PORTS"}
        assert set(environment) <= kept

    def test_where_libraries_are_is_inherited(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
        with Stack(tmp_path, make_components=making(SERVER)):
            assert seen(tmp_path, "cluster")["environment"]["LD_LIBRARY_PATH"] == str(tmp_path)

    def test_secrets_are_the_owners_alone(self, stack: Stack) -> None:
        home = stack.home
        for path in (home.identity, home.kubeconfig, home.stack_env, home.stack_json):
            assert path.stat().st_mode & 0o077 == 0, path

    def test_folders_are_the_owners_alone(self, tmp_path: Path) -> None:
        Home(tmp_path).logs.mkdir(mode=0o755)
        with Stack(tmp_path, make_components=making(SERVER)) as stack:
            assert [folder.stat().st_mode & 0o777 for folder in (stack.home.logs, stack.home.state)] == [0o700, 0o700]

    def test_a_second_one_in_the_same_folder_is_refused(self, stack: Stack) -> None:
        with pytest.raises(AlreadyUpError) as refused, Stack(stack.home.root):
            pass
        assert refused.value.pid == os.getpid()
        assert stack.stack_json["pids"]

    def test_two_in_two_folders_do_not_disturb_each_other(self, tmp_path: Path) -> None:
        with ExitStack() as both:
            one, other = (
                both.enter_context(Stack(tmp_path / name, make_components=making(SERVER))) for name in ("1", "2")
            )
            assert one.stack_json["kubernetes"] != other.stack_json["kubernetes"]
            one.kill("cluster")
            one.wait_ready()
            assert is_alive(other.stack_json["pids"]["cluster"])
            assert holder(one.home.lock) == holder(other.home.lock) == os.getpid()


class TestFront:
    @pytest.mark.parametrize(("has_page", "path"), [(True, "/"), (False, "/api/health")])
    def test_the_page_when_there_is_one_else_the_health(self, has_page: bool, path: str) -> None:
        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200 if has_page or self.path != "/" else 404)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
            at = f"http://127.0.0.1:{server.server_port}"
            try:
                assert commands.front({"page": f"{at}/", "api": f"{at}/api"}) == f"{at}{path}"
            finally:
                server.shutdown()


class TestStart:
    def test_a_usual_port_that_is_taken_is_replaced(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.create_server(("127.0.0.1", 0)) as somebody:
            taken = somebody.getsockname()[1]
            monkeypatch.setattr("local.stack.stack.USUAL_PORTS", {"cluster": taken})
            with Stack(tmp_path, usual_ports=True, make_components=making(SERVER)):
                assert seen(tmp_path, "cluster")["port"] != taken

    def test_a_port_that_is_lost_while_starting_is_replaced(self, tmp_path: Path) -> None:
        with ExitStack() as held:
            thieves: list[int] = []

            def make(home: Home, *_: object) -> list[Component]:
                fake = component("cluster", home)

                def command(ports: Ports) -> list[str]:
                    if not thieves:
                        thieves.append(ports["cluster"])
                        held.enter_context(socket.create_server(("127.0.0.1", ports["cluster"])))
                    return fake.command(ports)

                return [replace(fake, command=command)]

            with Stack(tmp_path, make_components=make):
                assert seen(tmp_path, "cluster")["port"] not in thieves

    @pytest.mark.parametrize(
        ("code", "deadline_seconds", "said"),
        [
            (WRONG_SETTING, 20, ("exit code 3 (the app's settings are wrong)", "setting COLOUR is red")),
            (NEVER_READY, 0.5, ("was not ready within 0.5 s", "still thinking")),
        ],
        ids=["ends", "never ready"],
    )
    def test_a_component_that_does_not_start_is_explained_and_nothing_is_left(
        self, tmp_path: Path, code: str, deadline_seconds: float, said: tuple[str, ...]
    ) -> None:
        make = making(SERVER, code, deadline_seconds=deadline_seconds)
        with pytest.raises(StartError) as failed, Stack(tmp_path, make_components=make):
            pass
        assert all(text in str(failed.value) for text in said), str(failed.value)
        assert marked(Identity.of(Home(tmp_path)).marker) == []
        assert not Home(tmp_path).stack_json.exists()
        assert holder(Home(tmp_path).lock) is None

    def test_fresh_forgets_and_otherwise_it_is_kept(self, tmp_path: Path) -> None:
        kept = Home(tmp_path).state / "something"
        with Stack(tmp_path, make_components=making(SERVER)) as stack:
            kept.touch()
            first = stack.identity
        with Stack(tmp_path, make_components=making(SERVER)) as stack:
            assert kept.exists()
            assert stack.identity == first
        with Stack(tmp_path, fresh=True, make_components=making(SERVER)) as stack:
            assert not kept.exists()
            assert stack.identity != first


class TestKeepingUp:
    def test_a_killed_component_comes_back_on_its_port(self, stack: Stack) -> None:
        before, port = stack.stack_json["pids"]["host"], seen(stack.home.root, "host")["port"]
        stray = seen(stack.home.root, "host")["stray"]
        stack.kill_host()
        stack.wait_ready()
        wait_until(lambda: stack.stack_json["pids"].get("host") not in (None, before), "stack.json has the new process")
        assert seen(stack.home.root, "host")["port"] == port
        assert is_listening(port)
        assert not is_alive(before)
        assert seen(stack.home.root, "host")["stray"] != stray

    def test_it_is_started_again_as_often_as_it_dies_but_ever_more_slowly(self, tmp_path: Path) -> None:
        lines: list[str] = []
        with Stack(tmp_path, make_components=making(FLAPS), say=lines.append):
            wait_until(lambda: sum("starting it again" in line for line in lines) >= 3, "three restarts")
        waits = [line.rpartition("in ")[2] for line in lines if "starting it again" in line]
        assert waits[:3] == ["0.2 s", "0.4 s", "0.8 s"]

    def test_one_that_was_killed_later_on_does_not_wait_longer(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("local.stack.component.STEADY_SECONDS", 0.0)
        lines: list[str] = []
        with Stack(tmp_path, make_components=making(SERVER), say=lines.append) as stack:
            for _ in range(3):
                stack.kill("cluster")
                stack.wait_ready()
        waits = [line.rpartition("in ")[2] for line in lines if "starting it again" in line]
        assert waits == ["0.2 s", "0.2 s", "0.2 s"]

    def test_a_component_that_was_stopped_on_purpose_stays_down(self, stack: Stack) -> None:
        stack.stop_part("host")
        assert "host" not in stack.stack_json["pids"]
        stack.start_part("host")
        assert is_alive(stack.stack_json["pids"]["host"])

    def test_a_restart_brings_other_settings(self, tmp_path: Path) -> None:
        def make(home: Home, _: Identity, settings: Any) -> list[Component]:
            fake = component("host", home)
            return [replace(fake, environment=lambda _: dict(settings))]

        with Stack(tmp_path, settings={"A": "1"}, make_components=make) as stack:
            assert seen(tmp_path, "host")["environment"]["A"] == "1"
            stack.restart_host({"A": "2"})
            assert seen(tmp_path, "host")["environment"]["A"] == "2"


class TestLogs:
    def test_one_that_is_written_for_ever_stays_small(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("local.stack.process.LOG_LIMIT_BYTES", 50_000)
        log = Home(tmp_path).log("cluster")
        with Stack(tmp_path, make_components=making(TALKS)) as stack:
            pid = stack.stack_json["pids"]["cluster"]
            wait_until(lambda: log.with_suffix(".log.1").exists(), "the log was begun anew")
            first = log.with_suffix(".log.1").stat().st_mtime_ns
            wait_until(lambda: log.with_suffix(".log.1").stat().st_mtime_ns != first, "and again")
            wait_until(lambda: log.read_bytes().startswith(b"line "), "it goes on at the beginning")
            assert log.stat().st_size < 5_000_000
            assert stack.stack_json["pids"]["cluster"] == pid


class TestDown:
    def test_nothing_is_left(self, tmp_path: Path) -> None:
        with Stack(tmp_path, make_components=making(SERVER, SERVER)) as stack:
            pids = [*stack.stack_json["pids"].values(), seen(tmp_path, "arm")["stray"]]
            pids.remove(os.getpid())
            assert all(is_alive(pid) for pid in pids)
        assert not any(is_alive(pid) for pid in pids), "also what had left its parent's session"
        assert not any((tmp_path / name).exists() for name in ("stack.json", "stack.env", "kubeconfig"))

    def test_a_component_that_ignores_sigterm_is_killed(self, tmp_path: Path) -> None:
        with Stack(tmp_path, make_components=making(DEAF)) as stack:
            pid = stack.stack_json["pids"]["cluster"]
        assert not is_alive(pid)

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
    def test_a_signal_ends_it_in_order(
        self, owner: subprocess.Popen[str], tmp_path: Path, number: signal.Signals
    ) -> None:
        pids = json.loads(Home(tmp_path).stack_json.read_text())["pids"]
        owner.send_signal(number)
        assert owner.stdout is not None
        assert f"ended by {number.name}" in owner.stdout.read()
        assert owner.wait(10) == 0
        assert not any(is_alive(pid) for pid in pids.values())
        assert not Home(tmp_path).stack_json.exists()

    def test_sigkill_of_the_supervisor_takes_its_children_along(
        self, owner: subprocess.Popen[str], tmp_path: Path
    ) -> None:
        pids = json.loads(Home(tmp_path).stack_json.read_text())["pids"]
        stray = seen(tmp_path, "arm")["stray"]
        owner.kill()
        owner.wait(10)
        wait_until(lambda: not any(is_alive(pid) for pid in pids.values()), "the children ended")
        # What a child had started and let go is found by its marker, by whoever comes next.
        assert commands.down(Home(tmp_path)) == 0
        assert not is_alive(stray)
        assert not Home(tmp_path).stack_json.exists()

    def test_down_ends_the_stack_of_another_process(self, owner: subprocess.Popen[str], tmp_path: Path) -> None:
        pids = json.loads(Home(tmp_path).stack_json.read_text())["pids"]
        assert commands.down(Home(tmp_path)) == 0
        assert not any(is_alive(pid) for pid in pids.values() if pid != owner.pid)
        assert owner.wait(10) == 0

    def test_down_waits_until_a_starting_one_says_who_it_is(
        self, owner: subprocess.Popen[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        answers = [0, 0, 0]
        monkeypatch.setattr(commands, "holder", lambda lock: answers.pop() if answers else holder(lock))
        assert commands.down(Home(tmp_path)) == 0
        assert owner.wait(10) == 0

    def test_down_touches_nothing_of_one_that_does_not_say(
        self,
        owner: subprocess.Popen[str],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setattr(commands, "_NAMELESS_SECONDS", 0.1)
        monkeypatch.setattr(commands, "holder", lambda _: 0)
        assert commands.down(Home(tmp_path)) == 1
        assert "try again" in capsys.readouterr().err
        assert owner.poll() is None
        assert is_alive(json.loads(Home(tmp_path).stack_json.read_text())["pids"]["arm"])

    def test_a_supervisor_that_ends_before_it_is_asked_is_no_failure(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with subprocess.Popen(["true"]) as gone:
            gone.wait()
        answers = [gone.pid, gone.pid]
        monkeypatch.setattr(commands, "_DOWN_SECONDS", 0)
        monkeypatch.setattr(commands, "holder", lambda _: answers.pop() if answers else None)
        assert commands.down(Home(tmp_path)) == 0

    def test_down_without_a_stack_is_no_failure(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert commands.down(Home(tmp_path)) == 0
        assert "no stack" in capsys.readouterr().out
