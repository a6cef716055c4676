"""Webhooks: what is said when a search has ended, how it is signed, and when it is said again.

An event is made from the change that ends an attempt of a search, and is stored in one transaction with it. Its id
comes from the attempt, so that whoever gets it twice can tell. Events of one search go one after the other: the next
one waits until the one before it was delivered or given up.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from shared.domain.ids import content_key
from shared.domain.search import Search
from shared.domain.states import Status
from shared.domain.times import format_time
from shared.domain.webhook_urls import host_of

LEASE = timedelta(seconds=60)
"""For which a delivery is its sender's alone: much longer than a try may take."""
FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(hours=1)
ANNOUNCED_AGE = timedelta(minutes=10)
"""Age from which an announced event that is not there is not one that is being written: its search did not end then."""
MIN_SECRET = 16
"""Characters that the secret must have."""
_GONE = 410
"""The receiver says for good that nobody is there (RFC 9110, 15.5.11)."""


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """What is to be said, once and for all: every try sends the same body.

    Attributes:
        type: ``search.`` and the status in which the search ended.
        at: when it ended.
        body: JSON.
    """

    job_id: str
    owner: str
    attempt: int
    type: str
    at: datetime
    url: str = field(repr=False)
    body: str = field(repr=False)

    @property
    def event_id(self) -> str:
        """The event's id: the same at every try."""
        return event_id(self.job_id, self.attempt)


def event_id(job_id: str, attempt: int) -> str:
    """The id of what is said at the end of an attempt."""
    return f"evt-{content_key(job_id, str(attempt))}"


def ended_event(before: Search, after: Search) -> WebhookEvent | None:
    """The event of a change; None where it does not end the search, or nobody wants to know.

    Args:
        before: the search as it was, and ``after`` as it is to be written.
    """
    if not after.webhook_url or before.is_terminal or not after.is_terminal or after.completed_at is None:
        return None
    kind = f"search.{after.status.value}"
    path = f"/api/blast/jobs/{after.job_id}"
    body: dict[str, Any] = {
        "id": event_id(after.job_id, after.attempt),
        "type": kind,
        "job_id": after.job_id,
        "status": after.status.value,
        "attempt": after.attempt,
        "at": format_time(after.completed_at),
        "job_url": path,
    }
    if after.status is Status.COMPLETED:
        body["results_url"] = f"{path}/results"
    if after.error is not None:
        body["error"] = {name: str(after.error.get(name) or "") for name in ("code", "message")}
    text = json.dumps(body, separators=(",", ":"))
    return WebhookEvent(after.job_id, after.owner, after.attempt, kind, after.completed_at, after.webhook_url, text)


def headers_of(event: WebhookEvent, secret: str, now: datetime) -> dict[str, str]:
    """The headers of a try that is made now."""
    return {
        "Content-Type": "application/json",
        "User-Agent": "elb-webhook/1",
        "X-Elb-Event": event.type,
        "X-Elb-Delivery": event.event_id,
        "X-Elb-Signature": signature(secret, int(now.timestamp()), event.body.encode()),
    }


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """``t=<seconds since 1970>,v1=<HMAC-SHA256 of "<t>.<body>", hexadecimal>``.

    The time is signed too, so that a receiver can refuse what somebody recorded and sends again.
    """
    signed = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256)
    return f"t={timestamp},v1={signed.hexdigest()}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a try.

    Attributes:
        status: of the receiver's answer; None where there was none.
        problem: snake_case, why there was no answer: ``timeout``, ``unreachable``, ``dns_failed``, ``tls_failed``,
            ``broken_answer``, ``address_refused`` or ``url_refused``.
        retry_after: seconds for which the receiver asks to be left alone.
    """

    status: int | None = None
    problem: str = ""
    retry_after: float | None = None

    @property
    def brief(self) -> str:
        """In a word, for the history."""
        return self.problem if self.status is None else f"http_{self.status}"


class Outcome(StrEnum):
    """What follows from an answer."""

    DELIVERED = "delivered"
    RETRY = "retry"
    GIVE_UP = "give_up"


def outcome_of(answer: Answer) -> Outcome:
    """2xx is delivered, 410 the end; everything else may pass. A redirect is not followed, so it is no delivery."""
    if answer.status is None:
        return Outcome.RETRY
    if 200 <= answer.status < 300:
        return Outcome.DELIVERED
    return Outcome.GIVE_UP if answer.status == _GONE else Outcome.RETRY


def next_try(
    first: datetime, tries: int, now: datetime, limit: timedelta, retry_after: float | None = None
) -> datetime | None:
    """When to try again; None when the time is over.

    The pauses double from 30 s up to an hour, and the last try comes when the time is over.

    Args:
        first: the time of the first try.
        tries: how many there were, at least 1.
        limit: for how long after the first one there is another.
        retry_after: seconds that the receiver asked for; at most an hour counts.
    """
    end = first + limit
    if now >= end:
        return None
    doublings = min(tries - 1, 10)  # beyond it the longest pause holds anyway
    pause = min(FIRST_PAUSE * (1 << doublings), LONGEST_PAUSE)
    asked = timedelta(seconds=min(max(retry_after or 0.0, 0.0), LONGEST_PAUSE.total_seconds()))
    return min(now + max(pause, asked), end)


@dataclass(frozen=True, slots=True)
class Delivery:
    """How it stands with the events of one search; of its row in the outbox.

    Attributes:
        host: whom to tell.
        next_at: from when on somebody may try: the pause between two tries, and the lease of who is trying.
        announced: the attempt whose event is the last that was to be written.
        head: the attempt whose event is being delivered, or was the last to be; 0 before the first try.
        tries: how often that was tried, the first time at ``first_try_at``.
        written_at: when the row was last written, by the table's clock.
    """

    job_id: str
    owner: str
    host: str
    next_at: datetime
    announced: int
    head: int = 0
    tries: int = 0
    first_try_at: datetime | None = None
    etag: str = ""
    written_at: datetime | None = None

    def is_over(self, now: datetime) -> bool:
        """Whether nothing is to come any more, where there is no event."""
        is_old = self.written_at is not None and now - self.written_at > ANNOUNCED_AGE
        return self.head >= self.announced or is_old


def announced(event: WebhookEvent, known: Delivery | None) -> Delivery:
    """The row of a search whose event is about to be written. One that waits already goes on waiting as it does."""
    if known is None:
        return Delivery(event.job_id, event.owner, host_of(event.url), event.at, event.attempt)
    return replace(known, announced=max(known.announced, event.attempt))


def claimed(delivery: Delivery, attempt: int, now: datetime) -> Delivery:
    """The row of a delivery whose event is being sent: nobody else may until the lease is over."""
    again = delivery.head == attempt and delivery.first_try_at is not None
    now = now.replace(microsecond=now.microsecond // 1000 * 1000)  # as it is stored, so that it can be compared
    return replace(
        delivery,
        head=attempt,
        tries=delivery.tries + 1 if again else 1,
        first_try_at=delivery.first_try_at if again else now,
        next_at=now + LEASE,
    )
