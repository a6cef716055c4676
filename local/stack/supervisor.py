"""Starts the components in order, keeps them running, and ends them. Used by the command line and by :class:`Stack`.

Guarantees:

- A component is started when those before it are ready.
- A component that dies, of whatever, is started again on the same ports with its state, after a wait that doubles while
  it keeps dying. A platform does the same with a dead Functions host.
- After :meth:`Supervisor.stop` no process of the stack is left; it looks before it says so.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence

from local.stack import ports
from local.stack.component import Component, Runner, StartError, State, base_environment
from local.stack.home import Home
from local.stack.process import kill_marked

LOOK_SECONDS = 0.05
_PORT_TRIES = 4


class Supervisor:
    """All components of one stack. Every method is called from one thread, which lives as long as the stack.

    Args:
        home: the stack's folder.
        components: in the order of starting.
        usual_ports: port name -> the port to take when it is free.
        marker: identifies the stack's processes.
        say: gets one line per event.
        changed: called after a process or a state has changed.
    """

    def __init__(
        self,
        home: Home,
        components: Sequence[Component],
        *,
        usual_ports: Mapping[str, int],
        marker: str,
        say: Callable[[str], None],
        changed: Callable[[Supervisor], None] = lambda _: None,
    ) -> None:
        environment = base_environment(marker, os.environ)
        self.runners = {c.name: Runner(c, home, environment, say) for c in components}
        self.ports: dict[str, int] = {}
        self._usual = usual_ports
        self._marker = marker
        self._say = say
        self._changed = changed

    @property
    def pids(self) -> dict[str, int]:
        """Component -> process id, of those that run."""
        running = {name: runner.child for name, runner in self.runners.items()}
        return {name: child.pid for name, child in running.items() if child is not None and child.exit_code is None}

    @property
    def is_ready(self) -> bool:
        """Whether every component serves."""
        return all(runner.state is State.READY for runner in self.runners.values())

    def start(self, name: str, stop_wanted: Callable[[], bool] = lambda: False) -> None:
        """Start one component and wait until it serves.

        Args:
            name: the component.
            stop_wanted: asked while waiting; when it says yes the wait ends.

        Raises:
            StartError: it did not become ready; the text is for the user.
        """
        runner = self.runners[name]
        refused: set[int] = set()
        for attempt in range(_PORT_TRIES):
            self._give_ports(runner.component, refused)
            runner.start(self.ports)
            self._changed(self)
            problem = self._wait_ready(runner, stop_wanted)
            if problem is None:
                self._say(f"{name} is ready after {runner.seconds():.1f} s{self._where(runner.component)}")
                return
            if attempt + 1 == _PORT_TRIES or not runner.lost_its_port():
                break
            # Somebody else took a port between our look and its start: another stack that starts now.
            refused |= {self.ports.pop(port) for port in runner.component.port_names}
        runner.stop()
        raise StartError(problem)

    def look(self) -> None:
        """Look at every component once, and start again what has died."""
        changed = [runner.step() for runner in self.runners.values()]
        if any(changed):
            self._changed(self)

    def hold(self, name: str) -> None:
        """End one component and leave it ended until :meth:`start`."""
        self.runners[name].stop()
        self._changed(self)

    def stop(self) -> None:
        """End everything, last started first, and make sure of it.

        Raises:
            TimeoutError: a process could not be ended.
        """
        for runner in reversed(self.runners.values()):
            runner.stop()
        left = kill_marked(self._marker)
        if left:
            self._say(f"ended {len(left)} more that they had started")

    def _give_ports(self, component: Component, refused: set[int]) -> None:
        wanted = [name for name in component.port_names if name not in self.ports]
        taken = {*self.ports.values(), *refused}
        self.ports.update(ports.pick(wanted, self._usual, taken))

    def _wait_ready(self, runner: Runner, stop_wanted: Callable[[], bool]) -> str | None:
        while True:
            if (problem := runner.why_not_ready()) is not None:
                return problem
            runner.step()
            if runner.state is State.READY:
                return None
            if stop_wanted():
                return f"{runner.component.name} was stopped while it started"
            self._look_at_others(runner)
            time.sleep(LOOK_SECONDS)

    def _look_at_others(self, starting: Runner) -> None:
        for runner in self.runners.values():
            if runner is not starting:
                runner.step()

    def _where(self, component: Component) -> str:
        return "".join(f" {name}:{self.ports[name]}" for name in component.port_names)
