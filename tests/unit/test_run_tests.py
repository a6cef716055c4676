"""Two test processes side by side: what is shown of them, what counts as failed, and that none outlives the runner."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local.setup.run_tests import PARTS, Part, run

ROOT = Path(__file__).resolve().parents[2]
RUNNER = """
import sys
from local.setup.run_tests import Part, run
parts = [Part(str(number), [sys.executable, "-u", "-c", code]) for number, code in enumerate(sys.argv[2:])]
sys.exit(run(parts, sys.stdout.buffer, float(sys.argv[1])))
"""
PATIENT = """
import os, sys, time
READY = None
try:
    print("pid", os.getpid())
    READY
    time.sleep(60)
except KeyboardInterrupt:
    time.sleep(0.2)  # the fixtures end
    print("1 skipped")
    print("ended in order")
"""
DEAF = """
import os, signal, subprocess, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
child = subprocess.Popen(["sleep", "60"])
print("pid", os.getpid())
print("pid", child.pid)
time.sleep(60)
"""


def printing(text: str, code: int = 0, seconds: float = 0.0) -> list[str]:
    """A program that prints, waits and ends."""
    program = f"import sys, time; print({text!r}); time.sleep({seconds}); sys.exit({code})"
    return [sys.executable, "-S", "-u", "-c", program]


def shown(*commands: list[str]) -> tuple[int, str]:
    """Run these; the exit code and what is shown."""
    out = io.BytesIO()
    code = run([Part(f"part {number}", command) for number, command in enumerate(commands)], out)
    return code, out.getvalue().decode()


class TestFailing:
    @pytest.mark.parametrize(
        ("first", "second", "code"), [(0, 0, 0), (1, 0, 1), (0, 1, 1), (2, 1, 2), (5, 0, 5), (0, 4, 4)]
    )
    def test_when_one_of_them_fails(self, first: int, second: int, code: int) -> None:
        assert shown(printing("a", first), printing("b", second))[0] == code

    def test_when_a_signal_ends_one(self) -> None:
        killed = [sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]
        assert shown(printing("a"), killed)[0] == 128 + 9

    def test_when_one_cannot_be_started(self) -> None:
        assert shown(printing("a"), ["/nonexistent/pytest"])[0] != 0


class TestShowing:
    def test_each_in_one_piece_and_the_closing_lines_of_both_at_the_end(self) -> None:
        slow = printing("slow\n2 skipped\n  2 because: a reason\n= short summary =\n= 7 passed in 3 s =", seconds=0.3)
        quick = printing("quick\n0 skipped\n= 3 passed in 1 s =")
        _, text = shown(slow, quick)
        assert text == (
            "part 0:\nslow\n2 skipped\n  2 because: a reason\n= short summary =\n= 7 passed in 3 s =\n"
            "part 1:\nquick\n0 skipped\n= 3 passed in 1 s =\n"
            "\npart 0:\n2 skipped\n  2 because: a reason\n= 7 passed in 3 s =\n"
            "\npart 1:\n0 skipped\n= 3 passed in 1 s =\n"
        )

    def test_they_run_at_the_same_time(self, tmp_path: Path) -> None:
        meets = (
            "import pathlib, sys, time\n"
            "own, other = map(pathlib.Path, sys.argv[1:])\n"
            "own.touch()\n"
            "end = time.monotonic() + 20\n"
            "while not other.exists() and time.monotonic() < end: time.sleep(0.01)\n"
            "sys.exit(not other.exists())"
        )
        files = [str(tmp_path / name) for name in "ab"]
        assert shown(*([sys.executable, "-S", "-c", meets, *order] for order in (files, files[::-1])))[0] == 0

    def test_what_a_process_left_behind_ends_with_it(self) -> None:
        leaves = "import subprocess; print(subprocess.Popen(['sleep', '60']).pid)"
        code, text = shown([sys.executable, "-u", "-c", leaves])
        assert code == 0
        _wait_until(lambda: not _is_alive(int(text.split()[2])))

    def test_what_has_left_its_session_holds_nobody_up(self) -> None:
        leaves = "import subprocess; print(subprocess.Popen(['sleep', '5'], start_new_session=True).pid)"
        code, text = shown([sys.executable, "-u", "-c", leaves])
        pid = int(text.split()[2])
        assert (code, _is_alive(pid)) == (0, True)
        os.kill(pid, signal.SIGKILL)


class TestEnding:
    @pytest.fixture
    def start(self) -> Iterator[Callable[..., subprocess.Popen[str]]]:
        """Start the runner with programs of these texts."""
        started: list[subprocess.Popen[str]] = []

        def begin(*codes: str, grace: float = 20) -> subprocess.Popen[str]:
            command = [sys.executable, "-u", "-c", RUNNER, str(grace), *codes]
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            started.append(
                subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, bufsize=1)
            )
            return started[-1]

        yield begin
        for each in started:
            each.kill()
            each.communicate()

    def pids(self, runner: subprocess.Popen[str], count: int) -> list[int]:
        """The process ids that the first program prints."""
        found: list[int] = []
        assert runner.stdout is not None
        while len(found) < count:
            line = runner.stdout.readline()
            assert line, "it ended too early"
            if line.startswith("pid "):
                found.append(int(line.split()[1]))
        return found

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_ends_both_in_order(
        self, start: Callable[..., subprocess.Popen[str]], number: signal.Signals, tmp_path: Path
    ) -> None:
        second = tmp_path / "second"
        runner = start(PATIENT, PATIENT.replace("    READY\n", f"    open({str(second)!r}, 'w').close()\n"))
        (pid,) = self.pids(runner, 1)
        _wait_until(second.exists)
        runner.send_signal(number)
        rest, _ = runner.communicate(timeout=30)
        assert runner.returncode == 130
        assert rest.count("1 skipped\nended in order\n") == 2, rest
        assert not _is_alive(pid)

    def test_one_that_does_not_listen_is_killed_with_what_it_started(
        self, start: Callable[..., subprocess.Popen[str]]
    ) -> None:
        runner = start(DEAF, grace=0.3)
        pids = self.pids(runner, 2)
        runner.send_signal(signal.SIGINT)
        runner.communicate(timeout=30)
        assert runner.returncode == 130
        _wait_until(lambda: not any(map(_is_alive, pids)))

    def test_a_killed_runner_takes_them_along(self, start: Callable[..., subprocess.Popen[str]]) -> None:
        runner = start(PATIENT)
        (pid,) = self.pids(runner, 1)
        runner.kill()
        _wait_until(lambda: not _is_alive(pid))


class TestParts:
    def test_every_test_is_in_one_of_them_and_in_one_only(self) -> None:
        ignored = [word.removeprefix("--ignore=") for word in PARTS[0].command if word.startswith("--ignore=")]
        assert ignored
        assert PARTS[1].command[-len(ignored) :] == tuple(ignored)
        assert all((ROOT / path).exists() for path in ignored)

    def test_both_say_how_many_were_skipped(self) -> None:
        assert all("local.setup.skips" in part.command for part in PARTS)

    def test_make_test_runs_them(self) -> None:
        text = (ROOT / "Makefile").read_text()
        recipe = text.partition("\ntest: ")[2].partition("\n\n")[0]
        assert "-m local.setup.run_tests" in recipe


def _is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


def _wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
