"""The DaemonSet controller: one pod on every node that its template fits."""

from __future__ import annotations

from typing import Any

from local.cluster import deletion, placement
from local.cluster.controller import Controller, Key
from local.cluster.jobs import random_suffix
from local.cluster.kinds import DAEMON_SETS, NODES, PODS
from local.cluster.recorder import Recorder
from local.cluster.store import Change, Store, clone

Json = dict[str, Any]
_TOLERATIONS: list[Json] = [
    {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": effect}
    for key, effect in (
        ("not-ready", "NoExecute"),
        ("not-ready", "NoSchedule"),
        ("unreachable", "NoExecute"),
        ("unreachable", "NoSchedule"),
        ("disk-pressure", "NoSchedule"),
        ("memory-pressure", "NoSchedule"),
        ("pid-pressure", "NoSchedule"),
        ("unschedulable", "NoSchedule"),
    )
]


class DaemonSetController(Controller):
    """Reconciles daemon sets when they, their pods or the nodes change."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._recorder = Recorder(store, "daemonset-controller")

    def observe(self, change: Change) -> None:
        """Daemon sets, their pods, nodes."""
        meta = change.obj["metadata"]
        if change.kind is DAEMON_SETS and change.type != "DELETED":
            self.enqueue((meta["namespace"], meta["name"]))
        elif change.kind is NODES:
            for each in self.store.objects(DAEMON_SETS):
                self.enqueue((each["metadata"]["namespace"], each["metadata"]["name"]))
        elif change.kind is PODS:
            self.enqueue_owners(change.obj, DAEMON_SETS)

    def reconcile(self, key: Key) -> None:
        """Make missing pods, delete superfluous and outdated ones, write the counts."""
        daemon = self.store.find(DAEMON_SETS, *key)
        if daemon is None or daemon["metadata"].get("deletionTimestamp"):
            return
        uid = daemon["metadata"]["uid"]
        template = _pod_template(daemon)
        wanted = {
            node["metadata"]["name"]
            for node in self.store.listing(NODES)
            if placement.matches_affinity(template["spec"], node) and not placement.untolerated(template["spec"], node)
        }
        generation = str(daemon["metadata"]["generation"])
        present: dict[str, Json] = {}
        for pod in self.store.listing(PODS, key[0]):
            if not any(reference["uid"] == uid for reference in pod["metadata"].get("ownerReferences") or []):
                continue
            node = _target(pod)
            outdated = pod["metadata"]["labels"].get("pod-template-generation") != generation
            ended = pod["status"].get("phase") in ("Failed", "Succeeded")
            if (node not in wanted or outdated or ended) and not pod["metadata"].get("deletionTimestamp"):
                deletion.delete_object(self.store, PODS, pod, {"propagationPolicy": "Background"})
                pod = self.store.find(PODS, key[0], pod["metadata"]["name"]) or {}
            if pod and node in wanted:
                present[node] = pod
        for node in sorted(wanted - set(present)):
            pod = self.store.create(PODS, _pod_on(daemon, template, node, generation))
            self._recorder.record(DAEMON_SETS, daemon, "SuccessfulCreate", f"Created pod: {pod['metadata']['name']}")
            present[node] = pod
        self._write(daemon, len(wanted), list(present.values()))

    def _write(self, daemon: Json, wanted: int, pods: list[Json]) -> None:
        ready = sum(
            1
            for pod in pods
            if any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions") or [])
        )

        def write(new: Json) -> None:
            new["status"] = {
                "currentNumberScheduled": len(pods),
                "desiredNumberScheduled": wanted,
                "numberMisscheduled": 0,
                "numberReady": ready,
                "numberAvailable": ready,
                "numberUnavailable": wanted - ready,
                "updatedNumberScheduled": len(pods),
                "observedGeneration": new["metadata"]["generation"],
            }

        meta = daemon["metadata"]
        self.store.mutate(DAEMON_SETS, meta["namespace"], meta["name"], write)


def _pod_template(daemon: Json) -> Json:
    template: Json = clone(daemon["spec"]["template"])
    template["spec"]["tolerations"] = (template["spec"].get("tolerations") or []) + clone(_TOLERATIONS)
    return template


def _target(pod: Json) -> str:
    """The node that a daemon set's pod is meant for, also before it is bound."""
    return str(pod["spec"].get("nodeName") or pod["metadata"]["annotations"]["emulator/target-node"])


def _pod_on(daemon: Json, template: Json, node: str, generation: str) -> Json:
    meta = daemon["metadata"]
    spec = clone(template["spec"])
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    spec["affinity"] = {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    }
    template_meta = template.get("metadata") or {}
    owner = {
        "apiVersion": DAEMON_SETS.api_version,
        "kind": DAEMON_SETS.kind,
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "metadata": {
            "generateName": f"{meta['name']}-",
            "name": f"{meta['name'][:57]}-{random_suffix()}",
            "namespace": meta["namespace"],
            "labels": (template_meta.get("labels") or {}) | {"pod-template-generation": generation},
            "annotations": (template_meta.get("annotations") or {}) | {"emulator/target-node": node},
            "ownerReferences": [owner],
        },
        "spec": spec,
        "status": {"phase": "Pending", "qosClass": "Burstable"},
    }
