"""How long the histories of orchestrations are, counted as the durable task framework writes them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class HistoryCount:
    """The events of one instance's history.

    Counted: ``orchestratorStarted``, ``executionStarted`` and ``orchestratorCompleted`` of the beginning; for each
    thing that the instance is told one more ``orchestratorStarted`` and ``orchestratorCompleted`` (the real framework
    may tell several things at once, so this is the most that it writes); ``taskScheduled`` and ``taskCompleted`` or
    ``taskFailed`` of each attempt of an activity; ``timerCreated`` and ``timerFired``, also between two attempts, and
    also of timers that were given up, since the framework fires those too; ``subOrchestrationInstanceCreated`` and
    ``...Completed`` or ``...Failed``; ``eventRaised``; ``executionCompleted``. ``continue_as_new`` begins a new, empty
    history.

    Attributes:
        kinds: events of the present generation, by their kind.
        generations: how many there have been, the present one included.
        longest: events of the longest generation so far.
        total: events of all generations.
    """

    kinds: Counter[str] = field(default_factory=Counter)
    generations: int = 1
    longest: int = 0
    total: int = 0

    @property
    def length(self) -> int:
        """Events of the present generation."""
        return self.kinds.total()

    def add(self, *kinds: str) -> None:
        """Events are written."""
        self.kinds.update(kinds)
        self.total += len(kinds)
        self.longest = max(self.longest, self.length)

    def begin_anew(self) -> None:
        """A new generation begins."""
        self.kinds.clear()
        self.generations += 1
