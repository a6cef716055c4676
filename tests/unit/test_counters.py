"""Counting in a process: nothing is lost, nothing is given out twice as something else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from shared.clients.counters import MAX_UNWRITTEN, Counters
from shared.domain.stats import Entry
from tests.counting import held

T0 = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def counters() -> Counters:
    return Counters()


def after(minutes: int) -> datetime:
    return T0 + timedelta(minutes=minutes)


class TestCounting:
    def test_by_name(self, counters: Counters) -> None:
        counters.count("kube_calls")
        counters.count("kube_calls", 2)
        counters.count("wake_ups")
        assert held(counters) == {"kube_calls": 3, "wake_ups": 1}

    def test_from_many_threads_while_it_is_written(self, counters: Counters) -> None:
        def work(number: int) -> list[Entry]:
            for _ in range(1000):
                counters.count("kube_calls")
            entries = counters.due(after(number))
            counters.written(entries)
            return entries

        with ThreadPoolExecutor(8) as pool:
            given = {entry.name: entry for entries in pool.map(work, range(8)) for entry in entries}
        total = sum(entry.counts["kube_calls"] for entry in given.values())
        assert total + held(counters).get("kube_calls", 0) == 8000


class TestGivingOut:
    def test_once_a_minute(self, counters: Counters) -> None:
        counters.count("wake_ups")
        (entry,) = counters.due(T0)
        assert (entry.counts, entry.at) == ({"wake_ups": 1}, T0)
        counters.count("wake_ups")
        assert counters.due(T0 + timedelta(seconds=54)) == []
        counters.written([entry])
        (entry,) = counters.due(T0 + timedelta(seconds=55))
        assert entry.counts == {"wake_ups": 1}

    def test_nothing_where_nothing_was_counted(self, counters: Counters) -> None:
        assert counters.due(T0) == []
        counters.count("wake_ups")
        counters.written(counters.due(after(1)))
        assert counters.due(after(2)) == []
        assert held(counters) == {}

    def test_what_was_not_written_comes_again_as_it_was(self, counters: Counters) -> None:
        counters.count("wake_ups")
        (lost,) = counters.due(T0)
        counters.count("wake_ups", 5)
        assert held(counters) == {"wake_ups": 6}
        again, new = counters.due(after(1))
        assert (again, new.counts) == (lost, {"wake_ups": 5})
        counters.written([again])
        assert counters.due(after(2)) == [new]

    def test_every_one_has_a_key_of_its_own_though_the_clock_goes_back(self, counters: Counters) -> None:
        keys = set()
        for minute in (1, 2, 1, 2):
            counters.count("wake_ups")
            entries = counters.due(after(minute))
            counters.written(entries)
            keys |= {(entry.bucket, entry.key) for entry in entries}
        assert len(keys) == 4

    def test_two_processes_have_different_keys(self) -> None:
        both = Counters(), Counters()
        for counters in both:
            counters.count("wake_ups")
        assert len({counters.due(T0)[0].key for counters in both}) == 2

    def test_what_is_held_has_the_key_under_which_it_is_written(self, counters: Counters) -> None:
        """So that who finds it in both places counts it once."""
        counters.count("wake_ups")
        (lost,) = counters.due(T0)
        counters.count("wake_ups", 2)
        first, coming = counters.held(after(1))
        counters.count("wake_ups", 3)
        again, given = counters.due(after(60))
        assert (first, again) == (lost, lost)
        assert (coming.key, coming.at, coming.counts) == (given.key, after(1), {"wake_ups": 2})
        assert given.counts == {"wake_ups": 5}
        counters.written([lost, given])
        assert counters.held(after(61)) == []

    def test_what_can_never_be_written_is_bounded(self, counters: Counters) -> None:
        for minute in range(MAX_UNWRITTEN + 5):
            counters.count("wake_ups", minute)
            given = counters.due(after(minute))
        assert len(given) == MAX_UNWRITTEN
        assert given[-1].counts == {"wake_ups": MAX_UNWRITTEN + 4}, "the newest are kept"
