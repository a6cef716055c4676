"""The index of unfinished searches: never without one that must be brought to its end, and cleaned of the rest."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.clients import search_index
from shared.clients.provider import AzureClients
from shared.clients.searches import SearchStore
from shared.clients.table_rows import INDEX, SEARCHES
from shared.domain.errors import NotFoundError, TransientError
from shared.domain.ids import newest_first_key, owner_key
from shared.domain.search import Search, cancelled, complete, enter_phase, request_cancel
from shared.domain.states import Phase
from tests.clients.conftest import Place
from tests.clients.support import T0, a_cluster, a_search, fresh, held_at
from tests.clients.unfinished import (
    again,
    copied,
    deleting,
    failed,
    reconciled,
    steps,
    unfinished,
)
from tests.clients.wire import Rule


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
    def test_an_end_drops_its_index_row_as_it_was_before(
        self,
        place: Place,
        searches: SearchStore,
        clients: AzureClients,
        search: Search,
        end: Callable[[Search], Search],
    ) -> None:
        with place.table.watching() as seen:
            assert searches.update(search.owner, search.job_id, end).is_terminal
        found = steps(seen)
        if end is self.ENDS[1]:  # its results are found by the time at which they expire
            assert found.index(("PATCH", "index")) < found.index(("PATCH", "row"))
            found.remove(("PATCH", "index"))
        assert found == [("GET", "row"), ("GET", "index"), ("PATCH", "row"), ("DELETE", "index")]
        assert seen[-1].headers["If-Match"] not in ("", "*")
        assert copied(clients, search) is None
        assert unfinished(searches, search) == reconciled(searches, search) == []

    def test_it_stands_where_the_index_row_cannot_be_dropped(
        self, place: Place, searches: SearchStore, clients: AzureClients, search: Search
    ) -> None:
        with place.table.breaking(Rule("DELETE", "elbindex", times=9, status=403)):
            assert searches.update(search.owner, search.job_id, failed).is_terminal
        assert unfinished(searches, search) == [search.job_id]
        assert reconciled(searches, search) == []
        assert copied(clients, search) is None

    def test_it_is_not_written_where_the_index_does_not_answer(
        self, place: Place, searches: SearchStore, search: Search
    ) -> None:
        with place.table.breaking(Rule("GET", "elbindex", times=9, status=403)), pytest.raises(TransientError):
            searches.update(search.owner, search.job_id, failed)
        assert searches.get(search.owner, search.job_id) == search

    def test_a_reconcile_that_cannot_drop_it_says_so(self, place: Place, searches: SearchStore, search: Search) -> None:
        with place.table.breaking(Rule("DELETE", "elbindex", times=99, status=403)):
            searches.update(search.owner, search.job_id, failed)
            with pytest.raises(TransientError):
                reconciled(searches, search)

    def test_mending_its_copy_drops_it(
        self, place: Place, searches: SearchStore, clients: AzureClients, search: Search
    ) -> None:
        with place.table.breaking(Rule("DELETE", "elbindex", times=9, status=403)):
            searches.update(search.owner, search.job_id, failed)
        searches.mend_copy(search.owner, search.job_id)
        assert copied(clients, search) is None


class TestDeletions:
    @pytest.fixture(autouse=True)
    def ended(self, searches: SearchStore, search: Search) -> None:
        searches.update(search.owner, search.job_id, failed)
        assert unfinished(searches, search) == []

    def test_one_that_is_being_deleted_is_unfinished(self, searches: SearchStore, search: Search) -> None:
        searches.update(search.owner, search.job_id, deleting)
        for found in (searches.unfinished(search.cluster.key), searches.unfinished_rows(search.cluster.key)):
            assert [(each.phase, each.is_active) for each in found] == [(Phase.DELETING, False)]

    def test_one_that_could_not_be_deleted_waits_for_somebody(
        self, searches: SearchStore, clients: AzureClients, search: Search
    ) -> None:
        searches.update(search.owner, search.job_id, deleting)
        searches.update(search.owner, search.job_id, lambda row: enter_phase(row, Phase.DELETE_FAILED, T0))
        assert copied(clients, search) is None
        assert unfinished(searches, search) == reconciled(searches, search) == []

    def test_mending_the_copy_of_one_that_is_gone(self, searches: SearchStore, search: Search) -> None:
        searches.delete(searches.get(search.owner, search.job_id))
        searches.mend_copy(search.owner, search.job_id)
        with pytest.raises(NotFoundError):
            searches.find(search.job_id)


class TestBeginsAgain:
    def test_it_is_indexed_before_the_row_and_after(self, place: Place, searches: SearchStore, search: Search) -> None:
        searches.update(search.owner, search.job_id, failed)
        with place.table.watching() as seen:
            searches.update(search.owner, search.job_id, again)
        assert steps(seen) == [("GET", "row"), ("PUT", "index"), ("PATCH", "row"), ("PUT", "index")]
        assert unfinished(searches, search) == reconciled(searches, search) == [search.job_id]
        assert [each.attempt for each in searches.unfinished(search.cluster.key)] == [2]

    @pytest.mark.parametrize("begin", [again, deleting])
    @pytest.mark.parametrize("age", [timedelta(minutes=10), timedelta(seconds=-60)], ids=["young", "old"])
    def test_a_reconcile_just_before_the_write_does_no_harm(
        self,
        place: Place,
        searches: SearchStore,
        search: Search,
        monkeypatch: pytest.MonkeyPatch,
        begin: Callable[[Search], Search],
        age: timedelta,
    ) -> None:
        """It leaves the index row to whoever is about to write; one that took its time writes the row again."""
        monkeypatch.setattr(search_index, "ORPHAN_AGE", age)
        searches.update(search.owner, search.job_id, failed)
        with held_at(place.table, "PATCH", "elbsearches", lambda: searches.update(search.owner, search.job_id, begin)):
            assert reconciled(searches, search) == []
            assert unfinished(searches, search) == ([search.job_id] if age > timedelta(0) else [])
        assert unfinished(searches, search) == reconciled(searches, search) == [search.job_id]

    def test_one_whose_host_dies_just_after_the_write_is_found(
        self, place: Place, searches: SearchStore, search: Search
    ) -> None:
        """Also where a reconcile came by just before."""
        searches.update(search.owner, search.job_id, failed)

        def begin() -> Search:
            return searches.update(search.owner, search.job_id, again)

        with ExitStack() as no_more, held_at(place.table, "PATCH", "elbsearches", begin) as beginning:
            assert reconciled(searches, search) == []
            no_more.enter_context(place.table.breaking(Rule("PUT", "elbindex", times=9, status=403)))
        assert beginning.result().attempt == 2
        assert unfinished(searches, search) == reconciled(searches, search) == [search.job_id]

    def test_one_that_was_never_written_is_forgotten_in_time(
        self, place: Place, searches: SearchStore, search: Search, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        searches.update(search.owner, search.job_id, failed)
        with place.table.breaking(Rule("PATCH", "elbsearches", times=9, status=403)), pytest.raises(TransientError):
            searches.update(search.owner, search.job_id, again)
        assert unfinished(searches, search) == [search.job_id]
        monkeypatch.setattr(search_index, "ORPHAN_AGE", timedelta(seconds=-60))
        assert reconciled(searches, search) == unfinished(searches, search) == []

    def test_during_a_reconcile_it_keeps_its_row(self, place: Place, searches: SearchStore, search: Search) -> None:
        """The reconcile has read that the search had ended; its delete then meets a row that was written anew."""
        with place.table.breaking(Rule("DELETE", "elbindex", times=9, status=403)):
            searches.update(search.owner, search.job_id, failed)
        with held_at(place.table, "DELETE", "elbindex", lambda: reconciled(searches, search)) as reconciling:
            searches.update(search.owner, search.job_id, again)
        assert reconciling.result() == []
        assert unfinished(searches, search) == reconciled(searches, search) == [search.job_id]

    def test_between_an_end_and_its_drop_it_keeps_its_row(
        self, place: Place, searches: SearchStore, search: Search
    ) -> None:
        with held_at(
            place.table, "DELETE", "elbindex", lambda: searches.update(search.owner, search.job_id, failed)
        ) as ending:
            searches.update(search.owner, search.job_id, again)
        assert ending.result().phase is Phase.FAILED
        assert unfinished(searches, search) == reconciled(searches, search) == [search.job_id]
        assert [each.attempt for each in searches.unfinished(search.cluster.key)] == [2]


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
        assert reconciled(searches, orphan) == []
        assert copied(clients, orphan) is not None
        assert timedelta(minutes=10) == search_index.ORPHAN_AGE

    def test_an_old_one_is_removed(
        self, searches: SearchStore, clients: AzureClients, orphan: Search, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(search_index, "ORPHAN_AGE", timedelta(seconds=-60))
        assert reconciled(searches, orphan) == []
        assert copied(clients, orphan) is None

    def test_an_old_row_of_an_unfinished_search_is_not(
        self, searches: SearchStore, search: Search, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(search_index, "ORPHAN_AGE", timedelta(seconds=-60))
        assert reconciled(searches, search) == unfinished(searches, search) == [search.job_id]


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
