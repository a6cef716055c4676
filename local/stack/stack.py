"""One stack as an object: for the supervisor process, the demo and the tests.

::

    with Stack(tmp_path, fresh=True, settings={"ELB_PARALLEL_WARM_REUSE": "0"}) as stack:
        httpx.get(f"{stack.api}/health")
        stack.kill_host()        # SIGKILL; it is started again on its port with its state
        stack.wait_ready()

All processes are children of the calling one and end with it, however it ends.
"""

from __future__ import annotations

import contextlib
import json
import queue
import shutil
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from local.stack import components as programs
from local.stack import description, nodes, storage
from local.stack.component import Component, State
from local.stack.home import Home
from local.stack.identity import Identity, connection_string
from local.stack.lock import StackLock
from local.stack.process import kill_marked
from local.stack.settings import USUAL_PORTS
from local.stack.supervisor import LOOK_SECONDS, Supervisor

ALL = ("azurite", "cluster", "arm", "host")


def sweep(home: Home) -> None:
    """Clear away what a stack left that was killed; only for whoever knows that nobody supervises one in this folder.

    A killed supervisor takes its children along. This is for what they had started, and for the files.

    Raises:
        TimeoutError: a process could not be ended.
    """
    if home.identity.exists():
        kill_marked(Identity.of(home).marker)
    description.remove(home)


