"""The time, so that tests need not wait for it."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    """The machine's time."""

    def monotonic(self) -> float:
        """Seconds, for spans."""
        return time.monotonic()

    def now(self) -> datetime:
        """The time of day, in UTC."""
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


def parse_time(text: object) -> datetime | None:
    """A time of the API (RFC 3339), or None where there is none or it cannot be read."""
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
