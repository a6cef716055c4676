"""Whether a cluster is in use: a search that is past its waiting would lose its work with the nodes."""

from __future__ import annotations

from shared.clients.provider import clients
from shared.domain.errors import ConflictError
from shared.domain.search import ClusterRef
from shared.domain.states import WAITING


def searches_at_work(cluster: ClusterRef) -> int:
    """How many searches of a cluster are active and do not merely wait."""
    return sum(s.is_active and s.phase not in WAITING for s in clients().searches.unfinished(cluster.key))


def check_not_in_use(cluster: ClusterRef) -> None:
    """Refuse what would take the nodes away.

    Raises:
        ConflictError: ``cluster_in_use``.
    """
    active = searches_at_work(cluster)
    if active:
        message = f"cluster {cluster.cluster_name} has {active} active search{'' if active == 1 else 'es'}"
        raise ConflictError("cluster_in_use", message, "wait for them, cancel them, or send force: true")
