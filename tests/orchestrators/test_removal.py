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


def removal(*looks: Any, **more: Any) -> Play:
    """Play one generation; the last look stays."""
    return play(removal_orchestrator, REF | more, {names.REMOVE_SEARCH_OBJECTS: in_turn(*looks)})


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

    def test_the_pauses_grow_and_its_history_does_not(self) -> None:
        played = removal({"left": 1})
        assert played.context.waits() == [0.2, 0.5, 1, 2, 5, 10, *[30] * (LOOKS_PER_GENERATION - 6)]
        assert played.continued == REF | {"looks": LOOKS_PER_GENERATION}
        assert removal({"left": 1}, {"left": 0}, **played.continued).context.waits() == [30]


def deletion(**others: Any) -> Play:
    """Play one generation, all going well but for what is given."""
    well: dict[str, Any] = {
        names.CHECK_DELETION: {"ready": True},
        names.ADVANCE_SEARCH: advanced,
        names.REMOVAL_ORCHESTRATOR: {"left": 0},
        names.DELETE_SEARCH_BLOBS: {"deleted": 9},
        names.DELETE_SEARCH_ROW: {"deleted": True},
    }
    return play(deletion_orchestrator, REF | {"delete_run": 1}, well | others)


class TestDeletion:
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
        played = deletion(check_deletion=in_turn({"ready": False}, {"ready": False}, {"ready": True}))
        assert played.context.waits() == [1, 1]
        assert played.result == {"status": "deleted"}

    def test_it_waits_as_long_as_it_takes_with_a_bounded_history(self) -> None:
        played = deletion(check_deletion={"ready": False})
        assert len(played.context.calls(names.CHECK_DELETION)) == CHECKS_PER_GENERATION
        assert played.continued == REF | {"delete_run": 1}

    @pytest.mark.parametrize("step", [names.REMOVAL_ORCHESTRATOR, names.DELETE_SEARCH_BLOBS, names.DELETE_SEARCH_ROW])
    def test_what_could_not_be_deleted_is_said_and_the_row_stays(self, step: str) -> None:
        failing: dict[str, Any] = {step: BUSY}
        played = deletion(**failing)
        assert played.result["status"] == "delete_failed"
        assert played.result["error"]["code"] == "kube_unreachable"
        *_, last = played.context.calls(names.ADVANCE_SEARCH)
        assert (last["phase"], last["reason"]) == ("delete_failed", "no answer")
        assert played.context.names()[-1] == names.ADVANCE_SEARCH

    def test_each_delete_has_a_removal_of_its_own(self) -> None:
        [child] = [task for task in deletion().context.scheduled if task.kind == "child"]
        assert child.instance == "removal-delete-job-1-1"
