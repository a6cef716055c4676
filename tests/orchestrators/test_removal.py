"""Taking a search off its cluster, and deleting it: said only when a look has found that nothing is left."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrators.deletion import CHECKS_PER_GENERATION, deletion_orchestrator
from orchestrators.removal import LOOKS_PER_GENERATION, removal_orchestrator
from shared.domain import functions as names
from tests.orchestrators.fake_context import ActivityFailedError, Play, in_turn, play
from tests.orchestrators.searches import BROKEN, REF, advanced

BUSY = ActivityFailedError("r: Activity task #1 failed: kube_unreachable: no answer")


def removal(*looks: Any, telling: Any = advanced, **more: Any) -> Play:
    """Play one generation; the last look stays."""
    answers = {names.REMOVE_SEARCH_OBJECTS: in_turn(*looks), names.ADVANCE_SEARCH: telling}
    return play(removal_orchestrator, REF | more, answers)


class TestRemoval:
    def test_nothing_there(self) -> None:
        played = removal({"left": 0})
        assert played.result == {"left": 0}
        assert played.context.waits() == []

    def test_it_looks_again_until_nothing_is_left(self) -> None:
        played = removal({"left": 4}, {"left": 1}, {"left": 0})
        assert played.result == {"left": 0}
        assert played.context.waits() == [0.2, 0.5]

    @pytest.mark.parametrize("look", [BUSY, {"error": BROKEN}], ids=["transient", "permanent"])
    def test_a_cluster_that_does_not_answer_is_not_taken_for_empty(self, look: Any) -> None:
        played = removal(look, look, {"left": 0})
        assert played.result == {"left": 0}
        assert len(played.context.calls(names.REMOVE_SEARCH_OBJECTS)) == 3

    def test_the_row_says_what_it_waits_for(self) -> None:
        told = removal(BUSY, {"left": 1}, {"error": BROKEN}, {"left": 0}).context.calls(names.ADVANCE_SEARCH)
        assert [change["reason"] for change in told] == [
            "not removed from the cluster yet: no answer",
            "not removed from the cluster yet: it is broken",
        ]
        assert all(change.keys() == {*REF, "at", "reason"} for change in told)

    @pytest.mark.parametrize("telling", [BUSY, {"error": BROKEN}], ids=["transient", "permanent"])
    def test_that_it_cannot_be_said_changes_nothing(self, telling: Any) -> None:
        assert removal(BUSY, {"left": 0}, telling=telling).result == {"left": 0}

    def test_each_look_is_for_the_run_that_asks(self) -> None:
        played = removal({"left": 1}, {"left": 0}, run=3)
        assert played.context.calls(names.REMOVE_SEARCH_OBJECTS) == [REF | {"run": 3}] * 2

    def test_room_is_made_for_a_new_attempt_when_that_is_asked_for(self) -> None:
        played = removal({"left": 1}, {"left": 0}, clear=True)
        assert played.context.calls(names.REMOVE_SEARCH_OBJECTS) == [REF | {"clear": True}] * 2

    def test_the_pauses_grow_and_its_history_does_not(self) -> None:
        played = removal({"left": 1})
        assert played.context.waits() == [0.2, 0.5, 1, 2, 5, 10, *[30] * (LOOKS_PER_GENERATION - 6)]
        assert played.continued == REF | {"looks": LOOKS_PER_GENERATION}
        assert removal({"left": 1}, {"left": 0}, **played.continued).context.waits() == [30]


READY = {"ready": True, "gone": False, "run": 1}
NOT_YET = {"ready": False, "gone": False, "run": 1}


def deletion(**others: Any) -> Play:
    """Play one generation, all going well but for what is given."""
    well: dict[str, Any] = {
        names.CHECK_DELETION: READY,
        names.ADVANCE_SEARCH: advanced,
        names.REMOVAL_ORCHESTRATOR: {"left": 0},
        names.DELETE_SEARCH_BLOBS: {"deleted": 9},
        names.DELETE_SEARCH_ROW: {"deleted": True},
    }
    return play(deletion_orchestrator, REF | {"delete_run": 1}, well | others)


class TestDeletion:
    @pytest.mark.proves("X2")
    def test_the_row_goes_last(self) -> None:
        played = deletion()
        assert played.result == {"status": "deleted"}
        assert played.context.names() == [
            names.CHECK_DELETION,
            names.ADVANCE_SEARCH,
            names.REMOVAL_ORCHESTRATOR,
            names.DELETE_SEARCH_BLOBS,
            names.DELETE_SEARCH_ROW,
        ]

    def test_an_active_search_is_cancelled_first(self) -> None:
        played = deletion(check_deletion=in_turn(NOT_YET, NOT_YET, READY))
        assert played.context.waits() == [2, 2]
        assert played.result == {"status": "deleted"}

    def test_it_waits_as_long_as_it_takes_with_a_bounded_history(self) -> None:
        played = deletion(check_deletion=NOT_YET)
        assert len(played.context.calls(names.CHECK_DELETION)) == CHECKS_PER_GENERATION
        assert played.continued == REF | {"delete_run": 1}

    @pytest.mark.proves("X2")
    @pytest.mark.parametrize("step", [names.REMOVAL_ORCHESTRATOR, names.DELETE_SEARCH_BLOBS, names.DELETE_SEARCH_ROW])
    def test_what_could_not_be_deleted_is_said_and_the_row_stays(self, step: str) -> None:
        failing: dict[str, Any] = {step: BUSY}
        played = deletion(**failing)
        assert played.result["status"] == "delete_failed"
        assert played.result["error"]["code"] == "kube_unreachable"
        *_, last = played.context.calls(names.ADVANCE_SEARCH)
        assert (last["phase"], last["reason"]) == ("delete_failed", "no answer")
        assert played.context.names()[-1] == names.ADVANCE_SEARCH

    def test_of_a_search_that_is_gone_nothing_more_is_deleted(self) -> None:
        played = deletion(check_deletion=in_turn(NOT_YET, {"ready": False, "gone": True}))
        assert played.result == {"status": "deleted"}
        assert played.context.names() == [names.CHECK_DELETION] * 2

    @pytest.mark.parametrize(
        "row",
        [
            {"phase": "cancelling", "cancelled": True, "superseded": False},
            {"phase": "preparing", "cancelled": False, "superseded": True},
            {"phase": "deleting", "cancelled": False, "superseded": True},
        ],
        ids=["not yet", "retried", "another run"],
    )
    def test_nothing_is_taken_apart_before_the_row_says_so(self, row: dict[str, Any]) -> None:
        """Between the look and the write, the search may have been retried."""
        entered = {"phase": "deleting", "cancelled": False, "superseded": False}
        played = deletion(advance_search=in_turn(row, row, entered))
        assert played.result == {"status": "deleted"}
        called = played.context.names()
        assert called[:6] == [names.CHECK_DELETION, names.ADVANCE_SEARCH] * 3
        assert called[6:] == [names.REMOVAL_ORCHESTRATOR, names.DELETE_SEARCH_BLOBS, names.DELETE_SEARCH_ROW]
        assert played.context.waits() == [2, 2]

    def test_a_search_that_never_becomes_its_own_is_never_taken_apart(self) -> None:
        played = deletion(advance_search={"phase": "preparing", "cancelled": False, "superseded": True})
        assert played.continued == REF | {"delete_run": 1}
        assert names.REMOVAL_ORCHESTRATOR not in played.context.names()

    def test_a_search_that_was_revived_to_be_cancelled_is_deleted_as_the_run_it_has_now(self) -> None:
        played = deletion(check_deletion=in_turn(NOT_YET, READY | {"run": 2}))
        assert played.result == {"status": "deleted"}
        later = [task.data for task in played.context.scheduled if task.kind in ("activity", "child")][2:]
        assert {data["run"] for data in later} == {2}

    def test_one_that_began_before_the_answers_had_more_goes_on(self) -> None:
        assert deletion(check_deletion={"ready": True}).result == {"status": "deleted"}

    def test_each_delete_has_a_removal_of_its_own(self) -> None:
        [child] = [task for task in deletion().context.scheduled if task.kind == "child"]
        assert child.instance == "removal-delete-job-1-1"
