"""The outbox and the receivers of webhooks in memory, for ``World``."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from shared.domain.search import Search
from shared.domain.webhook_urls import host_of
from shared.domain.webhooks import Answer, Delivery, WebhookEvent, announced, ended_event


@dataclass
class FakeOutbox:
    """Events and rows in dicts. ``meanwhile`` runs once between a look for an event and the next write."""

    now: Callable[[], datetime]
    events: dict[tuple[str, int], WebhookEvent] = field(default_factory=dict)
    rows: dict[str, Delivery] = field(default_factory=dict)
    writes: int = 0
    meanwhile: Callable[[], object] | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def changed(self, before: Search, after: Search) -> None:
        """As the store does: what is to be said of a change goes in with it."""
        event = ended_event(before, after)
        if event is not None:
            with self._lock:
                self._put(announced(event, self.read(event.job_id)))
                self.events[event.job_id, event.attempt] = event

    def forget(self, search: Search) -> None:
        """As the store does when it deletes a search."""
        self.rows.pop(search.job_id, None)
        for key in [key for key in self.events if key[0] == search.job_id]:
            del self.events[key]

    def due(self, now: datetime) -> list[Delivery]:
        return [row for _, row in sorted(self.rows.items()) if row.next_at <= now]

    def read(self, job_id: str) -> Delivery | None:
        return self.rows.get(job_id)

    def first_event(self, delivery: Delivery) -> WebhookEvent | None:
        found = [event for (job_id, _), event in sorted(self.events.items()) if job_id == delivery.job_id]
        return found[0] if found else None

    def write(self, delivery: Delivery) -> Delivery | None:
        self._interfere()
        with self._lock:
            present = self.rows.get(delivery.job_id)
            return None if (present.etag if present else "") != delivery.etag else self._put(delivery)

    def drop(self, delivery: Delivery) -> bool:
        self._interfere()
        with self._lock:
            present = self.rows.get(delivery.job_id)
            if present is not None and present.etag != delivery.etag:
                return False
            self.rows.pop(delivery.job_id, None)
            return True

    def remove_event(self, event: WebhookEvent) -> bool:
        return self.events.pop((event.job_id, event.attempt), None) is not None

    def _interfere(self) -> None:
        if self.meanwhile is not None:
            interfere, self.meanwhile = self.meanwhile, None
            interfere()

    def _put(self, delivery: Delivery) -> Delivery:
        self.writes += 1
        self.rows[delivery.job_id] = replace(delivery, etag=str(self.writes), written_at=self.now())
        return self.rows[delivery.job_id]


@dataclass
class FakeReceivers:
    """Receivers by host. ``answers`` says what a host answers, 204 otherwise.

    ``told`` has what was said to those that answered at all, ``taken`` what they answered with 2xx.
    """

    answers: dict[str, Callable[[], Answer]] = field(default_factory=dict)
    told: list[dict[str, Any]] = field(default_factory=list)
    taken: list[dict[str, Any]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        answer = self.answers.get(host_of(url), lambda: Answer(status=204))()
        with self._lock:
            if answer.status is not None:
                self.told.append(json.loads(body))
            if answer.status in range(200, 300):
                self.taken.append(json.loads(body))
        return answer
