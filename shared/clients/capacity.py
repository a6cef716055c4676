"""Slots for searches on a cluster: taken by one conditional write, so that no two instances take the last one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta

from shared.clients.cluster_rows import Slots
from shared.clients.provider import clients
from shared.domain.errors import TransientError
from shared.domain.search import ClusterRef, Search
from shared.domain.slots import Waiting, live_holders, next_in_line
from shared.domain.states import Phase

_TRIES = 20
SILENCE = timedelta(seconds=90)
"""A waiting search asks again every 60 s at the latest."""


def take_slot(search: Search) -> bool:
    """Take a slot for a search, if there is one and nobody is before it in line.

    Raises:
        TransientError: ``slots_contended``.
    """
    for _ in range(_TRIES):
        slots = clients().clusters.slots(search.cluster)
        active = _active(search.cluster)
        holders = live_holders(slots.holders, map(_holder, active))
        if _holder(search) in holders:
            return True
        line = _line(active, holders)
        if _holder(search) not in {w.job_id for w in line}:
            line.append(_waiting(search))
        if _holder(search) not in next_in_line(holders, line, clients().settings.active_searches):
            return False
        taken = Slots({**holders, _holder(search): search.owner}, slots.etag)
        if clients().clusters.write_slots(search.cluster, taken):
            return True
    raise TransientError("slots_contended", f"the slots of {search.cluster.cluster_name} are in demand", "try again")


def searches_to_wake(cluster: ClusterRef) -> list[Search]:
    """The waiting searches that would get the slots that are free now."""
    active = {_holder(s): s for s in _active(cluster)}
    holders = live_holders(clients().clusters.slots(cluster).holders, active)
    line = _line(active.values(), holders)
    return [active[holder] for holder in next_in_line(holders, line, clients().settings.active_searches)]


def _active(cluster: ClusterRef) -> list[Search]:
    return [search for search in clients().searches.unfinished(cluster.key) if search.is_active]


def _holder(search: Search) -> str:
    """Who holds a slot is one attempt: what an ended attempt held, the next one must ask for again."""
    return f"{search.job_id}-{search.attempt}"


def _line(active: Iterable[Search], holders: Mapping[str, str]) -> list[Waiting]:
    """Who waits for a slot, without those that have not asked for a while: their host is gone, others go first."""
    oldest = clients().now() - SILENCE
    return [
        _waiting(s)
        for s in active
        if s.phase is Phase.WAITING_FOR_CAPACITY and _holder(s) not in holders and (s.checked_at or oldest) > oldest
    ]


def _waiting(search: Search) -> Waiting:
    return Waiting(_holder(search), search.owner, search.created_at)
