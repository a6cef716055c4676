"""More clusters than the one of the stack: each an emulator of its own, known to the app through ARM.

The stack's ARM knows one cluster. A tripwire in front of it answers what the app asks of the others.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from aiohttp import web

from bench.common import Json
from bench.stand import Stand
from local.azure.model import Cluster
from local.azure.resources import Scope, credentials, managed_cluster
from local.cluster.harness import blast_nodes, start_cluster
from local.stack.identity import CLUSTER, REGION, RESOURCE_GROUP, STORAGE_ACCOUNT, SUBSCRIPTION
from local.tripwire.calls import Call
from local.tripwire.tripwires import Tripwires
from local.tripwire.wires import Tripwire
from shared.domain.search import ClusterRef

JOBS = "/apis/batch/v1/namespaces/default/jobs"


@dataclass(frozen=True, slots=True)
class Place:
    """One emulated cluster.

    Args:
        ref: its names.
        api: address of its API server.
        control: address of its control endpoint.
        token: what its API server asks for.
    """

    ref: ClusterRef
    api: str
    control: str
    token: str

    def run_jobs(self, job_ids: Sequence[str]) -> None:
        """Let each of these searches have one BLAST Job whose pod runs, and does nothing."""
        with httpx.Client(base_url=self.api, headers={"Authorization": f"Bearer {self.token}"}, timeout=60) as client:
            for job_id in job_ids:
                client.post(JOBS, json=_sleeping_job(job_id)).raise_for_status()

    def calls(self) -> Counter[str]:
        """The calls of its API server so far, such as ``list pods``."""
        return Counter(httpx.get(f"{self.control}/calls", timeout=60).raise_for_status().json())

    @property
    def running_pods(self) -> int:
        """How many pods run now."""
        return int(httpx.get(f"{self.control}/state", timeout=60).raise_for_status().json()["running_pods"])


@contextmanager
def several(stand: Stand, tripwires: Tripwires, count: int, folder: Path) -> Iterator[list[Place]]:
    """The stack's own cluster and as many more as make ``count``; the host must be told of the tripwires' ARM."""
    token = stand.stack.identity.cluster_token
    described = stand.stack.stack_json
    own = ClusterRef(SUBSCRIPTION, RESOURCE_GROUP, CLUSTER, STORAGE_ACCOUNT)
    places = [Place(own, described["kubernetes"], described["cluster_control"], token)]
    with ExitStack() as stack:
        for number in range(2, count + 1):
            name = f"elb-bench-{number}"
            nodes = blast_nodes(4)
            running = start_cluster(folder / name, nodes, token=token, cluster_name=name)
            stack.callback(running.stop)
            ref = ClusterRef(SUBSCRIPTION, RESOURCE_GROUP, name, STORAGE_ACCOUNT)
            places.append(Place(ref, running.api_url, running.control_url, token))
            scope = Scope(SUBSCRIPTION, RESOURCE_GROUP, name, REGION, running.api_url, token, nodes)
            tripwires.set(_arm_of(scope))
        yield places
        tripwires.clear()


def _arm_of(scope: Scope) -> Tripwire:
    """Answers what the app asks ARM about this cluster."""

    async def answer(call: Call) -> web.Response:
        if call.method == "POST":
            return web.json_response(credentials(scope, "clusterUser"))
        return web.json_response(managed_cluster(scope, Cluster()))

    return Tripwire(answer, service="arm", path=rf"(?i)managedClusters/{re.escape(scope.cluster)}(/|\?|$)", times=None)


def _sleeping_job(job_id: str) -> Json:
    labels = {"app": "blast", "elb-job-id": job_id, "elb-attempt": "1", "shard": "00", "batch": "000"}
    container = {
        "name": "blast",
        "image": "ncbi/elb:1.4.0",
        "command": ["sleep", "86400"],
        "env": [{"name": "BLAST_ELB_JOB_ID", "value": job_id}],
        "resources": {"requests": {"cpu": "10m", "memory": "1Mi"}},
    }
    tolerations = [{"key": "workload", "operator": "Equal", "value": "blast", "effect": "NoSchedule"}]
    pod = {"restartPolicy": "Never", "containers": [container], "tolerations": tolerations}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": job_id, "labels": labels},
        "spec": {"template": {"metadata": {"labels": labels}, "spec": pod}},
    }
