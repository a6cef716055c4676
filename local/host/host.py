"""The local Functions host: puts the parts together and serves one app. Called by __main__.py."""

import asyncio
import fcntl
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web
from azure_functions_runtime.bindings.datumdef import Datum

from local.host.durable_dispatch import DurableDispatcher
from local.host.engine import DurableEngine
from local.host.functions import Function, Trigger
from local.host.settings import HostSettings
from local.host.timer_triggers import TimerTriggers
from local.host.web import WebFront
from local.host.worker import FunctionFailedError, Worker

# mypy: allow-untyped-calls

_GRACE: Final = 0.5  # seconds that requests in progress get at the end

_log = logging.getLogger(__name__)


class StateInUseError(Exception):
    """Another host runs on the same state file."""


@dataclass(frozen=True, slots=True)
class HostOptions:
    """What to run and where: the command line."""

    app_dir: Path
    state: Path
    listener: socket.socket


class FunctionsHost:
    """One app, served.

    Args:
        options: paths are absolute; the socket is bound and does not listen yet.
        settings: of the app's host.json.
    """

    def __init__(self, options: HostOptions, settings: HostSettings) -> None:
        self._options = options
        self._settings = settings
        self._worker = Worker(options.app_dir)
        self._runs: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Serve the app; gives the base URL.

        Raises:
            HostConfigurationError: when the app cannot be loaded.
            StateFormatError: when the state file is not one.
        """
        address, port = self._options.listener.getsockname()[:2]
        authority = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        base_url = f"http://{authority}"
        os.environ.setdefault("WEBSITE_HOSTNAME", authority)
        functions = await self._worker.load()
        durable = self._settings.max_activities + self._settings.max_orchestrators + self._settings.max_entities
        if durable >= self._worker.threads:
            _log.warning(
                "host.json lets %d durable functions run at once on %d threads: HTTP functions may have to wait",
                durable,
                self._worker.threads,
            )
        async with AsyncExitStack() as stack:
            engine = DurableEngine(self._options.state)
            stack.push_async_callback(asyncio.to_thread, engine.stop, 0)
            timers = TimerTriggers(functions, self._run, engine)
            stack.callback(timers.stop)
            front = WebFront(self._worker, functions, self._settings.route_prefix, self._run_now(timers))
            self._worker.set_durable_client(engine.start(), base_url)
            dispatcher = DurableDispatcher(engine, self._worker, functions, self._settings)
            stack.push_async_callback(dispatcher.stop)
            runner = web.AppRunner(front.application(), access_log=None, shutdown_timeout=_GRACE, auto_decompress=False)
            stack.push_async_callback(runner.cleanup)
            await runner.setup()
            await web.SockSite(runner, self._options.listener, backlog=512).start()
            dispatcher.start()
            timers.start()
            _log.info("serving %d functions of %s at %s", len(functions), self._options.app_dir, base_url)
            yield base_url
            _log.info("stopping")

    async def _run(self, function: Function, document: str) -> None:
        try:
            await self._worker.invoke(function, Datum(document, "json"))
            _log.info("ran %s", function.name)
        except FunctionFailedError as error:
            _log.error("%s failed: %s: %s\n%s", function.name, error.error_type, error, error.stack_trace)

    def _run_now(self, timers: TimerTriggers) -> Callable[[Function, str], None]:
        def start(function: Function, document: str) -> None:
            if function.trigger is Trigger.TIMER:
                timers.run_now(function.name)
                return
            task = asyncio.get_running_loop().create_task(self._run(function, document or "null"))
            self._runs.add(task)
            task.add_done_callback(self._runs.discard)

        return start


def bind(address: str, port: int) -> socket.socket:
    """A socket on the address that does not listen yet, so that nobody reaches a host that is not ready.

    Raises:
        OSError: when the port is taken.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
    except OSError:
        listener.close()
        raise
    return listener


def lock_state(state: Path) -> int:
    """Take the state file for this process, until it ends in whatever way; returns the lock's file descriptor.

    Raises:
        StateInUseError: when another host has it.
    """
    state.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(f"{state}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise StateInUseError(f"the state file {state} is used by another host") from error
    return descriptor
