"""The whole of it, as a person uses it: the demo, ``up`` and ``down``, with the app and with real BLAST."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from local.stack import commands
from local.stack.components import AZURITE
from local.stack.home import REPOSITORY, Home
from local.stack.identity import Identity
from local.stack.process import marked
from tests.stack.programs import own_environment, wait_until

TOOLS = ("blastn", "makeblastdb", "blastdbcheck", "vmtouch", "bwrap")


@pytest.fixture(autouse=True)
def tools() -> None:
    """All that a real search needs."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    missing += [str(path) for path in (AZURITE, REPOSITORY / "function_app.py") if not path.exists()]
    if missing:
        pytest.skip(f"not there: {', '.join(missing)} (make setup)")


def nothing_is_left(home: Home) -> bool:
    return not home.stack_json.exists() and marked(Identity.of(home).marker) == []


@contextmanager
def demo(home: Home) -> Iterator[subprocess.Popen[str]]:
    """A running demo."""
    command = [sys.executable, "-m", "local.demo", "--free-ports"]
    environment = own_environment(STACK_HOME=str(home.root), PYTHONUNBUFFERED="1")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=REPOSITORY) as process:
        try:
            yield process
        finally:
            process.kill()


def test_the_demo_is_interrupted_anywhere_and_then_works(tmp_path: Path) -> None:
    home = Home(tmp_path)
    for sign, number in (("azurite is ready", signal.SIGINT), ("Copying files", signal.SIGTERM)):
        with demo(home) as process:
            assert process.stdout is not None
            assert any(sign in line for line in process.stdout), f"the demo did not come to {sign!r}"
            process.send_signal(number)
            assert f"Stopped ({number.name})" in process.stdout.read()
            assert process.wait(20) == 128 + number
        assert nothing_is_left(home)

    with demo(home) as process:
        output = process.communicate(timeout=120)[0]
    assert process.returncode == 0, output
    assert "byte for byte the same" in output
    assert "39 of 40 queries have" in output
    assert nothing_is_left(home)


def up(home: Home) -> str:
    """``up`` as a command, which must succeed; what it printed."""
    command = [sys.executable, "-m", "local.stack", "up", "--free-ports"]
    environment = own_environment(STACK_HOME=str(home.root))
    done = subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_up_stays_survives_a_killed_host_and_goes_down(tmp_path: Path) -> None:
    home = Home(tmp_path)
    try:
        assert "The stack is up (healthy)." in up(home)
        assert "It was up already." in up(home)
        stack = commands.running(home)
        assert stack is not None
        assert set(stack["pids"]) == {"supervisor", "azurite", "cluster", "arm", "host"}

        os.kill(stack["pids"]["host"], signal.SIGKILL)

        def is_back() -> bool:
            now = commands.running(home)
            return now is not None and now["pids"].get("host") not in (None, stack["pids"]["host"])

        wait_until(is_back, "another host")
        wait_until(lambda: commands.is_healthy(stack), "the app at its old address")
        assert httpx.get(f"{stack['api']}/blast/jobs").json()["items"] == []
    finally:
        assert commands.down(home) == 0
    assert nothing_is_left(home)
