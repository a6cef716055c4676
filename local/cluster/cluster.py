"""The cluster as a whole: puts store, controllers, kubelet and API together; nodes and power come and go here.

Made by `__main__.py`; `control.py` calls the methods that tests need.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.cluster import deletion
from local.cluster.clock import Clock
from local.cluster.controller import Controller
from local.cluster.daemonsets import DaemonSetController
from local.cluster.deployments import DeploymentController
from local.cluster.faults import Calls, Faults
from local.cluster.garbage import GarbageCollector
from local.cluster.images import Images
from local.cluster.jobs import JobController
from local.cluster.kinds import LEASES, NAMESPACES, NODES, PODS, SERVICE_ACCOUNTS
from local.cluster.kubelet import Kubelet
from local.cluster.lists import Lists
from local.cluster.nodes import (
    LEASE_NAMESPACE,
    UNREACHABLE,
    NodeSpec,
    lease_object,
    node_address,
    node_conditions,
    node_object,
)
from local.cluster.pace import Pace
from local.cluster.podrunner import Surroundings
from local.cluster.podstatus import set_condition
from local.cluster.recorder import Recorder
from local.cluster.routes import Api
from local.cluster.scheduler import Scheduler
from local.cluster.store import Store
from local.cluster.streams import Streams
from local.cluster.times import Times
from local.cluster.verbs import Verbs

Json = dict[str, Any]

_NAMESPACES = ("default", "kube-system", "kube-public", LEASE_NAMESPACE)
_TAINTS = [{"key": UNREACHABLE, "effect": "NoSchedule"}, {"key": UNREACHABLE, "effect": "NoExecute"}]


@dataclass(frozen=True, slots=True)
class Settings:
    """How a cluster is made; `port` 0 is any free one, an empty token lets everybody in."""

    root: Path
    nodes: list[NodeSpec]
    port: int = 0
    token: str = ""
    tools: tuple[Path, ...] = ()
    backoff_seconds: float = 10.0
    region: str = "local"


class Cluster:
    """A running cluster."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock = Clock()
        self.store = Store(self.clock)
        self.images, self.pace = Images(), Pace()
        self.faults, self.calls = Faults(), Calls()
        self.times = Times(self.store)
        self.lists = Lists(self.store)
        recorder = Recorder(self.store, "kubelet")
        around = Surroundings(
            self.store, recorder, self.images, self.pace, list(settings.tools), settings.backoff_seconds
        )
        self.kubelet = Kubelet(around, settings.root)
        self.deployments = DeploymentController(self.store)
        self.controllers: list[Controller] = [
            Scheduler(self.store),
            JobController(self.store, settings.backoff_seconds),
            DaemonSetController(self.store),
            self.deployments,
            GarbageCollector(self.store),
        ]
        self.verbs = Verbs(self.store, self.lists)
        streams = Streams(self.store, self.lists, self.kubelet)
        self.api = Api(self.verbs, streams, self.faults, self.calls, settings.token, self.clock)
        self.port = settings.port
        self.powered = True
        self._nodes = {spec.name: spec for spec in settings.nodes}
        self._numbers = {spec.name: number for number, spec in enumerate(settings.nodes)}
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Make the first objects, start the controllers, listen."""
        for name in _NAMESPACES:
            labels = {"kubernetes.io/metadata.name": name}
            space = {"metadata": {"name": name, "labels": labels}, "spec": {"finalizers": ["kubernetes"]}}
            self.store.create(NAMESPACES, space | {"status": {"phase": "Active"}})
            self.store.create(SERVICE_ACCOUNTS, {"metadata": {"name": "default", "namespace": name}})
        for name in self._nodes:
            self._join(name)
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(controller.run()) for controller in self.controllers]
        self.port = await self.api.start(self.port)

    async def close(self) -> None:
        """End the API, the controllers and every pod."""
        for task in self._tasks:
            task.cancel()
        await self.kubelet.close()
        await self.api.stop()

    def _join(self, name: str) -> None:
        """A node comes up and registers."""
        spec, number = self._nodes[name], self._numbers[name]
        if self.store.find(LEASES, LEASE_NAMESPACE, name) is None:
            self.store.create(LEASES, lease_object(name, self.clock))
        if self.store.find(NODES, "", name) is None:
            self.store.create(NODES, node_object(spec, number, self.clock, self.settings.region))
        self.kubelet.start_node(name, node_address(number))

    def node_spec(self, name: str) -> NodeSpec:
        """What a node is made from; KeyError for a node that there never was."""
        return self._nodes[name]

    def stop_node(self, name: str) -> None:
        """The node stops answering: NotReady, its processes gone, its pods as they were last seen."""
        self.kubelet.stop_node(name)
        now = self.clock.stamp()

        def mark(node: Json) -> None:
            node["status"]["conditions"] = node_conditions(False, now)
            taints = [taint for taint in node["spec"].get("taints") or [] if taint["key"] != UNREACHABLE]
            node["spec"]["taints"] = taints + _TAINTS

        self.store.mutate(NODES, "", name, mark)
        for pod in self.store.listing(PODS):
            if pod["spec"].get("nodeName") == name and pod["status"].get("phase") == "Running":
                self._mark_pod(pod, "Ready", "", "", is_true=False)

    def start_node(self, name: str) -> None:
        """A stopped node comes back, with its disk; what ran on it is found dead."""
        now = self.clock.stamp()

        def mark(node: Json) -> None:
            node["status"]["conditions"] = node_conditions(True, now)
            taints = [taint for taint in node["spec"].get("taints") or [] if taint["key"] != UNREACHABLE]
            node["spec"]["taints"] = taints

        self.store.mutate(NODES, "", name, mark)
        self._join(name)

    def lose_node(self, name: str) -> None:
        """The node is gone for good: its object, its processes and its pods; the disk's folder stays for tests."""
        self.kubelet.stop_node(name)
        self.store.remove(NODES, "", name)
        self.store.remove(LEASES, LEASE_NAMESPACE, name)
        text = "PodGC: node no longer exists"
        for pod in self.store.listing(PODS):
            if pod["spec"].get("nodeName") != name:
                continue
            if pod["status"].get("phase") not in ("Succeeded", "Failed"):
                pod = self._mark_pod(pod, "DisruptionTarget", "DeletionByPodGC", text, phase="Failed")
            deletion.delete_object(self.store, PODS, pod, {"gracePeriodSeconds": 0})

    def replace_node(self, name: str, new_name: str) -> None:
        """The node is lost, and one like it, with an empty disk, takes its place."""
        self.lose_node(name)
        spec = self._nodes[name]
        if new_name != name:
            self._nodes[new_name] = NodeSpec(
                new_name, spec.pool, spec.mode, spec.cpu, spec.memory, dict(spec.labels), list(spec.taints)
            )
            self._numbers[new_name] = len(self._numbers)
        self.kubelet.wipe_node(new_name)
        self._join(new_name)

    def _mark_pod(
        self, pod: Json, condition: str, reason: str, message: str, is_true: bool = True, phase: str = ""
    ) -> Json:
        now = self.clock.stamp()

        def mark(new: Json) -> None:
            set_condition(new["status"], condition, is_true, reason, message, now)
            if phase:
                new["status"]["phase"] = phase

        return self.store.mutate(PODS, pod["metadata"]["namespace"], pod["metadata"]["name"], mark) or pod

    async def stop_power(self) -> None:
        """The cluster is stopped: no API, no processes; node disks and what the API knew are kept."""
        if not self.powered:
            return
        self.powered = False
        await self.api.stop()
        for controller in self.controllers:
            controller.pause()
        for node in self.store.listing(NODES):
            self.kubelet.stop_node(node["metadata"]["name"])

    async def start_power(self) -> None:
        """The cluster is started again, on the same port."""
        if self.powered:
            return
        self.powered = True
        await self.api.start(self.port)
        for node in self.store.listing(NODES):
            self.start_node(node["metadata"]["name"])  # Ready anew, as kubelets that start report it
        for controller in self.controllers:
            controller.resume()
