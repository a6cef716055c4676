"""Every cluster that the product looks after: the default one, and those that a search was ever submitted to.

Called by the timers that go from cluster to cluster, and by the monitor's page.
"""

from __future__ import annotations

from shared.clients.provider import clients
from shared.domain.search import ClusterRef


def known_clusters() -> dict[str, ClusterRef]:
    """The clusters by key; one that has a row is as that says, with the storage account of its searches.

    Raises:
        TransientError: the state store does not answer.
    """
    default = clients().settings.cluster
    known = {default.key: default} if default is not None else {}
    return known | {cluster.key: cluster for cluster in clients().clusters.known()}
