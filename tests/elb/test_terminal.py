"""``watch`` in a real terminal: a pseudo-terminal, the client as a process of its own, an API that plays a search."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.elb.conftest import JOB, detail
from tests.elb.fake_api import Answer, Asked, FakeApi, refusal

REPOSITORY = Path(__file__).parents[2]
PATIENCE_SECONDS = 60.0
SHOW_CURSOR, HIDE_CURSOR = "\x1b[?25h", "\x1b[?25l"
NAMES = ("preparing", "warming_up", "configuring", "staging_db", "submitting", "running", "exporting")
# The terminal becomes the process's own, so that Ctrl-C reaches it.
_OWN_TERMINAL = """
import fcntl, runpy, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
runpy.run_module("elb", run_name="__main__", alter_sys=True)
"""


class Terminal:
    """The client in a terminal of 100 columns.

    Args:
        words: the command line.
        environment: added to a bare one.
    """

    def __init__(self, *words: str, **environment: str) -> None:
        self.text = ""
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        bare = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "LANG": "C.UTF-8", "HOME": "/nonexistent"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", _OWN_TERMINAL, *words],
            cwd=REPOSITORY,
            env=bare | environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)

    def read_until(self, wanted: str) -> None:
        """Read what is printed until it has this.

        Raises:
            TimeoutError: it did not come.
        """
        self._read(lambda: wanted in self.text, repr(wanted))

    def end(self) -> int:
        """Read to the end; the exit code."""
        self._read(lambda: False, "the end")
        return self.process.wait(PATIENCE_SECONDS)

    def press(self, keys: bytes) -> None:
        """Type."""
        os.write(self._ours, keys)

    def close(self) -> None:
        """End it, whatever it does."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE_SECONDS)
        os.close(self._ours)

    def _read(self, enough: Any, what: str) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while not enough():
            if not select.select([self._ours], [], [], max(0.0, end - time.monotonic()))[0]:
                raise TimeoutError(f"{what} did not come; there was: {self.text}")
            try:
                got = os.read(self._ours, 65536)
            except OSError:  # the last one that had the terminal open has ended
                got = b""
            if not got:
                assert what == "the end", f"{what} did not come; there was: {self.text}"
                return
            self.text += got.decode(errors="replace")


@contextmanager
def terminal(*words: str, **environment: str) -> Iterator[Terminal]:
    opened = Terminal(*words, **environment)
    try:
        yield opened
    finally:
        opened.close()


