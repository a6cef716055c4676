"""The index of unfinished searches: never without one that must be brought to its end, and cleaned of the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.clients import search_index
from shared.clients.provider import AzureClients
from shared.clients.search_store import SearchStore
from shared.clients.table_rows import INDEX, SEARCHES, key_part
from shared.domain.errors import TransientError
from shared.domain.ids import newest_first_key, owner_key
from shared.domain.search import Search, cancelled, complete, enter_phase, fail, request_cancel, retried
from shared.domain.states import Phase
from tests.clients.conftest import Place
from tests.clients.support import T0, a_cluster, a_search, fresh
from tests.clients.wire import Rule


def failed(row: Search) -> Search:
    """It ended."""
    return fail(row, {"code": "x"}, T0)


def deleting(row: Search) -> Search:
    """It is being deleted."""
    return enter_phase(row, Phase.DELETING, T0)


def unfinished(searches: SearchStore, search: Search) -> list[str]:
    """Ids of the unfinished searches of a search's cluster."""
    return [found.job_id for found in searches.unfinished(search.cluster.key)]


def indexed(clients: AzureClients, search: Search) -> bool:
    """Whether the search has a row among the unfinished ones."""
    query = "PartitionKey eq @p and RowKey eq @r"
    keys = {"p": f"active:{key_part(search.cluster.key)}", "r": key_part(search.job_id)}
    return bool(list(clients.tables.client(INDEX).query_entities(query, parameters=keys)))


@pytest.fixture
def search(searches: SearchStore, owner: str) -> Search:
    """A search on a cluster of its own."""
    return searches.create(a_search(owner, cluster=a_cluster(), phase=Phase.EXPORTING))[0]


class TestEnds:
    ENDS: tuple[Callable[[Search], Search], ...] = (
        failed,
        lambda row: complete(row, T0, T0),
        lambda row: cancelled(request_cancel(row, T0), T0),
    )

    @pytest.mark.parametrize("end", ENDS, ids=["failed", "completed", "cancelled"])
    def test_an_end_removes_nothing_and_the_next_look_does(
        self,
        place: Place,
        searches: SearchStore,
        clients: AzureClients,
        search: Search,
        end: Callable[[Search], Search],
    ) -> None:
        with place.table.watching() as seen:
            assert searches.update(search.owner, search.job_id, end).is_terminal
        assert not [each for each in seen if "elbindex" in each.path]
        assert indexed(clients, search)
        assert unfinished(searches, search) == []
        assert not indexed(clients, search)

    def test_a_look_that_cannot_remove_it_says_so(self, place: Place, searches: SearchStore, search: Search) -> None:
        searches.update(search.owner, search.job_id, failed)
        with place.table.breaking(Rule("DELETE", "elbindex", times=9, status=403)), pytest.raises(TransientError):
            unfinished(searches, search)


class TestDeletions:
    def test_one_that_is_being_deleted_is_unfinished(self, searches: SearchStore, search: Search) -> None:
        searches.update(search.owner, search.job_id, failed)
        searches.update(search.owner, search.job_id, deleting)
        [found] = searches.unfinished(search.cluster.key)
        assert (found.phase, found.is_active) == (Phase.DELETING, False)

    def test_also_when_a_look_had_removed_its_row(self, searches: SearchStore, search: Search) -> None:
        searches.update(search.owner, search.job_id, failed)
        assert unfinished(searches, search) == []
        searches.update(search.owner, search.job_id, deleting)
        assert unfinished(searches, search) == [search.job_id]

    def test_one_that_could_not_be_deleted_waits_for_somebody(
        self, searches: SearchStore, clients: AzureClients, search: Search
    ) -> None:
        searches.update(search.owner, search.job_id, failed)
        searches.update(search.owner, search.job_id, deleting)
        searches.update(search.owner, search.job_id, lambda row: enter_phase(row, Phase.DELETE_FAILED, T0))
        assert unfinished(searches, search) == []
        assert not indexed(clients, search)


