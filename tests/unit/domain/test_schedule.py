"""When to look again: every number at its limit and just beyond it (docs/behaviour.md, section N)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from shared.domain.schedule import (
    AFTER_WAKE,
    LONGEST_BURST,
    ClusterRow,
    MonitorClock,
    as_of,
    cluster_window,
    poll_interval,
    probe_interval,
    refresh_min_interval_seconds,
    should_look,
    staleness,
)
from shared.domain.search import Search
from shared.domain.states import ON_THE_CLUSTER, Phase
from tests.unit.domain.objects import NOW
from tests.unit.domain.objects import search as make_search

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
    @pytest.mark.proves("N1")
    @pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.RESULTS_PENDING, Phase.EXPORTING])
    def test_five_seconds_where_something_happens(self, phase: Phase) -> None:
        assert refresh_min_interval_seconds(phase) == 5

    @pytest.mark.proves("N2")
    @pytest.mark.parametrize("phase", sorted(set(Phase) - {Phase.RUNNING, Phase.RESULTS_PENDING, Phase.EXPORTING}))
    def test_twenty_seconds_elsewhere(self, phase: Phase) -> None:
        assert refresh_min_interval_seconds(phase) == 20

    def test_a_cluster_has_the_shortest_of_its_searches(self) -> None:
        assert cluster_window([], NOW) == 20
        assert cluster_window([in_phase(Phase.CREATING), in_phase(Phase.SUBMITTED)], NOW) == 20
        assert cluster_window([in_phase(Phase.CREATING), in_phase(Phase.RUNNING)], NOW) == 5

    @pytest.mark.parametrize("phase", sorted(set(Phase) - ON_THE_CLUSTER))
    def test_a_search_that_is_not_on_the_cluster_asks_for_nothing(self, phase: Phase) -> None:
        young = replace(in_phase(phase), jobs_created_at=NOW)
        assert cluster_window([young, in_phase(Phase.SUBMITTED)], NOW) == 20

    @pytest.mark.parametrize(("age", "window"), [(0, 5), (29.9, 5), (30, 20), (-29.9, 5), (-30, 20)])
    def test_jobs_that_were_just_made_are_about_to_begin(self, age: float, window: float) -> None:
        search = replace(in_phase(Phase.SUBMITTED), jobs_created_at=NOW - timedelta(seconds=age))
        assert cluster_window([search], NOW) == window

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


def in_phase(phase: Phase) -> Search:
    """A search in a phase."""
    return make_search(phase=phase)


class TestOtherClocks:
    @pytest.mark.parametrize("ahead", [4.9, 5.0, 300])
    def test_a_look_in_the_future_stops_nobody_for_longer_than_the_window(self, ahead: float) -> None:
        """Another host's clock is ahead, and that host may be gone."""
        row = ClusterRow(observed_at=NOW + timedelta(seconds=ahead), previous_look_at=NOW + timedelta(seconds=ahead))
        assert should_look(row, 5, NOW) == (ahead >= 5)


@pytest.mark.proves("T5", "N4")
class TestUnreachable:
    def row(self, *, since: float, last: float) -> ClusterRow:
        """Unreachable for so many seconds, asked last so many seconds ago."""
        return ClusterRow(
            observed_at=NOW - timedelta(seconds=last),
            wake_requested_at=NOW - timedelta(seconds=last / 2),
            unreachable_since=NOW - timedelta(seconds=since),
            unreachable_reason="no route to host",
        )

    @pytest.mark.parametrize(
        ("since", "interval"), [(0, 10), (299.9, 10), (300, 60), (300.1, 60), (86_400, 60)], ids=str
    )
    @pytest.mark.parametrize("follow_up", [False, True])
    def test_single_probes_whoever_asks_and_however_often(self, since: float, interval: float, follow_up: bool) -> None:
        assert probe_interval(NOW - timedelta(seconds=since), NOW) == interval
        assert not should_look(self.row(since=since, last=interval - 0.01), 5, NOW, follow_up=follow_up)
        assert should_look(self.row(since=since, last=interval), 5, NOW, follow_up=follow_up)

    def test_what_is_known_is_old_from_the_first_failure_on(self) -> None:
        assert staleness(self.row(since=0, last=0), NOW) == "no route to host"


