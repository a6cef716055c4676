"""The history of a database on a cluster: what went wrong while it was warmed. Written by looks, read by the API."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from shared.clients.kube import Kube
from shared.clients.provider import clients
from shared.clients.table_rows import key_part
from shared.clients.warmups import LOG_BYTES, LOG_LINES
from shared.domain.history import Event
from shared.domain.incidents import Incident, Seen, incidents, seen_now
from shared.domain.manifests import APP_WARMUP
from shared.domain.names import label_value
from shared.domain.planner import read_node
from shared.domain.search import ClusterRef
from shared.domain.snapshot import ClusterSnapshot, PodView, read_snapshot
from shared.telemetry import log_event

SHOWN = 50
"""Incidents that the API shows of a database, the newest ones."""
WHOLE_LINES, WHOLE_BYTES = 2_000, 200_000
"""Of the log of a pod that has ended, which is read once more to its beginning: an incident may lie far back in it."""
_PARALLEL_LOGS = 8
_ENDED = ("Succeeded", "Failed")


def history_key(cluster: ClusterRef, database: str) -> str:
    """Under which the history of a database on a cluster lies; no search has such an id."""
    return key_part(f"warmup:{cluster.key}:{database}")


def read_incidents(history: str) -> list[dict[str, Any]]:
    """The newest incidents, newest first."""
    events, _ = clients().events.page(history, SHOWN, None)
    return [_shown(event) for event in events]


def _shown(event: Event) -> dict[str, Any]:
    shown = event.to_dict()
    shard = event.who.removeprefix("shard ")
    return {
        "at": shown["at"],
        "shard": int(shard) if shard.isdecimal() else None,
        "attempt": event.attempt,
        "cause": event.kind,
        "message": event.why,
    }


def record_incidents(kube: Kube, cluster: ClusterRef, database: str, before: Seen) -> Seen:
    """Write what went wrong since the look before; what was written already stays as it is.

    Args:
        kube: the cluster as this look sees it, so that nothing is asked twice.

    Returns:
        What this look saw.

    Raises:
        TransientError: the cluster or the state store did not answer.
    """
    selector = f"app={APP_WARMUP},db={label_value(database)}"
    jobs = kube.jobs(selector)
    snapshot = read_snapshot(jobs, kube.pods(selector) if jobs else [], clients().now(), kube.server_time())
    ready = frozenset(node.name for node in map(read_node, kube.nodes()) if node.ready)
    logs, read = _logs(kube, snapshot, before)
    found = incidents(before, snapshot, logs, ready)
    if found:
        _write(history_key(cluster, database), found, database)
    return seen_now(before, snapshot, read, ready)


def _write(history: str, found: list[Incident], database: str) -> None:
    known = {(event.kind, event.who, event.why) for event in clients().events.page(history, 2 * SHOWN, None)[0]}
    for incident in found:
        event = incident.event()
        if incident.once and (event.kind, event.who, event.why) in known:
            continue
        clients().events.add(history, event)
        cause, shard = incident.cause, incident.shard
        log_event("warmup_incident", database=database, shard=shard, attempt=incident.attempt, cause=cause)


def _logs(kube: Kube, snapshot: ClusterSnapshot, before: Seen) -> tuple[dict[str, str], set[str]]:
    """Logs of the pods that tell something new, and which pods are read to their end by now."""
    pods = [pod for pod in snapshot.pods if pod.phase != "Pending" and pod.name not in before.read]

    def read(pod: PodView) -> str:
        whole = pod.phase in _ENDED or pod.deleting
        return kube.log_tail(pod.name, *((WHOLE_LINES, WHOLE_BYTES) if whole else (LOG_LINES, LOG_BYTES)))

    with ThreadPoolExecutor(_PARALLEL_LOGS) as pool:
        logs = dict(zip((pod.name for pod in pods), pool.map(read, pods), strict=True))
    return logs, {*before.read, *(pod.name for pod in pods if pod.phase in _ENDED)}
