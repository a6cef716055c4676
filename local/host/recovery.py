"""What an orchestration still waits for, read from its own history: the base of a restart.

Nothing that was handed out is written down separately. After a restart the engine (engine.py) hands out again whatever
the history says was scheduled and never answered; activities are safe to run twice.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from durabletask.internal import orchestrator_service_pb2 as pb


@dataclass(frozen=True, slots=True)
class Outstanding:
    """The events that scheduled what has not been answered, in the order of the history."""

    activities: tuple[pb.HistoryEvent, ...]
    timers: tuple[pb.HistoryEvent, ...]


def outstanding_work(history: Iterable[pb.HistoryEvent], inbox: Iterable[pb.HistoryEvent]) -> Outstanding:
    """Find the activities and timers that were scheduled and have no answer yet.

    Args:
        history: the events that the orchestrator has processed in its present generation.
        inbox: the events that it has not processed; an answer may be among them.
    """
    scheduled: dict[int, pb.HistoryEvent] = {}
    created: dict[int, pb.HistoryEvent] = {}
    for event in (*history, *inbox):
        match event.WhichOneof("eventType"):
            case "taskScheduled":
                scheduled[event.eventId] = event
            case "timerCreated":
                created[event.eventId] = event
            case "taskCompleted":
                scheduled.pop(event.taskCompleted.taskScheduledId, None)
            case "taskFailed":
                scheduled.pop(event.taskFailed.taskScheduledId, None)
            case "timerFired":
                created.pop(event.timerFired.timerId, None)
            case _:
                pass
    return Outstanding(tuple(scheduled.values()), tuple(created.values()))
