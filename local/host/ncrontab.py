"""Timer schedules: NCRONTAB expressions with six fields, seconds first, in UTC, as Azure Functions reads them.

https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer#ncrontab-expressions. Day of month and day of
week must both match (as in the NCrontab library, unlike Unix cron).
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")

# 29 February on one given day of the week comes at most 40 years apart (around a century year without a leap day).
_HORIZON_DAYS: Final = 41 * 366


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    low: int
    high: int
    words: tuple[str, ...] = ()


_FIELDS: Final = (
    _Field("second", 0, 59),
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 0, 6, _DAYS),
)


@dataclass(frozen=True, slots=True)
class Schedule:
    """The moments at which a timer fires: for each field the values that match."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]

    def next_after(self, moment: datetime) -> datetime:
        """The first moment after the given one, to the second, in UTC.

        Args:
            moment: aware; of any time zone.

        Raises:
            ValueError: when there is none, as for 30 February.
        """
        start = moment.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=1)
        day = start.replace(hour=0, minute=0, second=0)
        for _ in range(_HORIZON_DAYS):
            if self._matches_day(day):
                earliest = (start.hour, start.minute, start.second) if day.date() == start.date() else (0, 0, 0)
                if (time := self._first_time(earliest)) is not None:
                    return day.replace(hour=time[0], minute=time[1], second=time[2])
            day += timedelta(days=1)
        raise ValueError("the schedule never fires")

    def _matches_day(self, day: datetime) -> bool:
        return day.day in self.days and day.month in self.months and day.isoweekday() % 7 in self.weekdays

    def _first_time(self, earliest: tuple[int, int, int]) -> tuple[int, int, int] | None:
        for hour in self.hours:
            if hour < earliest[0]:
                continue
            for minute in self.minutes:
                if (hour, minute) < earliest[:2]:
                    continue
                for second in self.seconds:
                    if (hour, minute, second) >= earliest:
                        return hour, minute, second
        return None


def parse_schedule(text: str) -> Schedule:
    """Parse an NCRONTAB expression: `{second} {minute} {hour} {day} {month} {day-of-week}`.

    Each field is a list of `*`, `a`, `a-b`, with `/n` for every n-th (`a/n`: from a on); months and days of the week
    may be given by name, Sunday is 0.

    Raises:
        ValueError: naming the field that is wrong, or when the schedule never fires.
    """
    parts = text.split()
    if len(parts) != len(_FIELDS):
        raise ValueError(f"schedule {text!r} has {len(parts)} fields, it must have 6: second first")
    second, minute, hour, day, month, weekday = (
        _parse_field(part, field) for part, field in zip(parts, _FIELDS, strict=True)
    )
    schedule = Schedule(tuple(sorted(second)), tuple(sorted(minute)), tuple(sorted(hour)), day, month, weekday)
    try:
        schedule.next_after(datetime(2000, 1, 1, tzinfo=UTC))
    except ValueError as error:
        raise ValueError(f"schedule {text!r}: {error}") from None
    return schedule


def _parse_field(text: str, field: _Field) -> frozenset[int]:
    values: set[int] = set()
    for item in text.split(","):
        span, slash, step_text = item.partition("/")
        step = _number(step_text, field, text) if slash else 1
        if step < 1:
            raise ValueError(f"{field.name} {text!r}: a step must be above 0")
        first, dash, last = span.partition("-")
        if span == "*":
            low, high = field.low, field.high
        else:
            low = _value(first, field, text)
            high = _value(last, field, text) if dash else (field.high if slash else low)
        if low > high:
            raise ValueError(f"{field.name} {text!r}: {low} is after {high}")
        values.update(range(low, high + 1, step))
    return frozenset(values)


def _value(text: str, field: _Field, whole: str) -> int:
    for number, word in enumerate(field.words, start=field.low):
        if len(text) >= 3 and text.casefold().startswith(word) and text.isalpha():
            return number
    value = _number(text, field, whole)
    if not field.low <= value <= field.high:
        raise ValueError(f"{field.name} {whole!r}: {value} is not in {field.low}-{field.high}")
    return value


def _number(text: str, field: _Field, whole: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{field.name} {whole!r}: {text!r} is not a number")
    return int(text)
