"""The cluster's clock: one place for time, so that a test can skew the cluster's clock against its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class Clock:
    """Wall time of the cluster; `skew_seconds` moves it against the machine's."""

    def __init__(self) -> None:
        self.skew_seconds = 0.0

    def now(self) -> datetime:
        """The cluster's present time, in UTC."""
        return datetime.now(UTC) + timedelta(seconds=self.skew_seconds)

    def stamp(self) -> str:
        """The present as RFC 3339 with whole seconds, as Kubernetes writes it."""
        return self.now().strftime("%Y-%m-%dT%H:%M:%SZ")

    def micro_stamp(self) -> str:
        """The present with microseconds, as leases and events write it."""
        return self.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_stamp(text: str) -> datetime:
    """The time of an RFC 3339 text; ValueError when it is none."""
    return datetime.fromisoformat(text)
