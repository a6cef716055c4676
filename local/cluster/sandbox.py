"""One container start = one bubblewrap process. Builds its command line, starts it, signals the process inside.

Called by `podrunner.py`. Processes are spawned from the event loop's thread, which lives as long as the emulator:
`--die-with-parent` follows the thread that spawned, so that no pod survives the emulator, however it ends.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

_ROOT_LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_TOOLS = "/opt/tools"
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder or file of the machine at a path of the container."""

    source: Path
    target: str
    read_only: bool


@dataclass(frozen=True, slots=True)
class ContainerStart:
    """What one start of a container needs."""

    hostname: str
    command: list[str]
    env: dict[str, str]
    mounts: list[Mount]
    tools: list[Path]
    working_dir: str
    log: Path
    delay_seconds: float = 0.0


def search_path(tools: list[Path]) -> str:
    """PATH inside a container: the tool folders first, then the system's."""
    return ":".join([f"{_TOOLS}/{number}" for number in range(len(tools))] + [_SYSTEM_PATH])


def arguments(start: ContainerStart) -> list[str]:
    """The bubblewrap command line of a container start."""
    argv = [shutil.which("bwrap") or "/usr/bin/bwrap", "--die-with-parent", "--unshare-pid", "--unshare-uts"]
    argv += ["--hostname", start.hostname, "--ro-bind", "/usr", "/usr", "--ro-bind", "/etc", "/etc"]
    for name in _ROOT_LINKS:
        path = Path("/") / name
        if path.is_symlink():
            argv += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            argv += ["--ro-bind", str(path), str(path)]
    argv += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--dir", "/root", "--dir", "/run"]  # noqa: S108
    argv += ["--dir", "/var/tmp"]  # noqa: S108
    for number, folder in enumerate(start.tools):
        argv += ["--ro-bind", str(folder), f"{_TOOLS}/{number}"]
    for mount in sorted(start.mounts, key=lambda each: each.target.count("/")):
        argv += ["--ro-bind" if mount.read_only else "--bind", str(mount.source), mount.target]
    # A container's own root is writable, so that a missing working directory is made, as container runtimes do.
    covered = any(start.working_dir.startswith(mount.target) for mount in start.mounts)
    if not covered and not Path(start.working_dir).is_dir():
        argv += ["--dir", start.working_dir]
    argv += ["--chdir", start.working_dir, "--"]
    if start.delay_seconds > 0:
        argv += ["/bin/sh", "-c", 'sleep "$1"; shift; exec "$@"', "pace", str(start.delay_seconds)]
    return argv + start.command


class Sandbox:
    """A running container."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, start: ContainerStart) -> Sandbox:
        """Start a container; its output is appended to the log file."""
        start.log.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(start.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            process = await asyncio.create_subprocess_exec(
                *arguments(start),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                env=start.env,
                start_new_session=True,
            )
        finally:
            os.close(descriptor)
        return cls(process)

    async def wait(self) -> int:
        """The exit code; 128 + n when signal n ended it."""
        code = await self._process.wait()
        return 128 - code if code < 0 else code

    def kill(self) -> None:
        """End every process of the container at once."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)

    async def terminate(self) -> None:
        """Send TERM to the container's main process: bubblewrap itself would die of it without asking the process."""
        for _attempt in range(50):
            if self._process.returncode is not None:
                return
            inside = self._main_process()
            if inside is not None:
                try:
                    os.kill(inside, signal.SIGTERM)
                except ProcessLookupError:
                    return
                return
            await asyncio.sleep(0.01)  # the process inside is not there yet
        self.kill()

    def _main_process(self) -> int | None:
        """The machine's pid of the first process inside: the child of bubblewrap's init, its child."""
        pid = self._process.pid
        for _generation in range(2):
            try:
                children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            except (FileNotFoundError, ProcessLookupError):
                return None
            if not children:
                return None
            pid = int(children[0])
        return pid
