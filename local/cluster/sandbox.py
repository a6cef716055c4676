"""One container start = one bubblewrap process. Builds its command line, starts it, signals the process inside.

Called by `podrunner.py`. Processes are spawned from the event loop's thread, which lives as long as the emulator:
`--die-with-parent` follows the thread that spawned, so that no pod survives the emulator, however it ends.

More lenient than a cluster, so that what works here need not work there:
- every image has all programs of this machine, and none of its own;
- each container runs as root: `runAsUser`, `runAsNonRoot` and `capabilities` are ignored;
- `limits.memory` is looked at every half second, so that a short excess goes unseen, and counts no files in memory
  (`emptyDir` with `medium: Memory`); `limits.cpu` is ignored;
- the network is this machine's, and the API asks for no rights (no RBAC).
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

from local.cluster.memory import holds_more
from local.stack.process import MARKER

_ROOT_LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_TOOLS = "/opt/tools"
_MEMORY_LOOK_SECONDS = 0.5
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder or file of the machine at a path of the container."""

    source: Path
    target: str
    read_only: bool


@dataclass(frozen=True, slots=True)
class ContainerStart:
    """What one start of a container needs; a `memory_limit` of 0 bytes is none."""

    hostname: str
    command: list[str]
    env: dict[str, str]
    mounts: list[Mount]
    tools: list[Path]
    working_dir: str
    log: Path
    delay_seconds: float = 0.0
    memory_limit: float = 0.0
    read_only_root: bool = False


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
    argv += ["--proc", "/proc", "--dev", "/dev", "--dir" if start.read_only_root else "--tmpfs", "/tmp"]  # noqa: S108
    argv += ["--dir", "/root", "--dir", "/run", "--dir", "/var/tmp"]  # noqa: S108
    for number, folder in enumerate(start.tools):
        argv += ["--ro-bind", str(folder), f"{_TOOLS}/{number}"]
    for mount in sorted(start.mounts, key=lambda each: each.target.count("/")):
        argv += ["--ro-bind" if mount.read_only else "--bind", str(mount.source), mount.target]
    # Made where the container does not have it, as container runtimes do; nothing happens to one that is there.
    argv += ["--dir", start.working_dir, "--chdir", start.working_dir]
    if start.read_only_root:
        argv += ["--remount-ro", "/"]  # the root alone: what is mounted below stays as it was mounted
    if MARKER not in start.env:
        argv += ["--unsetenv", MARKER]
    argv.append("--")
    if start.delay_seconds > 0:
        argv += ["/bin/sh", "-c", 'sleep "$1"; shift; exec "$@"', "pace", str(start.delay_seconds)]
    return argv + start.command


def _outer_environment(start: ContainerStart) -> dict[str, str]:
    """Bubblewrap's own environment: the container's, and the stack's marker, by which whoever ends a stack finds it."""
    marker = {MARKER: os.environ[MARKER]} if MARKER in os.environ else {}
    return marker | start.env


class Sandbox:
    """A running container."""

    def __init__(self, process: asyncio.subprocess.Process, memory_limit: float) -> None:
        self._process = process
        self._memory_limit = memory_limit
        self.is_out_of_memory = False

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
                env=_outer_environment(start),
                start_new_session=True,
            )
        finally:
            os.close(descriptor)
        return cls(process, start.memory_limit)

    async def wait(self) -> int:
        """The exit code; 128 + n when signal n ended it. While it is waited for, the memory limit is kept."""
        watch = asyncio.ensure_future(self._keep_limit())
        try:
            code = await self._process.wait()
        finally:
            watch.cancel()
        return 128 - code if code < 0 else code

    async def _keep_limit(self) -> None:
        while self._memory_limit and not self.is_out_of_memory:
            await asyncio.sleep(_MEMORY_LOOK_SECONDS)
            if holds_more(self._process.pid, self._memory_limit):
                self.run_out_of_memory()

    def run_out_of_memory(self) -> None:
        """End the container as the kernel does when its limit is exceeded."""
        self.is_out_of_memory = True
        self.kill()

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
