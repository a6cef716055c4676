"""Rate limits at the endpoints: who asks too often is told when to come again, and nobody else is."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import azure.functions as func
import pytest

from shared import responses
from shared.auth import Caller, Role
from shared.clients.provider import use
from shared.domain.errors import RateLimitedError, TransientError
from shared.domain.rates import Allowance, Rate
from tests.activities.fakes import World
from tests.activities.worlds import DB, QUERY, Json, new_world, put_database
from triggers import changes, jobs, validation
from triggers.rates import allowance_of, limit_rate

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
BODY: Json = {"program": "blastn", "database": DB, "query_fasta": QUERY.decode()}
ANNA = Caller("anna", "anna", frozenset({Role.USER}))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """An app that allows two submits and two validations a minute, so four at once."""
    made = new_world(ELB_RATE_SUBMIT="2", ELB_RATE_VALIDATE="2", ELB_RATE_UPLOAD="2")
    made.clock = lambda: NOW
    monkeypatch.setattr(responses, "settings", lambda: made.settings)
    with use(made):
        put_database(made)
        yield made


def ask(function: Any, *bindings: Any, body: Json, key: str = "", **route: str) -> tuple[int, Json, Any]:
    """Status, body and headers of an answer."""
    headers = {"Host": "localhost:7071"} | ({"Idempotency-Key": key} if key else {})
    request = func.HttpRequest(
        "POST", "http://localhost:7071/api", headers=headers, route_params=route, body=json.dumps(body).encode()
    )
    answer = function(request, *bindings)
    return answer.status_code, json.loads(answer.get_body()), answer.headers


def submit(world: World, key: str = "", **edits: Any) -> tuple[int, Json, Any]:
    """Submit a search."""
    return ask(jobs.submit_search, world.durable, body=BODY | edits, key=key)


def exhaust(world: World) -> str:
    """Use all submits up; the id of one of the searches."""
    found = [submit(world) for _ in range(4)]
    assert [status for status, _, _ in found] == [202] * 4
    return str(found[0][1]["job_id"])


class TestSubmit:
    def test_at_the_limit_and_just_beyond(self, world: World) -> None:
        exhaust(world)
        status, body, headers = submit(world)
        assert (status, body["error"]["code"], headers["Retry-After"]) == (429, "rate_limited", "30")
        assert "2 requests a minute" in body["error"]["message"]
        assert len(world.searches.rows) == len(world.durable.started) == 4

    def test_who_waits_as_long_as_was_said_goes_on(self, world: World) -> None:
        exhaust(world)
        seconds = int(submit(world)[2]["Retry-After"])
        world.clock = lambda: NOW + timedelta(seconds=seconds - 1)
        assert submit(world)[0] == 429
        world.clock = lambda: NOW + timedelta(seconds=seconds)
        assert submit(world)[0] == 202
        assert submit(world)[0] == 429

    @pytest.mark.parametrize("way", ["alias", "clone"])
    def test_every_way_to_begin_a_search_counts(self, world: World, way: str) -> None:
        job_id = exhaust(world)
        ways: dict[str, Callable[[], tuple[int, Json, Any]]] = {
            "alias": lambda: ask(jobs.submit_search_alias, world.durable, body=BODY),
            "clone": lambda: ask(changes.clone_search, world.durable, body={"title": "again"}, id=job_id),
        }
        assert ways[way]()[0] == 429
        world.rates.buckets.clear()
        assert [ways[way]()[0] for _ in range(5)] == [202] * 4 + [429]

    def test_a_clone_that_is_refused_has_not_read_the_queries(self, world: World) -> None:
        job_id = exhaust(world)
        read: list[str] = []
        stream = world.store.stream

        def streaming(container: str, name: str, *more: Any, **named: Any) -> Iterator[bytes]:
            read.append(name)
            return stream(container, name, *more, **named)

        world.store.stream = streaming  # type: ignore[method-assign]
        assert ask(changes.clone_search, world.durable, body={}, id=job_id)[0] == 429
        assert read == []
        world.rates.buckets.clear()
        assert ask(changes.clone_search, world.durable, body={}, id=job_id)[0] == 202
        assert read != []

    def test_a_repeated_one_costs_nothing_and_is_not_refused(self, world: World) -> None:
        first = submit(world, "run-7")
        assert [submit(world, "run-7")[:2] for _ in range(20)] == [first[:2]] * 20
        assert [submit(world)[0] for _ in range(4)] == [202] * 3 + [429]
        assert submit(world, "run-7")[:2] == first[:2]

    def test_one_that_cannot_be_read_costs_nothing(self, world: World) -> None:
        for _ in range(10):
            assert submit(world, batch_len=0)[0] == 422
        exhaust(world)

    def test_one_that_fails_its_checks_costs_as_much(self, world: World) -> None:
        """They read storage, which is what is to be spared."""
        assert [submit(world, database="none")[0] for _ in range(5)] == [422] * 4 + [429]


class TestOwnersAndKinds:
    def test_each_kind_has_its_own_bucket(self, world: World) -> None:
        exhaust(world)
        checks = [ask(validation.validate_search, body=BODY)[0] for _ in range(5)]
        assert checks == [200] * 4 + [429]

    def test_each_owner_has_their_own(self, world: World) -> None:
        bob = Caller("bob", "bob", frozenset({Role.USER, Role.OPERATOR}))
        for caller in (ANNA, bob):
            for _ in range(4):
                limit_rate(caller, Rate.UPLOAD)
            with pytest.raises(RateLimitedError):
                limit_rate(caller, Rate.UPLOAD)

    @pytest.mark.parametrize("rate", Rate)
    def test_off(self, rate: Rate) -> None:
        world = new_world(**{f"ELB_RATE_{rate.name}": "0"})
        with use(world):
            assert allowance_of(rate) == Allowance(0)
            for _ in range(1000):
                limit_rate(ANNA, rate)
        assert not world.rates.buckets


class TestWithoutTheTable:
    def test_nobody_is_refused_for_that(self, world: World, caplog: pytest.LogCaptureFixture) -> None:
        world.rates.failing = TransientError("state_unavailable", "no answer")
        for _ in range(10):
            limit_rate(ANNA, Rate.SUBMIT)
        assert caplog.text.count("rate_not_counted") == 10
        assert "anna" not in caplog.text


class TestDefaults:
    """The app's own settings, which the one-machine stack does not have."""

    @pytest.mark.parametrize(("rate", "per_minute"), [(Rate.SUBMIT, 60), (Rate.VALIDATE, 120), (Rate.UPLOAD, 30)])
    def test_a_minute_and_a_burst(self, rate: Rate, per_minute: int) -> None:
        world = new_world()
        world.clock = lambda: NOW
        with use(world):
            for _ in range(2 * per_minute):
                limit_rate(ANNA, rate)
            with pytest.raises(RateLimitedError) as refused:
                limit_rate(ANNA, rate)
        assert refused.value.retry_after == math.ceil(60 / per_minute)
