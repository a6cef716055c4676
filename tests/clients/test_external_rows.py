"""Rows of searches whose ids others made: in their place by time, found by their id, made once whoever comes first."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.clients.provider import AzureClients
from shared.clients.searches import SearchStore
from shared.clients.table_rows import INDEX, SEARCHES
from shared.domain.errors import ConflictError, NotFoundError
from shared.domain.ids import owner_key, row_key
from shared.domain.search import Search, fail
from shared.domain.states import Phase
from tests.clients.conftest import Place
from tests.clients.support import T0, a_cluster, a_search, at_once, fresh


def a_foreign(owner: str, *, minute: int = 0, job_id: str = "", **more: object) -> Search:
    """A search begun outside so many minutes after T0."""
    given = {"job_id": job_id or fresh("run"), "engine": "external", "source": "external"}
    return replace(a_search(owner, minute=minute), **(given | more))  # type: ignore[arg-type]  # fields of a search


@pytest.fixture
def store(place: Place) -> SearchStore:
    """Another process's store: nothing is cached in it."""
    return AzureClients(place.settings()).searches


class TestPlace:
    """They sort by when they began, between those of the product."""

    @pytest.fixture
    def ids(self, searches: SearchStore, owner: str) -> list[str]:
        """Ids, newest first, of searches of both kinds."""
        made = [a_search(owner, minute=n) if n % 2 else a_foreign(owner, minute=n) for n in (2, 0, 3, 1)]
        for search in made:
            searches.create(search)
        return [search.job_id for search in sorted(made, key=lambda s: s.created_at, reverse=True)]

    def test_in_an_owner_s_list(self, searches: SearchStore, owner: str, ids: list[str]) -> None:
        assert [s.job_id for s in searches.page(owner, 10, None)[0]] == ids

    def test_over_pages(self, searches: SearchStore, owner: str, ids: list[str]) -> None:
        seen, after = [], None
        for _ in ids:
            [search], after = searches.page(owner, 1, after)
            seen.append(search.job_id)
        assert seen == ids

    def test_in_everybody_s_list(self, searches: SearchStore, ids: list[str]) -> None:
        everybody = [s.job_id for s in searches.page_of_all(500, None)[0]]
        assert [job_id for job_id in everybody if job_id in ids] == ids


class TestFound:
    @pytest.fixture
    def search(self, searches: SearchStore, owner: str) -> Search:
        """A row."""
        return searches.create(a_foreign(owner, cluster=a_cluster(), phase=Phase.RUNNING))[0]

    @pytest.mark.proves("T7")
    def test_by_its_id_in_any_process(self, searches: SearchStore, store: SearchStore, search: Search) -> None:
        for each in (searches, store):
            assert each.find(search.job_id) == search
            assert each.get(search.owner, search.job_id) == search

    @pytest.mark.proves("T7")
    def test_by_an_alias(self, searches: SearchStore, store: SearchStore, search: Search) -> None:
        alias = fresh("alias")
        assert searches.add_alias(search.owner, search.job_id, alias)
        assert store.find(alias).job_id == search.job_id

    def test_its_key_is_read_once(self, place: Place, store: SearchStore, search: Search) -> None:
        with place.table.watching() as seen:
            for _ in range(3):
                store.get(search.owner, search.job_id)
        reads = [each.path for each in seen if "PartitionKey" in each.path]  # the others make sure of the tables
        assert ["elbindex" in path for path in reads] == [True, False, False, False]

    def test_among_the_unfinished_of_its_cluster(self, searches: SearchStore, search: Search) -> None:
        assert [s.job_id for s in searches.unfinished(search.cluster.key)] == [search.job_id]
        assert [s.job_id for s in searches.unfinished_rows(search.cluster.key)] == [search.job_id]

    def test_it_can_be_changed_and_ended(self, store: SearchStore, searches: SearchStore, search: Search) -> None:
        store.update(search.owner, search.job_id, lambda row: replace(row, title="new"))
        after = searches.update(search.owner, search.job_id, lambda row: fail(row, {"code": "x"}, T0))
        assert (after.title, after.phase) == ("new", Phase.FAILED)
        assert store.unfinished(search.cluster.key) == []

    def test_deleted_it_leaves_nothing(self, clients: AzureClients, store: SearchStore, search: Search) -> None:
        store.delete(store.find(search.job_id))
        query = {"query_filter": "job_id eq @j", "parameters": {"j": search.job_id}}
        assert [list(clients.tables.client(table).query_entities(**query)) for table in (INDEX, SEARCHES)] == [[], []]
        with pytest.raises(NotFoundError):
            store.find(search.job_id)

    def test_begun_again_it_is_found_where_it_is_now(
        self, searches: SearchStore, store: SearchStore, search: Search
    ) -> None:
        """Another process remembers where the deleted one was."""
        store.get(search.owner, search.job_id)
        searches.delete(search)
        again, created = searches.create(a_foreign(search.owner, minute=9, job_id=search.job_id))
        assert created
        assert store.get(search.owner, search.job_id) == again
        searches.delete(again)
        with pytest.raises(NotFoundError):
            store.get(search.owner, search.job_id)


