"""Lists of searches that are asked for by status, program, database and title: right, and at the cost of a page."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from shared.clients.provider import AzureClients
from shared.clients.search_lists import MAX_SCANNED
from shared.clients.searches import SearchStore
from shared.clients.table_rows import INDEX
from shared.domain.ids import row_key
from shared.domain.search import Search
from shared.domain.search_filter import EVERYTHING, SearchFilter
from shared.domain.states import Phase
from tests.clients.conftest import Place
from tests.clients.support import a_search, fresh, newest_minute
from tests.clients.test_search_lists import put_many
from tests.clients.wire import Seen

PROGRAMS = ("blastn", "blastp")
DATABASES = ("core_nt", "o'brien's / 16S")
TITLES = ("", "Coral reef", "CORAL bleaching", "100% Käfer", "a'b & c")
RARE = "the only one of its name"
MANY = 2 * MAX_SCANNED + 100
PHASES = (Phase.RUNNING, Phase.SUBMITTED, Phase.FAILED, Phase.COMPLETED)
FILTERS = [
    SearchFilter(*asked)
    for asked in itertools.product(
        ("", "running", "failed"), ("", "blastp"), ("", DATABASES[1]), ("", "coral", "'B & ")
    )
]


def generated(owner: str, count: int, seed: int = 7) -> list[Search]:
    """Searches of all kinds, oldest first."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    return [
        a_search(
            owner,
            minute=number,
            program=chance.choice(PROGRAMS),
            database=chance.choice(DATABASES),
            title=chance.choice(TITLES),
            phase=chance.choice(PHASES),
        )
        for number in range(count)
    ]


def pages(ask: Callable[[str | None], tuple[list[Search], str | None]], most: int = 1000) -> list[list[Search]]:
    """Every page, until there is no cursor."""
    found: list[list[Search]] = []
    cursor = None
    while len(found) < most:
        page, cursor = ask(cursor)
        found.append(page)
        if cursor is None:
            return found
    raise AssertionError("there is no end of it")


def ids(searches: list[Search]) -> list[str]:
    return [search.job_id for search in searches]


@pytest.fixture(scope="module")
def made(clients: AzureClients) -> list[Search]:
    """Sixty searches of one owner, newest first."""
    made = generated(fresh("filtered"), 60)
    put_many(clients, made)
    return made[::-1]


@pytest.fixture(scope="module")
def owners(clients: AzureClients) -> tuple[str, str]:
    """One with a hundred searches and one with very many; the oldest of each has a rare database and title."""
    named = fresh("hundred"), fresh("thousands")
    for owner, count in zip(named, (100, MANY), strict=True):
        oldest, *others = generated(owner, count)
        put_many(clients, [replace(oldest, database="rare", title=RARE), *others])
    return named


class TestAnOwnersList:
    @pytest.mark.parametrize("where", FILTERS, ids=str)
    def test_it_shows_what_the_filter_matches(
        self, searches: SearchStore, made: list[Search], where: SearchFilter
    ) -> None:
        wanted = ids([search for search in made if where.matches(search)])
        for limit in (1, 7, 60, 500):
            found = pages(lambda cursor, limit=limit: searches.page(made[0].owner, limit, cursor, where))  # type: ignore[misc]
            assert ids(list(itertools.chain(*found))) == wanted
            assert all(len(page) == limit for page in found[:-1])

    def test_the_filters_find_something(self, made: list[Search]) -> None:
        counts = [sum(where.matches(search) for search in made) for where in FILTERS]
        assert sum(count > 0 for count in counts) > len(FILTERS) / 2
        assert counts[FILTERS.index(EVERYTHING)] == len(made)

    @pytest.mark.parametrize("text", ["' or PartitionKey ne '", "x' or true or '", "\u202e", "%00", "a" * 5000])
    def test_no_value_leaves_the_owners_searches(self, searches: SearchStore, made: list[Search], text: str) -> None:
        for where in (SearchFilter(program=text), SearchFilter(database=text), SearchFilter(text=text)):
            assert searches.page(made[0].owner, 10, None, where) == ([], None)

    def test_a_value_of_hostile_form_is_found(self, searches: SearchStore, clients: AzureClients, owner: str) -> None:
        wanted = a_search(owner, database="' or PartitionKey ne '", title="' or '")
        put_many(clients, [wanted, a_search(owner, minute=1)])
        for where in (SearchFilter(database=wanted.database), SearchFilter(text=wanted.title)):
            assert ids(searches.page(owner, 10, None, where)[0]) == [wanted.job_id]


