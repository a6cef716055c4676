"""Results that are there and not valid: the search waits for them again, and ends when the grace period does."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrators.search import search_orchestrator
from shared.domain import functions as names
from tests.orchestrators.fake_context import Play, in_turn, play
from tests.orchestrators.searches import SEARCH, advanced, answers

pytestmark = pytest.mark.proves("T3")
INVALID = {"error": {"code": "results_invalid", "message": "batch 1: piece x ends too early", "hint": "retry"}}
OPEN = {"open": True, "batches": 2, "missing": [], "empty": []}
CLOSED = {"open": False, "batches": 2, "missing": ["piece x"], "empty": []}
MERGED = {"batch": 0, "queries": 1, "queries_with_hits": 1, "hits": 2}


def search(**others: Any) -> Play:
    usual = {"check_admission": {"decision": "resume"}, names.CHECK_RESULTS: OPEN}
    return play(search_orchestrator, SEARCH, answers(**(usual | others)))


def phases(played: Play) -> list[str]:
    return [call["phase"] for call in played.context.calls(names.ADVANCE_SEARCH) if "phase" in call]


def reasons(played: Play) -> list[str]:
    return [call["reason"] for call in played.context.calls(names.ADVANCE_SEARCH) if "reason" in call]


def test_one_that_is_valid_the_second_time() -> None:
    played = search(merge_batch=in_turn(MERGED, INVALID, MERGED))
    assert phases(played) == ["results_pending", "exporting", "results_pending", "exporting", "completed"]
    assert reasons(played) == ["batch 1: piece x ends too early"]
    assert len(played.context.calls(names.MERGE_BATCH)) == 4


def test_one_that_was_dropped_and_comes_back() -> None:
    gates = in_turn(OPEN, CLOSED, CLOSED, OPEN)
    played = search(merge_batch=in_turn(INVALID, MERGED), check_results=gates)
    assert played.result == {"phase": "completed"}
    assert played.context.waits() == [4, 2, 2]


def test_one_that_stays_away_fails_the_search_by_its_own_reason() -> None:
    played = search(merge_batch=INVALID, check_results=in_turn(OPEN, CLOSED))
    *_, last = played.context.calls(names.ADVANCE_SEARCH)
    assert last["error"] == INVALID["error"]
    assert played.context.seconds == 120
    assert names.PUBLISH_RESULTS not in played.context.names()


def test_one_that_stays_as_it_is_is_read_a_few_times_only() -> None:
    played = search(merge_batch=INVALID)
    assert played.result == {"phase": "failed"}
    assert played.context.waits() == [4, 8, 16, 32, 64]


def test_any_other_failure_of_the_merge_ends_it_at_once() -> None:
    played = search(merge_batch={"error": {**INVALID["error"], "code": "blob_not_found"}})
    assert (played.result, played.context.seconds) == ({"phase": "failed"}, 0)


def test_a_cancel_meanwhile_ends_it() -> None:
    def marked(data: dict[str, Any]) -> dict[str, Any]:
        return {"phase": "cancelling", "cancelled": True} if "reason" in data else advanced(data)

    played = search(merge_batch=INVALID, advance_search=marked)
    assert played.result == {"phase": "cancelled"}
    assert len(played.context.calls(names.MERGE_BATCH)) == 2
