"""The garbage collector: dependents go with their owners, as the three propagation policies say."""

from __future__ import annotations

from typing import Any

from local.cluster import deletion
from local.cluster.controller import Controller, Key
from local.cluster.kinds import ALL_KINDS, EVENTS, Kind
from local.cluster.store import Change, Store

Json = dict[str, Any]
_BACKGROUND = {"propagationPolicy": "Background"}


class GarbageCollector(Controller):
    """Keys are (uid of an owner, ""); knows every object by uid and every dependent by its owner's uid."""

    def __init__(self, store: Store) -> None:
        self._known: dict[str, tuple[Kind, str, str]] = {}
        self._dependents: dict[str, set[str]] = {}
        super().__init__(store)

    def observe(self, change: Change) -> None:
        """Keep the index of owners; look at an owner that goes, and at a dependent whose owner is not there."""
        if change.kind is EVENTS:
            return
        meta = change.obj["metadata"]
        uid = meta["uid"]
        if change.type == "DELETED":
            self._known.pop(uid, None)
            for owner in self._owners(change.obj):
                self._dependents.get(owner, set()).discard(uid)
                if owner in self._known:
                    self.enqueue((owner, ""))
            if self._dependents.get(uid):
                self.enqueue((uid, ""))
            return
        self._known[uid] = (change.kind, meta.get("namespace", ""), meta["name"])
        for owner in self._owners(change.old or {"metadata": {}}):
            self._dependents.get(owner, set()).discard(uid)
        for owner in self._owners(change.obj):
            self._dependents.setdefault(owner, set()).add(uid)
            if owner not in self._known:
                self.enqueue((owner, ""))
        if meta.get("deletionTimestamp"):
            self.enqueue((uid, ""))

    @staticmethod
    def _owners(obj: Json) -> list[str]:
        return [reference["uid"] for reference in obj["metadata"].get("ownerReferences") or []]

    def _find(self, uid: str) -> tuple[Kind, Json] | None:
        known = self._known.get(uid)
        found = self.store.find(*known) if known else None
        return (known[0], found) if known and found else None

    def reconcile(self, key: Key) -> None:
        """One step for the dependents of one owner."""
        uid = key[0]
        dependents = [found for each in list(self._dependents.get(uid, ())) if (found := self._find(each))]
        owner = self._find(uid)
        if owner is None:
            for kind, obj in dependents:
                if not any(other in self._known for other in self._owners(obj)):
                    self._delete(kind, obj)
            self._dependents.pop(uid, None)
            return
        kind, obj = owner
        finalizers = obj["metadata"].get("finalizers") or []
        name = (obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        if deletion.ORPHAN in finalizers:
            for dependent_kind, dependent in dependents:
                self._orphan(dependent_kind, dependent, uid)
            deletion.drop_finalizer(self.store, kind, *name, deletion.ORPHAN)
        elif deletion.FOREGROUND in finalizers:
            for dependent_kind, dependent in dependents:
                self._delete(dependent_kind, dependent)
            if not any(self._find(each) for each in self._dependents.get(uid, ())):
                deletion.drop_finalizer(self.store, kind, *name, deletion.FOREGROUND)

    def _delete(self, kind: Kind, obj: Json) -> None:
        if kind in ALL_KINDS and not obj["metadata"].get("deletionTimestamp"):
            deletion.delete_object(self.store, kind, obj, _BACKGROUND)

    def _orphan(self, kind: Kind, obj: Json, owner: str) -> None:
        def orphan(new: Json) -> None:
            meta = new["metadata"]
            meta["ownerReferences"] = [each for each in meta["ownerReferences"] if each["uid"] != owner]

        self.store.mutate(kind, obj["metadata"].get("namespace", ""), obj["metadata"]["name"], orphan)
