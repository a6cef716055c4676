"""A bucket holds so much, gains so much, and is nobody else's clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.rates import BURST_MINUTES, Allowance, Bucket, Decision, take

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SIXTY = Allowance(60)


def after(seconds: float) -> datetime:
    """So many seconds later."""
    return NOW + timedelta(seconds=seconds)


class TestTake:
    @pytest.mark.parametrize(
        ("tokens", "seconds", "left", "wait"),
        [
            (120.0, 0, 119.0, 0),
            (1.0, 0, 0.0, 0),
            (0.999, 0, None, 0.001),
            (0.5, 0, None, 0.5),
            (0.0, 0, None, 1),
            (0.0, 0.5, None, 0.5),
            (0.0, 1, 0.0, 0),
            (0.0, 10, 9.0, 0),
            (0.0, 119, 118.0, 0),
            (0.0, 120, 119.0, 0),
            (0.0, 86_400, 119.0, 0),
            (119.0, 60, 119.0, 0),
            (1000.0, 0, 119.0, 0),
            (-5.0, 1, 0.0, 0),
        ],
    )
    def test_of_a_bucket(self, tokens: float, seconds: float, left: float | None, wait: float) -> None:
        decision = take(Bucket(tokens, NOW), SIXTY, after(seconds))
        assert decision.wait_seconds == pytest.approx(wait)
        assert decision.is_allowed is (wait == 0)
        if left is None:
            assert decision.bucket is None
        else:
            assert decision.bucket is not None
            assert decision.bucket.tokens == pytest.approx(left)
            assert decision.bucket.at == after(seconds)

    def test_the_first_time_it_is_full(self) -> None:
        assert take(None, SIXTY, NOW) == Decision(Bucket(119.0, NOW))

    @pytest.mark.parametrize("bucket", [None, Bucket(0.0, NOW), Bucket(-1.0, after(9))])
    def test_without_a_limit_nothing_is_taken(self, bucket: Bucket | None) -> None:
        assert take(bucket, Allowance(0), NOW) == Decision(None)

    def test_one_a_minute(self) -> None:
        first = take(None, Allowance(1), NOW)
        assert first.bucket == Bucket(1.0, NOW)
        second = take(first.bucket, Allowance(1), NOW)
        assert second.bucket == Bucket(0.0, NOW)
        assert take(second.bucket, Allowance(1), NOW).wait_seconds == 60
        assert not take(second.bucket, Allowance(1), after(59.9)).is_allowed
        assert take(second.bucket, Allowance(1), after(60)).is_allowed

    def test_a_setting_that_was_lowered_holds_at_once(self) -> None:
        decision = take(Bucket(119.0, NOW), Allowance(3), NOW)
        assert decision.bucket == Bucket(5.0, NOW)


class TestClocks:
    def test_one_that_is_behind_gains_nothing_and_sets_nothing_back(self) -> None:
        decision = take(Bucket(5.0, after(3)), SIXTY, NOW)
        assert decision.bucket == Bucket(4.0, after(3))

    def test_one_that_is_behind_waits_for_the_other_too(self) -> None:
        assert take(Bucket(0.0, after(3)), SIXTY, NOW).wait_seconds == pytest.approx(4)

    def test_two_clocks_in_turn_gain_no_more_than_one(self) -> None:
        bucket: Bucket | None = Bucket(0.0, NOW)
        granted = 0
        for step in range(600):
            decision = take(bucket, SIXTY, after(step / 10 + (3 if step % 2 else 0)))
            granted += decision.is_allowed
            bucket = decision.bucket or bucket
        assert granted <= 60 + 3

    @pytest.mark.parametrize(("seconds", "allowed"), [(120, False), (121, True), (1e9, True)])
    def test_a_time_that_no_clock_has_yet_holds_nobody_up(self, seconds: float, allowed: bool) -> None:
        decision = take(Bucket(0.0, after(seconds)), SIXTY, NOW)
        assert decision.is_allowed is allowed
        if allowed:
            assert decision.bucket == Bucket(119.0, NOW)


@given(
    per_minute=st.integers(1, 200),
    steps=st.lists(st.floats(0, 30, allow_nan=False), min_size=1, max_size=300),
)
@settings(deadline=None, derandomize=True, database=None)
def test_never_more_than_the_burst_and_what_was_gained(per_minute: int, steps: list[float]) -> None:
    allowance, at, granted = Allowance(per_minute), NOW, 0
    bucket: Bucket | None = None
    for step in steps:
        at += timedelta(seconds=step)
        decision = take(bucket, allowance, at)
        granted += decision.is_allowed
        bucket = decision.bucket or bucket
        minutes = (at - NOW) / timedelta(minutes=1)
        assert granted <= allowance.burst + minutes * per_minute + 1e-6


@given(per_minute=st.integers(1, 10_000), tokens=st.floats(0, 0.999))
@settings(deadline=None, derandomize=True, database=None)
def test_who_waits_as_long_as_was_said_goes_on(per_minute: int, tokens: float) -> None:
    bucket = Bucket(tokens, NOW)
    wait = take(bucket, Allowance(per_minute), NOW).wait_seconds
    assert 0 < wait <= 60 * BURST_MINUTES
    assert take(bucket, Allowance(per_minute), after(wait) + timedelta(milliseconds=1)).is_allowed
