"""Warmups as the cluster has them: Jobs, pods and all shards' logs read into one status. Nothing is stored."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from shared.clients.kube import Kube
from shared.clients.provider import clients
from shared.domain.manifests import APP_WARMUP
from shared.domain.names import label_value
from shared.domain.planner import read_node
from shared.domain.residency import Residency
from shared.domain.snapshot import ClusterSnapshot, JobState, read_snapshot
from shared.domain.warmth import Warmth, WarmupStatus, warmup_status

LOG_LINES = 60
"""A copy that failed prints 20 lines of AzCopy's before its next marker, and blastdbcheck's refusal as many."""
LOG_BYTES = 16_000
PARALLEL_LOGS = 8


def read_warmup(
    kube: Kube, database: str, current_version: str | None, residency: Residency | None = None
) -> WarmupStatus:
    """How warm a database is on a cluster, with the logs of all shards that have not ended.

    Args:
        residency: what the probes said, where it matters whether the database has cooled; a search does not ask, since
            one that has cooled lies on the nodes' disks and can be searched.

    Raises:
        TransientError: the cluster did not answer; the warmth is unknown then, never cold.
    """
    selector = f"app={APP_WARMUP},db={label_value(database)}"
    jobs = kube.jobs(selector)
    pods = kube.pods(selector) if jobs else []
    snapshot = read_snapshot(jobs, pods, clients().now(), kube.server_time())
    nodes = frozenset(node.name for node in map(read_node, kube.nodes()) if node.ready)
    return warmup_status(database, snapshot, read_logs(kube, snapshot), nodes, current_version, residency)


def placement_of(status: WarmupStatus) -> dict[int, str] | None:
    """Shard -> node of a database that is ready; None when it is not."""
    if status.state is not Warmth.READY:
        return None
    return {shard.shard: shard.node for shard in status.shards}


def read_logs(kube: Kube, snapshot: ClusterSnapshot) -> dict[str, str]:
    """Tails of the newest pod of each shard, in parallel; a shard that succeeded needs none."""
    pods = [snapshot.pods_of(job)[:1] for job in snapshot.jobs if job.state is not JobState.SUCCEEDED]
    names = [pod.name for newest in pods for pod in newest if pod.phase != "Pending"]
    if not names:
        return {}
    with ThreadPoolExecutor(PARALLEL_LOGS) as pool:
        tails = pool.map(lambda name: kube.log_tail(name, LOG_LINES, LOG_BYTES), names)
        return dict(zip(names, tails, strict=True))
