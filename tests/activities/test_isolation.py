"""A search is its owner's alone: for anybody else every route answers as if there were no such search."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import azure.functions as func
import pytest

from activities.publishing import publish_results
from activities.results import merge_search_batch
from shared import responses
from shared.clients.provider import use
from shared.clients.uploads import incoming_blob
from shared.config import read_settings
from shared.domain.callback import callback_token
from shared.domain.errors import StoredValueError
from shared.domain.history import Event
from shared.domain.ids import owner_key
from shared.domain.results import QUERIES_CONTAINER
from shared.domain.search import Search
from shared.domain.states import Phase
from tests.activities.fakes import World
from tests.activities.route_table import OWNED, UPLOAD, call, person, principal
from tests.activities.worlds import (
    DB,
    ENVIRONMENT,
    QUERY,
    Json,
    ago,
    job_id,
    put_database,
    put_finished_search,
    put_search,
    ref,
)
from triggers import jobs

Route = tuple[str, str]
SUBMIT: Route = ("POST", "api/blast/jobs")
DETAIL: Route = ("GET", "api/blast/jobs/{id}")
EVENTS: Route = ("GET", "api/blast/jobs/{id}/events")
COMMIT: Route = ("POST", "api/blast/queries/uploads/{id}/commit")
COMMITTED = "0" * 31 + "2"
BOB, ANNA, OLGA = person("bob"), person("anna"), person("olga")
each_route = pytest.mark.parametrize("route", OWNED, ids=" ".join)
UNKNOWN = job_id(99)
ALIAS = "elb-anna"
MALFORMED = ("..", "a/b", "a\\b", "%2e", "é", "a\n", "' or 1 eq 1", " ", "")
PHASES = [Phase.COMPLETED, Phase.RUNNING, Phase.FAILED, Phase.CANCELLED, Phase.DELETE_FAILED]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
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
    world.searches.aliases[ALIAS] = made.job_id
    return world.searches.put(replace(made, phase=request.param))


def ask(
    world: World, route: Route, headers: dict[str, str], job_id: str, body: Any = None, **params: str
) -> tuple[int, bytes, dict[str, str]]:
    """Call a route; status, body and headers of the answer."""
    answer = call(world, route, headers, job_id, body, params)
    return answer.status_code, answer.get_body(), dict(answer.headers)


def kept(world: World) -> Json:
    """Everything that somebody's request could have changed."""
    return {
        "rows": dict(world.searches.rows),
        "blobs": dict(world.store.blobs),
        "events": copy.deepcopy(world.events.events),
        "orchestrations": (dict(world.durable.started), list(world.durable.woken)),
        "looks": dict(world.clusters.rows),
    }


class Counted:
    """A client that writes down what is asked of it."""

    def __init__(self, inner: Any, calls: list[str]) -> None:
        self._inner, self._calls = inner, calls

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return found

        def counted(*args: Any, **more: Any) -> Any:
            self._calls.append(f"{type(self._inner).__name__}.{name}")
            return found(*args, **more)

        return counted


def counting(world: World) -> list[str]:
    """From now on, what is asked of the clients, in order."""
    calls: list[str] = []
    for name in (
        "searches",
        "clusters",
        "preferences",
        "events",
        "stats",
        "rates",
        "arm",
        "store",
        "cluster",
        "durable",
    ):
        setattr(world, name, Counted(getattr(world, name), calls))
    return calls


@pytest.mark.proves("Q2")
@each_route
class TestSomebodyElse:
    def test_finds_nothing_and_changes_nothing(self, world: World, search: Search, route: Route) -> None:
        before = kept(world)
        found = ask(world, route, BOB, search.job_id)
        assert found == ask(world, route, BOB, UNKNOWN)
        assert found[0] == 404
        assert json.loads(found[1])["error"]["code"] == "job_not_found"
        assert kept(world) == before
        assert not world.cluster.calls

    def test_finds_nothing_by_any_other_id(self, world: World, search: Search, route: Route) -> None:
        missing = ask(world, route, BOB, UNKNOWN)
        for other in (ALIAS, ALIAS.upper(), "job-", "x" * 100, "x" * 101, *MALFORMED):
            assert ask(world, route, BOB, other) == missing

    def test_is_told_the_same_whatever_is_sent(self, world: World, search: Search, route: Route) -> None:
        for body in (b"", b"{", b"[]", {"reason": 1}, {"title": "mine"}, {"unknown": 1}, b"x" * 2_000_001):
            assert ask(world, route, BOB, search.job_id, body) == ask(world, route, BOB, UNKNOWN, body)

    def test_is_told_the_same_whatever_is_asked(self, world: World, search: Search, route: Route) -> None:
        for name in ("limit", "cursor", "range", "query", "sort", "min_identity", "max_evalue", "job", "tail"):
            for text in ("1", "-", "x", "", "é"):
                found = ask(world, route, BOB, search.job_id, **{name: text})
                assert found == ask(world, route, BOB, UNKNOWN, **{name: text})
                assert found[0] == 404

    def test_costs_what_a_search_costs_that_is_not_there(self, world: World, search: Search, route: Route) -> None:
        """The same calls in the same order; ``tests/clients/test_owners.py`` has what the store makes of them."""
        calls = counting(world)
        ask(world, route, BOB, UNKNOWN)
        of_unknown = calls.copy()
        calls.clear()
        ask(world, route, BOB, search.job_id)
        assert calls == of_unknown == ["FakeSearchStore.find"]

    def test_learns_nothing_from_a_row_that_cannot_be_read(self, world: World, search: Search, route: Route) -> None:
        broken = StoredValueError("row_corrupted", "a column cannot be read", "set it right")
        find = world.searches.find

        def finding(any_id: str, owner: str | None = None) -> Search:
            find(any_id, owner)
            raise broken

        world.searches.find = finding  # type: ignore[assignment,method-assign]
        assert ask(world, route, BOB, search.job_id) == ask(world, route, BOB, UNKNOWN)
        assert ask(world, route, ANNA, search.job_id)[0] == 500

    def test_who_has_not_signed_in_is_not_even_told_that(self, world: World, search: Search, route: Route) -> None:
        before, calls = kept(world), counting(world)
        assert ask(world, route, {}, search.job_id) == ask(world, route, {}, UNKNOWN) == ask(world, route, {}, "é")
        assert ask(world, route, {}, search.job_id)[0] == 401
        assert kept(world) == before
        assert calls == []

    @pytest.mark.parametrize("who", [ANNA, OLGA], ids=["owner", "operator"])
    @pytest.mark.parametrize("by", ["id", "alias"])
    def test_its_owner_and_an_operator_are_not_told_so(
        self, world: World, search: Search, route: Route, who: dict[str, str], by: str
    ) -> None:
        """The tests above can fail."""
        assert ask(world, route, who, search.job_id if by == "id" else ALIAS)[0] in (200, 202, 409)


