"""Operations on a cluster (start, stop, a deployment): one of a kind at a time, however many ask for it at once.

Called by ``triggers/cluster.py``. An instance id once used cannot be used again, so the operations of a kind are
numbered by a conditional write on a row of the cluster's; whoever finds the newest one still under way joins it.
"""

from __future__ import annotations

from typing import Any

from shared.clients.orchestrations import Orchestrations
from shared.clients.provider import clients
from shared.domain.errors import TransientError
from shared.domain.functions import cluster_operation
from shared.domain.search import ClusterRef

_TRIES = 20


def begin_operation(
    cluster: ClusterRef, kind: str, orchestrator: str, data: dict[str, Any], orchestrations: Orchestrations
) -> str:
    """Begin an operation, or join the one of this kind that is under way.

    One that is forced joins none that is not, which may yet be refused what is asked for here; it is begun beside it,
    and is the one that others join then.

    Args:
        data: the orchestration's input, with ``force`` where this kind can be forced.

    Returns:
        The instance id.

    Raises:
        TransientError: ``operations_contended``, or the state store or Durable does not answer.
    """
    for _ in range(_TRIES):
        last = clients().clusters.operations(cluster, kind)
        instance = cluster_operation(kind, cluster.key, last.number)
        if last.number:
            # Nothing there: its number was taken a moment ago, by somebody who may have died since, or it was purged.
            if orchestrations.start(orchestrator, instance, data):
                return instance
            view = orchestrations.find(instance)
            if view is not None and not view.has_ended and (not data.get("force") or (view.input or {}).get("force")):
                return instance
        clients().clusters.claim_operation(cluster, kind, last)
    raise TransientError("operations_contended", f"many want to {kind} {cluster.cluster_name}", "try again")
