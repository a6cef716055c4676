"""One search in Azure Tables: written, found, written once whatever is sent again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.clients.provider import AzureClients
from shared.clients.search_migrations import SCHEMA
from shared.clients.search_rows import COLUMNS, columns_of
from shared.clients.searches import IdempotencyKey, SearchStore
from shared.clients.table_rows import INDEX, SEARCHES, key_part
from shared.domain.errors import ConflictError, NotFoundError, TransientError
from shared.domain.ids import content_key, newest_first_key, owner_key
from shared.domain.search import Search, enter_phase
from shared.domain.states import Phase
from tests.clients.conftest import Place
from tests.clients.support import T0, a_cluster, a_search, at_once, fresh
from tests.clients.wire import Rule


def index_rows(clients: AzureClients, search: Search) -> int:
    """How many of a search's three index rows there are."""
    index = clients.tables.client(INDEX)
    query = "job_id eq @j"
    return len(list(index.query_entities(query, parameters={"j": search.job_id})))


def a_key(body: str = "body") -> IdempotencyKey:
    return IdempotencyKey(content_key("submit", fresh("key")), content_key(body))


class TestCreate:
    def test_everything_comes_back(self, searches: SearchStore, owner: str) -> None:
        search = replace(
            a_search(owner, title="Käfer 🪲", labels={"a": "b"}, options={"evalue": 1e-5}, source="api"),
            started_at=T0,
            expected_jobs=0,
            jobs_created_at=T0 + timedelta(milliseconds=7),
            error={"code": "x"},
            jobs=({"name": "j"},),
            query={"blob": "q"},
            plan={"shards": 3},
            waiting_reason="a reason",
            waiting_since=T0 + timedelta(seconds=1),
            outcome="failed",
            outcome_at=T0 + timedelta(seconds=2),
            seen_digest="0123456789abcdef",
            failure={"code": "y"},
            attempt=2,
            run=3,
            first_run=2,
        )
        search = enter_phase(search, Phase.PREPARING, T0)
        made, created = searches.create(search)
        assert created
        assert made.etag
        for found in (made, searches.get(owner, search.job_id), searches.find(search.job_id)):
            assert replace(found, etag="", schema=0) == search
            assert found.schema == SCHEMA

    def test_an_unknown_id_is_not_found(self, searches: SearchStore, owner: str) -> None:
        with pytest.raises(NotFoundError):
            searches.find(a_search(owner).job_id)
        with pytest.raises(NotFoundError):
            searches.get(owner, a_search(owner).job_id)
        with pytest.raises(NotFoundError):
            searches.update(owner, a_search(owner).job_id, lambda search: replace(search, title="x"))

    def test_another_owner_does_not_have_it(self, searches: SearchStore, owner: str) -> None:
        search, _ = searches.create(a_search(owner))
        with pytest.raises(NotFoundError):
            searches.get(fresh("other"), search.job_id)

    def test_finding_takes_two_reads(self, place: Place, searches: SearchStore, owner: str) -> None:
        search, _ = searches.create(a_search(owner))
        with place.table.watching() as seen:
            searches.find(search.job_id)
        assert [each.method for each in seen] == ["GET", "GET"]

    def test_all_columns_are_listed(self, owner: str) -> None:
        assert set(columns_of(a_search(owner))) == set(COLUMNS)


class TestSameKey:
    def test_later_gives_the_first_search(self, searches: SearchStore, clients: AzureClients, owner: str) -> None:
        key = a_key()
        first, created = searches.create(a_search(owner), key)
        assert created
        late = a_search(owner)
        second, created = searches.create(late, key)
        assert not created
        assert second.job_id == first.job_id
        assert index_rows(clients, late) == 0
        assert index_rows(clients, first) == 3

    def test_fifty_at_once_give_one_search(self, searches: SearchStore, clients: AzureClients, owner: str) -> None:
        key, wanted = a_key(), [a_search(owner, cluster=a_cluster()) for _ in range(50)]
        made = at_once(50, lambda number: searches.create(wanted[number], key))
        assert [created for _, created in made].count(True) == 1
        (job_id,) = {search.job_id for search, _ in made}
        rows = clients.tables.client(SEARCHES).query_entities("PartitionKey eq @p", parameters={"p": owner_key(owner)})
        assert sorted(row["RowKey"] for row in rows) == [f"i:{key.key}", f"s:{newest_first_key(job_id)}"]
        assert searches.find(job_id).job_id == job_id
        assert {search.job_id: index_rows(clients, search) for search in wanted} == {
            search.job_id: 3 if search.job_id == job_id else 0 for search in wanted
        }

    def test_another_body_is_refused(self, searches: SearchStore, clients: AzureClients, owner: str) -> None:
        key = a_key()
        searches.create(a_search(owner), key)
        other = a_search(owner)
        with pytest.raises(ConflictError) as caught:
            searches.create(other, IdempotencyKey(key.key, content_key("another body")))
        assert (caught.value.code, caught.value.status) == ("idempotency_key_reused", 409)
        assert index_rows(clients, other) == 0

    def test_other_bodies_at_once_leave_nothing(self, searches: SearchStore, clients: AzureClients, owner: str) -> None:
        key, wanted = a_key(), [a_search(owner) for _ in range(8)]

        def create(number: int) -> Search | ConflictError:
            try:
                return searches.create(wanted[number], IdempotencyKey(key.key, f"body {number}"))[0]
            except ConflictError as error:
                return error

        made = at_once(8, create)
        (won,) = [each for each in made if isinstance(each, Search)]
        assert {each.code for each in made if isinstance(each, ConflictError)} == {"idempotency_key_reused"}
        assert [index_rows(clients, each) for each in wanted] == [
            3 if each.job_id == won.job_id else 0 for each in wanted
        ]

    def test_it_can_be_asked_for_before_anything_is_written(self, searches: SearchStore, owner: str) -> None:
        key = a_key()
        assert searches.known(owner, key) is None
        search, _ = searches.create(replace(a_search(owner), idempotency_key=key.key), key)
        assert searches.known(owner, key) == search
        assert searches.known(fresh("other"), key) is None
        with pytest.raises(ConflictError, match="idempotency_key_reused"):
            searches.known(owner, IdempotencyKey(key.key, content_key("another body")))
        searches.delete(search)
        assert searches.known(owner, key) is None

    def test_it_is_the_owners_own(self, searches: SearchStore, owner: str) -> None:
        key = a_key()
        first, _ = searches.create(a_search(owner), key)
        other, created = searches.create(a_search(fresh("other")), IdempotencyKey(key.key, "another body"))
        assert created
        assert other.job_id != first.job_id


