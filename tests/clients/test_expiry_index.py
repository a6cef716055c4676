"""Which results have expired: found by an index of times, whatever was interrupted between the index and the row."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.clients.provider import AzureClients
from shared.clients.searches import SearchStore
from shared.clients.table_rows import INDEX, SEARCHES
from shared.domain.ids import owner_key
from shared.domain.published import without_results
from shared.domain.search import Search, complete, enter_phase
from shared.domain.states import Phase
from tests.clients.support import a_search

LONG_AGO = datetime(1999, 1, 1, tzinfo=UTC)
"""Before the times of any other test of this storage."""
DAY = timedelta(days=1)


def completed(searches: SearchStore, owner: str, expires_at: datetime) -> Search:
    """A search whose results are kept until then."""
    search, _ = searches.create(replace(a_search(owner), phase=Phase.EXPORTING))
    return searches.update(owner, search.job_id, lambda row: complete(row, expires_at - 30 * DAY, expires_at))


def expired(searches: SearchStore, now: datetime, owner: str, limit: int = 100) -> list[str]:
    """Ids of an owner's searches whose results have expired, over all pages."""
    found: list[str] = []
    after: str | None = None
    while True:
        page, after = searches.expired(now, limit, after)
        found += [search.job_id for search in page if search.owner == owner]
        if after is None:
            return found


def index_rows(clients: AzureClients, search: Search) -> int:
    """How many rows of expiry point at a search."""
    query = "PartitionKey eq 'expires' and job_id eq @id"
    return len(list(clients.tables.client(INDEX).query_entities(query, parameters={"id": search.job_id})))


@pytest.mark.proves("N16")
class TestExpired:
    def test_just_beyond_their_time_and_not_at_it(self, searches: SearchStore, owner: str) -> None:
        search = completed(searches, owner, LONG_AGO)
        assert expired(searches, LONG_AGO, owner) == []
        assert expired(searches, LONG_AGO + timedelta(milliseconds=1), owner) == [search.job_id]

    def test_the_oldest_first_page_by_page(self, searches: SearchStore, owner: str) -> None:
        made = [completed(searches, owner, LONG_AGO + number * DAY).job_id for number in (2, 0, 1, 3)]
        wanted = [made[1], made[2], made[0]]
        for limit in (1, 2, 3, 100):
            assert expired(searches, LONG_AGO + 2.5 * DAY, owner, limit) == wanted

    def test_once_the_row_says_that_they_are_gone_nothing_is_left_to_find(
        self, searches: SearchStore, clients: AzureClients, owner: str
    ) -> None:
        search = completed(searches, owner, LONG_AGO)
        assert index_rows(clients, search) == 1
        searches.update(owner, search.job_id, lambda row: without_results(row, LONG_AGO + DAY))
        assert index_rows(clients, search) == 0
        kept = searches.get(owner, search.job_id)
        assert (kept.phase, kept.results_removed_at) == (Phase.COMPLETED, LONG_AGO + DAY)

    def test_what_was_left_behind_is_dropped_when_it_is_met(
        self, searches: SearchStore, clients: AzureClients, owner: str
    ) -> None:
        """A host died after the row, before the index."""
        search = completed(searches, owner, LONG_AGO)
        [row] = clients.tables.client(INDEX).query_entities(
            "PartitionKey eq 'expires' and job_id eq @id", parameters={"id": search.job_id}
        )
        searches.update(owner, search.job_id, lambda row: without_results(row, LONG_AGO + DAY))
        clients.tables.client(INDEX).upsert_entity(row)
        assert expired(searches, LONG_AGO + DAY, owner) == []
        assert index_rows(clients, search) == 0

    def test_one_that_never_was_completed_is_dropped_too(
        self, searches: SearchStore, clients: AzureClients, owner: str
    ) -> None:
        """A host died after the index, before the row."""
        search, _ = searches.create(replace(a_search(owner), phase=Phase.EXPORTING))
        row = {"PartitionKey": "expires", "RowKey": f"0-{search.job_id}", "owner": owner, "job_id": search.job_id}
        clients.tables.client(INDEX).upsert_entity(row)
        assert expired(searches, LONG_AGO + DAY, owner) == []
        assert index_rows(clients, search) == 0
        assert searches.get(owner, search.job_id).phase is Phase.EXPORTING

    def test_one_that_is_being_deleted_is_left_to_the_delete(
        self, searches: SearchStore, clients: AzureClients, owner: str
    ) -> None:
        search = completed(searches, owner, LONG_AGO)
        search = searches.update(owner, search.job_id, lambda row: enter_phase(row, Phase.DELETING, LONG_AGO))
        assert expired(searches, LONG_AGO + DAY, owner) == []
        assert index_rows(clients, search) == 1
        searches.delete(search)
        assert index_rows(clients, search) == 0

    def test_one_of_a_newer_version_is_left_to_that_version(
        self, searches: SearchStore, clients: AzureClients, owner: str
    ) -> None:
        search = completed(searches, owner, LONG_AGO)
        table = clients.tables.client(SEARCHES)
        query = "PartitionKey eq @p and job_id eq @id"
        [row] = table.query_entities(query, parameters={"p": owner_key(owner), "id": search.job_id})
        table.upsert_entity(dict(row) | {"phase": "archived"})
        assert expired(searches, LONG_AGO + DAY, owner) == []
        assert index_rows(clients, search) == 1
        table.upsert_entity(dict(row))
        assert expired(searches, LONG_AGO + DAY, owner) == [search.job_id]


class TestOlder:
    """Searches that were completed before there was an index."""

    @pytest.fixture
    def older(self, searches: SearchStore, clients: AzureClients, owner: str) -> list[Search]:
        """Three of them, and nobody who has looked for such searches yet."""
        made = [completed(searches, owner, LONG_AGO + number * DAY) for number in range(3)]
        index = clients.tables.client(INDEX)
        for row in list(index.query_entities(f"PartitionKey eq 'expires' and owner eq '{owner}'")):
            index.delete_entity(row["PartitionKey"], row["RowKey"])
        index.delete_entity("expires-older", "all")
        return made

    def test_are_found_once_page_by_page(
        self, searches: SearchStore, clients: AzureClients, owner: str, older: list[Search]
    ) -> None:
        assert expired(searches, LONG_AGO + 9 * DAY, owner) == []
        gone = searches.update(owner, older[0].job_id, lambda row: without_results(row, LONG_AGO + DAY))
        searches.create(replace(a_search(owner), phase=Phase.RUNNING))
        pages = 1
        while searches.index_older(2):
            pages += 1
        assert pages > 1
        assert expired(searches, LONG_AGO + 9 * DAY, owner) == [search.job_id for search in older[1:]]
        assert index_rows(clients, gone) == 0
        searches.update(owner, older[1].job_id, lambda row: without_results(row, LONG_AGO + DAY))
        assert not searches.index_older(2)
        assert index_rows(clients, older[1]) == 0

    def test_a_host_that_dies_leaves_the_rest_to_the_next_one(
        self, searches: SearchStore, clients: AzureClients, owner: str, older: list[Search]
    ) -> None:
        """It has written a page, and died before it noted that: the page is written again, which changes nothing."""
        assert searches.index_older(1)
        clients.tables.client(INDEX).delete_entity("expires-older", "all")
        while searches.index_older(500):
            pass
        assert [index_rows(clients, search) for search in older] == [1, 1, 1]
