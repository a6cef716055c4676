"""The outbox on Azure Tables: an event is written with its search's end or not at all, and found until it is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from shared.clients.outbox import OUTBOX, TableOutbox
from shared.clients.provider import AzureClients, use
from shared.clients.search_store import TableSearchStore
from shared.clients.searches import SearchStore
from shared.clients.table_rows import INDEX, SEARCHES, Tables
from shared.clients.webhook_delivery import deliver
from shared.domain.errors import NotFoundError
from shared.domain.ids import owner_key
from shared.domain.search import Search, complete, fail, retried
from shared.domain.states import Phase
from shared.domain.webhooks import ANNOUNCED_AGE, LEASE, Answer, Delivery, announced, claimed, ended_event
from tests.activities.fake_outbox import FakeReceivers
from tests.activities.fakes import World
from tests.activities.worlds import new_world
from tests.clients.conftest import Place
from tests.clients.support import T0, a_search, at_once, fresh

URL = "https://hooks.example.org/in?token=T0KEN"
ERROR = {"code": "broken", "message": "it is broken", "hint": ""}
DAY = timedelta(days=1)


@pytest.fixture
def outbox(clients: AzureClients) -> TableOutbox:
    """The outbox, which all tests share."""
    return TableOutbox(clients.tables)


def begun(searches: SearchStore, owner: str, **more: Any) -> Search:
    """A search whose results are being exported, and whose end somebody wants to know."""
    usual = {"phase": Phase.EXPORTING, "webhook_url": URL}
    return searches.create(a_search(owner, **(usual | more)))[0]


def ended(searches: SearchStore, search: Search) -> Search:
    """The search, completed."""
    return searches.update(search.owner, search.job_id, lambda row: complete(row, T0, T0 + DAY))


def event_rows(clients: AzureClients, owner: str) -> list[str]:
    """The row keys of the events that an owner's searches have."""
    query, parameters = "PartitionKey eq @p and RowKey ge 'w:' and RowKey lt 'w;'", {"p": owner_key(owner)}
    return [row["RowKey"] for row in clients.tables.client(SEARCHES).query_entities(query, parameters=parameters)]


def waiting(outbox: TableOutbox, search: Search) -> Delivery:
    """The search's row of the outbox."""
    row = outbox.read(search.job_id)
    assert row is not None
    return row


class TestEnd:
    def test_the_url_comes_back(self, searches: SearchStore, owner: str) -> None:
        search = begun(searches, owner)
        assert searches.get(owner, search.job_id).webhook_url == URL
        assert searches.find(search.job_id).webhook_url == URL

    def test_an_end_puts_its_event_in(self, searches: SearchStore, outbox: TableOutbox, owner: str) -> None:
        before = begun(searches, owner)
        after = ended(searches, before)
        row = waiting(outbox, before)
        assert (row.job_id, row.owner, row.host, row.next_at, row.announced) == (
            before.job_id,
            owner,
            "hooks.example.org",
            T0,
            1,
        )
        assert outbox.first_event(row) == ended_event(before, after)

    def test_no_other_change_does(self, searches: SearchStore, outbox: TableOutbox, owner: str) -> None:
        search = begun(searches, owner)
        searches.update(owner, search.job_id, lambda row: replace(row, title="another"))
        assert outbox.read(search.job_id) is None

    def test_a_search_of_which_nobody_wants_to_know_costs_what_it_did(
        self, place: Place, searches: SearchStore, owner: str
    ) -> None:
        search = begun(searches, owner, webhook_url="")
        with place.table.watching() as seen:
            ended(searches, search)
        assert not [request for request in seen if OUTBOX in request.path or "$batch" in request.path]

    def test_row_and_event_are_one_transaction(self, place: Place, searches: SearchStore, owner: str) -> None:
        search = begun(searches, owner)
        with place.table.watching() as seen:
            ended(searches, search)
        [batch] = [request for request in seen if "$batch" in request.path]
        assert b'"phase": "completed"' in batch.body
        assert f"w:{search.job_id}:0000000001".encode() in batch.body

    def test_a_change_that_lost_leaves_no_event(
        self, clients: AzureClients, searches: SearchStore, outbox: TableOutbox, owner: str
    ) -> None:
        """Somebody cancels it between the read and the write; the end then is another one."""
        search = begun(searches, owner)
        tries = 0

        def change(row: Search) -> Search:
            nonlocal tries
            tries += 1
            if tries > 1:
                return row  # it is being cancelled, and does not end now
            searches.update(owner, row.job_id, lambda other: replace(other, phase=Phase.CANCELLING))
            return fail(row, ERROR, T0)

        searches.update(owner, search.job_id, change)
        assert tries == 2
        assert event_rows(clients, owner) == []
        row = waiting(outbox, search)
        assert row.written_at is not None
        assert not row.is_over(row.written_at)
        assert row.is_over(row.written_at + ANNOUNCED_AGE + timedelta(seconds=1))

    def test_a_search_that_is_deleted_while_it_ends_is_not_found(
        self, clients: AzureClients, searches: SearchStore, owner: str
    ) -> None:
        search = begun(searches, owner)

        def change(row: Search) -> Search:
            searches.delete(row)
            return fail(row, ERROR, T0)

        with pytest.raises(NotFoundError):
            searches.update(owner, search.job_id, change)
        assert event_rows(clients, owner) == []

    def test_several_that_end_it_at_once_make_one_event(
        self, clients: AzureClients, searches: SearchStore, owner: str
    ) -> None:
        search = begun(searches, owner)
        at_once(4, lambda _: ended(searches, search))
        assert len(event_rows(clients, owner)) == 1

    def test_events_of_attempts_are_in_order(self, searches: SearchStore, outbox: TableOutbox, owner: str) -> None:
        search = begun(searches, owner, attempt=9)
        searches.update(owner, search.job_id, lambda row: fail(row, ERROR, T0))
        searches.update(owner, search.job_id, lambda row: replace(retried(row, T0), phase=Phase.EXPORTING))
        ended(searches, search)
        row = waiting(outbox, search)
        assert row.announced == 10
        found = []
        while (event := outbox.first_event(row)) is not None:
            found.append((event.attempt, event.type))
            assert outbox.remove_event(event)
            assert not outbox.remove_event(event)
        assert found == [(9, "search.failed"), (10, "search.completed")]

    def test_events_are_no_rows_of_lists(self, searches: SearchStore, owner: str) -> None:
        search = begun(searches, owner)
        ended(searches, search)
        assert [found.job_id for found in searches.page(owner, 10, None)[0]] == [search.job_id]

    def test_a_delete_takes_everything(
        self, clients: AzureClients, searches: SearchStore, outbox: TableOutbox, owner: str
    ) -> None:
        search, other = begun(searches, owner), begun(searches, owner)
        for one in (search, other):
            ended(searches, one)
        searches.delete(searches.get(owner, search.job_id))
        assert outbox.read(search.job_id) is None
        assert [key.split(":")[1] for key in event_rows(clients, owner)] == [other.job_id]
        searches.delete(searches.get(owner, other.job_id))
        assert event_rows(clients, owner) == []