class TestCost:
    @pytest.mark.parametrize("where", [EVERYTHING, SearchFilter("failed"), SearchFilter(database="rare")], ids=str)
    def test_a_page_is_one_request_whatever_the_total(
        self, place: Place, searches: SearchStore, owners: tuple[str, str], where: SearchFilter
    ) -> None:
        costs: list[list[Seen]] = []
        for owner in owners:
            with place.table.watching() as seen:
                found, _ = searches.page(owner, 10, None, where)
            assert found
            costs.append(seen)
        few, many = costs
        assert len(few) == len(many) == 1
        assert many[0].received < 1.3 * few[0].received

    def test_a_title_is_looked_for_in_so_many_rows_a_call(
        self, place: Place, searches: SearchStore, owners: tuple[str, str]
    ) -> None:
        asked = SearchFilter(text=RARE.upper())
        seen: list[list[Seen]] = []

        def page(cursor: str | None) -> tuple[list[Search], str | None]:
            with place.table.watching() as requests:
                found = searches.page(owners[1], 10, cursor, asked)
            seen.append(requests)
            return found

        found = pages(page)
        assert [len(each) for each in found] == [0, 0, 1]
        assert found[-1][0].title == RARE
        assert [len(requests) for requests in seen] == [1, 1, 1]

    def test_a_short_page_goes_on_where_it_stopped(self, searches: SearchStore, owners: tuple[str, str]) -> None:
        """A common title: every page is full, and none of the matches is lost between two of them."""
        found = pages(lambda cursor: searches.page(owners[1], 90, cursor, SearchFilter(text="coral")))
        wanted = [s for s in generated("of nobody", MANY)[1:] if "coral" in s.title.lower()]
        shown = list(itertools.chain(*found))
        assert len(shown) == len(set(ids(shown))) == len(wanted)
        assert [search.created_at for search in shown] == [search.created_at for search in wanted[::-1]]

    def test_a_page_of_everybody_costs_a_read_for_each_of_its_rows(
        self, place: Place, searches: SearchStore, clients: AzureClients
    ) -> None:
        first = newest_minute()
        newest = [searches.create(a_search(fresh("owner"), minute=first + n))[0] for n in range(10)]
        counts = []
        for total in (0, 1000):
            put_old_index_rows(clients, total)
            with place.table.watching() as seen:
                found, cursor = searches.page_of_all(10, None)
            assert ids(found) == ids(newest[::-1])
            assert cursor is not None
            counts.append(len(seen))
        assert counts == [11, 11]


def put_old_index_rows(clients: AzureClients, count: int) -> None:
    """Rows in everybody's list that come after those of all other tests and point at nothing."""
    made = [a_search("nobody", minute=-1_000_000 - number) for number in range(count)]
    for batch in itertools.batched(made, 100, strict=False):
        rows: list[dict[str, Any]] = [
            {"PartitionKey": "all", "RowKey": row_key(s.job_id, s.created_at), "owner": s.owner, "job_id": s.job_id}
            for s in batch
        ]
        clients.tables.client(INDEX).submit_transaction([("create", row) for row in rows])


class TestEverybodysList:
    def test_it_is_filtered_after_it_was_read_page_by_page(self, searches: SearchStore) -> None:
        first = newest_minute()
        made = [
            replace(a_search(fresh("owner"), minute=first + n), program=s.program, title=s.title, phase=s.phase)
            for n, s in enumerate(generated("of nobody", 20))
        ]
        for search in made:
            searches.create(search)
        for where in (
            SearchFilter("running"),
            SearchFilter(program="blastp", text="coral"),
            SearchFilter(text="no such"),
        ):
            found: list[Search] = []
            cursor = None
            for _ in range(4):  # pages of five rows each, of which some are shown
                page, cursor = searches.page_of_all(5, cursor, where)
                assert len(page) <= 5
                found += page
            assert ids(found) == ids([search for search in reversed(made) if where.matches(search)])
