"""The Job controller: makes pods, counts how they end, writes the status in the order of Kubernetes >= 1.31.

The rules themselves are in `jobrules.py`. A Job's pods are counted when they end, also when they vanish right after.
"""

from __future__ import annotations

import secrets
from typing import Any

from local.cluster import deletion, jobrules
from local.cluster.clock import parse_stamp
from local.cluster.controller import Controller, Key
from local.cluster.jobrules import Ledger, Verdict
from local.cluster.kinds import JOBS, PODS
from local.cluster.recorder import Recorder
from local.cluster.store import Change, Store, clone

Json = dict[str, Any]

_SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_ENDED = ("Succeeded", "Failed")


def random_suffix() -> str:
    """Five characters as the API server appends them to a generateName."""
    return "".join(secrets.choice(_SUFFIX_ALPHABET) for _ in range(5))


def job_owner(obj: Json) -> Json | None:
    """The ownerReference to the Job that controls this object."""
    for reference in obj["metadata"].get("ownerReferences") or []:
        if reference.get("controller") and reference["kind"] == "Job":
            return dict(reference)
    return None


class JobController(Controller):
    """Reconciles Jobs; `backoff_seconds` is the first delay after a failed pod (10 s in Kubernetes)."""

    def __init__(self, store: Store, backoff_seconds: float) -> None:
        super().__init__(store)
        self._backoff_seconds = backoff_seconds
        self._recorder = Recorder(store, "job-controller")
        self._ledgers: dict[str, Ledger] = {}
        self._ended: dict[str, dict[str, Json]] = {}
        self._pods: dict[str, dict[str, Json]] = {}

    def observe(self, change: Change) -> None:
        """Jobs and their pods. A pod that has ended is kept until it is counted, even if it is removed meanwhile."""
        meta = change.obj["metadata"]
        if change.kind is JOBS:
            if change.type == "DELETED":
                for book in (self._ledgers, self._ended, self._pods):
                    book.pop(meta["uid"], None)
            else:
                self.enqueue((meta["namespace"], meta["name"]))
        elif change.kind is PODS and (owner := job_owner(change.obj)):
            job = self.store.find(JOBS, meta["namespace"], owner["name"])
            if job is None or job["metadata"]["uid"] != owner["uid"]:
                return  # the Job has gone: its pods are the garbage collector's
            pods = self._pods.setdefault(owner["uid"], {})
            if change.type == "DELETED":
                pods.pop(meta["uid"], None)
            else:
                pods[meta["uid"]] = change.obj
            if change.type == "DELETED" or change.obj["status"].get("phase") in _ENDED:
                self._ended.setdefault(owner["uid"], {})[meta["uid"]] = change.obj
            self.enqueue((meta["namespace"], owner["name"]))

    def reconcile(self, key: Key) -> None:
        """One step for one Job."""
        job = self.store.find(JOBS, *key)
        if job is None:
            return
        if jobrules.is_finished(job):
            self._expire(job)
            return
        if job["metadata"].get("deletionTimestamp"):
            return
        uid = job["metadata"]["uid"]
        ledger = self._ledgers.setdefault(uid, Ledger())
        self._count(job, ledger)
        pods = [pod for pod in self._pods.get(uid, {}).values() if pod["status"].get("phase") not in _ENDED]
        active = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
        if job["spec"].get("suspend"):
            self._suspend(job, active)
            return
        job = self._begin(job, ledger)
        # startTime has whole seconds; the ledger knows better, so that no deadline passes early.
        started = max(parse_stamp(job["status"]["startTime"]).timestamp(), ledger.started)
        seconds = self.store.clock.now().timestamp() - started
        failure = self._failure_target(job) or jobrules.verdict(job, ledger, active, seconds)
        if failure is not None:
            self._fail(job, ledger, failure, active, pods)
        elif jobrules.is_satisfied(job, ledger, len(active)):
            self._complete(job, ledger, active)
        else:
            made = self._make_pods(job, ledger, active, len(pods) - len(active))
            self._write(job, ledger, active, len(pods) - len(active), made)
            deadline = job["spec"].get("activeDeadlineSeconds")
            if deadline is not None:
                self.enqueue_after(key, deadline - seconds + 0.02)

    def _count(self, job: Json, ledger: Ledger) -> None:
        ended = self._ended.pop(job["metadata"]["uid"], {})
        for uid, pod in ended.items():
            if uid in ledger.counted:
                continue
            ledger.counted.add(uid)
            if pod["status"].get("phase") == "Succeeded":
                ledger.succeeded += 1
                ledger.consecutive_failures = 0
                continue
            if job["spec"].get("suspend"):
                continue  # its pods were deleted by this controller
            action, message = jobrules.policy_action(job, pod)
            if action == "Ignore":
                continue
            if action == "FailJob":
                ledger.fail_job = message
            ledger.failed += 1
            ledger.consecutive_failures += 1
            ledger.last_failure = self.store.clock.now().timestamp()

    def _begin(self, job: Json, ledger: Ledger) -> Json:
        """The Job with its startTime; a resumed one gets a new one."""
        now = self.store.clock.stamp()
        suspended = jobrules.condition(job, "Suspended")
        if (job.get("status") or {}).get("startTime") and not suspended:
            return job
        ledger.started = self.store.clock.now().timestamp()

        def begin(new: Json) -> None:
            status = new.setdefault("status", {})
            status["startTime"] = now
            if suspended:
                _set_condition(status, "Suspended", "False", "JobResumed", "Job resumed", now)

        if suspended:
            self._recorder.record(JOBS, job, "Resumed", "Job resumed")
        return self._change(job, begin)

    def _suspend(self, job: Json, active: list[Json]) -> None:
        for pod in active:
            deletion.delete_object(self.store, PODS, pod, {"propagationPolicy": "Background"})
        now = self.store.clock.stamp()

        def suspend(new: Json) -> None:
            status = new.setdefault("status", {})
            status.pop("startTime", None)
            status |= {"active": 0, "ready": 0}
            _set_condition(status, "Suspended", "True", "JobSuspended", "Job suspended", now)

        if jobrules.condition(job, "Suspended") is None:
            self._recorder.record(JOBS, job, "Suspended", "Job suspended")
        self._change(job, suspend)

    def _make_pods(self, job: Json, ledger: Ledger, active: list[Json], terminating: int) -> int:
        replacement_waits = job["spec"].get("podReplacementPolicy") == "Failed"
        present = len(active) + (terminating if replacement_waits else 0)
        missing = jobrules.pods_wanted(job, ledger) - present
        if missing <= 0:
            return 0
        now = self.store.clock.now().timestamp()
        wait = jobrules.backoff_left(ledger, self._backoff_seconds, now)
        if wait > 0:
            self.enqueue_after((job["metadata"]["namespace"], job["metadata"]["name"]), wait)
            return 0
        for _ in range(missing):
            pod = self.store.create(PODS, pod_of(job))
            self._recorder.record(JOBS, job, "SuccessfulCreate", f"Created pod: {pod['metadata']['name']}")
        return missing

    def _failure_target(self, job: Json) -> Verdict | None:
        target = jobrules.condition(job, "FailureTarget")
        return Verdict(target["reason"], target["message"]) if target else None

    def _fail(self, job: Json, ledger: Ledger, why: Verdict, active: list[Json], pods: list[Json]) -> None:
        """FailureTarget first; Failed once no pod is left that has not ended."""
        if jobrules.condition(job, "FailureTarget") is None:
            job = self._write(job, ledger, [], len(pods), 0, [("FailureTarget", why.reason, why.message)])
            for pod in active:
                deletion.delete_object(self.store, PODS, pod, {"propagationPolicy": "Background"})
                self._recorder.record(JOBS, job, "SuccessfulDelete", f"Deleted pod: {pod['metadata']['name']}")
            self.enqueue((job["metadata"]["namespace"], job["metadata"]["name"]))
        elif not pods:
            self._write(job, ledger, [], 0, 0, [("Failed", why.reason, why.message)])
            self._recorder.record(JOBS, job, why.reason, why.message, warning=True)

    def _complete(self, job: Json, ledger: Ledger, active: list[Json]) -> None:
        """SuccessCriteriaMet and Complete, in two writes, so that a watch sees both."""
        why = ("CompletionsReached", "Reached expected number of succeeded pods")
        for pod in active:
            deletion.delete_object(self.store, PODS, pod, {"propagationPolicy": "Background"})
        job = self._write(job, ledger, [], 0, 0, [("SuccessCriteriaMet", *why)])
        job = self._write(job, ledger, [], 0, 0, [("Complete", *why)])
        self._recorder.record(JOBS, job, "Completed", "Job completed")

    def _write(
        self,
        job: Json,
        ledger: Ledger,
        active: list[Json],
        terminating: int,
        made: int,
        conditions: list[tuple[str, str, str]] | None = None,
    ) -> Json:
        now = self.store.clock.stamp()
        ready = sum(1 for pod in active if _is_ready(pod))

        def write(new: Json) -> None:
            status = new.setdefault("status", {})
            for field, count in (("succeeded", ledger.succeeded), ("failed", ledger.failed)):
                if count:
                    status[field] = count
            counts = {"ready": ready, "terminating": terminating, "uncountedTerminatedPods": {}}
            status |= counts | ({"active": len(active) + made} if active or made else {})
            if not active and not made:
                status.pop("active", None)
            for kind, reason, message in conditions or []:
                _set_condition(status, kind, "True", reason, message, now)
                if kind == "Complete":
                    status["completionTime"] = now

        return self._change(job, write)

    def _change(self, job: Json, change: Any) -> Json:
        meta = job["metadata"]
        return self.store.mutate(JOBS, meta["namespace"], meta["name"], change) or job

    def _expire(self, job: Json) -> None:
        """ttlSecondsAfterFinished: delete the Job and its pods when its time is over."""
        seconds = job["spec"].get("ttlSecondsAfterFinished")
        if seconds is None or job["metadata"].get("deletionTimestamp"):
            return
        ended = jobrules.condition(job, "Complete") or jobrules.condition(job, "Failed")
        if ended is None:
            return
        left = seconds - (self.store.clock.now() - parse_stamp(ended["lastTransitionTime"])).total_seconds()
        if left > 0:
            self.enqueue_after((job["metadata"]["namespace"], job["metadata"]["name"]), left + 0.02)
        else:
            deletion.delete_object(self.store, JOBS, job, {"propagationPolicy": "Background"})


