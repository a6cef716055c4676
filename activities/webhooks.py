"""Tells the receiver of a webhook that a search has ended, as soon as it has; the timer comes for what is left."""

from __future__ import annotations

from typing import Any

from shared.clients.provider import clients
from shared.clients.webhook_delivery import deliver


def deliver_webhook(data: dict[str, Any]) -> dict[str, Any]:
    """Try what is to be delivered of one search now. It takes a few seconds at most, and holds up nobody.

    Args:
        data: the search's reference.

    Returns:
        What ``shared.clients.webhook_delivery.deliver`` counts; nothing where nothing is due.
    """
    delivery = clients().outbox.read(data["job_id"])
    if delivery is None or delivery.next_at > clients().now():
        return {}
    return dict(deliver(delivery))
