"""Runs one pod: volumes, init containers in order, containers, restarts, the end. One asyncio task per pod.

Made by `kubelet.py`, which says when to stop. Every step is written to the pod's status in the store.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.cluster import podstatus
from local.cluster.environment import CreateContainerConfigError, Lookup, command_of, environment_of
from local.cluster.images import ImageMissingError, Images, entrypoint
from local.cluster.kinds import PODS
from local.cluster.pace import Pace
from local.cluster.podstatus import ContainerRecord
from local.cluster.quantities import parse_quantity
from local.cluster.recorder import Recorder
from local.cluster.sandbox import ContainerStart, Sandbox, search_path
from local.cluster.store import Store
from local.cluster.volumes import MountError, PodVolumes

Json = dict[str, Any]

_CONFIG_RETRY_SECONDS = 0.5
_MAX_BACKOFF_SECONDS = 300.0


class _StoppedError(Exception):
    """The pod is being stopped while it waits for something."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every pod of the cluster shares."""

    store: Store
    recorder: Recorder
    images: Images
    pace: Pace
    tools: list[Path]
    backoff_seconds: float


class PodRunner:
    """The life of one pod on its node."""

    def __init__(
        self, pod: Json, node_folder: Path, pods_folder: Path, host_ip: str, pod_ip: str, around: Surroundings
    ):
        self.pod = pod
        meta = pod["metadata"]
        self.key = (meta["namespace"], meta["name"])
        self.folder = pods_folder / f"{meta['namespace']}_{meta['name']}_{meta['uid']}"
        self._around = around
        self._host_ip, self._pod_ip = host_ip, pod_ip
        self._volumes = PodVolumes(pod, node_folder, self.folder, self._lookup_of(around.store, meta["namespace"]))
        self._records = podstatus.records_of(pod)
        self._sandboxes: dict[str, Sandbox] = {}
        self._stopping = asyncio.Event()
        self._grace_seconds = 0.0
        self._failure: Json = {}
        self._silent = False

    @staticmethod
    def _lookup_of(store: Store, namespace: str) -> Lookup:
        return lambda kind, name: store.find(kind, namespace, name)

    def stop(self, grace_seconds: float, failure: Json) -> None:
        """End the pod: TERM, then KILL after `grace_seconds`. It ends Failed with `failure`'s reason and message."""
        if self._stopping.is_set():
            return
        self._grace_seconds, self._failure = grace_seconds, failure
        for record in self._records:
            if record.running:
                self._event("Killing", f"Stopping container {record.name}", record)
        self._stopping.set()

    def crash(self) -> None:
        """End every process at once and write nothing more: the node is gone."""
        self._silent = True
        self._grace_seconds = 0.0
        self._stopping.set()
        for sandbox in self._sandboxes.values():
            sandbox.kill()

    def run_out_of_memory(self) -> None:
        """End the running containers as the kernel does when a limit is exceeded."""
        for sandbox in self._sandboxes.values():
            sandbox.run_out_of_memory()

    async def run(self) -> None:
        """Run the pod to its end."""
        try:
            self._publish()
            await self._set_up_volumes()
            if await self._run_init_containers():
                mains = [record for record in self._records if not record.is_init]
                ends = await asyncio.gather(*(self._run_container(each) for each in mains), return_exceptions=True)
                for end in ends:
                    if end is not None:
                        raise end
        except _StoppedError:
            self._end_what_never_ran()
        finally:
            for sandbox in self._sandboxes.values():
                sandbox.kill()
            self._volumes.tear_down()
        self._publish()

    async def _set_up_volumes(self) -> None:
        while True:
            try:
                self._volumes.set_up()
            except MountError as failed:
                self._event("FailedMount", str(failed), warning=True)
                await self._pause(_CONFIG_RETRY_SECONDS)
            else:
                return

    async def _run_init_containers(self) -> bool:
        for record in self._records:
            if not record.is_init:
                continue
            await self._run_container(record)
            if record.exit_code != 0:
                return False
        return True

    async def _run_container(self, record: ContainerRecord) -> None:
        """Start the container, and again for as long as the restart policy asks for it."""
        policy = self.pod["spec"].get("restartPolicy", "Always")
        delay = 0.0
        while True:
            code = await self._run_once(record)
            again = code != 0 if record.is_init else (policy == "Always" or code != 0)
            if self._stopping.is_set() or policy == "Never" or not again:
                record.ended_for_good = True
                self._publish()
                return
            record.last_state = record.state
            if delay:
                text = f"back-off {delay:g}s restarting failed container={record.name} pod={self.key[1]}_{self.key[0]}"
                record.state = podstatus.waiting("CrashLoopBackOff", text)
                self._event("BackOff", f"Back-off restarting failed container {record.name}", record, warning=True)
                self._publish()
                await self._pause(delay)
            delay = min(delay * 2 or self._around.backoff_seconds, _MAX_BACKOFF_SECONDS)
            record.restarts += 1

    async def _run_once(self, record: ContainerRecord) -> int:
        """One start of the container, to its exit code."""
        store, started_at = self._around.store, None
        await self._pull(record)
        env = await self._environment(record)
        command = command_of(record.spec, entrypoint(record.spec["image"]), env)
        problem = self._start_problem(command)
        record.container_id = f"bwrap://{self.pod['metadata']['uid']}-{record.name}-{record.restarts}"
        if problem:
            self._event("Failed", f"Error: {problem}", record, warning=True)
            record.state = podstatus.terminated(
                128, "StartError", None, store.clock.stamp(), record.container_id, problem
            )
            return 128
        self._event("Created", f"Created container: {record.name}", record)
        sandbox = await Sandbox.start(self._container_start(record, command, env))
        self._sandboxes[record.name] = sandbox
        started_at = store.clock.stamp()
        self._event("Started", f"Started container {record.name}", record)
        record.state = {"running": {"startedAt": started_at}}
        self._publish()
        code = await self._exit_code(sandbox)
        reason = "Completed" if code == 0 else "OOMKilled" if sandbox.is_out_of_memory and code == 137 else "Error"
        record.state = podstatus.terminated(code, reason, started_at, store.clock.stamp(), record.container_id)
        del self._sandboxes[record.name]
        return code

    def _container_start(self, record: ContainerRecord, command: list[str], env: dict[str, str]) -> ContainerStart:
        labels = self.pod["metadata"].get("labels") or {}
        limits = (record.spec.get("resources") or {}).get("limits") or {}
        return ContainerStart(
            hostname=(self.pod["spec"].get("hostname") or self.key[1])[:63],
            command=command,
            env=env,
            mounts=self._volumes.mounts(record.spec),
            tools=self._around.tools,
            working_dir=record.spec.get("workingDir") or "/",
            log=self.folder / record.name / f"{record.restarts}.log",
            delay_seconds=0.0 if record.is_init else self._around.pace.delay(labels),
            memory_limit=parse_quantity(limits.get("memory", 0)),
            read_only_root=bool((record.spec.get("securityContext") or {}).get("readOnlyRootFilesystem")),
        )

    async def _exit_code(self, sandbox: Sandbox) -> int:
        ended = asyncio.ensure_future(sandbox.wait())
        stopped = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not ended.done():
            if self._grace_seconds > 0:
                await sandbox.terminate()
                await asyncio.wait({ended}, timeout=self._grace_seconds)
            sandbox.kill()
        return await ended

    async def _pull(self, record: ContainerRecord) -> None:
        image = record.spec["image"]
        delay = self._around.backoff_seconds
        while True:
            try:
                await self._unless_stopped(self._around.images.pull(image))
            except ImageMissingError as missing:
                self._event("Failed", f'Failed to pull image "{image}": {missing}', record, warning=True)
                self._event("Failed", "Error: ErrImagePull", record, warning=True)
                record.state = podstatus.waiting("ErrImagePull", str(missing))
                self._publish()
                self._event("BackOff", f'Back-off pulling image "{image}"', record, warning=False)
                self._event("Failed", "Error: ImagePullBackOff", record, warning=True)
                record.state = podstatus.waiting("ImagePullBackOff", f'Back-off pulling image "{image}": {missing}')
                self._publish()
                await self._unless_stopped(self._around.images.changed(delay))
                delay = min(delay * 2, _MAX_BACKOFF_SECONDS)
            else:
                self._event("Pulled", f'Container image "{image}" already present on machine', record)
                return

    async def _environment(self, record: ContainerRecord) -> dict[str, str]:
        basis = {"PATH": search_path(self._around.tools), "HOME": "/root", "HOSTNAME": self.key[1][:63]}
        lookup = self._lookup_of(self._around.store, self.key[0])
        while True:
            try:
                pod = self._around.store.find(PODS, *self.key) or self.pod
                return basis | environment_of(pod, record.spec, lookup)
            except CreateContainerConfigError as error:
                record.state = podstatus.waiting("CreateContainerConfigError", str(error))
                self._event("Failed", f"Error: {error}", record, warning=True)
                self._publish()
                await self._pause(_CONFIG_RETRY_SECONDS)

    def _start_problem(self, command: list[str]) -> str:
        """Why containerd would refuse to start this command line, or an empty text."""
        if not command:
            return "failed to create containerd container: no command specified"
        path = ":".join([*map(str, self._around.tools), "/usr/local/bin", "/usr/bin", "/usr/sbin"])
        if "/" not in command[0] and shutil.which(command[0], path=path) is None:
            return (
                "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create "
                f'failed: unable to start container process: exec: "{command[0]}": executable file not found in $PATH'
            )
        return ""

    async def _unless_stopped[T](self, work: Awaitable[T]) -> T:
        """The result of `work`; _StoppedError when the pod is stopped first."""
        task = asyncio.ensure_future(work)
        stopped = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise _StoppedError
            return task.result()
        finally:
            stopped.cancel()
            task.cancel()

    async def _pause(self, seconds: float) -> None:
        await self._unless_stopped(asyncio.sleep(seconds))

    def _end_what_never_ran(self) -> None:
        self._failure = self._failure or {"reason": ""}

    def _event(self, reason: str, message: str, record: ContainerRecord | None = None, warning: bool = False) -> None:
        if self._silent:
            return
        group = "initContainers" if record and record.is_init else "containers"
        part = f"spec.{group}{{{record.name}}}" if record else ""
        self._around.recorder.record(PODS, self.pod, reason, message, warning=warning, field=part)

    def _publish(self) -> None:
        """Write the present status, unless this pod was replaced or its node is gone."""
        current = self._around.store.find(PODS, *self.key)
        if self._silent or current is None or current["metadata"]["uid"] != self.pod["metadata"]["uid"]:
            return
        now = self._around.store.clock.stamp()

        def write(pod: Json) -> None:
            old = pod.get("status") or {}
            pod["status"] = podstatus.pod_status(old, self._records, self._host_ip, self._pod_ip, now, self._failure)

        self._around.store.mutate(PODS, *self.key, write)
