"""Fake components: small programs that listen, say that they are ready, and misbehave when they are told to."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from local.stack.component import Component, Ports, printed_ready
from local.stack.home import Home
from local.stack.identity import Identity

# Listens on its port, notes its environment, and has a child that left its session and its parent.
SERVER = """
import json, os, socket, subprocess, sys, time
place, port, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]
listener = socket.create_server(("127.0.0.1", port))
stray = subprocess.Popen(["sleep", "600"], start_new_session=True)
with open(os.path.join(folder, place + ".seen"), "w") as file:
    json.dump({"environment": dict(os.environ), "stray": stray.pid, "port": port}, file)
print("ready http://127.0.0.1:%d" % port, flush=True)
while True:
    listener.accept()[0].close()
"""
WRONG_SETTING = "import sys; print('setting COLOUR is red'); sys.exit(3)"
NEVER_READY = "import time; print('still thinking', flush=True); time.sleep(600)"
DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready http://", flush=True)
time.sleep(600)
"""
TALKS = """
import time
print("ready http://", flush=True)
for number in range(10**9):
    print("line", number, "x" * 500, flush=True)
    time.sleep(0.0005)
"""
FLAPS = "import time; print('ready http://', flush=True); time.sleep(0.05)"


def component(name: str, home: Home, *, code: str = SERVER, deadline_seconds: float = 20) -> Component:
    """A fake with one port, named as itself."""

    def command(ports: Ports) -> list[str]:
        return [sys.executable, "-S", "-c", code, name, str(ports[name]), str(home.root)]

    return Component(
        name=name,
        port_names=(name,),
        command=command,
        environment=lambda ports: {"PORTS": " ".join(f"{key}={value}" for key, value in ports.items())},
        is_ready=printed_ready,
        deadline_seconds=deadline_seconds,
        explain={3: "the app's settings are wrong"},
        grace_seconds=0.5,
    )


Make = Callable[[Home, Identity, Mapping[str, str]], list[Component]]


def making(*codes: str, deadline_seconds: float = 20) -> Make:
    """For :class:`Stack`: fakes named ``cluster``, ``arm`` and ``host``, as many as there are programs."""

    def make(home: Home, _identity: Identity, _settings: Mapping[str, str]) -> list[Component]:
        named = zip(("cluster", "arm", "host"), codes, strict=False)
        return [component(name, home, code=code, deadline_seconds=deadline_seconds) for name, code in named]

    return make


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition: Callable[[], bool], what: str, deadline_seconds: float = 15) -> None:
    """Wait for a condition, and fail with ``what`` when it does not come."""
    end = time.monotonic() + deadline_seconds
    while not condition():
        assert time.monotonic() < end, f"not within {deadline_seconds:g} s: {what}"
        time.sleep(0.01)


def own_environment(**extra: str) -> dict[str, str]:
    """This process's environment for a child that imports the repository."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2]), **extra}
