"""Delivers what is in the outbox: one search at a time, its events in their order.

Whoever delivers takes the search's row by a conditional write that is a lease too, tries once, and writes down what
came of it. A host that dies in between leaves the event where it is, and after ``LEASE`` somebody tries again: an event
may come twice, with the same id, but is never lost. What is decided is ``shared.domain.webhooks``'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from shared.clients.provider import clients
from shared.domain.errors import PermanentError
from shared.domain.history import SYSTEM, Event
from shared.domain.webhooks import Answer, Delivery, Outcome, WebhookEvent, claimed, headers_of, next_try, outcome_of
from shared.telemetry import log_event

_SETTLE_TRIES = 5


def check_secret() -> None:
    """Refuse to send what nobody could verify. Raises PermanentError ``webhooks_not_configured``."""
    if not clients().settings.webhook_secret:
        raise PermanentError(
            "webhooks_not_configured", "ELB_WEBHOOK_SECRET is not set, and webhooks wait for it", "set it"
        )


def deliver(delivery: Delivery) -> Counter[str]:
    """Try the first event of a search; where that is done with, the next one.

    Args:
        delivery: as it was read; it must be due.

    Returns:
        How many events were ``delivered``, how many tries ``failed``, how many events were ``given_up`` after theirs;
        and how often the receiver was ``unreachable``: whoever else is told on its host may wait.

    Raises:
        PermanentError: ``webhooks_not_configured``.
        TransientError: ``state_unavailable``.
    """
    check_secret()
    counts: Counter[str] = Counter()
    row: Delivery | None = delivery
    while row is not None:
        row = _deliver_first(row, counts)
    return counts


def _deliver_first(delivery: Delivery, counts: Counter[str]) -> Delivery | None:
    """One try of one event.

    Returns:
        The row, where the next event may be tried at once.
    """
    outbox = clients().outbox
    event, now = outbox.first_event(delivery), clients().now()
    if event is None:
        if delivery.is_over(now):
            outbox.drop(delivery)
        return None
    taken = outbox.write(claimed(delivery, event.attempt, now))
    if taken is None:  # somebody else is at it
        return None
    answer = _send(event, taken)
    now = clients().now()
    match outcome_of(answer):
        case Outcome.DELIVERED:
            counts["delivered"] += 1
            return _done(taken, event, "webhook_delivered", answer, now)
        case Outcome.GIVE_UP:
            counts["given_up"] += 1
            return _done(taken, event, "webhook_given_up", answer, now)
        case Outcome.RETRY:
            return _retry(taken, event, answer, now, counts)


def _send(event: WebhookEvent, taken: Delivery) -> Answer:
    headers = headers_of(event, clients().settings.webhook_secret, clients().now())
    answer = clients().webhooks.send(event.url, headers, event.body.encode())
    # The host, not the URL: path and query may be the receiver's secret.
    log_event("webhook_tried", job_id=event.job_id, host=taken.host, tries=taken.tries, answer=answer.brief)
    return answer


def _retry(
    taken: Delivery, event: WebhookEvent, answer: Answer, now: datetime, counts: Counter[str]
) -> Delivery | None:
    counts["unreachable"] += answer.status is None
    limit = timedelta(seconds=clients().settings.webhook_retry_seconds)
    at = next_try(taken.first_try_at or now, taken.tries, now, limit, answer.retry_after)
    if at is None:
        counts["given_up"] += 1
        return _done(taken, event, "webhook_given_up", answer, now)
    counts["failed"] += 1
    if _settle(taken, lambda row: replace(row, next_at=at)) is not None and taken.tries == 1:
        _record(event, "webhook_failing", answer, now)
    return None


def _done(taken: Delivery, event: WebhookEvent, kind: str, answer: Answer, now: datetime) -> Delivery | None:
    """Forget an event that was delivered or given up, and go on to the next one if there is one."""
    outbox = clients().outbox
    if outbox.remove_event(event):  # else the search was deleted meanwhile, and its history with it
        _record(event, kind, answer, now)
    if outbox.first_event(taken) is None and taken.is_over(now) and outbox.drop(taken):
        return None
    return _settle(taken, lambda row: replace(row, next_at=now))


def _record(event: WebhookEvent, kind: str, answer: Answer, now: datetime) -> None:
    clients().events.add(event.job_id, Event(now, kind, SYSTEM, answer.brief, event.attempt))


def _settle(taken: Delivery, change: Callable[[Delivery], Delivery]) -> Delivery | None:
    """End the lease, also where a new event was announced meanwhile.

    Returns:
        The row as it is then; None where it is somebody else's, or gone.
    """
    row: Delivery | None = taken
    for _ in range(_SETTLE_TRIES):
        if row is None or (row.head, row.tries, row.next_at) != (taken.head, taken.tries, taken.next_at):
            return None
        written = clients().outbox.write(change(row))
        if written is not None:
            return written
        row = clients().outbox.read(taken.job_id)
    return None  # the lease ends by itself
