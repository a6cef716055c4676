"""Faults on demand and the count of API calls, for tests. The control endpoint sets them, `routes.py` obeys."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


@dataclass(slots=True)
class Fault:
    """What happens to the API calls that match; `count` None is for ever."""

    latency_seconds: float = 0.0
    status: int = 0
    retry_after_seconds: int | None = None
    reset: bool = False
    count: int | None = None
    method: str = ""
    path: re.Pattern[str] = re.compile("")

    @classmethod
    def from_json(cls, body: Json) -> Fault:
        """Read `{latency_ms | status, retry_after, reset, count, method, path_regex}`; ValueError for anything else."""
        unknown = set(body) - {"latency_ms", "status", "retry_after", "reset", "count", "method", "path_regex"}
        if unknown:
            raise ValueError(f"unknown fields: {', '.join(sorted(unknown))}")
        return cls(
            latency_seconds=float(body.get("latency_ms", 0)) / 1000,
            status=int(body.get("status", 0)),
            retry_after_seconds=body.get("retry_after"),
            reset=bool(body.get("reset", False)),
            count=body.get("count"),
            method=str(body.get("method", "")).upper(),
            path=re.compile(str(body.get("path_regex", ""))),
        )

    def matches(self, method: str, path: str) -> bool:
        """Whether this call meets the fault; `path` has the query string."""
        return self.count != 0 and self.method in ("", method) and self.path.search(path) is not None


class Faults:
    """The faults in force, in the order in which they were set."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Put a fault in force."""
        self._faults.append(fault)

    def clear(self) -> None:
        """End all faults."""
        self._faults.clear()

    def take(self, method: str, path: str) -> list[Fault]:
        """The faults that this call meets; each is counted."""
        met = [fault for fault in self._faults if fault.matches(method, path)]
        for fault in met:
            if fault.count is not None:
                fault.count -= 1
        self._faults = [fault for fault in self._faults if fault.count != 0]
        return met


class Calls:
    """How often which verb met which resource, since the start or since a mark."""

    def __init__(self) -> None:
        self._total: Counter[str] = Counter()
        self._marks: dict[int, Counter[str]] = {}

    def count(self, verb: str, resource: str) -> None:
        """Count one call, such as `list` of `pods`."""
        self._total[f"{verb} {resource}"] += 1

    def mark(self) -> int:
        """Remember the present counts; the number names them."""
        number = len(self._marks) + 1
        self._marks[number] = self._total.copy()
        return number

    def since(self, mark: int) -> dict[str, int]:
        """The calls since a mark (0: since the start); KeyError for a mark that was never made."""
        before = self._marks[mark] if mark else Counter[str]()
        return dict(self._total - before)
