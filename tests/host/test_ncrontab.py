"""Timer schedules, as tables: expression, moment, next moment."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from local.host.ncrontab import parse_schedule


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "moment", "expected"),
    [
        ("* * * * * *", "2030-01-01T00:00:00", "2030-01-01T00:00:01"),
        ("*/30 * * * * *", "2030-01-01T00:00:00", "2030-01-01T00:00:30"),
        ("*/30 * * * * *", "2030-01-01T00:00:30", "2030-01-01T00:01:00"),
        ("0 * * * * *", "2030-12-31T23:59:59", "2031-01-01T00:00:00"),
        ("0 */5 * * * *", "2030-01-01T00:04:59", "2030-01-01T00:05:00"),
        ("0 0 * * * *", "2030-01-01T10:00:00", "2030-01-01T11:00:00"),
        ("0 0 */2 * * *", "2030-01-01T23:00:00", "2030-01-02T00:00:00"),
        ("0 0 9-17 * * *", "2030-01-01T17:00:00", "2030-01-02T09:00:00"),
        ("0 30 9 * * *", "2030-01-01T09:29:59", "2030-01-01T09:30:00"),
        ("0 30 9 * * 1-5", "2030-01-04T10:00:00", "2030-01-07T09:30:00"),  # Friday -> Monday
        ("0 30 9 * Jan Mon", "2030-01-28T10:00:00", "2031-01-06T09:30:00"),
        ("0 0 0 * JANUARY,july sunday", "2030-01-31T00:00:00", "2030-07-07T00:00:00"),
        ("0 0 0 * * 0", "2030-01-01T00:00:00", "2030-01-06T00:00:00"),
        ("5,8,10 * * * * *", "2030-01-01T00:00:05", "2030-01-01T00:00:08"),
        ("10-50/20 * * * * *", "2030-01-01T00:00:31", "2030-01-01T00:00:50"),
        ("5/15 * * * * *", "2030-01-01T00:00:05", "2030-01-01T00:00:20"),
        ("1,10-12,40/10 * * * * *", "2030-01-01T00:00:12", "2030-01-01T00:00:40"),
        ("0 0 3 * * *", "2030-02-28T04:00:00", "2030-03-01T03:00:00"),
        ("0 0 0 29 2 *", "2030-01-01T00:00:00", "2032-02-29T00:00:00"),
        ("0 0 0 31 * *", "2030-01-31T00:00:00", "2030-03-31T00:00:00"),
        ("0 0 0 13 * 5", "2030-01-01T00:00:00", "2030-09-13T00:00:00"),  # both must match
        ("0 0 0 29 2 1", "2072-03-01T00:00:00", "2112-02-29T00:00:00"),  # the longest wait there is
    ],
)
def test_the_next_moment(expression: str, moment: str, expected: str) -> None:
    assert parse_schedule(expression).next_after(at(moment)) == at(expected)


def test_a_part_of_a_second_is_cut_off() -> None:
    moment = at("2030-01-01T00:00:29.999999")
    assert parse_schedule("*/30 * * * * *").next_after(moment) == at("2030-01-01T00:00:30")


def test_another_time_zone_is_converted() -> None:
    moment = datetime(2030, 1, 1, 1, 0, tzinfo=timezone(timedelta(hours=2)))
    assert parse_schedule("0 0 0 * * *").next_after(moment) == at("2030-01-01T00:00:00")


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("* * * * *", "has 5 fields"),
        ("", "has 0 fields"),
        ("60 * * * * *", "second '60': 60 is not in 0-59"),
        ("* * 24 * * *", "hour '24'"),
        ("* * * 0 * *", "day '0'"),
        ("* * * * 13 *", "month '13'"),
        ("* * * * * 7", "day of week '7'"),
        ("*/0 * * * * *", "a step must be above 0"),
        ("30-10 * * * * *", "30 is after 10"),
        ("a * * * * *", "'a' is not a number"),
        ("* * * * Foo *", "'Foo' is not a number"),
        ("-1 * * * * *", "'' is not a number"),
        ("1, * * * * *", "'' is not a number"),
        ("0 0 0 30 2 *", "never fires"),
        ("00:00:30", "has 1 fields"),
    ],
)
def test_a_wrong_expression_is_refused_with_its_field(expression: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_schedule(expression)
