"""What a component is, and one that is kept running. The supervisor owns one :class:`Runner` per component."""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from local.stack import ports
from local.stack.files import read_from, tail
from local.stack.home import REPOSITORY, Home
from local.stack.process import MARKER, Child

Ports = Mapping[str, int]

FIRST_BACKOFF_SECONDS = 0.2
LONGEST_BACKOFF_SECONDS = 10.0
# One that dies sooner after its start than this dies of itself, and waits ever longer; one that lived on was killed.
STEADY_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Component:
    """One program of the stack.

    Args:
        name: names its log and its process id in ``stack.json``.
        port_names: the ports that it listens on; unique in the stack.
        command: program and arguments, given all ports that are known when it starts.
        environment: its settings, given the same; added to those of :func:`base_environment`.
        is_ready: whether it serves, given the ports and what it printed since it started.
        deadline_seconds: how long it may take to be ready.
        explain: what an exit code means, for the person who reads it.
        grace_seconds: how long it may take to end by itself.
    """

    name: str
    port_names: tuple[str, ...]
    command: Callable[[Ports], list[str]]
    environment: Callable[[Ports], dict[str, str]]
    is_ready: Callable[[Ports, str], bool]
    deadline_seconds: float = 30
    explain: Mapping[int, str] = field(default_factory=dict)
    grace_seconds: float = 5


def printed_ready(_: Ports, output: str) -> bool:
    """The convention of the programs in ``local``: a line ``ready http://...`` once they serve."""
    return any(line.startswith("ready http") for line in output.splitlines())


class StartError(Exception):
    """A component did not become ready; the text says why and shows the end of its log."""


class State(enum.Enum):
    """Where a runner is."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    WAITING = "waiting"  # died, and is started again after a while


class Runner:
    """Keeps one component running. All calls come from the supervisor's one thread (see :mod:`local.stack.process`).

    Args:
        component: what to run.
        home: where its log goes.
        base_environment: what every component gets.
        say: gets one line per event.
    """

    def __init__(
        self, component: Component, home: Home, base_environment: Mapping[str, str], say: Callable[[str], None]
    ) -> None:
        self.component = component
        self.state = State.STOPPED
        self.child: Child | None = None
        self.restarts = 0
        self._home = home
        self._base = base_environment
        self._say = say
        self._log = home.log(component.name)
        self._ports: Ports = {}
        self._started_at = 0.0
        self._start_again_at = 0.0
        self._backoff = FIRST_BACKOFF_SECONDS

    def start(self, known: Ports) -> None:
        """Start the program; :meth:`step` finds out when it is ready.

        Args:
            known: all ports of the stack, this component's included.
        """
        self._ports = dict(known)
        environment = {**self._base, **self.component.environment(self._ports)}
        self.child = Child(self.component.command(self._ports), environment, self._log, REPOSITORY)
        self._started_at = time.monotonic()
        self.state = State.STARTING

    def step(self) -> bool:
        """Look once, and do what is due.

        Returns:
            Whether the state or the process is another one than before.
        """
        before = (self.state, self.child)
        if self.state is State.WAITING and time.monotonic() >= self._start_again_at:
            self.start(self._ports)
        elif self.state in (State.STARTING, State.READY) and self.child is not None:
            self.child.bound_log()
            if (code := self.child.exit_code) is not None:
                self._died(f"ended with {self.meaning(code)}")
            elif self.state is State.STARTING:
                self._look_whether_ready()
        return before != (self.state, self.child)

    def stop(self) -> None:
        """End the program; it stays ended until :meth:`start`."""
        if self.child is not None:
            self.child.end(self.component.grace_seconds)
        self.child = None
        self.state = State.STOPPED

    def why_not_ready(self) -> str | None:
        """For a first start: None while there is hope, else what happened and the end of the log."""
        child = self.child
        if child is None:
            return f"{self.component.name} was stopped"
        if (code := child.exit_code) is not None:
            return self._with_log(f"{self.component.name} ended with {self.meaning(code)} before it was ready", child)
        if time.monotonic() - self._started_at > self.component.deadline_seconds:
            limit = self.component.deadline_seconds
            return self._with_log(f"{self.component.name} was not ready within {limit:g} s", child)
        return None

    def lost_its_port(self) -> bool:
        """Whether it ended because somebody else listens on one of its ports."""
        ended = self.child is not None and self.child.exit_code is not None
        return ended and any(not ports.is_free(self._ports[name]) for name in self.component.port_names)

    def meaning(self, code: int) -> str:
        """An exit code in words."""
        if code < 0:
            return f"signal {-code}"
        known = self.component.explain.get(code)
        return f"exit code {code}" + (f" ({known})" if known else "")

    def seconds(self) -> float:
        """How long ago the program was started."""
        return time.monotonic() - self._started_at

    def _look_whether_ready(self) -> None:
        if self.child is None:
            return
        if self.component.is_ready(self._ports, read_from(self._log, self.child.log_offset)):
            self.state = State.READY
            if self.restarts:
                self._say(f"{self.component.name} is back after {self.seconds():.1f} s")
        elif self.seconds() > self.component.deadline_seconds:
            self.child.end(0)
            self._died(f"was not ready within {self.component.deadline_seconds:g} s")

    def _died(self, how: str) -> None:
        if self.child is not None:
            # What it started may still be there.
            self.child.end(0)
        if self.seconds() > STEADY_SECONDS:
            self._backoff = FIRST_BACKOFF_SECONDS
        self._say(f"{self.component.name} {how}; starting it again in {self._backoff:g} s")
        self._start_again_at = time.monotonic() + self._backoff
        self._backoff = min(2 * self._backoff, LONGEST_BACKOFF_SECONDS)
        self.restarts += 1
        self.state = State.WAITING

    def _with_log(self, what: str, child: Child) -> str:
        end = tail(self._log, offset=child.log_offset)
        return f"{what}\n--- the end of {self._log}\n{end}\n---"


def base_environment(marker: str, inherited: Mapping[str, str]) -> dict[str, str]:
    """What every component gets: where programs are, and nothing that could change what it does.

    Args:
        marker: identifies the stack's processes.
        inherited: the environment to take ``PATH``, ``HOME`` and ``LANG`` from, and ``LD_LIBRARY_PATH``, without
            which some Pythons do not find their own library.
    """
    kept = {name: inherited[name] for name in ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH") if name in inherited}
    return {"LANG": "C.UTF-8", **kept, MARKER: marker, "PYTHONUNBUFFERED": "1"}
