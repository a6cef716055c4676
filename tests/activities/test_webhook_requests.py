"""``webhook_url`` in requests: taken or refused by its form, kept, shown by its host only, and copied with care."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import azure.functions as func
import pytest

from shared import responses
from shared.auth import Caller
from shared.clients.provider import use
from shared.domain.search import Search
from shared.domain.states import Phase
from shared.domain.webhook_urls import MAX_URL
from tests.activities.fakes import World
from tests.activities.test_changes import OWNER, ask
from tests.activities.test_submission import BODY, post, written
from tests.activities.worlds import Json, new_world, put_database, put_search
from triggers import changes, jobs
from triggers.requests import SubmitRequest, as_model
from triggers.submission import Submission
from triggers.views import detail, list_item

URL = "https://hooks.example.org/in?token=T0KEN"
SHOWN = "https://hooks.example.org/..."


def a_world(monkeypatch: pytest.MonkeyPatch, **environment: str) -> World:
    """The app with a prepared database, and one user on loopback."""
    made = new_world(**environment)
    monkeypatch.setattr(responses, "settings", lambda: made.settings)
    with use(made):
        put_database(made)
    made.store.written.clear()
    return made


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """One in which webhooks are signed."""
    made = a_world(monkeypatch, ELB_WEBHOOK_SECRET="0123456789abcdef")
    with use(made):
        yield made


def submitted(world: World, body: Json) -> Search:
    """The search of a body that is taken."""
    status, answer = post(world, body)
    assert status == 202, answer
    return world.searches.find(answer["job_id"])


class TestSubmit:
    def test_it_is_kept(self, world: World) -> None:
        assert submitted(world, BODY | {"webhook_url": URL}).webhook_url == URL

    @pytest.mark.parametrize("body", [BODY, BODY | {"webhook_url": None}])
    def test_nobody_wants_to_know(self, world: World, body: Json) -> None:
        assert submitted(world, body).webhook_url == ""

    @pytest.mark.proves("Q3")
    @pytest.mark.parametrize(
        ("url", "code"),
        [
            ("", "invalid_webhook_url"),
            ("http://hooks.example.org/", "invalid_webhook_url"),
            ("https://127.0.0.1/", "invalid_webhook_url"),
            ("https://169.254.169.254/metadata", "invalid_webhook_url"),
            ("https://user:pass@example.org/", "invalid_webhook_url"),
            ("https://hooks.example.org/" + "a" * MAX_URL, "invalid_request"),
            (7, "invalid_request"),
            (["https://hooks.example.org/"], "invalid_request"),
        ],
    )
    def test_a_wrong_one_is_refused_by_name_and_nothing_happened(self, world: World, url: Any, code: str) -> None:
        status, answer = post(world, BODY | {"webhook_url": url})
        assert (status, answer["error"]["code"]) == (422, code)
        assert [wrong["field"] for wrong in answer["error"]["details"]] == ["webhook_url"]
        assert written(world) == (0, 0, 0)

    def test_without_a_secret_it_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        unsigned = a_world(monkeypatch)
        with use(unsigned):
            status, answer = post(unsigned, BODY | {"webhook_url": URL})
            assert (status, answer["error"]["code"]) == (422, "webhooks_not_configured")
            assert [wrong["field"] for wrong in answer["error"]["details"]] == ["webhook_url"]
            assert "ELB_WEBHOOK_SECRET" in answer["error"]["hint"]
            assert written(unsigned) == (0, 0, 0)
            assert post(unsigned, BODY)[0] == 202

    def test_what_the_operator_allows_is_taken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        allowing = {"ELB_WEBHOOK_SECRET": "0123456789abcdef", "ELB_WEBHOOK_ALLOW": "127.0.0.0/8"}
        local = a_world(monkeypatch, **allowing)
        with use(local):
            assert submitted(local, BODY | {"webhook_url": "http://127.0.0.1:8080/"})

    def test_the_same_key_with_another_url_is_another_request(self, world: World) -> None:
        assert post(world, BODY | {"webhook_url": URL}, "key")[0] == 202
        assert post(world, BODY | {"webhook_url": URL}, "key")[0] == 202
        status, answer = post(world, BODY | {"webhook_url": URL + "2"}, "key")
        assert (status, answer["error"]["code"]) == (409, "idempotency_key_reused")

    @pytest.mark.parametrize(("url", "status"), [(URL, "ok"), (None, "ok"), ("http://a.example/", "failed")])
    def test_a_dry_run_says_it_too(self, world: World, url: str | None, status: str) -> None:
        submission = Submission(
            Caller(OWNER, "anna", frozenset()), as_model(BODY | {"webhook_url": url}, SubmitRequest)
        )
        assert [row["status"] for row in submission.report() if row["id"] == "webhook"] == [status]


class TestShown:
    def test_by_its_host_only_and_in_the_detail_only(self, world: World) -> None:
        search = put_search(world, owner=OWNER, webhook_url=URL)
        assert detail(search)["webhook_url"] == SHOWN
        assert "T0KEN" not in json.dumps([detail(search), list_item(search)])
        assert "webhook_url" not in list_item(search)

    def test_nobody_is_told(self, world: World) -> None:
        assert detail(put_search(world, owner=OWNER))["webhook_url"] is None

    def test_over_http(self, world: World) -> None:
        search = put_search(world, owner=OWNER, webhook_url=URL, phase=Phase.COMPLETED)
        headers, route = {"Host": "localhost:7071"}, {"id": search.job_id}
        request = func.HttpRequest("GET", "http://localhost:7071/api", headers=headers, route_params=route, body=b"")
        answer = jobs.show_search(request, world.durable)
        assert json.loads(answer.get_body())["webhook_url"] == SHOWN


class TestClone:
    def put_original(self, world: World, owner: str = OWNER) -> Search:
        search = put_search(world, owner=owner, phase=Phase.COMPLETED, webhook_url=URL)
        world.store.blobs["queries", str(search.query["blob"])] = b">q1\nACGTACGTAC\n"
        return search

    def clone(self, world: World, original: Search, body: Json | None = None) -> Search:
        status, answer = ask(world, changes.clone_search, original, body)
        assert status == 202, answer
        return world.searches.find(answer["job_id"])

    def test_the_owner_s_keeps_it(self, world: World) -> None:
        assert self.clone(world, self.put_original(world)).webhook_url == URL

    def test_it_can_be_left_out_or_changed(self, world: World) -> None:
        original, other = self.put_original(world), "https://other.example.org/"
        assert self.clone(world, original, {"webhook_url": None}).webhook_url == ""
        assert self.clone(world, original, {"webhook_url": other}).webhook_url == other

    def test_an_operator_s_clone_of_somebody_else_s_tells_nobody(self, world: World) -> None:
        clone = self.clone(world, self.put_original(world, "anna"))
        assert (clone.owner, clone.webhook_url) == (OWNER, "")
