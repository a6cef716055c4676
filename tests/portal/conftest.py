"""A world, as the tests of activities have it, and the events that are emitted in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shared.clients.provider import use
from tests.activities.fakes import World
from tests.activities.worlds import new_world


@pytest.fixture
def world() -> Iterator[World]:
    """Nothing in it; the activities and triggers of the test see only this."""
    made = new_world()
    with use(made):
        yield made


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Callable[[str], list[dict[str, Any]]]:
    """Asks for the events of a name that were emitted so far."""
    caplog.set_level("INFO", "elb")

    def find(event: str) -> list[dict[str, Any]]:
        messages = [record.getMessage() for record in caplog.records if record.name == "elb"]
        return [found for message in messages if (found := json.loads(message))["event"] == event]

    return find