class TestRows:
    def an_event(self, owner: str) -> Any:
        before = a_search(owner, phase=Phase.EXPORTING, webhook_url=URL)
        return ended_event(before, complete(before, T0, T0))

    def test_due_from_its_time_on(self, outbox: TableOutbox, owner: str) -> None:
        row = outbox.write(announced(self.an_event(owner), None))
        assert row is not None
        later = outbox.write(replace(row, next_at=T0 + timedelta(milliseconds=1)))
        assert later is not None
        for at, due in ((T0, False), (T0 + timedelta(milliseconds=1), True), (T0 + DAY, True)):
            assert (row.job_id in {found.job_id for found in outbox.due(at)}) is due

    def test_everything_comes_back(self, outbox: TableOutbox, owner: str) -> None:
        row = outbox.write(claimed(announced(self.an_event(owner), None), 1, T0 + timedelta(microseconds=5678)))
        assert row is not None
        read = outbox.read(row.job_id)
        assert read is not None
        assert read.written_at is not None
        # The time of the first try counts in hours: a millisecond less does not matter.
        assert replace(read, written_at=None) == replace(row, first_try_at=read.first_try_at)
        assert read.first_try_at == T0 + timedelta(milliseconds=5)

    def test_who_read_an_older_one_writes_nothing(self, outbox: TableOutbox, owner: str) -> None:
        first = outbox.write(announced(self.an_event(owner), None))
        assert first is not None
        second = outbox.write(replace(first, tries=1))
        assert second is not None
        assert outbox.write(replace(first, tries=2)) is None
        assert outbox.write(replace(first, tries=2, etag="")) is None
        assert not outbox.drop(first)
        assert outbox.drop(second)
        assert outbox.drop(second)
        assert outbox.write(second) is None

    def test_one_of_several_at_once_gets_it(self, outbox: TableOutbox, owner: str) -> None:
        row = outbox.write(announced(self.an_event(owner), None))
        assert row is not None
        taken = at_once(6, lambda number: outbox.write(replace(row, tries=number)))
        assert len([one for one in taken if one is not None]) == 1

    def test_announcing_at_once_leaves_the_last_attempt(self, outbox: TableOutbox, owner: str) -> None:
        event = self.an_event(owner)
        at_once(4, lambda number: outbox.announce(replace(event, attempt=number + 1)))
        row = outbox.read(event.job_id)
        assert row is not None
        assert row.announced == 4

    def test_a_row_of_another_version(self, clients: AzureClients, outbox: TableOutbox, owner: str) -> None:
        job_id = fresh("job")
        row = {"PartitionKey": OUTBOX, "RowKey": job_id, "job_id": job_id, "owner": owner, "colour": "red"}
        clients.tables.client(INDEX).create_entity(row)
        read = outbox.read(job_id)
        assert read is not None
        assert (read.announced, read.head, read.tries, read.first_try_at) == (1, 0, 0, None)
        clients.tables.client(INDEX).delete_entity(OUTBOX, job_id)


