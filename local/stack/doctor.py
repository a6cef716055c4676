"""Says what is missing on this machine and how to get it. Called by ``make doctor``; needs the standard library only.

Each check does the thing in question: starts a sandbox, runs AzCopy. A file that exists proves little.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from local.stack import commands, ports
from local.stack.home import REPOSITORY, Home
from local.stack.settings import USUAL_PORTS

_SETUP = "make setup"
_AZCOPY = REPOSITORY / "node_modules/@azure-tools/azcopy-linux/dist/bin/azcopy_linux_amd64"
_SANDBOX = (
    "bwrap",
    "--ro-bind",
    "/",
    "/",
    "--unshare-pid",
    "--unshare-uts",
    "--hostname",
    "doctor",
    "--die-with-parent",
)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that is needed.

    Args:
        name: what it is.
        ok: whether it works.
        detail: what was found.
        cure: what to do when it does not work.
    """

    name: str
    ok: bool
    detail: str
    cure: str = ""


def main(home: Home) -> int:
    """Print all checks; 1 when something is missing."""
    missing = 0
    for check in checks(home):
        missing += not check.ok
        print(f"{'ok     ' if check.ok else 'MISSING'} {check.name:<22} {check.detail}", flush=True)
        if not check.ok:
            print(f"        {'':<22} -> {check.cure}")
    print("\nEverything that is needed is there." if not missing else f"\n{missing} missing.")
    return 1 if missing else 0


def checks(home: Home) -> Iterator[Check]:
    """All checks, each made when it is asked for."""
    yield _python()
    yield _packages()
    yield _command(
        "node", ["node", "--version"], "install Node >= 20.19: apt-get install nodejs npm", _node_is_new_enough
    )
    yield _command("npm packages", ["npm", "ls", "--prefix", str(REPOSITORY)], _SETUP, lambda _: True, show=False)
    yield _command("AzCopy", [str(_AZCOPY), "--version"], f"{_SETUP}, and apt-get install libsecret-1-0")
    for program in ("blastn", "blastdbcheck"):
        yield _command(program, [program, "-version"], "apt-get install ncbi-blast+")
    yield _command("vmtouch", ["vmtouch", "-q", str(REPOSITORY / "Makefile")], "apt-get install vmtouch", show=False)
    yield _command(
        "bwrap, a real sandbox",
        [*_SANDBOX, "true"],
        "apt-get install bubblewrap; in a container, allow user namespaces",
        show=False,
    )
    yield _command("kubectl", ["kubectl", "version", "--client"], "apt-get install kubernetes-client")
    yield _command("curl", ["curl", "--version"], "apt-get install curl")
    yield _resfinder()
    stack = commands.running(home)
    yield from _ports({int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", str(stack))})
    if stack is None:
        yield Check("stack", True, "not up (make up starts it)")
    else:
        yield Check("stack", commands.is_healthy(stack), str(stack["page"]), f"look into {home.logs}; make down up")


def _python() -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    return Check("Python 3.13", sys.version_info[:2] == (3, 13), f"{found} {sys.executable}", _SETUP)


def _packages() -> Check:
    python = REPOSITORY / ".venv/bin/python"
    code = (
        "import aiohttp, azure.functions, azure.durable_functions, azure_functions_runtime, durabletask, httpx, pytest"
    )
    return _command("Python packages", [str(python), "-c", code], _SETUP, show=False)


def _command(
    name: str, command: Sequence[str], cure: str, fits: Callable[[str], bool] = bool, *, show: bool = True
) -> Check:
    """Run a command that must work.

    Args:
        name: what is checked.
        command: program and arguments.
        cure: what to do when it fails.
        fits: whether its output is as it should be; only asked when it is to be shown.
        show: whether the first line of its output says something to a reader.
    """
    if shutil.which(command[0]) is None:
        return Check(name, False, f"{command[0]} is not there", cure)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check(name, False, str(error), cure)
    output = (done.stdout or done.stderr).strip()
    first = output.splitlines()[0] if output else ""
    if done.returncode != 0:
        return Check(name, False, f"exit code {done.returncode}: {first}", cure)
    return Check(name, fits(output) if show else True, first if show else "works", cure)


def _node_is_new_enough(output: str) -> bool:
    major, minor = (int(part) for part in output.removeprefix("v").split(".")[:2])
    return (major == 20 and minor >= 19) or (major == 22 and minor >= 13) or major > 22


def _resfinder() -> Check:
    path = Path("/usr/share/resfinder/db/all.name")
    detail = "sample genes" if path.exists() else f"{path} is not there"
    return Check("resfinder-db", path.exists(), detail, "apt-get install resfinder-db")


def _ports(own: set[int]) -> Iterator[Check]:
    """A taken port is no fault: a free one is used instead."""
    for name, port in USUAL_PORTS.items():
        if port in own:
            detail = "used by this stack"
        else:
            detail = "free" if ports.is_free(port) else "taken by something else; the stack takes another one"
        yield Check(f"port {port} ({name})", True, detail)