class TestLostAnswer:
    @pytest.mark.parametrize("with_key", [True, False])
    def test_a_transaction_that_is_sent_again_is_our_own(
        self, place: Place, searches: SearchStore, clients: AzureClients, owner: str, with_key: bool
    ) -> None:
        search = a_search(owner)
        rule = Rule("POST", r"\$batch", status=503, forward=True)
        with place.table.breaking(rule), place.table.watching() as seen:
            made, created = searches.create(search, a_key() if with_key else None)
        assert [each.status for each in seen if "$batch" in each.path][:2] == [503, 202]
        assert created
        assert made.job_id == search.job_id
        assert index_rows(clients, search) == 3

    def test_a_broken_connection_leaves_a_search_that_the_next_try_finds(
        self, place: Place, searches: SearchStore, clients: AzureClients, owner: str
    ) -> None:
        search, key = a_search(owner), a_key()
        rule = Rule("POST", r"\$batch", times=9, forward=True)
        with place.table.breaking(rule), pytest.raises(TransientError) as caught:
            searches.create(search, key)
        assert caught.value.code == "state_unavailable"
        assert index_rows(clients, search) == 3
        again, created = searches.create(a_search(owner), key)
        assert not created
        assert again.job_id == search.job_id
        assert searches.find(search.job_id).job_id == search.job_id

    def test_an_update_that_is_sent_again_is_written_once(
        self, place: Place, searches: SearchStore, owner: str
    ) -> None:
        search, _ = searches.create(a_search(owner))
        with place.table.breaking(Rule("PATCH", "elbsearches", status=503, forward=True)):
            searches.update(owner, search.job_id, lambda row: replace(row, title="new", attempt=2))
        found = searches.get(owner, search.job_id)
        assert (found.title, found.attempt) == ("new", 2)


HOSTILE = [
    "o'brien' or PartitionKey ne '",
    "a/b\\c#d?e",
    "../../x",
    "%2f%00",
    "Łódź 🧬\u202e",
    "tab\tnewline\n",
    "') or ('1' eq '1",
    "x" * 5000,
    "s;",
]


class TestHostileTexts:
    @pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
    def test_as_an_owner(self, searches: SearchStore, text: str) -> None:
        mine = f"{text}{fresh('')}"
        search, _ = searches.create(a_search(mine), IdempotencyKey(content_key(text), content_key(text)))
        assert searches.find(search.job_id).owner == mine
        assert [each.job_id for each in searches.page(mine, 10, None)[0]] == [search.job_id]
        assert searches.page(mine + "'", 10, None) == ([], None)

    @pytest.mark.parametrize("text", [*HOSTILE, "", "\ud800"], ids=range(len(HOSTILE) + 2))
    def test_as_an_id(self, searches: SearchStore, text: str) -> None:
        with pytest.raises(NotFoundError):
            searches.find(text)

    @pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
    def test_as_an_id_of_other_origin(self, searches: SearchStore, owner: str, text: str) -> None:
        job_id = f"{text}{fresh('')}"
        searches.create(replace(a_search(owner, cluster=a_cluster()), job_id=job_id))
        assert searches.find(job_id).job_id == job_id

    @pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
    def test_as_a_cluster(self, searches: SearchStore, owner: str, text: str) -> None:
        cluster = a_cluster(f"{text}{fresh('')}")
        search, _ = searches.create(a_search(owner, cluster=cluster))
        assert [each.job_id for each in searches.unfinished(cluster.key)] == [search.job_id]
        assert searches.unfinished(a_cluster(cluster.cluster_name + "'").key) == []

    def test_different_texts_make_different_keys(self) -> None:
        texts = [*HOSTILE, "/0", "\u02f0", "%00002f0", "x" * 5001, "~", ""]
        keys = {key_part(text) for text in texts}
        assert len(keys) == len(texts)
        assert all(len(key) <= 400 and key.isascii() and key.isprintable() for key in keys)
        assert not any(set("/\\#?") & set(key) for key in keys)

    def test_a_cursor_cannot_leave_the_searches(self, searches: SearchStore, owner: str) -> None:
        search, _ = searches.create(a_search(owner), a_key())
        for cursor in ("", "i:", "A", "' or PartitionKey ne '"):
            assert {each.job_id for each in searches.page(owner, 10, cursor)[0]} == {search.job_id}
        for cursor in ("t", "s;", "~"):
            assert searches.page(owner, 10, cursor) == ([], None)