class TestStaleness:
    @pytest.mark.parametrize(
        ("seen", "claimed", "is_stale"),
        [(None, None, False), (1, 1, False), (3600, 3600, False), (30, 1, False), (30.1, 1, True), (None, 100, False)],
    )
    def test_a_look_that_was_claimed_and_never_came(
        self, seen: float | None, claimed: float | None, is_stale: bool
    ) -> None:
        def ago(seconds: float | None) -> datetime | None:
            return None if seconds is None else NOW - timedelta(seconds=seconds)

        assert (staleness(ClusterRow(observed_at=ago(claimed), seen_at=ago(seen)), NOW) is not None) is is_stale

    def test_a_search_is_shown_as_of_the_last_look_that_saw_it(self) -> None:
        early, late = NOW - timedelta(seconds=20), NOW - timedelta(seconds=5)
        search = replace(in_phase(Phase.RUNNING), created_at=early, jobs_created_at=early, observed_at=early)
        assert as_of(search, ClusterRow(observed_at=late, seen_at=late), NOW).observed_at == late
        assert as_of(search, ClusterRow(), NOW).observed_at == early

    def test_a_look_of_before_its_jobs_has_not_seen_it(self) -> None:
        search = replace(in_phase(Phase.SUBMITTED), jobs_created_at=NOW, observed_at=None)
        before = NOW - timedelta(seconds=5)
        assert as_of(search, ClusterRow(observed_at=before, seen_at=before), NOW).observed_at is None

    @pytest.mark.parametrize("phase", sorted(set(Phase) - ON_THE_CLUSTER))
    def test_only_what_the_cluster_tells_can_be_old(self, phase: Phase) -> None:
        search = in_phase(phase)
        assert as_of(search, ClusterRow(unreachable_since=NOW), NOW, "late") == search


class TestForcedLooks:
    def row(self, *, looked: float, before: float | None = None, woken: float | None = None) -> ClusterRow:
        def at(seconds: float | None) -> object:
            return None if seconds is None else NOW + timedelta(seconds=seconds)

        return ClusterRow(at(looked), at(before), at(woken))  # type: ignore[arg-type]

    def test_a_wake_up_after_the_last_look_does_not_wait(self) -> None:
        row = self.row(looked=0, woken=0.1)
        assert should_look(row, 20, NOW + timedelta(seconds=0.25))
        assert not should_look(row, 20, NOW + timedelta(seconds=0.25) - TICK), "the Job has not ended yet when it calls"

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
            before = looks[-2] if len(looks) > 1 else None
            row = self.row(looked=looks[-1], before=before, woken=looks[-1] + TICK.total_seconds()) if looks else None
            if should_look(row or ClusterRow(), 20, NOW + timedelta(seconds=now)):
                looks.append(now)
        assert len(looks) in (9, 10)
        assert all(sum(start <= look < start + 1 for look in looks) <= 2 for start in looks)


class TestFollowUps:
    def test_after_a_wake_up(self) -> None:
        clock = MonitorClock(polls=3).woken(NOW)
        delays = []
        for _ in range(9):
            delay, clock = clock.next_delay(timedelta(minutes=1))
            delays.append(delay.total_seconds())
        assert delays == [0.2, 0.5, 0.55, 0.75, 0.8, 0.8, 2, 10, 10]
        assert clock == MonitorClock(12, None)

    def test_each_of_the_looks_counts_as_one_after_a_wake_up(self) -> None:
        clock, following = MonitorClock().woken(NOW), []
        for _ in range(8):
            following.append(clock.is_follow_up)
            _, clock = clock.next_delay(timedelta(0))
        assert following == [False] + [True] * 7, "at the wake-up itself only what is known is read"
        assert not clock.is_follow_up

    def test_each_of_them_may_be_a_look(self) -> None:
        """As close together as two looks a second allow, whatever the timers' jitter."""
        at, looks = 0.0, list[float]()
        for delay in AFTER_WAKE:
            at += delay
            last, before = (looks[-1] if looks else -60.0), (looks[-2] if len(looks) > 1 else -60.0)
            row = ClusterRow(NOW + timedelta(seconds=last), NOW + timedelta(seconds=before))
            if should_look(row, 20, NOW + timedelta(seconds=at), follow_up=True):
                looks.append(at)
        assert looks == pytest.approx([0.2, 0.7, 1.25, 2.0, 2.8, 3.6, 5.6])

    def test_another_wake_up_begins_anew(self) -> None:
        _, clock = MonitorClock().woken(NOW).next_delay(timedelta(0))
        _, clock = clock.next_delay(timedelta(0))
        assert clock.woken(NOW).next_delay(timedelta(0))[0] == timedelta(seconds=0.2)

    def test_calls_in_quick_succession_put_the_first_quick_look_off_but_not_for_ever(self) -> None:
        clock = MonitorClock().woken(NOW)
        for seconds in (0.1, 0.2, 0.3, 0.4, 0.49):
            _, clock = clock.next_delay(timedelta(0))
            clock = clock.woken(NOW + timedelta(seconds=seconds))
            assert not clock.is_follow_up
        _, clock = clock.next_delay(timedelta(0))
        assert clock.woken(NOW + timedelta(seconds=LONGEST_BURST)).is_follow_up

    def test_a_call_after_the_first_quick_look_is_another_burst(self) -> None:
        clock = MonitorClock().woken(NOW)
        for _ in range(2):
            _, clock = clock.next_delay(timedelta(0))
        assert clock.woken(NOW + timedelta(seconds=9)).woken_at == NOW + timedelta(seconds=9)
