"""What may be done with a database: the whole table, cell by cell, and what a row shows."""

from __future__ import annotations

from itertools import product

import pytest

from shared.domain.auto_warm import StorageState
from shared.domain.database_row import allowed_actions, fit_cell, warmth_cell
from shared.domain.planner import NodeView, Verdict, fit_database
from shared.domain.warmth import Warmth

W, R, X = ("warm",), ("rewarm",), ("release",)
STATES = (Warmth.COLD, Warmth.LOADING, Warmth.READY, Warmth.COOLED, Warmth.STALE, Warmth.FAILED, Warmth.UNKNOWN)
FITTING = dict(zip(STATES, (W, X, R + X, R + X, R + X, R + X, ()), strict=True))
"""Sharded, it fits, no search uses it."""
FITTING_IN_USE = dict(zip(STATES, (W, (), R, R, R, R, ()), strict=True))
NOTHING_TO_BRING = dict(zip(STATES, ((), X, X, X, X, X, ()), strict=True))
"""Not sharded, or no room: only what is there can go."""
NOTHING_TO_BRING_IN_USE: dict[Warmth, tuple[str, ...]] = dict.fromkeys(STATES, ())


def expected(storage: StorageState, warmth: Warmth, fit: Verdict | None, in_use: bool) -> tuple[str, ...]:
    """The cell of the table."""
    if storage is StorageState.SHARDED and fit is Verdict.FITS:
        table = FITTING_IN_USE if in_use else FITTING
    else:
        table = NOTHING_TO_BRING_IN_USE if in_use else NOTHING_TO_BRING
    return table[warmth]


@pytest.mark.proves("W1")
class TestActions:
    @pytest.mark.parametrize(
        ("storage", "warmth", "fit", "in_use"),
        list(product(StorageState, Warmth, [None, *Verdict], [False, True])),
    )
    def test_every_cell(self, storage: StorageState, warmth: Warmth, fit: Verdict | None, in_use: bool) -> None:
        assert allowed_actions(storage, warmth, fit, in_use) == expected(storage, warmth, fit, in_use)

    def test_the_table_has_every_warmth(self) -> None:
        assert set(STATES) == set(Warmth)

    def test_a_database_that_does_not_answer_is_offered_nothing(self) -> None:
        assert allowed_actions(StorageState.SHARDED, Warmth.UNKNOWN, Verdict.FITS, False) == ()

    def test_what_a_search_uses_is_not_released(self) -> None:
        assert allowed_actions(StorageState.SHARDED, Warmth.READY, Verdict.FITS, True) == ("rewarm",)


class TestCells:
    def test_of_a_cluster_that_did_not_say(self) -> None:
        assert warmth_cell(None) == {"state": "unknown"}

    def test_fit_per_node(self) -> None:
        pool = [
            NodeView("a", 200, ready=True, schedulable=True, system=False, blast_pool=True, held_bytes=30),
            NodeView("b", 400, ready=True, schedulable=True, system=False, blast_pool=True),
            NodeView("c", 400, ready=False, schedulable=True, system=False, blast_pool=True),
        ]
        sizes = {3: [60, 70, 50]}
        shown = fit_cell(fit_database("db", sizes, pool), pool, sizes)
        assert (shown["verdict"], shown["layout"]) == ("fits", 3)
        assert shown["nodes"] == [
            {"name": "a", "cache_free_bytes": 70, "shards": [1], "bytes": 70},
            {"name": "b", "cache_free_bytes": 200, "shards": [0, 2], "bytes": 110},
        ]

    def test_what_does_not_fit_shows_the_room_that_there_is(self) -> None:
        pool = [NodeView("a", 200, ready=True, schedulable=True, system=False, blast_pool=True)]
        sizes = {2: [80, 80]}
        shown = fit_cell(fit_database("db", sizes, pool), pool, sizes)
        assert (shown["verdict"], shown["nodes_needed"], shown["layout"]) == ("cluster_too_small", 2, None)
        assert shown["nodes"] == [{"name": "a", "cache_free_bytes": 100, "shards": [], "bytes": 0}]
