"""The steps' times: recorded twice they are what they were, and the text of a time is RFC 3339."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from shared.domain.states import StepName, StepStatus
from shared.domain.timeline import Step, begin, end_open_steps, finish, new_timeline, read_timeline
from shared.domain.times import format_time, parse_time
from tests.unit.domain.objects import NOW

LATER = NOW + timedelta(seconds=1.2345)
LATEST = NOW + timedelta(hours=1)


def test_a_step_that_begins_and_ends() -> None:
    steps = finish(begin(new_timeline(), StepName.CONFIGURING, NOW), StepName.CONFIGURING, LATER, "2 Jobs removed")
    step = steps[2]
    assert step == Step(StepName.CONFIGURING, StepStatus.COMPLETED, NOW, LATER, "2 Jobs removed")
    assert step.to_dict() == {
        "name": "configuring",
        "status": "completed",
        "started_at": "2026-03-04T12:00:00.000Z",
        "completed_at": "2026-03-04T12:00:01.234Z",
        "seconds": 1.234,
        "detail": "2 Jobs removed",
    }
    assert [s.status for i, s in enumerate(steps) if i != 2] == [StepStatus.PENDING] * 6


def test_recorded_twice_nothing_changes() -> None:
    begun = begin(new_timeline(), StepName.RUNNING, NOW)
    assert begin(begun, StepName.RUNNING, LATER) == begun
    ended = finish(begun, StepName.RUNNING, LATER, "done")
    assert finish(ended, StepName.RUNNING, LATEST, "again", StepStatus.FAILED) == ended
    assert begin(ended, StepName.RUNNING, LATEST) == ended
    assert end_open_steps(ended, LATEST, StepStatus.FAILED) == ended


def test_seconds_are_absent_until_the_end() -> None:
    assert Step(StepName.RUNNING).seconds is None
    assert Step(StepName.RUNNING, StepStatus.RUNNING, NOW).seconds is None
    assert Step(StepName.RUNNING, StepStatus.COMPLETED, NOW, NOW).seconds == 0


def test_a_step_that_never_began_took_no_time() -> None:
    step = finish(new_timeline(), StepName.WARMING_UP, NOW, "warm already", StepStatus.SKIPPED)[1]
    assert (step.status, step.seconds, step.detail) == (StepStatus.SKIPPED, 0, "warm already")


def test_only_open_steps_end_with_the_search() -> None:
    steps = finish(new_timeline(), StepName.PREPARING, NOW)
    steps = begin(begin(steps, StepName.CONFIGURING, NOW), StepName.STAGING_DB, NOW)
    statuses = [s.status.value for s in end_open_steps(steps, LATER, StepStatus.FAILED)]
    assert statuses == ["completed", "pending", "failed", "failed", "pending", "pending", "pending"]


def test_stored_steps_come_back_whole_and_in_order() -> None:
    steps = finish(begin(new_timeline(), StepName.PREPARING, NOW), StepName.PREPARING, NOW + timedelta(seconds=2), "x")
    assert read_timeline([step.to_dict() for step in reversed(steps)]) == steps
    assert read_timeline([]) == new_timeline()
    assert read_timeline([{"name": "running", "unknown": 1}])[5] == Step(StepName.RUNNING)


class TestTimes:
    @pytest.mark.parametrize(
        ("at", "text"),
        [
            (None, None),
            (datetime(2026, 1, 2, 3, 4, 5, 678_999, tzinfo=UTC), "2026-01-02T03:04:05.678Z"),
            (datetime(2026, 1, 2, 3, 4, 5), "2026-01-02T03:04:05.000Z"),  # noqa: DTZ001
            (datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2))), "2026-01-02T01:04:05.000Z"),
        ],
    )
    def test_as_text(self, at: datetime | None, text: str | None) -> None:
        assert format_time(at) == text

    @pytest.mark.parametrize(
        ("text", "at"),
        [
            ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
            ("2026-01-02T03:04:05", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
            ("2026-01-02T03:04:05.5+02:00", datetime(2026, 1, 2, 1, 4, 5, 500_000, tzinfo=UTC)),
            *[(broken, None) for broken in (None, "", "yesterday", "2026-13-01T00:00:00Z", "1772625600", "\x00")],
            ("0001-01-01T00:00:00+14:00", None),
            ("9999-12-31T23:59:59-14:00", None),
        ],
    )
    def test_from_text(self, text: str | None, at: datetime | None) -> None:
        assert parse_time(text) == at
