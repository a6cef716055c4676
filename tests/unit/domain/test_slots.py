"""The ceiling of active searches: never exceeded, fair between owners, dead holders' slots come back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.slots import Waiting, live_holders, next_in_line

START = datetime(2026, 1, 1, tzinfo=UTC)


def waiting(text: str) -> list[Waiting]:
    """``a1 b1 a2``: owner and number, submitted in this order."""
    return [Waiting(name, name[0], START + timedelta(seconds=n)) for n, name in enumerate(text.split())]


@pytest.mark.parametrize(
    ("held", "line", "ceiling", "wanted"),
    [
        ("", "", 3, ""),
        ("", "a1", 1, "a1"),
        ("a1", "a2", 1, ""),
        ("a1 a2 a3", "b1", 2, ""),
        ("", "a1 a2 a3 b1", 2, "a1 b1"),
        ("a1", "a2 a3 b1 b2", 3, "b1 a2"),
        ("a1 b1", "a2 b2 c1", 3, "c1"),
        ("a1", "a2 a3", 3, "a2 a3"),
        ("", "b1 a1 a2 b2", 3, "b1 a1 a2"),
    ],
)
def test_slots_go_to_who_holds_fewest_then_to_who_came_first(held: str, line: str, ceiling: int, wanted: str) -> None:
    holders = {name: name[0] for name in held.split()}
    assert next_in_line(holders, waiting(line), ceiling) == wanted.split()


def test_no_owner_starves_behind_a_busy_one() -> None:
    line = waiting(" ".join(f"a{n}" for n in range(40)) + " b0")
    holders: dict[str, str] = {}
    rounds = 0
    while "b0" not in holders:
        rounds += 1
        for job_id in next_in_line(holders, [w for w in line if w.job_id not in holders], 3):
            holders[job_id] = job_id[0]
        assert len(holders) <= 3
        if "b0" not in holders:
            line = [w for w in line if w.job_id not in holders]
            holders.clear()
    assert rounds == 1


def test_the_slot_of_a_search_that_is_not_active_comes_back() -> None:
    assert live_holders({"a1": "a", "b1": "b"}, ["b1", "c1"]) == {"b1": "b"}


def test_searches_of_one_moment_are_told_apart_by_their_ids() -> None:
    line = [Waiting("a2", "a", START), Waiting("a1", "a", START)]
    assert next_in_line({}, line, 1) == ["a1"]
