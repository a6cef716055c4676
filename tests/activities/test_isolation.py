"""A search is its owner's alone: for anybody else every route answers as if there were no such search."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import azure.functions as func
import pytest

from activities.results import merge_search_batch, publish_results
from shared import responses
from shared.auth import OBJECT_ID_CLAIM
from shared.clients.provider import use
from shared.config import read_settings
from shared.domain.callback import callback_token
from shared.domain.history import Event
from shared.domain.search import Search
from shared.domain.states import Phase
from tests.activities.fakes import World
from tests.activities.worlds import (
    ENVIRONMENT,
    Json,
    ago,
    job_id,
    put_database,
    put_finished_search,
    ref,
)
from triggers import changes, jobs

UNKNOWN = job_id(99)
Route = Callable[..., func.HttpResponse]
ROUTES: dict[str, tuple[Route, str, Json]] = {
    "detail": (jobs.show_search, "GET", {}),
    "results": (jobs.show_results, "GET", {}),
    "download": (jobs.download_result, "GET", {}),
    "events": (changes.show_events, "GET", {}),
    "cancel": (changes.cancel_search, "POST", {"reason": "not mine"}),
    "retry": (changes.retry_search, "POST", {}),
    "clone": (changes.clone_search, "POST", {"title": "mine now"}),
    "delete": (changes.delete_search, "DELETE", {}),
}
WITHOUT_CLIENT = ("results", "download", "events")
PHASES = [Phase.COMPLETED, Phase.RUNNING, Phase.FAILED, Phase.CANCELLED, Phase.DELETE_FAILED]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The app behind the platform's sign-in, with a database."""
    signed_in = {"AUTH_MODE": "easyauth", "WEBSITE_AUTH_ENABLED": "True"}
    made = World(read_settings(ENVIRONMENT | signed_in))
    monkeypatch.setattr(responses, "settings", lambda: made.settings)
    with use(made):
        put_database(made)
        yield made


@pytest.fixture(params=PHASES, ids=str)
def search(world: World, request: pytest.FixtureRequest) -> Search:
    """Anna's search, with results and a history."""
    made = put_finished_search(world)
    merged = [merge_search_batch(ref(made, batch=batch)) for batch in range(2)]
    publish_results(ref(made, merged=merged))
    world.events.add(made.job_id, Event(ago(5), "submitted", "anna", "", 1))
    return world.searches.put(replace(made, phase=request.param))


def principal(owner: str, *roles: str) -> dict[str, str]:
    """The header that the platform puts on a signed-in request."""
    claims = [{"typ": OBJECT_ID_CLAIM, "val": owner}, *({"typ": "roles", "val": role} for role in roles)]
    text = json.dumps({"auth_typ": "aad", "claims": claims})
    return {"X-MS-CLIENT-PRINCIPAL": base64.b64encode(text.encode()).decode()}


def ask(world: World, route: str, headers: dict[str, str], job_id: str) -> tuple[int, bytes]:
    """Call a route; the status and the body of the answer."""
    function, method, body = ROUTES[route]
    params = {"id": job_id, "name": "results.tsv"}
    url = f"https://app/api/blast/jobs/{job_id}"
    request = func.HttpRequest(method, url, headers=headers, route_params=params, body=json.dumps(body).encode())
    answer = function(request, *(() if route in WITHOUT_CLIENT else (world.durable,)))
    return answer.status_code, answer.get_body()


def kept(world: World) -> Json:
    """Everything that somebody's request could have changed."""
    return {
        "rows": dict(world.searches.rows),
        "blobs": dict(world.store.blobs),
        "events": copy.deepcopy(world.events.events),
        "orchestrations": (dict(world.durable.started), list(world.durable.woken)),
        "looks": dict(world.clusters.rows),
    }


@pytest.mark.parametrize("route", ROUTES)
def test_somebody_else_finds_nothing_and_changes_nothing(world: World, search: Search, route: str) -> None:
    before = kept(world)
    bob = principal("bob")
    found = ask(world, route, bob, search.job_id)
    assert found == ask(world, route, bob, UNKNOWN)
    assert found[0] == 404
    assert json.loads(found[1])["error"]["code"] == "job_not_found"
    assert kept(world) == before
    assert not world.cluster.calls


