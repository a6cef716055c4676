"""How objects go: grace periods, finalizers, the three propagation policies. Used by the API and the controllers."""

from __future__ import annotations

from typing import Any

from local.cluster import errors
from local.cluster.kinds import JOBS, NAMESPACES, PODS, Kind
from local.cluster.store import Store

Json = dict[str, Any]

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
DEFAULT_GRACE_SECONDS = 30


def default_policy(kind: Kind) -> str:
    """The policy of a delete that names none. A Job's is Orphan, for the sake of old clients (batch/v1 strategy)."""
    return "Orphan" if kind is JOBS else "Background"


def delete_object(store: Store, kind: Kind, obj: Json, options: Json) -> Json:
    """Delete an object as DeleteOptions ask; returns what the API answers with: the object as it is now.

    A pod that runs on a node gets a deletionTimestamp, and the kubelet removes it when its processes have ended; all
    others go at once, unless finalizers keep them. ApiError 409 when a precondition does not hold.
    """
    meta = obj["metadata"]
    namespace, name = meta.get("namespace", ""), meta["name"]
    _check_preconditions(kind, obj, options.get("preconditions") or {})
    policy = options.get("propagationPolicy")
    if policy is None:
        orphan = options.get("orphanDependents")
        policy = default_policy(kind) if orphan is None else "Orphan" if orphan else "Background"
    finalizers = list(meta.get("finalizers") or [])
    if policy == "Foreground" and FOREGROUND not in finalizers:
        finalizers.append(FOREGROUND)
    if policy == "Orphan" and ORPHAN not in finalizers:
        finalizers.append(ORPHAN)
    grace = _grace_seconds(kind, obj, options)
    if not finalizers and (kind is not PODS or grace == 0):
        return store.remove(kind, namespace, name) or obj

    def mark(new: Json) -> None:
        if finalizers:
            new["metadata"]["finalizers"] = finalizers
        known = new["metadata"].get("deletionGracePeriodSeconds")
        new["metadata"].setdefault("deletionTimestamp", store.clock.stamp())
        if kind is PODS:
            new["metadata"]["deletionGracePeriodSeconds"] = grace if known is None else min(grace, known)

    return store.mutate(kind, namespace, name, mark) or obj


def _grace_seconds(kind: Kind, obj: Json, options: Json) -> int:
    if kind is not PODS:
        return 0
    ended = (obj.get("status") or {}).get("phase") in ("Succeeded", "Failed")
    if ended or not obj["spec"].get("nodeName"):
        return 0
    asked = options.get("gracePeriodSeconds")
    if asked is None:
        asked = obj["spec"].get("terminationGracePeriodSeconds", DEFAULT_GRACE_SECONDS)
    return int(asked)


def _check_preconditions(kind: Kind, obj: Json, preconditions: Json) -> None:
    for field, label in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
        wanted, found = preconditions.get(field), obj["metadata"][field]
        if wanted is not None and wanted != found:
            why = f"Precondition failed: {label} in precondition: {wanted}, {label} in object meta: {found}"
            raise errors.conflict(kind, obj["metadata"]["name"], why)


def finish_pod(store: Store, namespace: str, name: str, uid: str) -> None:
    """Take away a pod that was being deleted and whose processes have ended; finalizers keep it."""
    pod = store.find(PODS, namespace, name)
    if pod is None or pod["metadata"]["uid"] != uid or not pod["metadata"].get("deletionTimestamp"):
        return
    if not pod["metadata"].get("finalizers"):
        store.remove(PODS, namespace, name)


def drop_finalizer(store: Store, kind: Kind, namespace: str, name: str, finalizer: str) -> None:
    """Take a finalizer away; the last one lets the object go."""

    def change(new: Json) -> None:
        left = [each for each in new["metadata"].get("finalizers") or [] if each != finalizer]
        new["metadata"]["finalizers"] = left

    store.mutate(kind, namespace, name, change)


def empty_namespace(store: Store, name: str, kinds: tuple[Kind, ...]) -> None:
    """Delete everything in a namespace, then the namespace."""
    for kind in kinds:
        if not kind.namespaced:
            continue
        for obj in store.listing(kind, name):
            if kind is PODS:
                delete_object(store, kind, obj, {"propagationPolicy": "Background", "gracePeriodSeconds": 0})
            else:
                store.remove(kind, name, obj["metadata"]["name"])
    store.remove(NAMESPACES, "", name)