def plain(text: str) -> str:
    """Without escape sequences."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def steps(**states: str) -> list[dict[str, Any]]:
    """The seven steps; those that are not given are pending."""
    rows = []
    for name in NAMES:
        status = states.get(name, "pending")
        ended = status in ("completed", "skipped")
        row = {
            "name": name,
            "status": status,
            "seconds": 1.5 if ended else None,
            "detail": f"about {name}" if ended else "",
        }
        rows.append(row | {"started_at": "2026-01-02T00:00:00.000Z" if status != "pending" else None})
    return rows


WAITING = detail(
    "pending", "waiting_for_capacity", waiting_reason="10 searches are active on c1", progress={"total": 0}
)
RUNNING = detail(
    "running",
    steps=steps(preparing="completed", warming_up="skipped", configuring="completed", running="running"),
    progress={"total": 40, "pending": 3, "running": 10, "succeeded": 27, "failed": 0, "pct": 67.5},
    stale=True,
    stale_reason="the cluster does not answer",
)
DONE = detail(
    "completed",
    steps=steps(**dict.fromkeys(NAMES, "completed")),
    progress={"total": 40, "pending": 0, "running": 0, "succeeded": 40, "failed": 0, "pct": 100.0},
)


def test_watch_moves_in_a_terminal(api: FakeApi) -> None:
    api.on("GET /api/blast/jobs/{id}", *(Answer(body=state) for state in (WAITING, RUNNING, RUNNING, DONE)))
    with terminal("watch", JOB, "--api", api.address) as watching:
        code = watching.end()
        shown = watching.text
    assert code == 0
    assert HIDE_CURSOR in shown
    assert shown.rindex(SHOW_CURSOR) > shown.rindex(HIDE_CURSOR), "the cursor is there again"
    assert "\x1b[1A" in shown, "lines are drawn again in their place"
    text = plain(shown)
    for part in ("10 searches are active on c1", "67.5 %", "27 of 40 Jobs", "the cluster does not answer", "stale"):
        assert part in text, part
    last = text[text.rindex(JOB) :]
    assert all(f"about {name}" in last for name in NAMES)
    assert "1.5 s" in last
    assert "100.0 %" in last
    assert "completed" in last
    assert "stale" not in last


def test_ctrl_c_ends_the_watching_and_not_the_search(api: FakeApi) -> None:
    api.on("GET /api/blast/jobs/{id}", Answer(body=RUNNING))
    with terminal("watch", JOB, "--api", api.address) as watching:
        watching.read_until("27 of 40 Jobs")
        watching.press(b"\x03")
        code = watching.end()
        text = plain(watching.text)
    assert code == 130
    assert f"the search {JOB} goes on" in text
    assert f"python -m elb --api {api.address} watch {JOB}" in text.replace("\r\n", "\n")
    assert f"cancel {JOB}" in text
    assert "Traceback" not in text
    assert watching.text.rindex(SHOW_CURSOR) > watching.text.rindex(HIDE_CURSOR)
    assert {asked.method for asked in api.asked} == {"GET"}


@pytest.mark.parametrize(
    ("environment", "moves", "coloured"),
    [({}, True, True), ({"NO_COLOR": "1"}, True, False), ({"TERM": "dumb"}, False, False)],
    ids=["usual", "no colours", "dumb"],
)
def test_a_terminal_gets_what_it_can_show(
    environment: dict[str, str], moves: bool, coloured: bool, api: FakeApi
) -> None:
    api.on("GET /api/blast/jobs/{id}", Answer(body=RUNNING), Answer(body=DONE))
    with terminal("watch", JOB, "--api", api.address, **environment) as watching:
        assert watching.end() == 0
        shown = watching.text
    assert (HIDE_CURSOR in shown) is moves
    assert (re.search(r"\x1b\[(\d+;)*3[0-7]m", shown) is not None) is coloured
    if not moves:
        assert "\x1b" not in shown
        assert "completed: 40 of 40 Jobs" in shown


def test_as_json_a_terminal_gets_lines_of_json_only(api: FakeApi) -> None:
    api.on("GET /api/blast/jobs/{id}", Answer(body=WAITING), Answer(body=DONE))
    with terminal("watch", JOB, "--api", api.address, "--json") as watching:
        assert watching.end() == 0
        lines = watching.text.splitlines()
    assert [json.loads(line)["status"] for line in lines] == ["pending", "completed"]


@pytest.mark.parametrize("words", [["watch", JOB], ["jobs"]], ids=["watch", "a table"])
def test_a_pipe_gets_plain_lines_whatever_the_environment_says(words: list[str], api: FakeApi) -> None:
    api.on("GET /api/blast/jobs/{id}", Answer(body=DONE))
    api.on("GET /api/blast/jobs", Answer(body={"items": [DONE], "next_cursor": None}))
    command = [sys.executable, "-m", "elb", *words, "--api", api.address]
    environment = {"PATH": os.environ["PATH"], "FORCE_COLOR": "1", "TERM": "xterm-256color", "LANG": "C.UTF-8"}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert "40 of 40 Jobs" in done.stdout


def test_ctrl_c_while_it_waits_for_json_tells_the_id(api: FakeApi) -> None:
    api.on("POST /api/blast/jobs", Answer(202, {"job_id": JOB, "status_url": "x"}))
    api.on("GET /api/blast/jobs/{id}", Answer(body=RUNNING))
    submit = ["submit", "--program", "blastn", "--db", "d", str(REPOSITORY / "local/sample/queries.fasta")]
    command = [sys.executable, "-m", "elb", *submit, "--wait", "--json", "--api", api.address]
    with subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        end = time.monotonic() + PATIENCE_SECONDS
        while not api.requests("GET /api/blast/jobs/{id}") and time.monotonic() < end:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, out) == (130, "")
    assert json.loads(err)["job_id"] == JOB


@pytest.mark.parametrize("stream", ["gone", "closed"])
def test_without_a_reader_of_errors_the_exit_code_says_it(stream: str, api: FakeApi) -> None:
    api.on("GET /api/blast/jobs/{id}", refusal(404, "search_not_found"))
    command = [sys.executable, "-m", "elb", "show", JOB, "--api", api.address]
    if stream == "closed":
        command = ["sh", "-c", 'exec "$@" >&- 2>&-', "sh", *command]
    read, write = os.pipe()
    os.close(read)
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=write) as process:
        os.close(write)
        assert process.wait(PATIENCE_SECONDS) == 4


def test_a_reader_that_has_read_enough_is_no_error(api: FakeApi) -> None:
    looks = iter(range(1000))

    def another(_: Asked) -> Answer:
        return Answer(body=detail("running", waiting_reason=f"look {next(looks)}"))

    api.on("GET /api/blast/jobs/{id}", another)
    command = [sys.executable, "-m", "elb", "watch", JOB, "--json", "--api", api.address]
    with subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert (process.wait(PATIENCE_SECONDS), process.stderr.read()) == (141, "")
