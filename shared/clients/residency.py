"""The residency probe on a cluster: a warmup makes sure of it, and its last lines tell what is in memory."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from shared.clients.kube import Kube
from shared.clients.provider import clients
from shared.domain.errors import ConflictError, ElbError, NotFoundError, TransientError
from shared.domain.manifests import BLAST_IMAGE
from shared.domain.probe_manifest import APP_PROBE, PROBE_HASH, ProbeSet
from shared.domain.residency import NodeResidency, Residency, read_probe
from shared.domain.snapshot import PodView, read_pod
from shared.scripts import load_probe
from shared.telemetry import log_event

LOG_LINES = 2
"""The last line may be half of one, when the log was cut while it was written."""
LOG_BYTES = 256_000
"""About 150 bytes a shard: some thousand shards on one node."""
PARALLEL_LOGS = 8


def ensure_probe(kube: Kube) -> bool:
    """Have the probe's DaemonSet on the cluster as this version of the product writes it.

    Returns:
        Whether a write was needed; one that is there unchanged is left alone.

    Raises:
        TransientError: the cluster did not answer, or somebody else writes the object just now.
    """
    settings = clients().settings
    probe = ProbeSet(settings.image(BLAST_IMAGE), load_probe(), settings.probe_seconds)
    manifest = probe.manifest()
    try:
        present = kube.get("daemonsets", APP_PROBE)
    except NotFoundError:
        try:
            kube.create("daemonsets", manifest)
        except ConflictError:  # another warmup made it meanwhile, as this one would have
            return False
        return True
    if _hash(present) == _hash(manifest):
        return False
    try:
        kube.replace("daemonsets", manifest)
    except (ConflictError, NotFoundError) as error:
        raise TransientError(error.code, error.message, "try again") from error
    return True


def _hash(daemon_set: Mapping[str, Any]) -> str:
    return str((daemon_set["metadata"].get("annotations") or {}).get(PROBE_HASH) or "")


def read_residency(kube: Kube) -> Residency:
    """What each node's probe last said.

    Never raises for a cluster or a probe that gives no answer: what is warm by its Jobs stays warm, only what of it is
    in memory is then not known, and the answer says why.
    """
    try:
        pods = [read_pod(pod) for pod in kube.pods(f"app={APP_PROBE}")]
    except ElbError as error:
        log_event("residency_unknown", code=error.code, message=error.message)
        return Residency(reason=f"the probes could not be listed: {error.message}")
    newest = _newest_by_node(pods)
    if not newest:
        return Residency(reason="no probe runs on this cluster; the next warmup starts it")
    with ThreadPoolExecutor(PARALLEL_LOGS) as pool:
        said = dict(zip(newest, pool.map(lambda pod: _read(kube, pod), newest.values()), strict=True))
    return Residency(
        nodes={node: found for node, found in said.items() if isinstance(found, NodeResidency)},
        unknown={node: found for node, found in said.items() if isinstance(found, str)},
    )


def _newest_by_node(pods: list[PodView]) -> dict[str, PodView]:
    placed = [pod for pod in pods if pod.node and not pod.deleting]
    by_age = sorted(placed, key=lambda p: (p.created_at is not None, p.created_at, p.name))
    return {pod.node: pod for pod in by_age}


def _read(kube: Kube, pod: PodView) -> NodeResidency | str:
    if pod.phase == "Pending":
        return pod.why_waiting or "the probe is being started"
    try:
        log = kube.log_tail(pod.name, LOG_LINES, LOG_BYTES)
    except ElbError as error:
        return f"the probe's log could not be read: {error.message}"
    return read_probe(log, clients().now())
