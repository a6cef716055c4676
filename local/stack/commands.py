"""What ``python -m local.stack up|down|status|run|env`` does. Called by ``__main__``; returns exit codes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from datetime import datetime
from pathlib import Path
from typing import Any

from local.stack.component import StartError
from local.stack.ending import EndRequested, ending_on_signals
from local.stack.files import bound_log, read_from
from local.stack.home import REPOSITORY, Home
from local.stack.identity import Identity
from local.stack.lock import AlreadyUpError, holder
from local.stack.process import LOG_LIMIT_BYTES, marked
from local.stack.stack import Stack, sweep

ALREADY_UP = 5
NOT_UP = 3
_UP_SECONDS = 180
_DOWN_SECONDS = 40
# How long one that begins or ends may keep the lock without its number in it.
_NAMELESS_SECONDS = 5
_LOOK_SECONDS = 0.05


def run(home: Home, *, fresh: bool, usual_ports: bool) -> int:
    """Supervise a stack in the foreground until a signal asks for its end."""
    try:
        with ending_on_signals(), Stack(home.root, fresh=fresh, usual_ports=usual_ports, say=_log) as stack:
            _log(f"the stack is up: {front(stack.stack_json)}")
            stack.wait()
            return 1
    except EndRequested as end:
        _log(f"the stack is down ({end})")
        return 0
    except AlreadyUpError as error:
        _log(str(error))
        return ALREADY_UP
    except StartError as error:
        _log(f"the stack did not start: {error}")
        return 1


def up(home: Home, *, fresh: bool, usual_ports: bool) -> int:
    """Start a stack that stays when this command ends; say what happens while it starts."""
    if holder(home.lock) is not None:
        return _already_up(home)
    home.make()
    log = home.log("supervisor")
    bound_log(log, LOG_LIMIT_BYTES)
    with log.open("ab") as output:
        offset = output.tell()
        options = [*(["--fresh"] if fresh else []), *([] if usual_ports else ["--free-ports"])]
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "local.stack", "run", *options],
            cwd=REPOSITORY,
            env={**os.environ, "STACK_HOME": str(home.root), "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        with ending_on_signals():
            code = _follow(home, supervisor, log, offset)
    except EndRequested as end:
        supervisor.terminate()
        supervisor.wait(_DOWN_SECONDS)
        return 128 + end.number
    if code == ALREADY_UP:
        return _already_up(home)
    if code is not None:
        return code
    return status(home)


def down(home: Home) -> int:
    """End the stack and all that it started, and make sure that nothing is left."""
    supervisor = _supervisor(home)
    if supervisor == 0:
        print("a stack is being started or ended here, and does not say by which process; try again", file=sys.stderr)
        return 1
    if supervisor is not None:
        _end(home, supervisor)
    sweep(home)
    left = marked(Identity.of(home).marker) if home.identity.exists() else []
    if left or holder(home.lock) is not None:
        print(f"not all of the stack could be ended; still there: {left}", file=sys.stderr)
        return 1
    print("There was no stack to stop." if supervisor is None else "The stack is down.")
    return 0


def status(home: Home) -> int:
    """Say whether a stack is up, and where everything is."""
    stack = running(home)
    if stack is None:
        print("The stack is not up." if holder(home.lock) is None else "The stack is starting.")
        return NOT_UP
    health = "healthy" if is_healthy(stack) else "not answering; the supervisor starts a dead host again"
    print(f"The stack is up ({health}).")
    print(f"  {'open':<8} {front(stack)}")
    for label, key in (("API", "api"), ("kubectl", "kubeconfig"), ("logs", "logs")):
        prefix = "kubectl --kubeconfig " if key == "kubeconfig" else ""
        print(f"  {label:<8} {prefix}{stack[key]}")
    processes = "  ".join(f"{name} {pid}" for name, pid in stack["pids"].items())
    print(f"  {'pids':<8} {processes}")
    print(f"  {'more':<8} {home.stack_json}")
    return 0


def env(home: Home) -> int:
    """Print lines for ``eval``."""
    if running(home) is None:
        print("The stack is not up.", file=sys.stderr)
        return NOT_UP
    print(home.stack_env.read_text(), end="")
    return 0


def running(home: Home) -> dict[str, Any] | None:
    """The content of ``stack.json`` of a stack that is really up; None for a file that a killed one left."""
    supervisor = holder(home.lock)
    if supervisor is None:
        return None
    try:
        stack: dict[str, Any] = json.loads(home.stack_json.read_text())
    except FileNotFoundError:
        return None
    return stack


def is_healthy(stack: dict[str, Any]) -> bool:
    """Whether the app answers."""
    return _is_there(_health(stack))


def front(stack: dict[str, Any]) -> str:
    """What a person opens first: the page when the app has one, else what its API says of its health."""
    page = str(stack["page"])
    return page if _is_there(page) else _health(stack)


def _health(stack: dict[str, Any]) -> str:
    return f"{stack['api']}/health"


def _is_there(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


def _supervisor(home: Home) -> int | None:
    """Who supervises a stack here. One that begins or ends has a moment to say who it is; 0 when it does not."""
    end = time.monotonic() + _NAMELESS_SECONDS
    while (found := holder(home.lock)) == 0 and time.monotonic() < end:
        time.sleep(_LOOK_SECONDS)
    return found


def _end(home: Home, supervisor: int) -> None:
    """Ask a supervisor to end, then make it. It may be gone before it is asked."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(supervisor, signal.SIGTERM)
    if not _gone(home, _DOWN_SECONDS):
        # The kernel ends its children with it.
        with contextlib.suppress(ProcessLookupError):
            os.kill(supervisor, signal.SIGKILL)
        _gone(home, _DOWN_SECONDS)


def _follow(home: Home, supervisor: subprocess.Popen[bytes], log: Path, offset: int) -> int | None:
    """Copy what the supervisor prints until the stack is up (None) or the supervisor has ended (its code)."""
    end = time.monotonic() + _UP_SECONDS
    while True:
        code = supervisor.poll()
        stack = running(home) if code is None else None
        text = read_from(log, offset)
        offset += len(text.encode())
        print(text, end="", flush=True)
        if code is not None:
            return code
        if stack is not None and stack["pids"]["supervisor"] == supervisor.pid:
            return None
        if time.monotonic() > end:
            supervisor.terminate()
            print(f"the stack was not up within {_UP_SECONDS} s; see {home.logs}", file=sys.stderr)
            return 1
        time.sleep(_LOOK_SECONDS)


def _already_up(home: Home) -> int:
    """Say so, once the other one has finished starting."""
    end = time.monotonic() + _UP_SECONDS
    while holder(home.lock) is not None and running(home) is None and time.monotonic() < end:
        time.sleep(_LOOK_SECONDS)
    print("It was up already.")
    return status(home)


def _gone(home: Home, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while holder(home.lock) is not None:
        if time.monotonic() > end:
            return False
        time.sleep(_LOOK_SECONDS)
    return True


def _log(line: str) -> None:
    print(f"{datetime.now().astimezone():%H:%M:%S} {line}", flush=True)
