"""All state of the cluster, in memory: objects by kind, namespace and name, and the history that watches read.

An object that was handed out is never changed afterwards: every write stores a new one. So readers need no copy, and a
page of a list can be kept. The API, the controllers and the kubelet write here; whoever wants to react subscribes.
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from local.cluster import errors
from local.cluster.clock import Clock
from local.cluster.kinds import Kind

Json = dict[str, Any]
Subscriber = Callable[["Change"], None]

HISTORY_LENGTH = 20_000


def clone(value: Any) -> Any:
    """A deep copy of JSON data; several times faster than `copy.deepcopy`."""
    if isinstance(value, dict):
        return {key: clone(item) for key, item in value.items()}
    if isinstance(value, list):
        return [clone(item) for item in value]
    return value


@dataclass(frozen=True, slots=True)
class Change:
    """One write: `type` is ADDED, MODIFIED or DELETED, `old` the object before it."""

    type: str
    kind: Kind
    obj: Json
    old: Json | None
    version: int


class Store:
    """The objects, their versions and the changes to them."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.version = 1
        self._objects: dict[Kind, dict[tuple[str, str], Json]] = {}
        self._history: deque[Change] = deque(maxlen=HISTORY_LENGTH)
        self._subscribers: list[Subscriber] = []
        self._oldest = 1

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Call `subscriber` at every change, in order; the returned function ends that."""
        self._subscribers.append(subscriber)
        return lambda: self._subscribers.remove(subscriber)

    def find(self, kind: Kind, namespace: str, name: str) -> Json | None:
        """The object, or None. It must not be changed: `clone` it first."""
        return self._objects.get(kind, {}).get((namespace, name))

    def get(self, kind: Kind, namespace: str, name: str) -> Json:
        """The object; ApiError 404 when there is none."""
        found = self.find(kind, namespace, name)
        if found is None:
            raise errors.not_found(kind, name)
        return found

    def listing(self, kind: Kind, namespace: str | None = None) -> list[Json]:
        """The objects of a kind, of one namespace or (None) of all, by namespace and name."""
        objects = self._objects.get(kind, {})
        keys = sorted(key for key in objects if namespace is None or key[0] == namespace)
        return [objects[key] for key in keys]

    def objects(self, kind: Kind) -> list[Json]:
        """The objects of a kind in no particular order: cheaper than `listing`."""
        return list(self._objects.get(kind, {}).values())

    def count(self, kind: Kind) -> int:
        """How many objects of a kind there are."""
        return len(self._objects.get(kind, {}))

    def create(self, kind: Kind, obj: Json) -> Json:
        """Store a new object, with uid, creationTimestamp and version; ApiError 409 when the name is in use."""
        new: Json = clone(obj)
        meta = new.setdefault("metadata", {})
        key = (meta.get("namespace", ""), meta["name"])
        objects = self._objects.setdefault(kind, {})
        if key in objects:
            going = bool(objects[key]["metadata"].get("deletionTimestamp"))
            raise errors.already_exists(kind, meta["name"], going)
        meta.setdefault("uid", str(uuid.uuid4()))
        meta["creationTimestamp"] = self.clock.stamp()
        meta.setdefault("generation", 1)
        new["apiVersion"], new["kind"] = kind.api_version, kind.kind
        self._record("ADDED", kind, key, new, None)
        return new

    def update(self, kind: Kind, obj: Json) -> Json:
        """Store `obj` in place of the object of its name; nothing happens when they are equal.

        ApiError 404 when there is none, 409 when `obj` carries a resourceVersion that is no longer the newest or
        another uid. A changed `spec` raises the generation, as the API server does it. An object that is being
        deleted and whose last finalizer this takes away is removed.
        """
        meta = obj["metadata"]
        old = self.get(kind, meta.get("namespace", ""), meta["name"])
        old_meta = old["metadata"]
        if meta.get("resourceVersion") not in (None, "", old_meta["resourceVersion"]):
            raise errors.modified(kind, meta["name"])
        if meta.get("uid") not in (None, old_meta["uid"]):
            why = f"Precondition failed: UID in precondition: {meta['uid']}, UID in object meta: {old_meta['uid']}"
            raise errors.conflict(kind, meta["name"], why)
        new: Json = clone(obj)
        new["apiVersion"], new["kind"] = kind.api_version, kind.kind
        for fixed in ("uid", "creationTimestamp", "resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds"):
            if fixed in old_meta and fixed not in new["metadata"]:
                new["metadata"][fixed] = old_meta[fixed]
        new["metadata"]["resourceVersion"] = old_meta["resourceVersion"]
        changed = new.get("spec") != old.get("spec")
        new["metadata"]["generation"] = old_meta.get("generation", 1) + (1 if changed else 0)
        if new == old:
            return old
        key = (old_meta.get("namespace", ""), old_meta["name"])
        self._record("MODIFIED", kind, key, new, old)
        if self._released(old_meta, new["metadata"]):
            self.remove(kind, *key)
        return new

    @staticmethod
    def _released(old: Json, new: Json) -> bool:
        had, has = old.get("finalizers"), new.get("finalizers")
        return bool(new.get("deletionTimestamp")) and bool(had) and not has

    def mutate(self, kind: Kind, namespace: str, name: str, change: Callable[[Json], None]) -> Json | None:
        """Apply `change` to a copy of the object and store it; None when the object is not there."""
        old = self.find(kind, namespace, name)
        if old is None:
            return None
        new = clone(old)
        change(new)
        return self.update(kind, new)

    def remove(self, kind: Kind, namespace: str, name: str) -> Json | None:
        """Take the object away at once, whatever its finalizers; None when it is not there."""
        old = self.find(kind, namespace, name)
        if old is None:
            return None
        self._record("DELETED", kind, (namespace, name), clone(old), old)
        return old

    def _record(self, kind_of_change: str, kind: Kind, key: tuple[str, str], obj: Json, old: Json | None) -> None:
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        if kind_of_change == "DELETED":
            self._objects[kind].pop(key, None)
        else:
            self._objects[kind][key] = obj
        if len(self._history) == HISTORY_LENGTH:
            self._oldest = self._history[0].version
        change = Change(kind_of_change, kind, obj, old, self.version)
        self._history.append(change)
        for subscriber in tuple(self._subscribers):
            subscriber(change)

    def changes_since(self, version: int, kind: Kind) -> list[Change]:
        """The changes of a kind after `version`; ApiError 410 when the history no longer reaches back that far."""
        if version < self._oldest:
            raise errors.expired(f"too old resource version: {version} ({self._oldest})")
        return [change for change in self._history if change.version > version and change.kind is kind]

    def forget_history(self) -> None:
        """Let every resourceVersion up to now be too old, as after a compaction (for tests)."""
        self._history.clear()
        self._oldest = self.version
