"""When Jobs and pods really began and ended: Kubernetes writes whole seconds, measurements need more.

The control endpoint shows it. Read from the changes in the store, so it is the moment from which a LIST shows it too.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from local.cluster.jobs import job_owner
from local.cluster.kinds import JOBS, PODS, Kind
from local.cluster.selectors import match_labels
from local.cluster.store import Change, Store

Json = dict[str, Any]
KEPT = 20_000
"""Jobs and pods, of each."""
_ENDS = ("Complete", "Failed")


class Times:
    """For each Job when it got its last condition, for each pod when its containers began and ended."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[Kind, OrderedDict[str, Json]] = {JOBS: OrderedDict(), PODS: OrderedDict()}
        store.subscribe(self._observe)

    def of(self, label_selector: str) -> dict[str, dict[str, Json]]:
        """``jobs`` and ``pods`` by name, those that match; also what was deleted since."""
        matches = match_labels(label_selector)
        return {
            f"{kind.kind.lower()}s": {name: entry for name, entry in known.items() if matches(entry["labels"])}
            for kind, known in self._known.items()
        }

    def _observe(self, change: Change) -> None:
        known = self._known.get(change.kind)
        if known is None or change.type == "DELETED":
            return
        meta = change.obj["metadata"]
        if change.type == "ADDED":
            known[meta["name"]] = {"labels": meta.get("labels") or {}, "created": self._now()}
            known[meta["name"]] |= {"job": owner["name"]} if (owner := job_owner(change.obj)) else {}
            if len(known) > KEPT:
                known.popitem(last=False)
        entry = known.get(meta["name"])
        if entry is not None:
            status = change.obj.get("status") or {}
            for moment in _job_moments(status) if change.kind is JOBS else _pod_moments(status):
                entry.setdefault(moment, self._now())

    def _now(self) -> str:
        return self._store.clock.micro_stamp()


def _job_moments(status: Json) -> list[str]:
    """What has come for a Job with this status."""
    conditions = status.get("conditions") or []
    return ["ended"] if any(each["type"] in _ENDS and each["status"] == "True" for each in conditions) else []


def _pod_moments(status: Json) -> list[str]:
    """What has come for a pod with this status."""
    states = [each["state"] for each in status.get("containerStatuses") or []]
    moments = {
        "started": any("running" in state or "terminated" in state for state in states),
        "ended": status.get("phase") in ("Succeeded", "Failed"),
    }
    return [moment for moment, has_come in moments.items() if has_come]
