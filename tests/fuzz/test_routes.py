"""Hostile values in every string of every route, through the real handlers: one place at a time, and all at once.

Of each class of places (paths, queries, headers, bodies) more than 10,000 values are tried; the last test prints how
many. One at a time, because a request that is wrong everywhere is refused at the first wrong thing.
"""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import azure.functions as func
import pytest
from hypothesis import HealthCheck, example, given, seed, settings
from hypothesis import strategies as st

from activities.publishing import publish_results
from activities.results import merge_search_batch
from shared import responses
from shared.auth import OBJECT_ID_CLAIM
from shared.clients.provider import use
from shared.clients.search_rows import columns_of, payload_of, search_of, with_payload
from shared.clients.uploads import incoming_blob
from shared.config import read_settings
from shared.domain.blast_options import read_options
from shared.domain.ids import owner_key, row_key
from shared.domain.names import label_value
from shared.domain.programs import Program
from shared.domain.results import QUERIES_CONTAINER
from shared.domain.states import Phase
from tests.activities.worlds import (
    ENVIRONMENT,
    QUERY,
    put_database,
    put_finished_search,
    put_node,
    put_running_search,
    put_search,
    ref,
)
from tests.fuzz.hostile import hostile, placed
from tests.fuzz.routes import CALLS, DONE, FAILED, OPERATION, SECRET, UPLOAD, WARMUP, WHOLE, Place, registered
from tests.fuzz.watch import FuzzWorld, fingerprint, logged, nothing_executed
from triggers import warmup_changes

WANTED = 10_000
"""Values of each class of places."""
BATCH = 20
"""Values of one example: each in one place of a request of its own, then all of them in one request."""
CLASSES = ("path", "query", "header", "body")
OWNER = "dev@localhost"
ANSWERS = frozenset({200, 201, 202, 206, 302, 304, 400, 401, 403, 404, 409, 410, 412, 413, 416, 422})
HOOK_SECRET = "webhook-key-0123456789"
LETTERS = "ACGTACGTAC"
"""Of the query: no line of the log has them."""


SECRETS = (SECRET, HOOK_SECRET, LETTERS, "token=x")


def places(kind: str) -> dict[str, list[Place]]:
    """Function -> its places of a class."""
    found = {name: [place for place in call.places() if place[0] == kind] for name, call in CALLS.items()}
    return {name: each for name, each in found.items() if each}


def examples(name: str, kind: str) -> int:
    """How many examples a route gets for a class of places, so that all together get what is wanted."""
    everywhere = sum(map(len, places(kind).values()))
    return math.ceil(WANTED / everywhere * len(places(kind)[name]) / BATCH)


SETTINGS = {"ELB_CALLBACK_SECRET": SECRET, "ELB_WEBHOOK_SECRET": HOOK_SECRET, "ELB_RATE_SUBMIT": "0"}
SETTINGS |= {"ELB_RATE_VALIDATE": "0", "ELB_RATE_UPLOAD": "0"}
SIGNED_IN = {"AUTH_MODE": "easyauth", "WEBSITE_AUTH_ENABLED": "True"}
PAIRS = [(name, kind) for kind in CLASSES for name in places(kind)]


def new_world(environment: Mapping[str, str]) -> FuzzWorld:
    """A search that runs, one that failed, one that is completed, a database, and work that may be asked about."""
    world = FuzzWorld(read_settings({**ENVIRONMENT, **SETTINGS, **environment}))
    with use(world):
        put_database(world)
        put_node(world, "node-a")
        put_running_search(world, 1, owner=OWNER)
        put_search(world, FAILED, owner=OWNER, phase=Phase.FAILED)
        done = put_finished_search(world, job_id=DONE, owner=OWNER)
        merged = [merge_search_batch(ref(done, batch=batch)) for batch in range(2)]
        publish_results(ref(done, merged=merged))
        world.searches.put(replace(done, phase=Phase.COMPLETED))
        world.store.put(QUERIES_CONTAINER, incoming_blob(OWNER, UPLOAD), QUERY, "text/plain")
        for instance in (OPERATION, WARMUP):
            world.durable.schedule_new_orchestration("work", input={}, instance_id=instance)
    return world


