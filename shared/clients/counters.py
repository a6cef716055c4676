"""What this process counts: calls, looks and wake-ups, to be added up over all instances of the app.

Counting touches nothing outside the process, so that it may stand in any path, however hot or broken.
``shared.clients.recording`` writes the numbers down, at most once a minute.
"""

from __future__ import annotations

import secrets
import threading
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from shared.domain.stats import CounterName, Entry, counted, minute_of

MAX_UNWRITTEN = 60
"""Entries that are kept while they cannot be written, which is an hour of them; then the oldest are dropped."""


class Counters:
    """Numbers by name, counted by any thread.

    Attributes:
        instance: tells this process from all others, and from the one before it in the same place. It is random:
            containers of one app share process ids and, started again, names.
    """

    def __init__(self) -> None:
        self.instance = secrets.token_hex(8)
        self._lock = threading.Lock()
        self._counts: Counter[CounterName] = Counter()
        self._unwritten: list[Entry] = []
        self._entries = 0
        self._minute: datetime | None = None

    def count(self, name: CounterName, by: int = 1) -> None:
        """Add to a number."""
        with self._lock:
            self._counts[name] += by

    def due(self, now: datetime) -> list[Entry]:
        """What is to be written; nothing for whoever asks again in the same minute.

        An entry never changes once it was given out, so that to write it again is to replace it by the same. It is
        given out again, in another minute, until it is ``written``.
        """
        minute = minute_of(now)
        with self._lock:
            if minute == self._minute:
                return []
            self._minute = minute
            if self._counts:
                self._entries += 1
                self._unwritten.append(counted(self.instance, self._entries, self._counts, now))
                self._counts = Counter()
            del self._unwritten[:-MAX_UNWRITTEN]
            return list(self._unwritten)

    def written(self, entries: Iterable[Entry]) -> None:
        """These need not be written again."""
        names = {entry.name for entry in entries}
        with self._lock:
            self._unwritten = [entry for entry in self._unwritten if entry.name not in names]

    def held(self, now: datetime) -> list[Entry]:
        """What was counted and is not written yet.

        Args:
            now: the time of what was not given out yet; it has the key under which it will be.
        """
        with self._lock:
            coming = [counted(self.instance, self._entries + 1, dict(self._counts), now)] if self._counts else []
            return [*self._unwritten, *coming]


COUNTERS = Counters()
"""Of this process."""


def count(name: CounterName, by: int = 1) -> None:
    """Add to one of this process's numbers."""
    COUNTERS.count(name, by)


def count_storage_call(_: Any) -> None:
    """The ``raw_request_hook`` of the storage clients: called before each HTTP request, each try of it included."""
    count("storage_calls")
