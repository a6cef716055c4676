"""Times as text: RFC 3339 in UTC with milliseconds, everywhere."""

from __future__ import annotations

from datetime import UTC, datetime


def aware(at: datetime) -> datetime:
    """The time with its zone; one without (some Durable versions give such) is taken as UTC."""
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def format_time(at: datetime | None) -> str | None:
    """``2026-01-02T03:04:05.678Z``, or None for None. A time without a zone is taken as UTC."""
    if at is None:
        return None
    return aware(at).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(text: str | None) -> datetime | None:
    """The time that the text says, in UTC; None for None, for an empty and for an unreadable text."""
    if not text:
        return None
    try:
        return aware(datetime.fromisoformat(text))
    except (ValueError, OverflowError):  # not a time, or one that UTC would move out of the years 1 to 9999
        return None
