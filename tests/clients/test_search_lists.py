"""Lists of searches: newest first, page by page, at the cost of the page."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import pytest

from shared.clients.blobs import Blobs
from shared.clients.provider import AzureClients
from shared.clients.search_payloads import STATE_CONTAINER
from shared.clients.search_rows import columns_of, payload_of
from shared.clients.searches import SearchStore
from shared.clients.table_rows import SEARCHES
from shared.domain.ids import newest_first_key, owner_key
from shared.domain.search import Search, complete, fail
from shared.domain.states import Phase
from tests.clients.conftest import Place
from tests.clients.support import T0, a_cluster, a_search, eventually, fresh, newest_minute
from tests.clients.wire import Rule


def put_many(clients: AzureClients, searches: list[Search]) -> None:
    """Write search rows of one owner, without index rows, a hundred in a request."""
    for batch in itertools.batched(searches, 100, strict=False):
        rows = [
            {
                "PartitionKey": owner_key(search.owner),
                "RowKey": f"s:{newest_first_key(search.job_id)}",
                "payload": payload_of(search),
                **columns_of(search),
            }
            for search in batch
        ]
        clients.tables.client(SEARCHES).submit_transaction([("create", row) for row in rows])


def all_pages(searches: SearchStore, owner: str, limit: int) -> list[list[str]]:
    """The ids of every page, in order."""
    pages, cursor = [], None
    while True:
        page, cursor = searches.page(owner, limit, cursor)
        pages.append([search.job_id for search in page])
        if cursor is None:
            return pages


class TestAnOwnersList:
    def test_newest_first_without_gap_or_repeat(self, searches: SearchStore, clients: AzureClients, owner: str) -> None:
        made = [a_search(owner, minute=number) for number in range(23)]
        put_many(clients, made)
        newest = [search.job_id for search in reversed(made)]
        for limit, sizes in ((10, [10, 10, 3]), (23, [23, 0]), (24, [23]), (500, [23])):
            pages = all_pages(searches, owner, limit)
            assert [len(page) for page in pages] == sizes
            assert list(itertools.chain(*pages)) == newest

    def test_rows_that_come_meanwhile_shift_nothing(
        self, searches: SearchStore, clients: AzureClients, owner: str
    ) -> None:
        made = [a_search(owner, minute=number) for number in range(12)]
        put_many(clients, made)
        seen: list[str] = []
        cursor, minute = None, 100
        while True:
            page, cursor = searches.page(owner, 5, cursor)
            seen += [search.job_id for search in page]
            put_many(clients, [a_search(owner, minute=minute)])
            minute += 1
            if cursor is None:
                break
        assert seen == [search.job_id for search in reversed(made)]

    def test_a_page_costs_the_page(
        self, place: Place, searches: SearchStore, clients: AzureClients, owner: str
    ) -> None:
        few, many = fresh("few"), fresh("many")
        put_many(clients, [a_search(few, minute=number) for number in range(20)])
        put_many(clients, [a_search(many, minute=number) for number in range(320)])
        costs = []
        for each in (few, many):
            with place.table.watching() as first:
                _, cursor = searches.page(each, 10, None)
            with place.table.watching() as second:
                searches.page(each, 10, cursor)
            assert len(first) == len(second) == 1
            costs.append(first[0].received)
        assert costs[1] < costs[0] * 1.2

    def test_payloads_stay_where_they_are(self, place: Place, searches: SearchStore, owner: str) -> None:
        searches.create(a_search(owner, labels={"text": "a" * 20_000}))
        searches.create(a_search(owner, labels={"text": "a" * 40_000}))
        with place.table.watching() as rows, place.blob.watching() as content:
            page, _ = searches.page(owner, 10, None)
        assert len(page) == 2
        assert sum(each.received for each in rows) < 10_000
        assert content == []

    def test_columns_come_with_it(self, searches: SearchStore, owner: str) -> None:
        cluster = a_cluster()
        searches.create(a_search(owner, title="t", cluster=cluster, phase=Phase.RUNNING, expected_jobs=4))
        (found,), cursor = searches.page(owner, 10, None)
        assert (found.title, found.cluster, found.phase, found.expected_jobs) == ("t", cluster, Phase.RUNNING, 4)
        assert cursor is None

    def test_nothing_of_another_owner(self, searches: SearchStore, clients: AzureClients, owner: str) -> None:
        others = [fresh("other") for _ in range(5)]
        for each in (owner, *others):
            put_many(clients, [a_search(each, minute=number) for number in range(3)])
        page, _ = searches.page(owner, 500, None)
        assert [search.owner for search in page] == [owner] * 3
        assert searches.page(fresh("nobody"), 10, None) == ([], None)


class TestEverybodysList:
    def test_newest_first_over_all_owners(self, searches: SearchStore) -> None:
        first_minute = newest_minute()
        minutes = range(first_minute, first_minute + 7)
        made = [searches.create(a_search(fresh("owner"), minute=minute))[0].job_id for minute in minutes]
        first, cursor = searches.page_of_all(4, None)
        second, _ = searches.page_of_all(4, cursor)
        assert [search.job_id for search in (*first, *second)][:7] == made[::-1]

    def test_a_row_that_points_at_nothing_is_left_out(
        self, searches: SearchStore, clients: AzureClients, owner: str
    ) -> None:
        newest = a_search(owner, minute=newest_minute())
        searches.create(newest)
        row_key = f"s:{newest_first_key(newest.job_id)}"
        clients.tables.client(SEARCHES).delete_entity(owner_key(owner), row_key)
        page, cursor = searches.page_of_all(1, None)
        assert page == []
        assert cursor == newest_first_key(newest.job_id)


class TestUnfinished:
    def test_oldest_first_and_of_this_cluster_only(self, searches: SearchStore, owner: str) -> None:
        cluster = a_cluster()
        made = [a_search(owner, cluster=cluster, minute=minute, labels={"m": str(minute)}) for minute in (5, 1, 3)]
        for search in (*made, a_search(owner, cluster=a_cluster())):
            searches.create(search)
        oldest = [made[1].job_id, made[2].job_id, made[0].job_id]
        assert [each.job_id for each in searches.unfinished(cluster.key)] == oldest
        assert [each.labels["m"] for each in searches.unfinished_rows(cluster.key)] == ["1", "3", "5"]

    def test_one_request_says_them_all_without_payloads(self, place: Place, searches: SearchStore, owner: str) -> None:
        cluster = a_cluster()
        for length in (20_000, 20_000, 40_000):
            searches.create(a_search(owner, cluster=cluster, labels={"text": "a" * length}))
        for _ in range(5):
            search, _ = searches.create(a_search(owner, cluster=cluster, phase=Phase.EXPORTING))
            searches.update(owner, search.job_id, lambda row: complete(row, T0, T0))
        with place.table.watching() as rows, place.blob.watching() as content:
            assert len(searches.unfinished(cluster.key)) == 3
        assert [(each.method, each.received < 10_000) for each in rows] == [("GET", True)]
        assert content == []

    def test_their_rows_cost_a_read_each_and_are_read_at_the_same_time(
        self, place: Place, searches: SearchStore, owner: str
    ) -> None:
        cluster = a_cluster()
        for _ in range(8):
            searches.create(a_search(owner, cluster=cluster))
        with place.table.watching() as seen:
            assert len(searches.unfinished_rows(cluster.key)) == 8
        assert len(seen) == 9
        gate = threading.Event()
        rule = Rule("GET", "elbsearches", times=8, status=503, gate=gate)
        with place.table.breaking(rule), ThreadPoolExecutor(1) as pool:
            try:
                reading = pool.submit(searches.unfinished_rows, cluster.key)
                eventually(lambda: rule.times == 0, "eight reads that wait at the same time")
            finally:
                gate.set()
            assert len(reading.result(timeout=10)) == 8

    @pytest.mark.parametrize("change", [str.upper, str.lower])
    def test_names_of_clusters_know_no_case(self, searches: SearchStore, owner: str, change: type[str]) -> None:
        cluster = a_cluster(fresh("Mixed"))
        search, _ = searches.create(a_search(owner, cluster=cluster))
        other = a_cluster(change(cluster.cluster_name))
        assert [each.job_id for each in searches.unfinished(other.key)] == [search.job_id]


class TestErrors:
    ERROR: ClassVar[dict[str, Any]] = {
        "code": "c" * 500,
        "message": "m" * 5000,
        "hint": "h" * 5000,
        "job": "j" * 500,
        "exit_code": 137,
    }

    @pytest.fixture
    def failed(self, searches: SearchStore, owner: str) -> Search:
        """A search that failed, with a long log."""
        search, _ = searches.create(a_search(owner, minute=newest_minute(), phase=Phase.RUNNING))
        error = {**self.ERROR, "log_tail": "l" * 50_000, "pod": "p"}
        return searches.update(owner, search.job_id, lambda row: fail(row, error, T0))

    def test_a_list_shows_them_in_short(self, place: Place, searches: SearchStore, failed: Search) -> None:
        lengths = {"code": 100, "message": 1000, "hint": 1000, "job": 100}
        short = {name: self.ERROR[name][:length] for name, length in lengths.items()} | {"exit_code": 137}
        with place.table.watching() as rows, place.blob.watching() as content:
            (own,), (everybodys,) = searches.page(failed.owner, 1, None)[0], searches.page_of_all(1, None)[0]
        assert own.error == everybodys.error == short
        assert sum(each.received for each in rows) < 10_000
        assert content == []

    def test_the_detail_shows_them_whole(self, searches: SearchStore, failed: Search) -> None:
        error = searches.get(failed.owner, failed.job_id).error or {}
        assert (len(error["log_tail"]), error["message"], error["pod"]) == (50_000, self.ERROR["message"], "p")

    def test_none_is_none(self, searches: SearchStore, owner: str) -> None:
        searches.create(a_search(owner))
        assert searches.page(owner, 1, None)[0][0].error is None

    def test_one_whose_log_is_lost_is_listed_all_the_same(
        self, searches: SearchStore, blobs: Blobs, failed: Search
    ) -> None:
        blobs.delete(STATE_CONTAINER, [blob.name for blob in blobs.listing(STATE_CONTAINER, f"{failed.job_id}/")])
        for page, _ in (searches.page(failed.owner, 1, None), searches.page_of_all(1, None)):
            assert [each.job_id for each in page] == [failed.job_id]
