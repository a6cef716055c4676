"""Looks at a cluster nobody else looks at, so that searches begun outside appear by themselves within a minute.

Called by the timer ``discover_external`` for every cluster that is known and the default one. What a look sees is
registered by the look itself (``shared.clients.registration``).
"""

from __future__ import annotations

from shared.clients.cluster_events import tell_state
from shared.clients.observer import look_at_cluster
from shared.clients.orchestrations import Orchestrations
from shared.clients.provider import clients
from shared.domain.errors import NotFoundError
from shared.domain.lifecycle import lifecycle_of
from shared.domain.readiness import read_pools
from shared.domain.schedule import DEFAULT_WINDOW, should_look
from shared.domain.search import ClusterRef

OLDEST_LOOK = DEFAULT_WINDOW
"""Seconds that the last look may be old: with a timer of 30 s, at most 50 s pass until a search is found."""


def discover(cluster: ClusterRef, orchestrations: Orchestrations) -> int:
    """Make sure that a young look exists, where Azure says that the cluster runs; a cluster that does not is not asked.

    Returns:
        How many searches this look registered; 0 where another one was young enough.

    Raises:
        PermanentError: ``arm_denied``.
        TransientError: ``arm_unavailable``, or the state store does not answer.
    """
    if not should_look(clients().clusters.read(cluster), OLDEST_LOOK, clients().now()):
        return 0
    try:
        found = clients().arm.cluster(cluster, patient=False)
    except NotFoundError:  # deleted: nothing begins there any more
        return 0
    state = lifecycle_of(found)
    tell_state(cluster, state, read_pools(found))
    if not state.workload_possible:
        return 0
    return look_at_cluster(cluster, orchestrations, max_age=OLDEST_LOOK).registered
