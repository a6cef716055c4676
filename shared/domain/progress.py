"""How far a search's Jobs are, counted by state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Progress:
    """Kubernetes Jobs of the search, counted by state."""

    total: int = 0
    pending: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0

    @property
    def pct(self) -> float:
        """Percent of the Jobs that succeeded, one decimal."""
        return round(100 * self.succeeded / self.total, 1) if self.total else 0.0

    def to_dict(self) -> dict[str, Any]:
        """The progress object of the API."""
        return {
            "total": self.total,
            "pending": self.pending,
            "running": self.running,
            "succeeded": self.succeeded,
            "failed": self.failed,
            "pct": self.pct,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Progress:
        """Read a stored progress; missing counts are 0."""
        return cls(*(int(data.get(k, 0)) for k in ("total", "pending", "running", "succeeded", "failed")))
