"""Start and stop a cluster: ask ARM once, then look how far it is. Both may run any number of times."""

from __future__ import annotations

from typing import Any

from shared.clients.auto_warming import reconcile_cluster
from shared.clients.orchestrations import DurableOrchestrations
from shared.clients.provider import clients
from shared.clients.readiness import read_readiness
from shared.clients.usage import check_not_in_use
from shared.domain.errors import ConflictError, TransientError
from shared.domain.lifecycle import Lifecycle, lifecycle_of
from shared.domain.power import Target, verdict_of
from shared.domain.search import ClusterRef
from shared.telemetry import log_event


def request_power(data: dict[str, Any]) -> dict[str, Any]:
    """Ask ARM for the start or the stop, unless the cluster is there already or on its way.

    Args:
        data: ``cluster``, ``target`` (``start`` or ``stop``), ``force``.

    Returns:
        ``state``: ``already``, ``requested`` (by this call or by an earlier one), or ``busy`` with the ``reason``: what
        is under way must end first, or Azure throttles or is away; with ``retry_after`` (seconds) where it says when to
        come again.

    Raises:
        PermanentError: ``cluster_not_found``, ``cluster_deleting``, ``cluster_in_use``, ``arm_denied``.
        TransientError: the searches' rows cannot be read.
    """
    cluster, target = ClusterRef.from_dict(data["cluster"]), Target(data["target"])
    try:
        return _request(cluster, target, force=bool(data.get("force")))
    except ConflictError as error:
        if error.code != "cluster_busy":
            raise
        return {"state": "busy", "reason": error.message}
    except TransientError as error:
        # An operation has half an hour, the step's own retries half a minute: Azure may be away for longer than that.
        if error.code != "arm_unavailable":
            raise
        return {"state": "busy", "reason": error.message, "retry_after": error.retry_after}


def _request(cluster: ClusterRef, target: Target, *, force: bool) -> dict[str, Any]:
    lifecycle = lifecycle_of(clients().arm.cluster(cluster)).lifecycle
    if lifecycle is target.reached:
        return {"state": "already"}
    if lifecycle is target.under_way:
        return {"state": "requested"}
    if lifecycle is Lifecycle.DELETING:
        message = f"cluster {cluster.cluster_name} is being deleted"
        raise ConflictError("cluster_deleting", message, "use another cluster")
    if target is Target.STOP and not force:
        check_not_in_use(cluster)
    (clients().arm.start if target is Target.START else clients().arm.stop)(cluster)
    log_event("cluster_power_requested", cluster=cluster.cluster_name, target=target.value)
    return {"state": "requested"}


def observe_cluster_power(data: dict[str, Any]) -> dict[str, Any]:
    """How far the start or the stop is.

    Args:
        data: ``cluster``, ``target``.

    Returns:
        ``verdict``: ``reached``, ``waiting``, ``opposite`` (somebody asked for the other one meanwhile), ``unchanged``
        or ``failed``; with ``lifecycle`` and ``reason``. Nobody's answer is ``waiting``.
    """
    cluster, target = ClusterRef.from_dict(data["cluster"]), Target(data["target"])
    reading = read_readiness(cluster, fresh=True)
    verdict = verdict_of(target, reading.lifecycle, workload=reading.workload_ready)
    reason = reading.problem or reading.reason
    return {"verdict": verdict.value, "lifecycle": reading.lifecycle.value, "reason": reason}


def warm_configured(data: dict[str, Any], client: Any) -> dict[str, Any]:
    """Warm the databases that the cluster's preference names, at once; every minute a timer does the same.

    Args:
        data: ``cluster``.

    Returns:
        What the reconcile did.
    """
    cluster = ClusterRef.from_dict(data["cluster"])
    return dict(reconcile_cluster(cluster, DurableOrchestrations(client)))
