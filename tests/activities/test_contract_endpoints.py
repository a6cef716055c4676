"""The API's document and its page, as they are served."""

from __future__ import annotations

import json
from typing import Any

import azure.functions as func
import pytest

from shared import responses
from shared.clients.provider import use
from tests.activities.fakes import World
from tests.activities.worlds import new_world
from triggers import openapi
from triggers.contract.document import build
from triggers.contract.page import POLICY


@pytest.fixture(autouse=True)
def app(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """One user on loopback."""
    monkeypatch.setattr(responses, "settings", lambda: world.settings)


def ask(function: Any, host: str = "localhost:7071") -> func.HttpResponse:
    """What an endpoint answers."""
    request = func.HttpRequest("GET", f"http://{host}/api", headers={"Host": host}, body=b"")
    answer: func.HttpResponse = function(request)
    return answer


def test_the_document(world: World) -> None:
    answer = ask(openapi.show_openapi)
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert json.loads(answer.get_body()) == build("dev")


def test_it_is_of_the_way_in_which_this_app_knows_its_callers() -> None:
    with use(new_world(AUTH_MODE="easyauth", WEBSITE_AUTH_ENABLED="True")):
        assert json.loads(ask(openapi.show_openapi).get_body()) == build("easyauth")
    assert build("easyauth") != build("dev")


def test_the_page_comes_with_its_policy(world: World) -> None:
    answer = ask(openapi.show_docs)
    assert (answer.status_code, answer.mimetype, answer.charset) == (200, "text/html", "utf-8")
    assert answer.headers["Content-Security-Policy"] == POLICY
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.get_body().startswith(b"<!doctype html>")


@pytest.mark.parametrize("function", [openapi.show_openapi, openapi.show_docs])
def test_a_stranger_sees_neither(world: World, function: Any) -> None:
    answer = ask(function, "example.org")
    assert (answer.status_code, json.loads(answer.get_body())["error"]["code"]) == (401, "not_signed_in")