class Caller:
    """Calls one route; after a request that changed the world there is a new one."""

    def __init__(
        self, name: str, environment: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        self.route, self.call = registered()[name], CALLS[name]
        if headers:
            self.call = replace(self.call, headers={**self.call.headers, **headers})
        self.environment = environment or {}
        self.world: FuzzWorld | None = None
        self.tried = 0

    def ask(self, values: Mapping[Place, str]) -> func.HttpResponse:
        """One request, and everything that must be true after any."""
        world = self.world = self.world or new_world(self.environment)
        before = fingerprint(world)
        request = self.call.request(self.route.method, self.route.template, values)
        with (
            use(world),
            pytest.MonkeyPatch.context() as patch,
            nothing_executed() as executed,
            logged(*SECRETS) as lines,
        ):
            patch.setattr(responses, "settings", lambda: world.settings)
            patch.setattr(warmup_changes, "ANSWER_SECONDS", 0.0)  # nobody runs what is started here
            answer = self.route.handler(request, *((world.durable,) if self.route.durable else ()))
        self.tried += len(values)
        assert executed == []
        assert lines.wrong == []
        assert world.problems() == []
        check_answer(answer)
        changed = fingerprint(world) != before
        if changed:
            check_searches(world)
            self.world = None
        assert not (changed and (answer.status_code >= 400 or self.route.name == "blast_jobs_validate"))
        return answer


def check_answer(answer: func.HttpResponse) -> None:
    """The answer is one that the API has, its headers are one line each, its body is what the type says."""
    content = answer.get_body()
    assert answer.status_code in ANSWERS, content[:500]
    for name, value in answer.headers.items():
        assert value.isascii(), (name, value)
        assert value.isprintable(), (name, value)
    location = answer.headers.get("Location", "/api/")
    assert location.startswith(("/api/", "https://store/"))
    if answer.mimetype == "application/json" and content:
        body = json.loads(content)
        assert not {"trace", "Traceback"} & set(body)
        if answer.status_code >= 400:
            assert set(body["error"]) <= {"code", "message", "hint", "details"}
            assert body["error"]["code"].replace("_", "").isalnum()


def check_searches(world: FuzzWorld) -> None:
    """Every row can be stored, read back and run: keys, columns, labels, and a command of plain words."""
    for search in world.searches.rows.values():
        columns, payload = columns_of(search), payload_of(search)
        again = with_payload(search_of(columns), payload)
        assert (columns_of(again), payload_of(again)) == (columns, payload)
        for stored in (columns, json.loads(payload)):
            json.dumps(stored, ensure_ascii=False).encode()  # raises for a lone surrogate, which no table takes
        for key in (owner_key(search.owner), row_key(search.job_id, search.created_at), search.cluster.key):
            assert not set(key) & set("/\\#?"), key
            assert key.isprintable()
        assert label_value(search.database) == search.database
        options = read_options(Program(search.program), search.options)
        for word in options.shard_command(Program(search.program), "alias", 1):
            assert word.isascii(), word
            assert word.isprintable(), word


@pytest.mark.parametrize("name", sorted(registered()))
def test_every_route_has_a_request_that_is_accepted(name: str) -> None:
    """So that a hostile value is the only thing that is wrong with a request."""
    assert name in CALLS, f"write a line for {name} into tests/fuzz/routes.py"
    assert Caller(name).ask({}).status_code == CALLS[name].status


def test_every_request_has_a_route() -> None:
    assert set(CALLS) == set(registered())


@pytest.mark.proves("Q3")
@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_hostile_values(name: str, kind: str) -> None:
    caller, where, wanted = Caller(name), places(kind)[name], examples(name, kind)

    @seed(zlib.crc32(f"{name} {kind}".encode()))
    @settings(max_examples=wanted, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.tuples(hostile(), st.integers(0, 3)), min_size=BATCH, max_size=BATCH), st.integers(0, 1000))
    def run(values: list[tuple[str, int]], first: int) -> None:
        one_at_a_time = []
        for number, (value, how) in enumerate(values, first):
            place = where[number % len(where)]
            one_at_a_time.append((place, placed(value, caller.call.right(place), how)))
        for place, value in one_at_a_time:
            caller.ask({place: value})
        caller.ask({place: value for place, value in one_at_a_time if place != WHOLE})

    run()
    assert caller.tried >= wanted * BATCH


@pytest.mark.proves("Q3")
@settings(max_examples=500, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(hostile(), hostile(), st.integers(0, 3), st.integers(0, 4))
@example("\ud800", "x", 1, 0)
@example("a\r\nb", "x", 0, 0)
@example("\ud800", "x", 1, 1)
def test_hostile_principals(text: str, other: str, how: int, where: int) -> None:
    """Behind the platform's sign-in the header is the platform's own; what is wrong in it is nobody, never an error."""
    claims = [
        {"typ": OBJECT_ID_CLAIM, "val": "anna"},
        {"typ": "name", "val": "Anna"},
        {"typ": "roles", "val": "operator"},
    ]
    principal: dict[str, Any] = {"auth_typ": "aad", "role_typ": "roles", "claims": claims}
    if where < len(claims):
        claims[where]["val"] = placed(text, claims[where]["val"], how)
        claims.append({"typ": other, "val": text})
    elif where == len(claims):
        principal |= {"role_typ": text, other: text}
    header = base64.b64encode(json.dumps(principal).encode()).decode()
    caller = Caller("me", SIGNED_IN)
    found = caller.ask({("header", "X-MS-CLIENT-PRINCIPAL"): text if where > len(claims) else header})
    assert found.status_code in (200, 401)
    if found.status_code == 200:
        submitted = Caller("blast_jobs_submit", SIGNED_IN, {"X-MS-CLIENT-PRINCIPAL": header}).ask({})
        assert submitted.status_code == 202


def test_enough_values_of_every_class_of_places() -> None:
    tried = {kind: sum(examples(name, kind) * BATCH for name in places(kind)) for kind in CLASSES}
    print(f"hostile values, one at a time: {tried}, {sum(tried.values())} in all; each twice")
    assert min(tried.values()) >= WANTED
