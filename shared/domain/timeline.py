"""The seven steps of a search with their times, as the detail shows them.

Times come from the caller (an orchestrator's deterministic clock), so that recording a step twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from shared.domain.states import StepName, StepStatus
from shared.domain.times import format_time, parse_time


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the timeline. Seconds are wall time between start and completion."""

    name: StepName
    status: StepStatus = StepStatus.PENDING
    started_at: datetime | None = None
    completed_at: datetime | None = None
    detail: str = ""

    @property
    def seconds(self) -> float | None:
        """Wall seconds that the step took; None while it has not ended."""
        if self.started_at is None or self.completed_at is None:
            return None
        return round((self.completed_at - self.started_at).total_seconds(), 3)

    def to_dict(self) -> dict[str, Any]:
        """The step as the API shows it."""
        return {
            "name": self.name.value,
            "status": self.status.value,
            "started_at": format_time(self.started_at),
            "completed_at": format_time(self.completed_at),
            "seconds": self.seconds,
            "detail": self.detail,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Step:
        """Read a stored step; unknown fields are ignored."""
        return cls(
            StepName(data["name"]),
            StepStatus(data.get("status", "pending")),
            parse_time(data.get("started_at")),
            parse_time(data.get("completed_at")),
            data.get("detail") or "",
        )


Timeline = tuple[Step, ...]


def new_timeline() -> Timeline:
    """All steps, none begun."""
    return tuple(Step(name) for name in StepName)


def read_timeline(rows: Sequence[Mapping[str, Any]]) -> Timeline:
    """A timeline from stored steps: always all of them, in display order, whatever was stored."""
    known = {step.name: step for step in map(Step.from_dict, rows)}
    return tuple(known.get(name, Step(name)) for name in StepName)


def _change(timeline: Timeline, name: StepName, **fields: Any) -> Timeline:
    return tuple(replace(s, **fields) if s.name is name else s for s in timeline)


def _step(timeline: Timeline, name: StepName) -> Step:
    return next(s for s in timeline if s.name is name)


def begin(timeline: Timeline, name: StepName, at: datetime) -> Timeline:
    """Start a step, unless it has started already."""
    if _step(timeline, name).started_at is not None:
        return timeline
    return _change(timeline, name, status=StepStatus.RUNNING, started_at=at)


def finish(
    timeline: Timeline, name: StepName, at: datetime, detail: str = "", status: StepStatus = StepStatus.COMPLETED
) -> Timeline:
    """End a step, unless it has ended already; a step that never began took 0 seconds."""
    step = _step(timeline, name)
    if step.completed_at is not None:
        return timeline
    return _change(
        timeline,
        name,
        status=status,
        started_at=step.started_at or at,
        completed_at=at,
        detail=detail or step.detail,
    )


def end_open_steps(timeline: Timeline, at: datetime, status: StepStatus) -> Timeline:
    """End whatever still runs, when the search ends."""
    for step in timeline:
        if step.status is StepStatus.RUNNING:
            timeline = finish(timeline, step.name, at, status=status)
    return timeline
