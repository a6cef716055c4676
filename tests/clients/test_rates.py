"""Buckets in the table: two instances never spend the same token, and what is broken holds nobody up for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import azure.functions as func
import pytest

from shared import responses
from shared.clients.provider import AzureClients, use
from shared.clients.rates import CONTENDED_SECONDS, TRIES, TableRates
from shared.clients.table_rows import RATES
from shared.config import read_settings
from shared.domain.errors import TransientError
from shared.domain.ids import owner_key
from shared.domain.rates import Allowance, Bucket, Rate
from tests.clients.conftest import Place
from tests.clients.support import T0, at_once
from tests.clients.wire import Rule
from triggers import queries

FIVE = Allowance(5)


@pytest.fixture
def rates(clients: AzureClients) -> TableRates:
    """The buckets, as one instance of the app has them."""
    return TableRates(clients.tables)


def row_of(clients: AzureClients, owner: str) -> dict[str, Any]:
    """What the table holds."""
    return dict(clients.tables.client(RATES).get_entity(owner_key(owner), Rate.SUBMIT.value))


class TestTaking:
    def test_at_the_limit_and_just_beyond(self, rates: TableRates, owner: str) -> None:
        waits = [rates.take(owner, Rate.SUBMIT, FIVE, T0) for _ in range(FIVE.burst + 1)]
        assert waits == [0.0] * FIVE.burst + [pytest.approx(12)]
        assert rates.take(owner, Rate.SUBMIT, FIVE, T0 + timedelta(seconds=12)) == 0

    def test_owners_and_kinds_are_apart(self, rates: TableRates, owner: str) -> None:
        for _ in range(FIVE.burst):
            rates.take(owner, Rate.SUBMIT, FIVE, T0)
        assert rates.take(owner, Rate.SUBMIT, FIVE, T0) > 0
        assert rates.take(owner, Rate.UPLOAD, FIVE, T0) == 0
        assert rates.take(owner.upper(), Rate.SUBMIT, FIVE, T0) == 0

    @pytest.mark.parametrize("name", ["a/b\\c#d?e", "é'; or 1 eq 1", "x" * 2000, "\n"])
    def test_any_name_is_one(self, rates: TableRates, owner: str, name: str) -> None:
        assert rates.take(owner + name, Rate.SUBMIT, FIVE, T0) == 0

    def test_the_table_does_not_tell_who_it_is(self, rates: TableRates, clients: AzureClients, owner: str) -> None:
        rates.take(owner, Rate.SUBMIT, FIVE, T0)
        assert owner not in str(row_of(clients, owner))

    def test_what_it_costs(self, place: Place, rates: TableRates, owner: str) -> None:
        rates.take(owner, Rate.SUBMIT, Allowance(1), T0)
        with place.table.watching() as seen:
            assert rates.take(owner, Rate.SUBMIT, Allowance(0), T0) == 0
            assert [request.method for request in seen] == []
            assert rates.take(owner, Rate.SUBMIT, Allowance(1), T0) == 0
            assert [request.method for request in seen] == ["GET", "PUT"]
            assert rates.take(owner, Rate.SUBMIT, Allowance(1), T0) > 0
            assert [request.method for request in seen] == ["GET", "PUT", "GET"]


class TestManyAtOnce:
    def test_two_instances_spend_no_token_twice(self, clients: AzureClients, owner: str) -> None:
        instances = [TableRates(clients.tables) for _ in range(2)]
        waits = at_once(24, lambda n: instances[n % 2].take(owner, Rate.SUBMIT, FIVE, T0))
        assert sum(wait == 0 for wait in waits) == FIVE.burst

    def test_whoever_is_never_the_fastest_is_asked_to_wait(
        self, place: Place, rates: TableRates, clients: AzureClients, owner: str
    ) -> None:
        rates.take(owner, Rate.SUBMIT, FIVE, T0)
        with place.table.breaking(Rule("PUT", RATES, status=412, times=TRIES)):
            assert rates.take(owner, Rate.SUBMIT, FIVE, T0) == CONTENDED_SECONDS
            assert rates.take(owner, Rate.SUBMIT, FIVE, T0) == 0

    @pytest.mark.parametrize(("method", "status"), [("PUT", 412), ("PUT", 404), ("POST", 409)])
    def test_one_that_was_slower_tries_again(
        self, place: Place, rates: TableRates, owner: str, method: str, status: int
    ) -> None:
        if method == "PUT":
            rates.take(owner, Rate.SUBMIT, FIVE, T0)
        headers = {"x-ms-error-code": "ResourceNotFound"} if status == 404 else {}
        with place.table.breaking(Rule(method, RATES, status=status, headers=headers)), place.table.watching() as seen:
            assert rates.take(owner, Rate.SUBMIT, FIVE, T0) == 0
            assert [request.method for request in seen] == ["GET", method] * 2

    def test_nobody_waits_long_behind_a_slow_table(
        self, rates: TableRates, owner: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whoever has the turn never gets an answer; others of the owner go on all the same."""
        monkeypatch.setattr("shared.clients.rates.TURN_SECONDS", 0.05)
        stuck, let_go, read = threading.Event(), threading.Event(), rates._read

        def slow(of: str, rate: Rate) -> tuple[Bucket | None, str]:
            if not stuck.is_set():
                stuck.set()
                let_go.wait(30)
            return read(of, rate)

        monkeypatch.setattr(rates, "_read", slow)
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(rates.take, owner, Rate.SUBMIT, FIVE, T0)
            try:
                assert stuck.wait(30)
                assert rates.take(owner, Rate.SUBMIT, FIVE, T0) == 0
                assert not first.done()
            finally:
                let_go.set()
            assert first.result(30) == 0


