"""The history of a search: who did what to it, when and why. Events are written once and never changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.domain.times import format_time, parse_time

SYSTEM = "system"
"""Who acted, where it was the product itself."""
MAX_REASON = 1000


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    Attributes:
        kind: snake_case name (``submitted``, ``cancel_requested``, ``retried``, ``failed``, ...).
        who: the owner or operator who asked for it, or ``system``.
        why: the reason that was given, or what caused it.
    """

    at: datetime
    kind: str
    who: str
    why: str = ""
    attempt: int = 1

    def to_dict(self) -> dict[str, Any]:
        """As the API shows it."""
        return {
            "at": format_time(self.at),
            "kind": self.kind,
            "who": self.who,
            "why": self.why,
            "attempt": self.attempt,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Event | None:
        """Read a stored event; None when it has no readable time."""
        at = parse_time(data.get("at"))
        if at is None:
            return None
        return cls(
            at,
            str(data.get("kind", "")),
            str(data.get("who", "")),
            str(data.get("why", "")),
            int(data.get("attempt", 1)),
        )
