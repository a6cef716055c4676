"""The last thing that a search does: tell who wants to know that it has ended. It does not depend on it."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrators.search import search_orchestrator
from shared.domain import functions as names
from tests.orchestrators.fake_context import ActivityFailedError, Play, play
from tests.orchestrators.searches import BROKEN, REF, SEARCH, advanced, answers

ENDS = ("completed", "failed", "cancelled")


def wanted(data: dict[str, Any]) -> dict[str, Any]:
    """The row of a search whose end somebody wants to know."""
    row = advanced(data)
    return row | {"webhook": True} if row["phase"] in ENDS else row


def search(**others: Any) -> Play:
    """Play the search, all going well but for what is given."""
    return play(search_orchestrator, SEARCH, answers(**{names.ADVANCE_SEARCH: wanted, **others}))


CASES: dict[str, dict[str, Any]] = {
    "completed": {},
    "failed": {names.CREATE_SEARCH_JOBS: {"error": BROKEN}},
    "cancelled": {names.CHECK_ADMISSION: {"decision": "cancelled"}},
}


@pytest.mark.parametrize("end", CASES)
def test_however_it_ends_somebody_is_told_at_last(end: str) -> None:
    played = search(**CASES[end])
    assert played.result == {"phase": end}
    assert played.context.names()[-2:] == [names.WAKE_WAITING, names.DELIVER_WEBHOOK]
    assert played.context.calls(names.DELIVER_WEBHOOK) == [REF]


@pytest.mark.parametrize("end", CASES)
def test_rows_of_a_version_before_webhooks_tell_nobody(end: str) -> None:
    """So that an orchestration that began then goes on as it would have."""
    played = search(**{names.ADVANCE_SEARCH: advanced, **CASES[end]})
    assert played.result == {"phase": end}
    assert played.context.names()[-1] == names.WAKE_WAITING


def test_a_receiver_that_cannot_be_told_changes_nothing() -> None:
    played = search(**{names.DELIVER_WEBHOOK: ActivityFailedError("Activity task #9 failed: state_unavailable: down")})
    assert played.result == {"phase": "completed"}


def test_one_that_is_superseded_tells_nobody() -> None:
    """Whoever ended the search, or has it now, does."""

    def superseded(data: dict[str, Any]) -> dict[str, Any]:
        return {"phase": "failed", "cancelled": False, "superseded": True, "webhook": True}

    played = search(**{names.ADVANCE_SEARCH: superseded})
    assert played.result == {"phase": "superseded"}
    assert played.context.calls(names.DELIVER_WEBHOOK) == []
