"""A world for each test, put in as the process's clients; and every handler that a test calls is watched."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shared.clients.provider import use
from tests.activities.contract_hook import watched
from tests.activities.fakes import World
from tests.activities.worlds import new_world


@pytest.fixture
def world() -> Iterator[World]:
    """Nothing in it; the activities and triggers of the test see only this."""
    made = new_world()
    with use(made):
        yield made


@pytest.fixture(autouse=True)
def as_documented(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What handlers read and answer is what the API's document says."""
    with watched(monkeypatch):
        yield
