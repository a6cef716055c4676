"""When to look again: every number at its limit and just beyond it (docs/behaviour.md, section N)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.domain.schedule import (
    ClusterRow,
    MonitorClock,
    poll_interval,
    refresh_min_interval_seconds,
    should_look,
    window_seconds,
)
from shared.domain.states import Phase
from tests.unit.domain.objects import NOW

TICK = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("age", "seconds"),
    [
        (timedelta(seconds=-5), 10),
        (timedelta(0), 10),
        (timedelta(minutes=5) - TICK, 10),
        (timedelta(minutes=5), 30),
        (timedelta(minutes=5) + TICK, 30),
        (timedelta(hours=1) - TICK, 30),
        (timedelta(hours=1), 60),
        (timedelta(hours=1) + TICK, 60),
        (timedelta(days=1), 60),
    ],
)
def test_the_monitor_s_interval_by_age(age: timedelta, seconds: int) -> None:
    assert poll_interval(age) == timedelta(seconds=seconds)
    assert MonitorClock().next_delay(age) == (timedelta(seconds=seconds), MonitorClock(1, None))


class TestWindow:
    @pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.RESULTS_PENDING, Phase.EXPORTING])
    def test_five_seconds_where_something_happens(self, phase: Phase) -> None:
        assert refresh_min_interval_seconds(phase) == 5

    @pytest.mark.parametrize("phase", sorted(set(Phase) - {Phase.RUNNING, Phase.RESULTS_PENDING, Phase.EXPORTING}))
    def test_twenty_seconds_elsewhere(self, phase: Phase) -> None:
        assert refresh_min_interval_seconds(phase) == 20

    def test_a_cluster_has_the_shortest_of_its_searches(self) -> None:
        assert window_seconds([]) == 20
        assert window_seconds([Phase.CREATING, Phase.SUBMITTED]) == 20
        assert window_seconds([Phase.CREATING, Phase.RUNNING]) == 5

    @pytest.mark.parametrize("window", [5.0, 20.0])
    def test_looked_at_again_at_its_end_and_not_before(self, window: float) -> None:
        row = ClusterRow(observed_at=NOW)
        end = NOW + timedelta(seconds=window)
        assert not should_look(row, window, NOW)
        assert not should_look(row, window, end - TICK)
        assert should_look(row, window, end)
        assert should_look(row, window, end + TICK)

    def test_never_looked_at(self) -> None:
        assert should_look(ClusterRow(), 20, NOW)


class TestForcedLooks:
    def row(self, *, looked: float, before: float | None = None, woken: float | None = None) -> ClusterRow:
        def at(seconds: float | None) -> object:
            return None if seconds is None else NOW + timedelta(seconds=seconds)

        return ClusterRow(at(looked), at(before), at(woken))  # type: ignore[arg-type]

    def test_a_wake_up_after_the_last_look_does_not_wait(self) -> None:
        assert should_look(self.row(looked=0, woken=0.1), 20, NOW + timedelta(seconds=0.2))

    @pytest.mark.parametrize("woken", [None, -1, 0])
    def test_a_wake_up_that_was_answered_does(self, woken: float | None) -> None:
        assert not should_look(self.row(looked=0, woken=woken), 20, NOW + timedelta(seconds=0.2))

    def test_a_follow_up_does_not_wait(self) -> None:
        assert should_look(self.row(looked=0, woken=-1), 20, NOW + timedelta(seconds=0.2), follow_up=True)

    @pytest.mark.parametrize("follow_up", [True, False])
    def test_the_third_within_a_second_waits(self, follow_up: bool) -> None:
        row = self.row(looked=0.5, before=0, woken=0.6)
        assert not should_look(row, 20, NOW + timedelta(seconds=1) - TICK, follow_up=follow_up)
        assert should_look(row, 20, NOW + timedelta(seconds=1), follow_up=follow_up)

    def test_at_most_two_in_any_second_however_often_one_asks(self) -> None:
        looks: list[float] = []
        for step in range(500):
            now = step / 100
            row = self.row(looked=looks[-1], before=looks[-2] if len(looks) > 1 else None, woken=now) if looks else None
            if should_look(row or ClusterRow(), 20, NOW + timedelta(seconds=now)):
                looks.append(now)
        assert len(looks) == 10
        assert all(sum(start <= look < start + 1 for look in looks) <= 2 for start in looks)


class TestFollowUps:
    def test_after_a_wake_up(self) -> None:
        clock = MonitorClock(polls=3).woken()
        delays = []
        for _ in range(7):
            delay, clock = clock.next_delay(timedelta(minutes=1))
            delays.append(delay.total_seconds())
        assert delays == [0.2, 0.5, 1, 2, 4, 10, 10]
        assert clock == MonitorClock(10, None)

    def test_each_of_the_looks_counts_as_one_after_a_wake_up(self) -> None:
        clock, following = MonitorClock().woken(), []
        for _ in range(6):
            following.append(clock.after_wake is not None)
            _, clock = clock.next_delay(timedelta(0))
        assert following == [True] * 6
        assert clock.after_wake is None

    def test_another_wake_up_begins_anew(self) -> None:
        _, clock = MonitorClock().woken().next_delay(timedelta(0))
        _, clock = clock.next_delay(timedelta(0))
        assert clock.woken().next_delay(timedelta(0))[0] == timedelta(seconds=0.2)
