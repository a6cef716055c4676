"""Histories of orchestrations as the local engine kept them: saved as JSON in ``histories/``, replayed by the tests.

A history is saved when an orchestrator has a new path worth keeping. The old files stay, because instances like them
may still run when a new version of the app starts: with a search driven on the one-machine stack,

    python -m tests.orchestrators.histories .local/state/host.sqlite <instance id> <name>
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from durabletask.internal import orchestrator_service_pb2 as pb
from google.protobuf.json_format import MessageToDict, ParseDict  # type: ignore[import-untyped]

FOLDER = Path(__file__).with_name("histories")
_DECIDED = ("taskScheduled", "timerCreated", "subOrchestrationInstanceCreated", "executionCompleted")
"""Kinds of events that say what the orchestrator decided; all others say what it was told."""


@dataclass(frozen=True, slots=True)
class Step:
    """One dispatch of an orchestrator: what it had been told before, what was new, and what it decided then."""

    past: Sequence[pb.HistoryEvent]
    new: Sequence[pb.HistoryEvent]
    decided: Sequence[pb.HistoryEvent]


def kind_of(event: pb.HistoryEvent) -> str:
    """Which of the many kinds an event is."""
    return str(event.WhichOneof("eventType"))


def load(name: str) -> list[pb.HistoryEvent]:
    """The events of a saved history."""
    events = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    return [ParseDict(event, pb.HistoryEvent()) for event in events]


def saved() -> list[str]:
    """Names of all saved histories."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def orchestrator_of(events: Sequence[pb.HistoryEvent]) -> str:
    """The name of the orchestrator whose history it is."""
    return next(e.executionStarted.name for e in events if kind_of(e) == "executionStarted")


def steps_of(events: Sequence[pb.HistoryEvent]) -> Iterator[Step]:
    """Every dispatch, as the worker got it."""
    starts = [place for place, event in enumerate(events) if kind_of(event) == "orchestratorStarted"]
    for start, end in zip(starts, [*starts[1:], len(events)], strict=True):
        own = events[start:end]
        decided = [event for event in own if kind_of(event) in _DECIDED]
        new = [event for event in own if event not in decided and kind_of(event) != "orchestratorCompleted"]
        yield Step(events[:start], new, decided)


def save(state: Path, instance_id: str, target: Path) -> None:
    """Copy one instance's history out of a local engine's state file."""
    with closing(sqlite3.connect(f"file:{state}?mode=ro", uri=True)) as database:
        query = "SELECT event FROM events WHERE id = ? AND place = 0 ORDER BY number"
        events = [MessageToDict(pb.HistoryEvent.FromString(row[0])) for row in database.execute(query, (instance_id,))]
    if not events:
        raise SystemExit(f"{state} has no history of {instance_id}")
    target.write_text(json.dumps(events, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    save(Path(sys.argv[1]), sys.argv[2], FOLDER / f"{sys.argv[3]}.json")