def pod_of(job: Json) -> Json:
    """A new pod of a Job, from its template."""
    meta, template = job["metadata"], job["spec"]["template"]
    template_meta = clone(template.get("metadata") or {})
    owner = {
        "apiVersion": JOBS.api_version,
        "kind": JOBS.kind,
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    pod_meta: Json = {
        "generateName": f"{meta['name']}-",
        "name": f"{meta['name'][:57]}-{random_suffix()}",
        "namespace": meta["namespace"],
        "labels": template_meta.get("labels") or {},
        "ownerReferences": [owner],
    }
    if template_meta.get("annotations"):
        pod_meta["annotations"] = template_meta["annotations"]
    return {
        "metadata": pod_meta,
        "spec": clone(template["spec"]),
        "status": {"phase": "Pending", "qosClass": "Burstable"},
    }


def _is_ready(pod: Json) -> bool:
    conditions = pod["status"].get("conditions") or []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _set_condition(status: Json, kind: str, value: str, reason: str, message: str, now: str) -> None:
    entry = {"type": kind, "status": value, "lastProbeTime": now, "lastTransitionTime": now}
    entry |= {"reason": reason, "message": message}
    conditions = status.setdefault("conditions", [])
    for index, each in enumerate(conditions):
        if each["type"] == kind:
            if each["status"] != value:
                conditions[index] = entry
            return
    conditions.append(entry)
