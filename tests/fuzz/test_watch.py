"""The watch of the fuzz sees what it is there for: a check that sees nothing would find nothing wrong."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shared.domain.search import ClusterRef
from shared.telemetry import log_event
from tests.activities.worlds import put_search
from tests.fuzz.test_routes import check_answer, new_world
from tests.fuzz.watch import FuzzWorld, fingerprint, logged, nothing_executed


@pytest.fixture
def world() -> FuzzWorld:
    return new_world({})


def connect() -> None:
    with socket.socket() as one:
        one.connect_ex(("127.0.0.1", 9))


@pytest.mark.parametrize(
    "act",
    [
        lambda path: subprocess.run(["true"], check=True),
        lambda path: os.system("true"),  # noqa: S605
        lambda path: path.write_text("x"),
        lambda path: connect(),
        lambda path: _in_a_thread(lambda: path.write_text("x")),
    ],
    ids=["a program", "a shell", "a file", "a connection", "a file, in a thread"],
)
def test_what_is_done_meanwhile(act: Callable[[Path], Any], tmp_path: Path) -> None:
    with nothing_executed() as found:
        act(tmp_path / "x")
    assert found


def _in_a_thread(act: Callable[[], object]) -> None:
    thread = threading.Thread(target=act)
    thread.start()
    thread.join()


def test_what_is_read_or_done_by_others_is_not_noted(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    begin, end = threading.Event(), threading.Event()

    def write_later() -> None:
        begin.wait(30)
        (tmp_path / "y").write_text("y")
        end.set()

    thread = threading.Thread(target=write_later)
    thread.start()
    with nothing_executed() as found:
        (tmp_path / "x").read_text()
        begin.set()
        assert end.wait(30)
    thread.join()
    assert found == []


@pytest.mark.parametrize(
    ("container", "name"),
    [
        ("results", "../x"),
        ("results", "job/../x"),
        ("results", "a//b"),
        ("results", "a\nb"),
        ("..", "x"),
        ("results", "a b"),
    ],
)
def test_names_of_blobs(world: FuzzWorld, container: str, name: str) -> None:
    world.blobs("store").listing(container, name)
    assert world.problems()


def test_names_that_are_right(world: FuzzWorld) -> None:
    world.blobs("store").listing("results", "job-1/pieces/")
    world.kube(ClusterRef("sub", "group", "cluster", "store")).jobs("app=blast,elb-job-id=job-1")
    assert world.problems() == []


@pytest.mark.parametrize("account", ["", "../x", "STORE", "store.evil"])
def test_names_of_accounts(world: FuzzWorld, account: str) -> None:
    world.blobs(account)
    assert world.problems()


@pytest.mark.parametrize("selector", ["app=blast,app in (x)", "elb-job-id=a b", "elb-job-id=a,!b", "a=b\n"])
def test_selectors(world: FuzzWorld, selector: str) -> None:
    world.kube(ClusterRef("sub", "group", "cluster", "store")).jobs(selector)
    assert bool(world.problems()) == (selector != "app=blast,app in (x)")


@pytest.mark.parametrize("name", [".", "..", "a/b", "", "a?b"])
def test_names_of_clusters(world: FuzzWorld, name: str) -> None:
    world.arm.cluster(ClusterRef("sub", name, "cluster", "store"))
    assert world.problems()


@pytest.mark.parametrize("line", ["a\nb", "\x1b[2J", "{}", '{"event": "A B"}', '{"event": "ok", "x": "hidden"}', "é"])
def test_lines(line: str) -> None:
    with logged("hidden") as lines:
        logging.getLogger("elb").info("%s", line)
    assert lines.wrong


def test_an_event_is_a_good_line() -> None:
    with logged("hidden") as lines:
        log_event("something_happened", text='\n{"event": "forged"}\x1b')
    assert (lines.count, lines.wrong) == (1, [])


def test_whatever_is_changed(world: FuzzWorld) -> None:
    seen = [fingerprint(world)]
    assert fingerprint(world) == seen[0]
    put_search(world, "job-x")
    seen.append(fingerprint(world))
    world.store.put("results", "x", b"x", "")
    seen.append(fingerprint(world))
    world.durable.schedule_new_orchestration("work", input={}, instance_id="another")
    seen.append(fingerprint(world))
    world.preferences.texts["cluster"] = "{}"
    seen.append(fingerprint(world))
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (500, {}, b"{}"),
        (200, {"X": "caf\u00e9"}, b"{}"),
        (302, {"Location": "//evil.example.org"}, b""),
        (404, {}, b'{"error": {"code": "x", "trace": "y"}}'),
        (200, {}, b"not JSON"),
    ],
)
def test_answers(status: int, headers: dict[str, str], body: bytes) -> None:
    import azure.functions as func

    answer = func.HttpResponse(body, status_code=status, headers=headers, mimetype="application/json")
    with pytest.raises((AssertionError, ValueError)):
        check_answer(answer)
