"""Child processes that cannot outlive their supervisor. Used by the supervisor for each component.

Guarantees:

- The kernel sends SIGKILL to a child when the *thread* that started it ends (``prctl(2)``, PR_SET_PDEATHSIG), so a
  child is only ever started from a thread that lives as long as the stack.
- A child leads a session of its own: Ctrl-C in the terminal reaches the supervisor alone, which then stops the children
  in order.
- Every process of a stack carries its marker in its environment, so that what is left of it can be found without
  trusting a number in a file. Of a pod it is the sandbox around it that does, and all inside ends with that.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from local.stack.files import bound_log

MARKER = "ELB_STACK_ID"
_LAUNCH = str(Path(__file__).with_name("launch.py"))
LOG_LIMIT_BYTES = 20 * 1024 * 1024


class Child:
    """One running program.

    Args:
        command: program and arguments.
        environment: all of its environment; nothing is inherited.
        log: the file that gets its output, at the end of what is there.
        folder: its working directory.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path, folder: Path) -> None:
        self._log = log
        bound_log(log, LOG_LIMIT_BYTES)
        with log.open("ab") as output:
            self.log_offset = output.tell()
            self._popen = subprocess.Popen(
                [sys.executable, "-I", "-S", _LAUNCH, str(os.getpid()), *command],
                env=dict(environment),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id, also of its session."""
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative when a signal ended it."""
        return self._popen.poll()

    def bound_log(self) -> None:
        """Begin the log anew when it has become too long; what was in it stays as ``.log.1``."""
        if bound_log(self._log, LOG_LIMIT_BYTES):
            self.log_offset = 0

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the program and to what it started in its session; nothing when they are gone."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def end(self, grace_seconds: float) -> None:
        """Ask the program to end, then make it.

        Args:
            grace_seconds: how long it may take to end by itself.
        """
        if self.exit_code is None:
            # To the program alone: it knows in which order to stop what it started.
            self._popen.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(grace_seconds)
        self.send(signal.SIGKILL)
        self._popen.wait()


def marked(marker: str) -> list[int]:
    """The ids of all processes of a stack, whoever their parent is now, this one excepted.

    Args:
        marker: the value of ``ELB_STACK_ID`` in their environment.
    """
    wanted = f"{MARKER}={marker}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            # A zombie has no environment left, and is gone for every purpose.
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


def kill_marked(marker: str, *, deadline_seconds: float = 10) -> list[int]:
    """Kill what is left of a stack, and look until nothing is.

    Returns:
        The processes that were found, in the order in which they were.

    Raises:
        TimeoutError: something is still there at the deadline.
    """
    end, found = time.monotonic() + deadline_seconds, []
    while left := marked(marker):
        if time.monotonic() > end:
            raise TimeoutError(f"still running after SIGKILL: {left}")
        for pid in left:
            if pid not in found:
                found.append(pid)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    return found
