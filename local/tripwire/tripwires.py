"""All proxies of one stack, in a thread of their own, and the tripwires that are set in them.

::

    with Tripwires() as tripwires, Stack(home, make_components=tripwires.components) as stack:
        wire = tripwires.set(Tripwire(kill(stack.kill_host), service="arm"))

The host is told other ports than those of Azurite and ARM, and ARM is told another one than the cluster's, which it
puts into the kubeconfig that it hands out. So the app does not know. Pods reach storage through the proxy, too, with
signed URLs; their requests are kept apart: they have tripwires of their own and are not held up while the host is dead.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from typing import Any

from aiohttp import web

from local.stack import components as programs
from local.stack.component import Component, Ports
from local.stack.home import Home
from local.stack.identity import Identity
from local.tripwire.calls import Call, decoded
from local.tripwire.proxy import Proxy, Upstream
from local.tripwire.wires import CutError, Kill, Moment, Scope, Tripwire

_HOST_TALKS_TO = {"blob": "blob", "table": "table", "arm": "arm"}
_ARM_HANDS_OUT = {"cluster": "kubernetes"}
_LAST_WORDS_SECONDS = 0.02
_LAST_WORDS_TURNS = 50


class Tripwires:
    """Proxies while in the ``with`` block, which must be around the stack's."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tripwires", daemon=True)
        self._proxies: dict[str, tuple[Proxy, int]] = {}
        self._wires: list[Tripwire] = []
        self._scopes: list[Scope] = []
        self._known: set[str] = set()
        self._calls: list[Call] = []
        self._pod_wires: list[Tripwire] = []
        self._pod_calls: list[Call] = []
        self._lives = 0
        self._gate = asyncio.Event()
        self._gate.set()

    def __enter__(self) -> Tripwires:
        """Start the thread; the proxies come with the stack's components."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Close all ports."""
        for proxy, _port in self._proxies.values():
            self._run(proxy.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def components(self, home: Home, identity: Identity, overrides: Mapping[str, str]) -> list[Component]:
        """The stack's programs, with the proxies between them."""
        return [self.rewired(component) for component in programs.components(home, identity, overrides)]

    def rewired(self, component: Component) -> Component:
        """One program, with other ports for what it talks to."""
        match component.name:
            case "host":
                return replace(
                    component, environment=lambda ports: component.environment(self._with(ports, _HOST_TALKS_TO))
                )
            case "arm":
                return replace(component, command=lambda ports: component.command(self._with(ports, _ARM_HANDS_OUT)))
            case _:
                return component

    def point(self, service: str, upstream: int) -> int:
        """Let the proxy of a service, which is made when it is first needed, pass requests on to this port.

        Returns:
            The proxy's own port, always the same.
        """
        if service not in self._proxies:

            async def judge(request: web.Request, body: bytes, ask: Upstream) -> web.Response:
                return await self._judge(service, request, body, ask)

            proxy = Proxy(upstream, judge)
            self._proxies[service] = (proxy, self._run(proxy.start()))
        proxy, port = self._proxies[service]
        proxy.upstream = upstream
        return port

    def set(self, wire: Tripwire) -> Tripwire:
        """Set a tripwire; of several that meet a request the one set first acts."""
        self._wires.append(wire)
        return wire

    def set_for_pods(self, wire: Tripwire) -> Tripwire:
        """Set a tripwire for what pods ask of storage; the host's requests do not meet it."""
        self._pod_wires.append(wire)
        return wire

    def clear(self) -> None:
        """Take all tripwires away; what one does already it does to its end."""
        self._wires, self._pod_wires = [], []

    def next_search(self) -> Scope:
        """The search that is submitted next; two such scopes are two searches, in the order of their submits."""
        scope = Scope()
        self._scopes.append(scope)
        return scope

    def mark(self) -> int:
        """How many requests there have been; :meth:`calls` takes it."""
        return len(self._calls)

    def calls(self, since: int = 0) -> list[Call]:
        """What the host asked since a mark, in the order of arrival."""
        return self._calls[since:]

    def pod_calls(self, since: int = 0) -> list[Call]:
        """What pods asked of storage, with the bytes that they were answered; the newest last."""
        return self._pod_calls[since:]

    def _with(self, ports: Ports, services: Mapping[str, str]) -> Ports:
        return {**ports, **{name: self.point(service, ports[name]) for name, service in services.items()}}

    def _run[T](self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)

    async def _judge(self, service: str, request: web.Request, body: bytes, ask: Upstream) -> web.Response:
        if "sig" in request.query:
            return await self._judge_pod(request, ask)
        life = self._lives
        call = Call(service, request.method, decoded(request.raw_path), body.decode("latin-1"))
        await self._gate.wait()
        if life != self._lives:  # sent by a host that is dead
            raise CutError
        self._calls.append(call)
        self._bind(call)
        wire = self._met(call)
        if (given := await self._act(wire, call, Moment.BEFORE)) is not None:
            return given
        answered = await ask()
        call.status = answered.status
        given = await self._act(wire, call, Moment.AFTER)
        return answered if given is None else given

    async def _judge_pod(self, request: web.Request, ask: Upstream) -> web.Response:
        call = Call("pod", request.method, decoded(request.raw_path))
        self._pod_calls.append(call)
        wire = next((wire for wire in self._pod_wires if wire.take(call)), None)
        if wire is not None and wire.action is not None and (given := await wire.action(call)) is not None:
            call.status = given.status
            return given
        answered = await ask()
        call.status = answered.status
        call.answered_bytes = len(answered.body) if isinstance(answered.body, bytes) else 0
        return answered

    def _met(self, call: Call) -> Tripwire | None:
        """The tripwire that acts; those that only take note take it, too."""
        acting = None
        for wire in self._wires:
            if (acting is None or wire.action is None) and wire.take(call) and wire.action is not None:
                acting = wire
        return acting

    async def _act(self, wire: Tripwire | None, call: Call, moment: Moment) -> web.Response | None:
        if wire is None or wire.action is None or wire.moment is not moment:
            return None
        if not isinstance(wire.action, Kill):
            return await wire.action(call)
        self._gate.clear()
        try:
            return await wire.action(call)
        finally:
            await _hear_last_words()
            self._lives += 1
            self._gate.set()

    def _bind(self, call: Call) -> None:
        job_id = call.job_id
        if job_id is None or job_id in self._known:
            return
        self._known.add(job_id)
        unbound = next((scope for scope in self._scopes if scope.job_id is None), None)
        if unbound is not None:
            unbound.job_id = job_id


async def _hear_last_words() -> None:
    """Let the loop take in what the host had sent when it died: the kernel has it, in connections not accepted yet.

    A request takes some turns of the loop until it is judged. A new host needs far longer until it sends anything.
    """
    await asyncio.sleep(_LAST_WORDS_SECONDS)
    for _ in range(_LAST_WORDS_TURNS):
        await asyncio.sleep(0)
