"""Start, kill and restart the local host as a process of its own: for tests of the host and of whole apps."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

_REPOSITORY: Final = Path(__file__).resolve().parents[2]
_READY: Final = "ready "


class HostNotReadyError(Exception):
    """The host ended, or was silent for too long, before it was ready; the text has the end of its log."""


class HostProcess:
    """One host process. As a context manager it is killed at the end.

    Args:
        app_dir: the folder with `function_app.py`.
        state: the durable state, kept over `restart`.
        environment: app settings, on top of the present environment.
        port: 0 takes a free one; a restart keeps it.
        log: where stderr goes; default: beside the state, with `.log`.
    """

    def __init__(
        self,
        app_dir: Path,
        state: Path,
        environment: Mapping[str, str] | None = None,
        *,
        port: int = 0,
        log: Path | None = None,
    ) -> None:
        self._app_dir = app_dir
        self.state = state
        self._environment = {**os.environ, **(environment or {})}
        self._port = port
        self.log = log or state.with_suffix(".log")
        self._process: subprocess.Popen[bytes] | None = None
        self.base_url = ""

    @property
    def pid(self) -> int:
        """The id of the running process."""
        return self._running().pid

    def start(self, timeout: float = 60) -> Self:
        """Start the host and wait until it serves.

        Args:
            timeout: seconds; indexing an app takes one or two.

        Raises:
            HostNotReadyError: see there.
        """
        command = [sys.executable, "-m", "local.host", "--app", str(self._app_dir.resolve()), "--port", str(self._port)]
        command += ["--state", str(self.state.resolve())]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=_REPOSITORY, env=self._environment, stdout=subprocess.PIPE, stderr=log
            )
        self.base_url = self.wait_ready(timeout)
        self._port = int(self.base_url.rsplit(":", 1)[1])
        return self

    def wait_ready(self, timeout: float) -> str:
        """Read the line that the host writes when it serves; returns the base URL.

        Raises:
            HostNotReadyError: see there.
        """
        process = self._running()
        assert process.stdout is not None  # noqa: S101 - it was asked for above
        deadline = time.monotonic() + timeout
        line = b""
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            part = os.read(process.stdout.fileno(), 4096) if ready else b""
            if not part:
                self.kill()
                raise HostNotReadyError(f"exit code {process.returncode}: {self.log_text()[-2000:]}")
            line += part
        return line.decode().strip().removeprefix(_READY)

    def log_text(self) -> str:
        """All that hosts of this harness have logged."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def kill(self) -> None:
        """SIGKILL, and wait for the end; nothing when it has ended."""
        self._end(signal.SIGKILL)

    def terminate(self, timeout: float = 10) -> int:
        """SIGTERM, and wait for the end; returns the exit code.

        Raises:
            subprocess.TimeoutExpired: when it does not end within `timeout` seconds.
        """
        return self._end(signal.SIGTERM, timeout)

    def restart(self) -> Self:
        """Kill it and start it again on the same state and port."""
        self.kill()
        return self.start()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise HostNotReadyError("the host was not started")
        return self._process

    def _end(self, number: signal.Signals, timeout: float | None = None) -> int:
        process = self._running()
        process.send_signal(number)
        code = process.wait(timeout)
        if process.stdout is not None:
            process.stdout.close()
        return code

    def __enter__(self) -> Self:
        return self if self._process is not None else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self.kill()