class Stack:
    """Everything up while in the ``with`` block.

    Args:
        home: the stack's folder.
        fresh: begin with empty storage, empty node disks and no orchestrations.
        settings: settings of the app that replace or extend the usual ones.
        usual_ports: take 7071 and 10000 to 10002 when they are free; tests leave them to people.
        parts: which components to start, of :data:`ALL`; a test of a client needs no host.
        say: gets one line per event.
        make_components: replaces the real programs, for the tests of the supervisor itself.
    """

    def __init__(
        self,
        home: Path,
        *,
        fresh: bool = False,
        settings: Mapping[str, str] | None = None,
        usual_ports: bool = False,
        parts: Sequence[str] = ALL,
        say: Callable[[str], None] = lambda _: None,
        make_components: Callable[[Home, Identity, Mapping[str, str]], list[Component]] = programs.components,
    ) -> None:
        self.home = Home(home.resolve())
        self.settings: dict[str, str] = dict(settings or {})
        self._fresh = fresh
        self._usual = USUAL_PORTS if usual_ports else {}
        self._parts = parts
        self._say = say
        self._make_components = make_components
        self._calls: queue.SimpleQueue[tuple[Callable[[], None], Future[None]]] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._up: Future[None] = Future()
        self._thread: threading.Thread | None = None
        self._lock: StackLock | None = None
        self._identity: Identity | None = None
        self._supervisor: Supervisor | None = None

    def __enter__(self) -> Stack:
        """Start everything.

        Raises:
            AlreadyUpError: another process has a stack in this folder.
            StartError: a component did not become ready; nothing is left running.
        """
        self.home.root.mkdir(parents=True, exist_ok=True)
        self._lock = StackLock(self.home.lock)
        self._lock.__enter__()
        # All children are started by this one thread: the kernel ends them when it ends.
        self._thread = threading.Thread(target=self._run, name=f"stack {self.home.root}", daemon=True)
        self._thread.start()
        try:
            self._up.result()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End everything and give the folder back."""
        self._stop.set()
        try:
            self.wait()
        finally:
            # Again, for a signal that came meanwhile: the end goes on to its end.
            self.wait()
            if self._lock is not None:
                self._lock.__exit__()

    @property
    def stack_json(self) -> dict[str, Any]:
        """What ``stack.json`` says now."""
        content: dict[str, Any] = json.loads(self.home.stack_json.read_text())
        return content

    @property
    def api(self) -> str:
        """Base address of the app's API, with ``/api``."""
        return str(self.stack_json["api"])

    @property
    def identity(self) -> Identity:
        """The stack's keys and tokens."""
        if self._identity is None:
            raise RuntimeError("the stack is not up")
        return self._identity

    def wait(self) -> None:
        """Wait until the supervision ends by itself, which it only does when it fails."""
        if self._thread is not None:
            self._thread.join()

    def wait_ready(self, timeout_seconds: float = 60) -> None:
        """Wait until every component serves.

        Raises:
            TimeoutError: one does not, and which.
        """
        end = time.monotonic() + timeout_seconds
        while not self._running.is_ready:
            if time.monotonic() > end:
                states = {name: runner.state.value for name, runner in self._running.runners.items()}
                raise TimeoutError(f"not ready after {timeout_seconds:g} s: {states}")
            time.sleep(LOOK_SECONDS)

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to one component; the supervisor starts a dead one again.

        Returns when the supervisor has seen the death, so that :meth:`wait_ready` waits for the new process.
        """
        runner = self._running.runners[name]
        child = runner.child
        if child is None:
            raise RuntimeError(f"{name} does not run")
        child.send(number)
        while number is signal.SIGKILL and runner.child is child and runner.state is not State.WAITING:
            time.sleep(LOOK_SECONDS / 5)

    def stop_part(self, name: str) -> None:
        """End one component by SIGTERM; it stays down until :meth:`start_part`."""
        self._in_thread(lambda: self._running.hold(name))

    def start_part(self, name: str) -> None:
        """Start a component that was ended by :meth:`stop_part`, on the same ports, and wait until it serves."""
        self._in_thread(lambda: self._running.start(name, self._stop.is_set))

    def kill_host(self) -> None:
        """SIGKILL for the Functions host; it is started again by itself."""
        self.kill("host")

    def restart_host(self, settings: Mapping[str, str] | None = None) -> None:
        """End the Functions host and start it again, with other settings when they are given."""
        self.settings.update(settings or {})
        self.stop_part("host")
        self.start_part("host")

    @property
    def _running(self) -> Supervisor:
        if self._supervisor is None:
            raise RuntimeError("the stack is not up")
        return self._supervisor

    def _in_thread(self, call: Callable[[], None]) -> None:
        done: Future[None] = Future()
        self._calls.put((call, done))
        while self._thread is not None and self._thread.is_alive():
            with contextlib.suppress(TimeoutError):
                return done.result(timeout=1)
        raise RuntimeError("the stack is not up")

    def _run(self) -> None:
        """The supervising thread: up, keep up, down."""
        try:
            self._prepare()
            self._start_all()
            self._up.set_result(None)
            while not self._stop.is_set():
                self._do_calls()
                self._running.look()
        except BaseException as error:  # noqa: BLE001 - handed to whoever entered the block
            if self._up.done():
                self._say(f"the supervisor failed: {error!r}")
            else:
                self._up.set_exception(error)
        finally:
            self._end()

    def _prepare(self) -> None:
        sweep(self.home)
        if self._fresh and self.home.state.exists():
            shutil.rmtree(self.home.state)
        self.home.make()
        self._identity = Identity.of(self.home)
        nodes.write_nodes(self.home)
        nodes.install_tools(self.home)
        made = self._make_components(self.home, self._identity, self.settings)
        self._supervisor = Supervisor(
            self.home,
            [component for component in made if component.name in self._parts],
            usual_ports=self._usual,
            marker=self._identity.marker,
            say=self._say,
            changed=self._changed,
        )

    def _start_all(self) -> None:
        for name in self._running.runners:
            self._running.start(name, self._stop.is_set)
            if name == "azurite":
                given = self._running.ports
                storage.make_containers(connection_string(self.identity, given["blob"], given["queue"], given["table"]))
        self._write()

    def _changed(self, _: Supervisor) -> None:
        # Before all is up there is no stack.json: a script that finds one finds a stack that serves.
        if self._up.done():
            self._write()

    def _write(self) -> None:
        description.write(self.home, self.identity, self._running.ports, self._running.pids)

    def _do_calls(self) -> None:
        with contextlib.suppress(queue.Empty):
            call, done = self._calls.get(timeout=LOOK_SECONDS)
            try:
                call()
            except BaseException as error:  # noqa: BLE001 - handed to the caller
                done.set_exception(error)
            else:
                done.set_result(None)

    def _end(self) -> None:
        if self._supervisor is not None:
            self._supervisor.stop()
        if self._identity is not None:
            description.remove(self.home)