class TestBeginsAgain:
    def test_it_is_indexed_before_the_row_and_after(self, place: Place, searches: SearchStore, search: Search) -> None:
        searches.update(search.owner, search.job_id, failed)
        assert unfinished(searches, search) == []
        with place.table.watching() as seen:
            searches.update(search.owner, search.job_id, lambda row: retried(row, T0))
        writes = [each.path for each in seen if each.writes]
        assert ["elbindex" in path for path in writes] == [True, False, True]
        assert "elbsearches" in writes[1]
        assert unfinished(searches, search) == [search.job_id]

    def test_a_look_that_removed_the_row_just_before_the_write_does_no_harm(
        self, searches: SearchStore, search: Search
    ) -> None:
        searches.update(search.owner, search.job_id, failed)
        tries = 0

        def again(row: Search) -> Search:
            nonlocal tries
            tries += 1
            assert unfinished(searches, search) == []
            return retried(row, T0)

        searches.update(search.owner, search.job_id, again)
        assert tries == 1
        assert unfinished(searches, search) == [search.job_id]

    def test_a_retry_during_a_look_keeps_its_row(
        self, searches: SearchStore, search: Search, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The look has read that the search had ended; its delete then meets a row that was written anew."""
        searches.update(search.owner, search.job_id, failed)
        real, meanwhile = searches.get, [lambda row: retried(row, T0)]

        def get(owner: str, job_id: str) -> Search:
            found = real(owner, job_id)
            if meanwhile:
                searches.update(owner, job_id, meanwhile.pop())
            return found

        monkeypatch.setattr(searches, "get", get)
        assert unfinished(searches, search) == []
        assert unfinished(searches, search) == [search.job_id]

    def test_an_update_that_changes_little_costs_the_index_nothing(
        self, place: Place, searches: SearchStore, search: Search
    ) -> None:
        with place.table.watching() as seen:
            searches.update(search.owner, search.job_id, lambda row: replace(row, title="new"))
        assert not [each for each in seen if "elbindex" in each.path]


class TestOrphans:
    @pytest.fixture
    def orphan(self, searches: SearchStore, clients: AzureClients, search: Search) -> Search:
        """A submit died between its index rows and its row; or has not come to it yet."""
        row_key = f"s:{newest_first_key(search.job_id)}"
        clients.tables.client(SEARCHES).delete_entity(owner_key(search.owner), row_key)
        return search

    def test_a_young_one_may_be_of_a_submit_that_goes_on(
        self, searches: SearchStore, clients: AzureClients, orphan: Search
    ) -> None:
        assert unfinished(searches, orphan) == []
        assert indexed(clients, orphan)
        assert timedelta(minutes=10) == search_index.ORPHAN_AGE

    def test_an_old_one_is_removed(
        self, searches: SearchStore, clients: AzureClients, orphan: Search, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(search_index, "ORPHAN_AGE", timedelta(seconds=-60))
        assert unfinished(searches, orphan) == []
        assert not indexed(clients, orphan)

    def test_an_old_row_of_an_unfinished_search_is_not(
        self, searches: SearchStore, search: Search, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(search_index, "ORPHAN_AGE", timedelta(seconds=-60))
        assert unfinished(searches, search) == [search.job_id]


class TestAliases:
    def test_another_id_leads_to_the_search_until_it_is_deleted(
        self, searches: SearchStore, clients: AzureClients, search: Search
    ) -> None:
        alias = fresh("alias")
        assert searches.add_alias(search.owner, search.job_id, alias)
        assert searches.add_alias(search.owner, search.job_id, alias)
        search = searches.update(search.owner, search.job_id, lambda row: replace(row, aliases=(alias,)))
        assert searches.find(alias).job_id == search.job_id
        searches.delete(search)
        left = clients.tables.client(INDEX).query_entities("job_id eq @j", parameters={"j": search.job_id})
        assert list(left) == []

    def test_one_of_another_search_is_refused_and_stays(self, searches: SearchStore, search: Search) -> None:
        other, _ = searches.create(a_search(fresh("other")))
        assert not searches.add_alias(search.owner, search.job_id, other.job_id)
        assert searches.find(other.job_id) == other