@pytest.mark.proves("F7")
class TestMadeOnce:
    """Two hosts see the same Jobs, or not quite the same: the first of them may be gone meanwhile."""

    def test_by_two_at_once(self, place: Place, clients: AzureClients, owner: str) -> None:
        job_id, stores = fresh("run"), [AzureClients(place.settings()).searches for _ in range(4)]
        made = at_once(4, lambda n: stores[n].create(a_foreign(owner, minute=n, job_id=job_id)))
        assert sorted(created for _, created in made) == [False, False, False, True]
        assert len({search.created_at for search, _ in made}) == 1
        for table, count in ((SEARCHES, 1), (INDEX, 3)):
            query = {"query_filter": "job_id eq @j", "parameters": {"j": job_id}}
            assert len(list(clients.tables.client(table).query_entities(**query))) == count
        assert [s.job_id for s in stores[0].page(owner, 9, None)[0]] == [job_id]

    def test_what_a_host_that_died_began_is_gone_on_with(
        self, searches: SearchStore, clients: AzureClients, store: SearchStore, owner: str
    ) -> None:
        search, _ = searches.create(a_foreign(owner, minute=1))
        key = f"s:{row_key(search.job_id, search.created_at)}"
        clients.tables.client(SEARCHES).delete_entity(owner_key(owner), key)
        with pytest.raises(NotFoundError):
            store.find(search.job_id)
        again, created = store.create(a_foreign(owner, minute=5, job_id=search.job_id))
        assert (created, again.created_at) == (True, search.created_at)
        assert store.find(search.job_id) == again

    def test_the_first_owner_stays(self, searches: SearchStore, store: SearchStore, owner: str) -> None:
        """Two hosts may have different settings for a moment."""
        first, _ = searches.create(a_foreign(owner))
        second, created = store.create(a_foreign(fresh("other"), job_id=first.job_id))
        assert (second, created) == (first, False)

    def test_an_id_that_is_another_search_s_alias_is_taken(
        self, searches: SearchStore, store: SearchStore, owner: str
    ) -> None:
        other, _ = searches.create(a_search(owner))
        alias = fresh("alias")
        searches.add_alias(owner, other.job_id, alias)
        with pytest.raises(ConflictError) as taken:
            store.create(a_foreign(owner, job_id=alias))
        assert taken.value.code == "id_taken"
        assert store.find(alias).job_id == other.job_id

    def test_an_id_of_our_form_from_a_uuid_of_another_version(self, searches: SearchStore, owner: str) -> None:
        """elastic-blast makes its own ids from a UUIDv4."""
        job_id = f"job-{hashlib.sha256(fresh('x').encode()).hexdigest()[:12]}4{'b' * 19}"
        early, _ = searches.create(a_foreign(owner, minute=1, job_id=job_id))
        late, _ = searches.create(a_search(owner, minute=2))
        assert [s.job_id for s in searches.page(owner, 9, None)[0]] == [late.job_id, early.job_id]

    def test_microseconds_do_not_lose_it(self, searches: SearchStore, store: SearchStore, owner: str) -> None:
        at = T0 + timedelta(microseconds=999_999)
        made, _ = searches.create(a_foreign(owner, created_at=at))
        assert store.find(made.job_id) == made
        assert made.created_at == T0 + timedelta(milliseconds=999)
