"""Slots for searches on a cluster: taken by one conditional write, so that no two instances take the last one."""

from __future__ import annotations

from shared.clients.cluster_rows import Slots
from shared.clients.provider import clients
from shared.domain.errors import TransientError
from shared.domain.search import ClusterRef, Search
from shared.domain.slots import Waiting, live_holders, next_in_line
from shared.domain.states import Phase

_TRIES = 20


def take_slot(search: Search) -> bool:
    """Take a slot for a search, if there is one and nobody is before it in line.

    Raises:
        TransientError: ``slots_contended``.
    """
    for _ in range(_TRIES):
        slots = clients().clusters.slots(search.cluster)
        active = clients().searches.active(search.cluster.key)
        holders = live_holders(slots.holders, (s.job_id for s in active))
        if search.job_id in holders:
            return True
        line = [_waiting(s) for s in active if s.phase is Phase.WAITING_FOR_CAPACITY and s.job_id not in holders]
        if search.job_id not in {w.job_id for w in line}:
            line.append(_waiting(search))
        if search.job_id not in next_in_line(holders, line, clients().settings.active_searches):
            return False
        taken = Slots({**holders, search.job_id: search.owner}, slots.etag)
        if clients().clusters.write_slots(search.cluster, taken):
            return True
    raise TransientError("slots_contended", f"the slots of {search.cluster.cluster_name} are in demand", "try again")


def searches_to_wake(cluster: ClusterRef) -> list[Search]:
    """The waiting searches that would get the slots that are free now."""
    active = {s.job_id: s for s in clients().searches.active(cluster.key)}
    holders = live_holders(clients().clusters.slots(cluster).holders, active)
    line = [_waiting(s) for s in active.values() if s.phase is Phase.WAITING_FOR_CAPACITY and s.job_id not in holders]
    return [active[job_id] for job_id in next_in_line(holders, line, clients().settings.active_searches)]


def _waiting(search: Search) -> Waiting:
    return Waiting(search.job_id, search.owner, search.created_at)
