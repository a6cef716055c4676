"""The kubelets of all nodes: start a runner for each pod bound to a running node, end it, clean up after it.

`cluster.py` tells it which nodes run; the control endpoint goes through it for nodes that stop or are lost.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from pathlib import Path
from typing import Any

from local.cluster import deletion, placement
from local.cluster.kinds import NODES, PODS
from local.cluster.podrunner import PodRunner, Surroundings
from local.cluster.podstatus import set_condition
from local.cluster.quantities import parse_quantity, requests_of
from local.cluster.store import Change

Json = dict[str, Any]
logger = logging.getLogger(__name__)

_LOG_SECONDS = 1.0
_ENDED = ("Succeeded", "Failed")


class Kubelet:
    """Pods that run, by uid."""

    def __init__(self, around: Surroundings, root: Path) -> None:
        self._around = around
        self._store = around.store
        self.root = root
        self._nodes: dict[str, str] = {}
        self._runners: dict[str, PodRunner] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._addresses: dict[str, str] = {}
        self._next_address = 0
        self._store.subscribe(self._observe)

    def node_folder(self, name: str) -> Path:
        """The disk of a node."""
        return self.root / "nodes" / name

    @property
    def running_pods(self) -> int:
        """How many pods have a runner now."""
        return len(self._runners)

    def start_node(self, name: str, address: str) -> None:
        """Run the pods of this node from now on; those that ran when it stopped are found dead."""
        self.node_folder(name).mkdir(parents=True, exist_ok=True)
        self._nodes[name] = address
        for pod in self._pods_of(name):
            self._find_dead(pod)
        for pod in self._pods_of(name):
            self._consider(pod)

    def stop_node(self, name: str) -> None:
        """End the node's processes at once; what the API says of its pods stays."""
        self._nodes.pop(name, None)
        for uid, runner in list(self._runners.items()):
            if runner.pod["spec"]["nodeName"] == name:
                runner.crash()
                self._runners.pop(uid)

    def is_running(self, name: str) -> bool:
        """Whether the node's kubelet answers."""
        return name in self._nodes

    def wipe_node(self, name: str) -> None:
        """Empty the disk of a node."""
        shutil.rmtree(self.node_folder(name), ignore_errors=True)

    def runner_of(self, uid: str) -> PodRunner | None:
        """The runner of a pod, for the control endpoint."""
        return self._runners.get(uid)

    def log_folder(self, pod: Json) -> Path:
        """Where the pod's logs are: `<container>/<restart>.log`."""
        meta = pod["metadata"]
        return self.root / "pods" / f"{meta['namespace']}_{meta['name']}_{meta['uid']}"

    async def close(self) -> None:
        """End all pods at once."""
        for runner in self._runners.values():
            runner.crash()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _pods_of(self, node: str) -> list[Json]:
        return [pod for pod in self._store.objects(PODS) if pod["spec"].get("nodeName") == node]

    def _observe(self, change: Change) -> None:
        if change.kind is not PODS:
            return
        uid = change.obj["metadata"]["uid"]
        if change.type == "DELETED":
            self._addresses.pop(uid, None)
            if runner := self._runners.get(uid):
                runner.crash()
            # Logs go with their pod; whoever follows one may still read the end.
            folder = self.log_folder(change.obj)
            asyncio.get_running_loop().call_later(_LOG_SECONDS, shutil.rmtree, folder, True)
            return
        self._consider(change.obj)

    def _consider(self, pod: Json) -> None:
        """Start or stop the pod, as its object asks."""
        meta, node = pod["metadata"], pod["spec"].get("nodeName")
        if node not in self._nodes:
            return
        uid, ended = meta["uid"], (pod.get("status") or {}).get("phase") in _ENDED
        runner = self._runners.get(uid)
        if meta.get("deletionTimestamp"):
            if runner is not None:
                runner.stop(float(meta.get("deletionGracePeriodSeconds") or 0), {})
            elif uid not in self._tasks:
                asyncio.get_running_loop().call_soon(
                    deletion.finish_pod, self._store, meta["namespace"], meta["name"], uid
                )
        elif runner is None and not ended and uid not in self._tasks:
            self._tasks[uid] = asyncio.get_running_loop().create_task(self._run(pod))

    async def _run(self, pod: Json) -> None:
        uid, node = pod["metadata"]["uid"], pod["spec"]["nodeName"]
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        try:
            if self._refused(pod):
                return
            if uid not in self._addresses:
                self._next_address += 1
                self._addresses[uid] = f"10.244.{self._next_address // 250}.{1 + self._next_address % 250}"
            pods_folder = self.root / "pods"
            around, address = self._around, self._nodes.get(node, "")
            runner = PodRunner(pod, self.node_folder(node), pods_folder, address, self._addresses[uid], around)
            self._runners[uid] = runner
            current = self._store.find(PODS, namespace, name)
            if current is not None and current["metadata"].get("deletionTimestamp"):
                runner.stop(0.0, {})
            timer = self._deadline(runner)
            await runner.run()
            timer.cancel()
        except Exception as error:
            logger.exception("the runner of pod %s/%s failed", namespace, name)
            self._fail(pod, {"reason": "RunnerError", "message": f"the emulator cannot run this pod: {error}"})
        finally:
            self._tasks.pop(uid, None)
            if self._runners.pop(uid, None) is not None:
                deletion.finish_pod(self._store, namespace, name, uid)

    def _deadline(self, runner: PodRunner) -> asyncio.TimerHandle:
        seconds = runner.pod["spec"].get("activeDeadlineSeconds")
        failure = {
            "reason": "DeadlineExceeded",
            "message": "Pod was active on the node longer than the specified deadline",
        }
        grace = float(runner.pod["spec"].get("terminationGracePeriodSeconds", deletion.DEFAULT_GRACE_SECONDS))
        handle = asyncio.get_running_loop().call_later(float(seconds or 0), runner.stop, grace, failure)
        if not seconds:
            handle.cancel()
        return handle

    def _refused(self, pod: Json) -> bool:
        """Admission: a pod that was bound past the scheduler to a full node fails there."""
        node = self._store.find(NODES, "", pod["spec"]["nodeName"])
        if node is None:
            return False
        others = [each for each in self._pods_of(node["metadata"]["name"]) if each is not pod]
        others = [each for each in others if each["metadata"]["uid"] != pod["metadata"]["uid"]]
        used = placement.usage_by_node(others).get(node["metadata"]["name"], {})
        missing = placement.shortages(pod["spec"], node, used)
        if not missing:
            return False
        name, wanted = missing[0], requests_of(pod["spec"])[missing[0]]
        capacity = parse_quantity(node["status"]["allocatable"].get(name, "0"))
        numbers = [
            int(value * 1000) if name == "cpu" else int(value) for value in (wanted, used.get(name, 0), capacity)
        ]
        message = (
            f"Node didn't have enough resource: {name}, requested: {numbers[0]}, used: {numbers[1]}, "
            f"capacity: {numbers[2]}"
        )
        self._fail(pod, {"reason": f"OutOf{name}", "message": f"Pod was rejected: {message}"})
        return True

    def _fail(self, pod: Json, failure: Json) -> None:
        def fail(new: Json) -> None:
            status = {key: value for key, value in (new.get("status") or {}).items() if key == "conditions"}
            new["status"] = status | {"phase": "Failed", "startTime": self._store.clock.stamp()} | failure

        meta = pod["metadata"]
        self._around.recorder.record(PODS, pod, failure["reason"], failure["message"], warning=True)
        self._store.mutate(PODS, meta["namespace"], meta["name"], fail)

    def _find_dead(self, pod: Json) -> None:
        """A container that ran when the node stopped is gone; with restartPolicy Never that ends the pod."""
        status = pod.get("status") or {}
        if status.get("phase") in _ENDED or not status.get("containerStatuses"):
            return
        never = pod["spec"].get("restartPolicy") == "Never"
        never = never and any("running" in container["state"] for container in status["containerStatuses"])

        def find(new: Json) -> None:
            now = self._store.clock.stamp()
            for container in new["status"].get("containerStatuses") or []:
                if "running" in container["state"]:
                    ended = {
                        "exitCode": 137,
                        "reason": "ContainerStatusUnknown",
                        "message": "The container could not be located when the pod was terminated",
                        "startedAt": container["state"]["running"]["startedAt"],
                        "finishedAt": now,
                    }
                    container |= {"state": {"terminated": ended}, "ready": False, "started": False}
                    container["restartCount"] += 0 if never else 1
            if never:
                new["status"]["phase"] = "Failed"
            set_condition(new["status"], "Ready", False, "PodFailed" if never else "ContainersNotReady", "", now)

        self._store.mutate(PODS, pod["metadata"]["namespace"], pod["metadata"]["name"], find)
