"""Slots on Azure Tables: whoever asks at the same time, from whatever host, no more are given than there are."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from shared.clients.capacity import take_slot
from shared.clients.provider import AzureClients, use
from shared.domain.errors import TransientError
from shared.domain.search import Search
from shared.domain.states import Phase
from tests.clients.conftest import Place
from tests.clients.support import a_cluster, a_search

CEILING = 3


@pytest.fixture
def searches(place: Place) -> Iterator[list[Search]]:
    """Eight active searches of four owners on a cluster with three slots."""
    clients = AzureClients(place.settings(ELB_ACTIVE_SEARCHES=str(CEILING)))
    cluster = a_cluster()
    with use(clients):
        made = [a_search(cluster=cluster, owner=f"owner {number % 4}") for number in range(8)]
        yield [clients.searches.create(search)[0] for search in made]


def asked(place: Place, search: Search) -> bool:
    """Ask for a slot as the host does that has the search; a host in a crowd asks again."""
    for _ in range(5):
        try:
            return take_slot(search)
        except TransientError as error:
            if error.code != "slots_contended":
                raise
    return False


@pytest.mark.proves("S9")
class TestTheLastSlot:
    def test_eight_at_once_get_three(self, place: Place, searches: list[Search]) -> None:
        with ThreadPoolExecutor(len(searches)) as pool:
            given = list(pool.map(lambda search: asked(place, search), searches))
        assert sum(given) == CEILING
        holders = AzureClients(place.settings()).clusters.slots(searches[0].cluster).holders
        assert sorted(holders) == sorted(f"{s.job_id}-1" for s, got in zip(searches, given, strict=True) if got)

    def test_a_dead_holders_slot_comes_back(self, place: Place, searches: list[Search]) -> None:
        """Its search has ended, by whatever way: nobody gave the slot back."""
        first, *others = searches
        assert all(asked(place, search) for search in searches[:CEILING])
        assert not asked(place, others[-1])
        store = AzureClients(place.settings()).searches
        store.update(first.owner, first.job_id, lambda row: replace(row, phase=Phase.FAILED))
        assert asked(place, others[-1])
        assert not asked(place, others[-2])
