"""The Kubernetes API with patience: what may pass is tried again, what cannot pass never.

Creating is tried again as well, because the first try may have succeeded without an answer: the caller then meets an
``already_exists`` of its own making, and tells its own object by name and label.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from shared.clients.kube import Kube
from shared.domain.errors import TransientError
from shared.domain.retries import retry_delay
from shared.telemetry import log_event


class RetryingKube:
    """A ``Kube`` around another one.

    Args:
        kube: who really asks.
        sleep: waits, in seconds.
        jitter: gives a random number from 0 to 1.
    """

    def __init__(
        self, kube: Kube, sleep: Callable[[float], None] = time.sleep, jitter: Callable[[], float] = random.random
    ) -> None:
        self._kube, self._sleep, self._jitter = kube, sleep, jitter

    def jobs(self, selector: str) -> list[dict[str, Any]]:
        """All Jobs of the namespace that match."""
        return self._patiently(partial(self._kube.jobs, selector))

    def pods(self, selector: str) -> list[dict[str, Any]]:
        """All pods of the namespace that match."""
        return self._patiently(partial(self._kube.pods, selector))

    def listed[T](self, kind: str, selector: str, read: Callable[[dict[str, Any]], T]) -> list[T]:
        """What ``read`` makes of every object of a kind that matches."""
        return self._patiently(lambda: self._kube.listed(kind, selector, read))

    def nodes(self) -> list[dict[str, Any]]:
        """All nodes."""
        return self._patiently(self._kube.nodes)

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """One object."""
        return self._patiently(partial(self._kube.get, kind, name))

    def create(self, kind: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Create an object."""
        return self._patiently(partial(self._kube.create, kind, manifest))

    def replace(self, kind: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Replace an object."""
        return self._patiently(partial(self._kube.replace, kind, manifest))

    def delete(self, kind: str, name: str, uid: str = "") -> None:
        """Delete an object and what it owns; one that is gone already, or has another uid, is fine."""
        self._patiently(partial(self._kube.delete, kind, name, uid))

    def log_tail(self, pod: str, lines: int, limit_bytes: int, container: str = "") -> str:
        """The last lines of a container's log."""
        return self._patiently(partial(self._kube.log_tail, pod, lines, limit_bytes, container))

    def server_time(self) -> datetime | None:
        """What the API server's clock said at its last answer."""
        return self._kube.server_time()

    def _patiently[T](self, call: Callable[[], T]) -> T:
        failures = 0
        while True:
            try:
                return call()
            except TransientError as error:
                failures += 1
                delay = (
                    None if error.code == "kube_denied" else retry_delay(failures, error.retry_after, self._jitter())
                )
                if delay is None:
                    raise
                log_event("kube_retry", code=error.code, failures=failures, seconds=round(delay, 3))
                self._sleep(delay)
