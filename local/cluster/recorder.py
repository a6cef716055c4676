"""Writes `Event` objects, which `kubectl describe` and `kubectl get events` show. Used by controllers and kubelet."""

from __future__ import annotations

import secrets
from typing import Any

from local.cluster.kinds import EVENTS, NAMESPACES, Kind
from local.cluster.store import Store

Json = dict[str, Any]
KEPT_EVENTS = 5_000


class Recorder:
    """Events of one component. An event that repeats raises the count of the first one, as the API machinery does."""

    def __init__(self, store: Store, component: str) -> None:
        self._store = store
        self._component = component
        self._names: dict[tuple[str, ...], tuple[str, str]] = {}

    def record(self, kind: Kind, obj: Json, reason: str, message: str, warning: bool = False, field: str = "") -> None:
        """Write an event about `obj`; `field` is the part of it, such as `spec.containers{blast}`."""
        meta = obj["metadata"]
        namespace = meta.get("namespace") or "default"
        if self._store.find(NAMESPACES, "", namespace) is None:
            return
        key = (meta.get("uid", ""), meta["name"], reason, message, field)
        now = self._store.clock.stamp()
        known = self._names.get(key)
        if known and self._store.find(EVENTS, *known) is not None:
            self._store.mutate(EVENTS, *known, lambda event: _repeat(event, now))
            return
        name = f"{meta['name']}.{secrets.token_hex(8)}"
        self._names[key] = (namespace, name)
        self._trim()
        involved = {
            "kind": kind.kind,
            "apiVersion": kind.api_version,
            "name": meta["name"],
            "uid": meta.get("uid", ""),
            "resourceVersion": meta.get("resourceVersion", ""),
        }
        if meta.get("namespace"):
            involved["namespace"] = meta["namespace"]
        if field:
            involved["fieldPath"] = field
        event = {
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": involved,
            "reason": reason,
            "message": message,
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "reportingInstance": "",
            "firstTimestamp": now,
            "lastTimestamp": now,
            "eventTime": None,
            "count": 1,
            "type": "Warning" if warning else "Normal",
        }
        self._store.create(EVENTS, event)

    def _trim(self) -> None:
        """Keep the number of events bounded: the API server forgets them after an hour."""
        if len(self._names) > KEPT_EVENTS:
            oldest = next(iter(self._names))
            self._store.remove(EVENTS, *self._names.pop(oldest))


def _repeat(event: Json, now: str) -> None:
    event["count"] = event.get("count", 1) + 1
    event["lastTimestamp"] = now
