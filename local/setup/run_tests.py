"""Runs all tests as two processes side by side: crashes, exactness, contract and page in one, all others in the other.

The tests that let hosts die mostly wait, so that the ones that compute go well with them.

``make test`` runs this. What a process prints is shown in one piece: the first one's while it runs, the second one's
when the first has ended; and the closing lines of both again at the end. It fails when one of them fails. Ctrl-C ends
both in order, with the stacks that their tests have started; should this program be killed, the kernel kills both.
"""

from __future__ import annotations

import contextlib
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from local.stack.ending import EndRequested, ending_on_signals

REPOSITORY = Path(__file__).resolve().parents[2]
GRACE_SECONDS = 60.0
"""How long the processes may take to end their stacks after Ctrl-C."""
INTERRUPTED = 128 + signal.SIGINT
_LAUNCH = str(REPOSITORY / "local" / "stack" / "launch.py")
_BESIDE = (
    "tests/e2e/crashes",
    "tests/e2e/exactness/test_memory.py",
    "tests/e2e/exactness/test_property.py",
    "tests/e2e/test_contract.py",
    "tests/web",
)
_PYTEST = (sys.executable, "-u", "-m", "pytest", "-p", "local.setup.skips")
_TAIL_BYTES = 1_000_000
_STRAGGLER_SECONDS = 2.0
"""How long to wait for the last output: what has left the process's session may hold its pipe open."""
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True)
class Part:
    """Some of the tests.

    Args:
        name: what to call it.
        command: program and arguments.
    """

    name: str
    command: Sequence[str]


PARTS = (
    Part("all other tests", (*_PYTEST, *(f"--ignore={path}" for path in _BESIDE))),
    Part("crashes, exactness, contract, page", (*_PYTEST, "-o", "cache_dir=.pytest_cache/beside", *_BESIDE)),
)


class Running:
    """A part whose process runs. Started from the main thread, because it is killed when the thread ends."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self._output: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._tail = b""
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", _LAUNCH, str(os.getpid()), *part.command],
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in the terminal reaches this program alone, which passes it on once
        )
        self._watcher = threading.Thread(target=self._watch, name=part.name, daemon=True)
        self._watcher.start()

    def _watch(self) -> None:
        pump = threading.Thread(target=self._pump, daemon=True)
        pump.start()
        self._process.wait()
        self._kill_session()
        pump.join(_STRAGGLER_SECONDS)
        self._output.put(None)

    def _pump(self) -> None:
        pipe = self._process.stdout
        if pipe is None:
            return
        with pipe:
            while data := os.read(pipe.fileno(), 65536):
                self._tail = (self._tail + data)[-_TAIL_BYTES:]
                self._output.put(data)

    def show(self, out: IO[bytes]) -> None:
        """Write what the process printed, and prints, until it ends."""
        while (data := self._output.get()) is not None:
            out.write(data)
            out.flush()

    def exit_code(self) -> int:
        """Wait for the end; 128 and the number of a signal that ended it, as a shell has it."""
        code = self._process.wait()
        return code if code >= 0 else 128 - code

    def closing_lines(self) -> list[str]:
        """How many tests were skipped and why, and pytest's own last line."""
        lines = [line for line in _COLOUR.sub("", self._tail.decode(errors="replace")).splitlines() if line.strip()]
        skips = [number for number, line in enumerate(lines) if re.fullmatch(r"\d+ skipped", line)]
        found: list[str] = []
        for line in lines[skips[-1] :] if skips else []:
            if found and not line.startswith("  "):
                break
            found.append(line)
        return [*found, *lines[-1:]]

    def interrupt(self) -> None:
        """What Ctrl-C does, to the process alone: it knows what it has started."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGINT)

    def end(self, deadline: float) -> None:
        """Wait until the monotonic time ``deadline``, then kill the process; and read what it printed."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, deadline - time.monotonic()))
        self._kill_session()
        self._watcher.join()

    def _kill_session(self) -> None:
        """The process and all that is left of what it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)


def run(parts: Sequence[Part], out: IO[bytes], grace_seconds: float = GRACE_SECONDS) -> int:
    """Run all parts at once.

    Returns:
        The exit code of the first part that failed; 0 when none did.
    """
    running: list[Running] = []
    with ending_on_signals():
        try:
            running.extend(Running(part) for part in parts)
            for each in running:
                _say(out, f"{each.part.name}:")
                each.show(out)
            code = next((code for each in running if (code := each.exit_code())), 0)
        except EndRequested as end:
            code = INTERRUPTED
            _end(running, out, str(end), grace_seconds)
    for each in running:
        _say(out, "", f"{each.part.name}:", *each.closing_lines())
    return code


def _end(running: Sequence[Running], out: IO[bytes], why: str, grace_seconds: float) -> None:
    """End all at once, each with as much time as it needs but no more than the grace."""
    _say(out, "", f"{why}: ending {' and '.join(each.part.name for each in running)}")
    for each in running:
        each.interrupt()
    deadline = time.monotonic() + grace_seconds
    for each in running:
        each.end(deadline)


def _say(out: IO[bytes], *lines: str) -> None:
    out.write("".join(f"{line}\n" for line in lines).encode())
    out.flush()


if __name__ == "__main__":
    sys.exit(run(PARTS, sys.stdout.buffer))