@pytest.mark.parametrize("route", ROUTES)
def test_nobody_at_all_is_not_even_told_that(world: World, search: Search, route: str) -> None:
    before = kept(world)
    assert ask(world, route, {}, search.job_id) == ask(world, route, {}, UNKNOWN)
    assert ask(world, route, {}, search.job_id)[0] == 401
    assert kept(world) == before


@pytest.mark.parametrize("who", [principal("anna"), principal("olga", "operator")], ids=["owner", "operator"])
@pytest.mark.parametrize("route", ROUTES)
def test_its_owner_and_an_operator_are_not_told_so(
    world: World, search: Search, route: str, who: dict[str, str]
) -> None:
    """The test above can fail."""
    status, _ = ask(world, route, who, search.job_id)
    assert status in (200, 202, 409)


def test_a_name_like_the_owners_is_somebody_else(world: World, search: Search) -> None:
    for owner in ("Anna", "anna ", "ann", "anna\n"):
        assert ask(world, "detail", principal(owner), search.job_id)[0] == 404


class TestList:
    def ids(self, world: World, who: dict[str, str], **params: str) -> tuple[int, list[str]]:
        """Status, and ids of the searches that a list shows."""
        request = func.HttpRequest("GET", "https://app/api/blast/jobs", headers=who, params=params, body=b"")
        answer = jobs.list_searches(request, world.durable)
        return answer.status_code, [item["job_id"] for item in json.loads(answer.get_body()).get("items", [])]

    def test_everybody_sees_their_own(self, world: World, search: Search) -> None:
        assert self.ids(world, principal("anna")) == (200, [search.job_id])
        assert self.ids(world, principal("bob")) == (200, [])

    @pytest.mark.parametrize("owner", ["anna", "*"])
    def test_of_others_only_an_operator_does(self, world: World, search: Search, owner: str) -> None:
        assert self.ids(world, principal("bob"), owner=owner) == (403, [])
        assert self.ids(world, principal("olga", "operator"), owner=owner) == (200, [search.job_id])

    @pytest.mark.parametrize("who", [principal("anna"), principal("bob")], ids=["a page", "an empty page"])
    def test_an_unknown_status_is_refused_whatever_the_page_has(
        self, world: World, search: Search, who: dict[str, str]
    ) -> None:
        assert self.ids(world, who, status="done")[0] == 422
        assert self.ids(world, who, status="completed")[0] == 200


class TestNotify:
    """A call-back has no user: its token is the search's own."""

    def notify(self, world: World, job_id: str, token: str) -> int:
        """Call back as a Job does; the status."""
        request = func.HttpRequest(
            "POST", "https://app/api", headers={"X-Elb-Token": token}, route_params={"id": job_id}, body=b""
        )
        return int(jobs.notify(request, world.durable).status_code)

    def test_one_of_a_search_that_was_deleted_comes_too_late(self, world: World, search: Search) -> None:
        assert self.notify(world, UNKNOWN, callback_token("secret", UNKNOWN)) == 404
        assert world.durable.woken == []

    def test_the_token_of_another_search_opens_nothing(self, world: World, search: Search) -> None:
        before = kept(world)
        other = world.searches.put(replace(search, job_id=job_id(2), owner="bob"))
        before["rows"][other.owner, other.job_id] = other
        assert self.notify(world, search.job_id, callback_token("secret", other.job_id)) == 403
        assert self.notify(world, UNKNOWN, callback_token("secret", search.job_id)) == 403
        assert kept(world) == before

    def test_a_signed_in_user_needs_it_all_the_same(self, world: World, search: Search) -> None:
        headers = principal("anna")
        request = func.HttpRequest(
            "POST", "https://app/api", headers=headers, route_params={"id": search.job_id}, body=b""
        )
        assert jobs.notify(request, world.durable).status_code == 403
