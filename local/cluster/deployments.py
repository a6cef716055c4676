"""The Deployment controller: as many pods of the template as the spec says.

Less than the real one: its pods belong to the Deployment itself (there are no ReplicaSets), and whatever the strategy,
outdated pods are ended before new ones are made (``Recreate``).
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from local.cluster import deletion
from local.cluster.controller import Controller, Key
from local.cluster.jobs import random_suffix
from local.cluster.kinds import DEPLOYMENTS, PODS
from local.cluster.podstatus import set_condition
from local.cluster.recorder import Recorder
from local.cluster.selectors import Predicate, match_labels
from local.cluster.store import Change, Store, clone

Json = dict[str, Any]
_HASH = "pod-template-hash"


class DeploymentController(Controller):
    """Reconciles deployments when they or their pods change."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._recorder = Recorder(store, "deployment-controller")
        self._injected: dict[str, tuple[Predicate, dict[str, str]]] = {}

    def inject(self, label_selector: str, environment: dict[str, str]) -> None:
        """Give pods that match, and are made from now on, this environment too; an empty one ends that.

        Azure's webhook of workload identity does the like with its own variables.
        """
        self._injected.pop(label_selector, None)
        if environment:
            self._injected[label_selector] = match_labels(label_selector), environment

    def observe(self, change: Change) -> None:
        """Deployments and their pods."""
        meta = change.obj["metadata"]
        if change.kind is DEPLOYMENTS and change.type != "DELETED":
            self.enqueue((meta["namespace"], meta["name"]))
        elif change.kind is PODS:
            self.enqueue_owners(change.obj, DEPLOYMENTS)

    def reconcile(self, key: Key) -> None:
        """Delete outdated, ended and superfluous pods, make missing ones when these are gone, write the counts."""
        deployment = self.store.find(DEPLOYMENTS, *key)
        if deployment is None or deployment["metadata"].get("deletionTimestamp"):
            return
        template, replicas = deployment["spec"]["template"], int(deployment["spec"].get("replicas", 1))
        wanted_hash = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:10]
        kept: list[Json] = []
        going = False
        for pod in self._pods(deployment):
            terminating = bool(pod["metadata"].get("deletionTimestamp"))
            ended = terminating or pod["status"].get("phase") in ("Failed", "Succeeded")
            if pod["metadata"]["labels"].get(_HASH) == wanted_hash and not ended and len(kept) < replicas:
                kept.append(pod)
                continue
            going = True
            if not terminating:
                deletion.delete_object(self.store, PODS, pod, {"propagationPolicy": "Background"})
        if not going:
            for _ in range(replicas - len(kept)):
                kept.append(self.store.create(PODS, self._completed(_pod(deployment, template, wanted_hash))))
                name = kept[-1]["metadata"]["name"]
                self._recorder.record(DEPLOYMENTS, deployment, "SuccessfulCreate", f"Created pod: {name}")
        self._write(deployment, replicas, kept)

    def _completed(self, pod: Json) -> Json:
        for matches, environment in self._injected.values():
            if matches(pod["metadata"]["labels"]):
                for container in pod["spec"]["containers"]:
                    container["env"] = (container.get("env") or []) + [
                        {"name": name, "value": value} for name, value in environment.items()
                    ]
        return pod

    def _pods(self, deployment: Json) -> list[Json]:
        uid = deployment["metadata"]["uid"]
        return [
            pod
            for pod in self.store.listing(PODS, deployment["metadata"]["namespace"])
            if any(reference["uid"] == uid for reference in pod["metadata"].get("ownerReferences") or [])
        ]

    def _write(self, deployment: Json, replicas: int, pods: list[Json]) -> None:
        ready = sum(
            any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions") or [])
            for pod in pods
        )

        def write(new: Json) -> None:
            status = new["status"] = dict(new.get("status") or {})
            counts = {"replicas": len(pods), "updatedReplicas": len(pods), "readyReplicas": ready}
            status |= counts | {"availableReplicas": ready, "unavailableReplicas": max(0, replicas - ready)}
            status["observedGeneration"] = new["metadata"]["generation"]
            text = "Deployment has minimum availability." if ready >= replicas else "no minimum availability"
            reason = "MinimumReplicasAvailable" if ready >= replicas else "MinimumReplicasUnavailable"
            set_condition(status, "Available", ready >= replicas, reason, text, self.store.clock.stamp())

        meta = deployment["metadata"]
        self.store.mutate(DEPLOYMENTS, meta["namespace"], meta["name"], write)


def _pod(deployment: Json, template: Json, template_hash: str) -> Json:
    meta, template_meta = deployment["metadata"], template.get("metadata") or {}
    owner = {
        "apiVersion": DEPLOYMENTS.api_version,
        "kind": DEPLOYMENTS.kind,
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "metadata": {
            "generateName": f"{meta['name']}-{template_hash}-",
            "name": f"{meta['name'][:46]}-{template_hash}-{random_suffix()}",
            "namespace": meta["namespace"],
            "labels": (template_meta.get("labels") or {}) | {_HASH: template_hash},
            "annotations": dict(template_meta.get("annotations") or {}),
            "ownerReferences": [owner],
        },
        "spec": clone(template["spec"]),
        "status": {"phase": "Pending", "qosClass": "Burstable"},
    }
