"""The scheduler: binds pending pods to nodes; tries again when something frees up."""

from __future__ import annotations

from typing import Any

from local.cluster import placement
from local.cluster.controller import Controller, Key
from local.cluster.kinds import NODES, PODS
from local.cluster.podstatus import set_condition
from local.cluster.quantities import requests_of
from local.cluster.recorder import Recorder
from local.cluster.store import Change, Store

Json = dict[str, Any]
_ALL: Key = ("", "pending pods")


def is_pending(pod: Json) -> bool:
    """Whether the pod still waits for a node."""
    ended = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
    return not pod["spec"].get("nodeName") and not ended and not pod["metadata"].get("deletionTimestamp")


class Scheduler(Controller):
    """Looks at all pending pods together, oldest first: one pass per burst of changes."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._recorder = Recorder(store, "default-scheduler")
        self._pending: dict[tuple[str, str], None] = {}

    def observe(self, change: Change) -> None:
        """A new pod, a pod that ended, or a node that changed is a reason to look."""
        if change.kind is PODS:
            meta = change.obj["metadata"]
            key = (meta["namespace"], meta["name"])
            if change.type != "DELETED" and is_pending(change.obj):
                self._pending[key] = None
                if change.type == "ADDED":
                    self.enqueue(_ALL)
            else:
                self._pending.pop(key, None)
                ended = (change.obj.get("status") or {}).get("phase") in ("Succeeded", "Failed")
                if self._pending and (ended or change.type == "DELETED"):
                    self.enqueue(_ALL)
        elif change.kind is NODES and self._pending:
            self.enqueue(_ALL)

    def reconcile(self, _key: Key) -> None:
        """One pass over the pending pods."""
        usage = placement.usage_by_node(self.store.objects(PODS))
        nodes = self.store.listing(NODES)
        for pending in list(self._pending):
            pod = self.store.find(PODS, *pending)
            if pod is not None and is_pending(pod):
                self._place(pod, nodes, usage)

    def _place(self, pod: Json, nodes: list[Json], usage: dict[str, placement.Usage]) -> None:
        reasons, candidates = [], []
        for node in nodes:
            used = usage.setdefault(node["metadata"]["name"], {})
            against = placement.reasons_against(pod["spec"], node, used)
            reasons.append(against)
            if not against:
                candidates.append((placement.load(node, used), node["metadata"]["name"]))
        if not candidates:
            self._report(pod, placement.unschedulable_message(reasons))
            return
        name = min(candidates)[1]
        for resource, amount in requests_of(pod["spec"]).items():
            usage[name][resource] = usage[name].get(resource, 0.0) + amount
        self._bind(pod, name)

    def _bind(self, pod: Json, node: str) -> None:
        now = self.store.clock.stamp()

        def bind(new: Json) -> None:
            new["spec"]["nodeName"] = node
            set_condition(new.setdefault("status", {}), "PodScheduled", True, "", "", now)

        meta = pod["metadata"]
        self._recorder.record(
            PODS, pod, "Scheduled", f"Successfully assigned {meta['namespace']}/{meta['name']} to {node}"
        )
        self.store.mutate(PODS, meta["namespace"], meta["name"], bind)

    def _report(self, pod: Json, message: str) -> None:
        now = self.store.clock.stamp()

        def report(new: Json) -> None:
            set_condition(new.setdefault("status", {}), "PodScheduled", False, "Unschedulable", message, now)

        meta = pod["metadata"]
        before = self.store.find(PODS, meta["namespace"], meta["name"])
        after = self.store.mutate(PODS, meta["namespace"], meta["name"], report)
        if after is not before:
            self._recorder.record(PODS, pod, "FailedScheduling", message, warning=True)
