"""What all controllers share: a queue of keys without duplicates, worked off by one task.

A controller subscribes to the store, turns changes into keys, and `reconcile` brings the object of a key one step
nearer to what its spec asks for. Deadlines come from `enqueue_after`, nothing polls.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod

from local.cluster.kinds import Kind
from local.cluster.store import Change, Json, Store

logger = logging.getLogger(__name__)

Key = tuple[str, str]
_RETRY_SECONDS = 1.0


class Controller(ABC):
    """One reconcile loop."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._queue: dict[Key, None] = {}
        self._wake = asyncio.Event()
        self._running = asyncio.Event()
        self._running.set()
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        store.subscribe(self.observe)

    @abstractmethod
    def observe(self, change: Change) -> None:
        """Turn a change into keys; called in order for every change, so nothing is missed."""

    @abstractmethod
    def reconcile(self, key: Key, /) -> None:
        """Bring the object of this key nearer to its spec. Safe to call at any time, any number of times."""

    def enqueue(self, key: Key) -> None:
        """Have `key` reconciled soon."""
        self._queue[key] = None
        self._wake.set()

    def enqueue_owners(self, obj: Json, kind: Kind) -> None:
        """Have the owners of an object that are of this kind reconciled soon."""
        for reference in obj["metadata"].get("ownerReferences") or []:
            if reference["kind"] == kind.kind:
                self.enqueue((obj["metadata"]["namespace"], reference["name"]))

    def enqueue_after(self, key: Key, seconds: float) -> None:
        """Have `key` reconciled in `seconds`; an earlier appointment for the key is kept."""
        loop = asyncio.get_running_loop()
        known = self._timers.get(key)
        if known is not None and not known.cancelled() and loop.time() <= known.when() <= loop.time() + seconds:
            return
        if known is not None:
            known.cancel()
        self._timers[key] = loop.call_later(max(seconds, 0.0), self._due, key)

    def _due(self, key: Key) -> None:
        self._timers.pop(key, None)
        self.enqueue(key)

    def pause(self) -> None:
        """Do nothing until `resume`: the cluster is stopped."""
        self._running.clear()

    def resume(self) -> None:
        """Work again."""
        self._running.set()

    async def run(self) -> None:
        """Work off keys for ever. An error in one key is logged, and the key tried again."""
        while True:
            await self._wake.wait()
            await self._running.wait()
            self._wake.clear()
            while self._queue and self._running.is_set():
                key = next(iter(self._queue))
                del self._queue[key]
                try:
                    self.reconcile(key)
                except Exception:
                    logger.exception("%s failed for %s", type(self).__name__, key)
                    self.enqueue_after(key, _RETRY_SECONDS)
                await asyncio.sleep(0)
            if self._queue:
                self._wake.set()