@pytest.mark.proves("Q2")
def test_a_name_like_the_owners_is_somebody_else(world: World, search: Search) -> None:
    for owner, status in (("Anna", 404), ("anna ", 404), ("ann", 404), ("anná", 404), ("anna\n", 401), ("anna\0", 401)):
        assert ask(world, DETAIL, principal(owner), search.job_id)[0] == status


@pytest.mark.proves("Q2")
class TestUploads:
    def test_another_s_cannot_be_told_from_none(self, world: World) -> None:
        """Written, committed, or of nobody; a caller's folder is made of who they are, so nothing of others is read."""
        for name in (UPLOAD, COMMITTED):
            world.store.put(QUERIES_CONTAINER, incoming_blob("anna", name), QUERY, "text/plain")
        before, calls, answers = None, counting(world), []
        assert ask(world, COMMIT, ANNA, COMMITTED)[0] == 200
        for upload in (UPLOAD, COMMITTED, "f" * 32):
            before = dict(world.store.blobs)
            calls.clear()
            answers.append((ask(world, COMMIT, BOB, upload), calls.copy()))
            assert dict(world.store.blobs) == before
        assert answers[0] == answers[1] == answers[2]
        assert answers[0][0][0] == 404
        assert ask(world, COMMIT, BOB, "../x")[:2] == answers[0][0][:2]


@pytest.mark.proves("Q2")
class TestWhatABodyNames:
    def submit(self, world: World, who: dict[str, str], key: str = "", **fields: Any) -> tuple[int, Json]:
        """Submit a search; status and body of the answer."""
        headers = who | ({"Idempotency-Key": key} if key else {})
        status, body, _ = ask(world, SUBMIT, headers, "", {"program": "blastn", "database": DB} | fields)
        return status, json.loads(body)

    def test_a_query_that_another_has_uploaded(self, world: World) -> None:
        status, content, _ = ask(world, ("POST", "api/blast/queries"), ANNA, "", QUERY)
        uploaded = json.loads(content)["query_blob"]
        assert status == 201
        assert self.submit(world, ANNA, query_blob=uploaded)[0] == 202
        calls, refusals = counting(world), []
        theirs = f"uploads/{owner_key('bob')}/"
        for blob in (uploaded, uploaded[:-1] + "0", f"{theirs}../{uploaded.removeprefix('uploads/')}", "x"):
            calls.clear()
            refusals.append((*self.submit(world, BOB, query_blob=blob), calls.copy()))
        assert [refusal == refusals[0] for refusal in refusals] == [True] * 4
        assert refusals[0][:1] == (422,)
        assert refusals[0][1]["error"]["code"] == "query_not_found"

    def test_the_stored_query_of_another_s_search(self, world: World) -> None:
        search = put_search(world)
        status, body = self.submit(world, BOB, query_blob=search.query["blob"])
        assert (status, body["error"]["code"]) == (422, "query_not_found")

    def test_the_key_of_another_s_submit_is_a_new_one(self, world: World) -> None:
        anna = self.submit(world, ANNA, "run-7", query_fasta=QUERY.decode())
        bob = self.submit(world, BOB, "run-7", query_fasta=QUERY.decode())
        other = self.submit(world, OLGA, "run-7", query_fasta=">q\nACGTACGTAC")
        assert [status for status, _ in (anna, bob, other)] == [202] * 3
        assert len({body["job_id"] for _, body in (anna, bob, other)}) == 3
        owners = [world.searches.find(body["job_id"]).owner for _, body in (anna, bob, other)]
        assert owners == ["anna", "bob", "olga"]

    def test_an_operator_s_clone_is_the_operator_s(self, world: World) -> None:
        search = put_search(world, phase=Phase.FAILED)
        status, body, _ = ask(world, ("POST", "api/blast/jobs/{id}/clone"), OLGA, search.job_id, {})
        assert status == 202
        assert ask(world, DETAIL, ANNA, json.loads(body)["job_id"])[0] == 404


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