class DiedError(BaseException):
    """The end of the process."""


class MortalTables:
    """Tables whose process dies after so many requests; ``dies_after`` None is never."""

    def __init__(self, inner: Tables) -> None:
        self._inner = inner
        self.requests = 0
        self.dies_after: int | None = None
        self.has_died = False

    def client(self, name: str) -> Any:
        return _MortalClient(self, self._inner.client(name))

    def lived_through(self) -> None:
        """One request more."""
        self.requests += 1
        if self.requests == self.dies_after:
            self.has_died = True
            raise DiedError


class _MortalClient:
    def __init__(self, tables: MortalTables, inner: Any) -> None:
        self._tables, self._inner = tables, inner

    def __getattr__(self, name: str) -> Any:
        def request(*given: Any, **more: Any) -> Any:
            answer = getattr(self._inner, name)(*given, **more)
            if name == "query_entities":
                answer = iter(list(answer))
            self._tables.lived_through()
            return answer

        return request


class Life:
    """A search that fails, is retried and completes, while its receiver is told; on tables whose process dies once."""

    def __init__(self, clients: AzureClients, place: Place) -> None:
        self.tables = MortalTables(clients.tables)
        tables = cast("Tables", self.tables)
        self.searches = TableSearchStore(tables, clients.blobs(place.settings().default_storage_account))
        self.outbox = TableOutbox(tables)
        self.world: World = new_world(ELB_WEBHOOK_SECRET="0123456789abcdef")
        self.world.clock = lambda: datetime.now(UTC) + self.passed
        self.world.outbox = self.outbox  # type: ignore[assignment]  # the real one
        self.world.webhooks.send = self._send  # type: ignore[method-assign]
        self.passed = timedelta(0)
        self.search = begun(self.searches, fresh("owner"))

    def live(self) -> None:
        """What the search's orchestrations and the timer do, each begun again where its process died."""
        job, owner = self.search.job_id, self.search.owner
        self._step(lambda: self.searches.update(owner, job, lambda row: fail(row, ERROR, T0)))
        self._step(self.turn)
        self._step(lambda: self.searches.update(owner, job, self._retried))
        self._step(lambda: self.searches.update(owner, job, self._completed))
        self._step(self.turn)

    def _send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """A try is a request too: the process may die when the receiver has taken it."""
        answer = FakeReceivers.send(self.world.webhooks, url, headers, body)
        self.tables.lived_through()
        return answer

    @staticmethod
    def _retried(row: Search) -> Search:
        return replace(retried(row, T0), phase=Phase.EXPORTING) if row.attempt == 1 else row

    @staticmethod
    def _completed(row: Search) -> Search:
        return complete(row, T0, T0) if row.attempt == 2 else row

    def _step(self, work: Any) -> None:
        try:
            work()
        except DiedError:
            self.passed += LEASE + timedelta(seconds=1)
            work()

    def turn(self) -> None:
        """What the timer does, for this search only."""
        with use(self.world):
            for row in self.outbox.due(self.world.now()):
                if row.owner == self.search.owner:
                    deliver(row)

    def taken(self) -> list[tuple[int, str]]:
        """What the receiver was told, in its order."""
        return [(said["attempt"], said["status"]) for said in self.world.webhooks.taken]


@pytest.fixture
def lives(clients: AzureClients, place: Place) -> Iterator[Life]:
    """Lives, one after the other, each with another search."""
    return iter(lambda: Life(clients, place), None)


def test_a_process_that_dies_between_any_two_requests_loses_no_event(lives: Iterator[Life]) -> None:
    whole = next(lives)
    whole.tables.requests = 0
    whole.live()
    assert whole.taken() == [(1, "failed"), (2, "completed")]
    requests = whole.tables.requests
    assert requests > 20
    twice = Counter[int]()
    for number in range(1, requests + 1):
        life = next(lives)
        life.tables.requests, life.tables.dies_after = 0, number
        life.live()
        assert life.tables.has_died, "it did not die"
        life.passed += LEASE + timedelta(seconds=1)
        life.turn()
        taken = life.taken()
        assert sorted(set(taken)) == [(1, "failed"), (2, "completed")], f"dead after {number} requests: {taken}"
        assert taken == sorted(taken), f"dead after {number} requests: {taken}"
        twice[len(taken)] += 1
        life.passed += ANNOUNCED_AGE
        life.turn()
        assert life.outbox.read(life.search.job_id) is None, f"dead after {number} requests: something is left"
    assert twice == {2: requests - 2, 3: 2}, "only who dies while the receiver answers says it again"
    print(f"{requests} deaths, {twice[3]} of them with an event that came twice")
