"""A ``stack.json`` whose stack is gone, and whose process ids may belong to others by now."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.stack import commands
from local.stack.home import Home
from local.stack.stack import Stack
from tests.stack.programs import SERVER, making


@pytest.fixture
def bystander(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"]) as process:
        try:
            Home(tmp_path).make()
            pids = {"supervisor": process.pid, "host": process.pid}
            Home(tmp_path).stack_json.write_text(json.dumps({"pids": pids, "page": "http://127.0.0.1:1/"}))
            Home(tmp_path).lock.write_text(f"{process.pid}\n")
            yield process
        finally:
            process.kill()


def test_it_is_not_taken_for_a_stack(bystander: subprocess.Popen[bytes], tmp_path: Path) -> None:
    assert commands.status(Home(tmp_path)) == commands.NOT_UP
    assert commands.env(Home(tmp_path)) == commands.NOT_UP


def test_down_ends_nobody_elses_process(bystander: subprocess.Popen[bytes], tmp_path: Path) -> None:
    assert commands.down(Home(tmp_path)) == 0
    assert bystander.poll() is None
    assert not Home(tmp_path).stack_json.exists()


def test_a_new_stack_comes_up_all_the_same(bystander: subprocess.Popen[bytes], tmp_path: Path) -> None:
    with Stack(tmp_path, make_components=making(SERVER)) as stack:
        assert stack.stack_json["pids"]["supervisor"] == os.getpid()
    assert bystander.poll() is None
