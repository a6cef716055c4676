"""Virtual time: things happen when they are due, in an order that does not change."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.simulation.agenda import START, Agenda


class TestOrder:
    def test_what_is_due_first_happens_first(self) -> None:
        agenda, seen = Agenda(), list[tuple[str, float]]()
        for seconds, name in ((5.0, "b"), (1.0, "a"), (7.0, "c")):
            agenda.at(seconds, lambda name=name: seen.append((name, agenda.seconds)))  # type: ignore[misc]
        agenda.run_until(6)
        assert seen == [("a", 1), ("b", 5)]
        assert agenda.now() == START + timedelta(seconds=6)

    def test_what_is_due_at_once_happens_as_it_was_entered(self) -> None:
        agenda, seen = Agenda(), list[int]()
        for number in range(20):
            agenda.at(1, lambda number=number: seen.append(number))  # type: ignore[misc]
        agenda.run_until(1)
        assert seen == list(range(20))

    def test_what_is_past_happens_at_once(self) -> None:
        agenda, seen = Agenda(), list[float]()
        agenda.run_until(10)
        agenda.at(3, lambda: seen.append(agenda.seconds))
        agenda.run_until(10)
        assert seen == [10]

    def test_the_clock_never_goes_back(self) -> None:
        agenda = Agenda()
        agenda.run_until(10)
        agenda.run_until(5)
        assert agenda.seconds == 10

    def test_it_can_be_stopped_at_what_was_waited_for(self) -> None:
        agenda, seen = Agenda(), list[float]()
        agenda.every(1, lambda: seen.append(agenda.seconds))
        agenda.run_until(100, lambda: len(seen) == 3)
        assert agenda.seconds == 3


class TestRecurring:
    def test_it_happens_again_and_again(self) -> None:
        agenda, seen = Agenda(), list[float]()
        agenda.every(0.5, lambda: seen.append(agenda.seconds))
        agenda.run_until(2)
        assert seen == [0.5, 1.0, 1.5, 2.0]

    def test_the_first_time_may_come_sooner(self) -> None:
        agenda, seen = Agenda(), list[float]()
        agenda.every(60, lambda: seen.append(agenda.seconds), first=7)
        agenda.run_until(130)
        assert seen == [7, 67, 127]

    @pytest.mark.parametrize("times", [0, 1, 2])
    def test_until_it_is_cancelled(self, times: int) -> None:
        agenda, seen = Agenda(), list[float]()
        entry = agenda.every(1, lambda: seen.append(agenda.seconds))
        agenda.run_until(times)
        entry.cancel()
        agenda.run_until(10)
        assert len(seen) == times

    def test_also_by_itself(self) -> None:
        agenda, seen = Agenda(), list[float]()

        def act() -> None:
            seen.append(agenda.seconds)
            entry.cancel()

        entry = agenda.every(1, act)
        agenda.run_until(10)
        assert seen == [1]


def test_what_goes_round_in_circles_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    agenda = Agenda()
    monkeypatch.setattr("tests.simulation.agenda.CROWD", 100)
    agenda.every(0, lambda: None)
    with pytest.raises(AssertionError, match="more than 100 things happened at 0"):
        agenda.run_until(1)
