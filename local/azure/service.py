"""What the emulator does, behind its routes: keeps the state on disk, carries operations out, switches the cluster.

Used by :mod:`local.azure.app`. A restart in the middle of an operation carries it on.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import aiohttp

from local.azure.model import RUNNING, STOPPED, Cluster, Operation
from local.azure.roles import RoleAssignments

_RETRY_SECONDS = 0.5


class Service:
    """The state and its changes.

    Args:
        control: address of the cluster emulator's control endpoint; empty when there is no cluster to switch.
        state: file that keeps the state, None for a state that ends with the process.
        start_seconds: how long a start takes, unless the kept state says otherwise.
        stop_seconds: how long a stop takes, likewise.
    """

    def __init__(self, control: str, state: Path | None, *, start_seconds: float, stop_seconds: float) -> None:
        kept: dict[str, Any] = json.loads(state.read_text()) if state is not None and state.exists() else {}
        seconds = {"start_seconds": start_seconds, "stop_seconds": stop_seconds}
        self.cluster = Cluster.from_dict({**seconds, **kept.get("cluster", {})})
        self.roles = RoleAssignments(kept.get("roles"))
        self._control = control
        self._state = state
        self._tasks: set[asyncio.Task[None]] = set()

    def resume(self) -> None:
        """Carry on with what was under way when an earlier run ended; a cluster that is started new is switched off."""
        if (operation := self.cluster.under_way) is not None:
            self._do(self._carry_out(operation))
        elif self.cluster.power == STOPPED:
            self._do(self._switch(STOPPED))

    def request(self, target: str) -> Operation:
        """Start or stop the cluster; see :meth:`Cluster.request`."""
        known = self.cluster.under_way
        operation = self.cluster.request(target, time.time())
        self.save()
        if operation is not known and not operation.ended:
            self._do(self._carry_out(operation))
        return operation

    def save(self) -> None:
        """Write the state, in one step."""
        if self._state is None:
            return
        new = self._state.with_suffix(".new")
        new.write_text(json.dumps({"cluster": self.cluster.to_dict(), "roles": self.roles.items}, indent=1))
        new.replace(self._state)

    async def close(self) -> None:
        """Leave what is under way to the next run."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _do(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry_out(self, operation: Operation) -> None:
        # A stopping cluster loses its nodes first; a starting one has them before ARM says that it runs.
        if operation.target == STOPPED:
            await self._switch(STOPPED)
        await asyncio.sleep(max(0.0, operation.ends_at - time.time()))
        if operation.target == RUNNING:
            await self._switch(RUNNING)
        self.cluster.finish(operation)
        self.save()

    async def _switch(self, target: str) -> None:
        """Tell the cluster emulator, until it has understood: it may be restarting."""
        if not self._control:
            return
        async with aiohttp.ClientSession() as session:
            while True:
                with contextlib.suppress(aiohttp.ClientConnectionError):
                    async with session.post(f"{self._control}/power", json={"state": target.lower()}) as answer:
                        answer.raise_for_status()
                        return
                await asyncio.sleep(_RETRY_SECONDS)
