"""What tests read of a process's counters."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

from shared.clients.counters import COUNTERS, Counters
from shared.domain.stats import CounterName


def held(counters: Counters = COUNTERS) -> dict[CounterName, int]:
    """What was counted and is not written yet, by name."""
    total: Counter[CounterName] = Counter()
    for entry in counters.held(datetime.now(UTC)):
        total.update(entry.counts)
    return dict(total)
