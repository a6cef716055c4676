"""Every route that the app registers, walked without an identity, as a user, as another user and as an operator."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from activities.publishing import publish_results
from activities.results import merge_search_batch
from shared import responses
from shared.clients.provider import use
from shared.clients.uploads import incoming_blob
from shared.config import Settings, read_settings
from shared.domain.results import QUERIES_CONTAINER
from shared.domain.search import Search
from shared.domain.states import Phase
from tests.activities.fakes import World
from tests.activities.route_table import (
    DONE,
    IN,
    OPERATION,
    PEOPLE,
    REFUSED,
    ROUTES,
    UPLOAD,
    WARMUP,
    Access,
    call,
    person,
    registered,
)
from tests.activities.worlds import ENVIRONMENT, QUERY, put_database, put_finished_search, put_node, ref
from tests.unit.key_server import AUDIENCE, TENANT

WALK = [(route, who) for route in ROUTES for who in PEOPLE]
PAGE_ROUTES = {("GET", "{ignored:maxlength(0)?}"), ("GET", "assets/{*path}")}
"""What the API's document lets anybody have besides: the page's own files."""
ANYBODY = {("GET", "health"), ("GET", "api/health")} | PAGE_ROUTES
MODES: dict[str, dict[str, str]] = {
    "easyauth": {"AUTH_MODE": "easyauth", "WEBSITE_AUTH_ENABLED": "True"},
    "easyauth, switched off": {"AUTH_MODE": "easyauth"},
    "jwt": {
        "AUTH_MODE": "jwt",
        "AUTH_TENANT_ID": TENANT,
        "AUTH_AUDIENCE": AUDIENCE,
        "AUTH_KEYS_URL": "http://127.0.0.1:1/keys",
    },
    "jwt, not set up": {"AUTH_MODE": "jwt"},
    "dev": {"AUTH_MODE": "dev"},
    "none": {"AUTH_MODE": "none"},
}


def settings_of(mode: str) -> Settings:
    """The settings of an app in this mode."""
    return read_settings(ENVIRONMENT | MODES[mode])


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The app behind the platform's sign-in, with a node, a database, and work that an operator may ask about."""
    made = World(settings_of("easyauth"))
    monkeypatch.setattr(responses, "settings", lambda: made.settings)
    with use(made):
        put_database(made)
        put_node(made, "node-a")
        made.store.put(QUERIES_CONTAINER, incoming_blob("anna", UPLOAD), QUERY, "text/plain")
        for instance in (OPERATION, WARMUP):
            made.durable.schedule_new_orchestration("work", input={}, instance_id=instance)
        yield made


@pytest.fixture
def search(world: World) -> Search:
    """Anna's search, completed and published."""
    made = put_finished_search(world)
    merged = [merge_search_batch(ref(made, batch=batch)) for batch in range(2)]
    publish_results(ref(made, merged=merged))
    return world.searches.put(replace(made, phase=Phase.COMPLETED))


def id_of(route: tuple[str, str], search: Search) -> str:
    """What of Anna's a route is about."""
    return UPLOAD if "/uploads/" in route[1] else search.job_id


class TestTable:
    def test_every_route_has_a_line_and_every_line_a_route(self) -> None:
        assert set(registered()) - set(ROUTES) == PAGE_ROUTES
        assert set(ROUTES) - set(registered()) == set()

    def test_nobody_may_have_more_than_the_document_says(self) -> None:
        assert {route for route, access in ROUTES.items() if access is Access.ANYBODY} <= ANYBODY
        token = [route for route, access in ROUTES.items() if access is Access.TOKEN]
        assert token == [("POST", "api/blast/jobs/{id}/notify")]

    def test_whatever_is_about_one_search_is_its_owner_s(self) -> None:
        of_one = {route for route in ROUTES if "/jobs/{" in route[1]}
        assert {ROUTES[route] for route in of_one} == {Access.OWNED, Access.TOKEN}


@pytest.mark.proves("Q1", "Q2")
@pytest.mark.parametrize(("route", "who"), WALK, ids=[f"{who} {' '.join(route)}" for route, who in WALK])
def test_the_walk(world: World, search: Search, route: tuple[str, str], who: str) -> None:
    wanted = ROUTES[route].value[list(PEOPLE).index(who)]
    answer = call(world, route, person(who), id_of(route, search))
    if wanted == IN:
        right = {REFUSED[route]} if route in REFUSED else DONE
        assert answer.status_code in right, answer.get_body()
    else:
        assert answer.status_code == wanted, answer.get_body()
        error = json.loads(answer.get_body())["error"]
        codes = {
            401: {"not_signed_in"},
            403: {"role_missing", "wrong_token"},
            404: {"job_not_found", "upload_not_found"},
        }
        assert error["code"] in codes[wanted]


@pytest.mark.proves("Q1")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
def test_nobody_in_any_mode(
    world: World, search: Search, route: tuple[str, str], mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(responses, "settings", lambda: settings_of(mode))
    stranger = {"Host": "example.org", "X-MS-CLIENT-PRINCIPAL-ID": "anna", "X-MS-CLIENT-PRINCIPAL-NAME": "anna"}
    wanted = ROUTES[route].value[0]
    before = len(world.searches.written), len(world.store.written), len(world.durable.started)
    assert call(world, route, stranger, id_of(route, search)).status_code in ({wanted} if wanted else DONE)
    assert (len(world.searches.written), len(world.store.written), len(world.durable.started)) == before


@pytest.mark.proves("Q1")
@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "easyauth"])
@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
def test_a_header_that_nobody_vouches_for_opens_nothing(
    world: World, search: Search, route: tuple[str, str], mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(responses, "settings", lambda: settings_of(mode))
    wanted = ROUTES[route].value[0]
    answer = call(world, route, person("olga"), id_of(route, search))
    assert answer.status_code in ({wanted} if wanted else DONE)
