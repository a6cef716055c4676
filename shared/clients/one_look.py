"""A cluster as one look sees it: every question is asked once, so that two readers of one look see the same."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

from shared.clients.kube import Kube


class OneLook:
    """The reading half of a ``Kube``; what was answered once is not asked again. Safe to use from several threads."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._known: dict[tuple[object, ...], Any] = {}
        self._lock = threading.Lock()

    def jobs(self, selector: str) -> list[dict[str, Any]]:
        """All Jobs of the namespace that match."""
        return self._once(("jobs", selector), lambda: self._kube.jobs(selector))

    def pods(self, selector: str) -> list[dict[str, Any]]:
        """All pods of the namespace that match."""
        return self._once(("pods", selector), lambda: self._kube.pods(selector))

    def nodes(self) -> list[dict[str, Any]]:
        """All nodes."""
        return self._once(("nodes",), self._kube.nodes)

    def listed[T](self, kind: str, selector: str, read: Callable[[dict[str, Any]], T]) -> list[T]:
        """What ``read`` makes of every object of a kind that matches; not kept."""
        return self._kube.listed(kind, selector, read)

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """One object."""
        return self._once(("get", kind, name), lambda: self._kube.get(kind, name))

    def log_tail(self, pod: str, lines: int, limit_bytes: int, container: str = "") -> str:
        """The last lines of a container's log."""
        key = ("log", pod, lines, limit_bytes, container)
        return self._once(key, lambda: self._kube.log_tail(pod, lines, limit_bytes, container))

    def server_time(self) -> datetime | None:
        """What the API server's clock said at its last answer."""
        return self._kube.server_time()

    def _once[T](self, key: tuple[object, ...], ask: Callable[[], T]) -> T:
        with self._lock:
            if key in self._known:
                found: T = self._known[key]
                return found
        answer = ask()
        with self._lock:
            self._known[key] = answer
        return answer