class TestTrouble:
    def test_a_table_that_does_not_answer(self, place: Place, rates: TableRates, owner: str) -> None:
        rates.take(owner, Rate.SUBMIT, FIVE, T0)
        with place.table.breaking(Rule(path=RATES, status=503, times=10)), pytest.raises(TransientError) as error:
            rates.take(owner, Rate.SUBMIT, FIVE, T0)
        assert error.value.code == "state_unavailable"

    @pytest.mark.parametrize(
        "damage",
        [
            lambda row: row | {"tokens": "many"},
            lambda row: row | {"tokens": True},
            lambda row: row | {"at": "then"},
            lambda row: row | {"at": 7},
            lambda row: {name: row[name] for name in ("PartitionKey", "RowKey")},
        ],
    )
    def test_a_row_that_cannot_be_read_is_begun_anew(
        self, rates: TableRates, clients: AzureClients, owner: str, damage: Callable[[dict[str, Any]], dict[str, Any]]
    ) -> None:
        for _ in range(FIVE.burst):
            rates.take(owner, Rate.SUBMIT, FIVE, T0)
        row = damage(row_of(clients, owner))
        clients.tables.client(RATES).upsert_entity(row, mode="replace")
        assert rates.take(owner, Rate.SUBMIT, FIVE, T0) == 0
        assert row_of(clients, owner)["tokens"] == FIVE.burst - 1


class TestOverHttp:
    """The whole way with the app's defaults, which the one-machine stack switches off."""

    def test_the_sixty_first_upload_of_a_moment_is_refused(
        self, place: Place, owner: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        defaults = {name: text for name, text in place.environment().items() if not name.startswith("ELB_RATE_")}
        settings = read_settings(defaults | {"ELB_DEV_USER": owner})
        monkeypatch.setattr(responses, "settings", lambda: settings)
        instances = [AtOneMoment(settings) for _ in range(2)]
        request = func.HttpRequest("POST", "http://127.0.0.1/api", headers={"Host": "127.0.0.1"}, body=b"")
        answers = []
        for number in range(61):
            with use(instances[number % 2]):
                answers.append(queries.begin_upload(request))
        assert [answer.status_code for answer in answers] == [201] * 60 + [429]
        assert answers[-1].headers["Retry-After"] == "2"


class AtOneMoment(AzureClients):
    """An instance of the app whose clock stands still."""

    def now(self) -> datetime:
        return T0
