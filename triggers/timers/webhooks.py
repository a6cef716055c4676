"""Delivers webhooks that are due: what was not delivered when its search ended, and what must be tried again.

A receiver that does not answer costs ten seconds a turn, whatever waits for it: the others on its host wait for the
next turn. Hosts are served side by side and none for long. Events that were not tried before come first, and among
equals the one that has waited longest.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from shared.clients.provider import clients
from shared.clients.recording import timer_run
from shared.clients.webhook_delivery import check_secret, deliver
from shared.domain.errors import ElbError
from shared.domain.webhooks import Delivery
from shared.telemetry import log_event
from triggers.timers.turns import Budget, Clock, serve

NAME = "deliver_webhooks"
BUDGET_SECONDS = 15.0
"""Of the 30 until the next turn; a try that is under way then takes up to ten more."""
HOST_SECONDS = 5.0
"""After which a host's next one waits for the next turn."""
PARALLEL_HOSTS = 8


def deliver_webhooks() -> None:
    """One turn, as one run of a timer."""
    with timer_run(NAME) as result:
        result.update(deliver_due())


def deliver_due(clock: Clock = time.monotonic) -> dict[str, int]:
    """Try everything that is due, until the time is up.

    Args:
        clock: seconds that only grow, for the budgets.

    Returns:
        How many searches have something ``due``, how many of them were ``left_over``, how many had ``errors``, and what
        ``shared.clients.webhook_delivery.deliver`` counts.

    Raises:
        ElbError: the outbox cannot be read, or webhooks that wait cannot be signed.
    """
    due = clients().outbox.due(clients().now())
    if due:
        check_secret()
    turn = _Turn(clock)
    serve(by_host(due), turn.tell, parallel=PARALLEL_HOSTS, budget=Budget(clock() + BUDGET_SECONDS, clock))
    return {"due": len(due), "left_over": len(due) - turn.served, "errors": 0} | turn.counts


def by_host(due: Sequence[Delivery]) -> list[list[Delivery]]:
    """The deliveries of each host in the order in which they are tried, and the hosts in theirs."""

    def place(delivery: Delivery) -> tuple[bool, datetime, str]:
        return delivery.tries > 0, delivery.next_at, delivery.job_id

    hosts: dict[str, list[Delivery]] = {}
    for delivery in sorted(due, key=place):
        hosts.setdefault(delivery.host, []).append(delivery)
    return list(hosts.values())


class _Turn:
    """What one turn does and counts. One receiver's trouble keeps no other from being told."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self.counts: Counter[str] = Counter()
        self.served = 0

    def tell(self, host: list[Delivery]) -> None:
        """Serve one host until its time is up, or it does not answer."""
        ends_at = self._clock() + HOST_SECONDS
        for delivery in host:
            counts = self._deliver(delivery)
            if counts["unreachable"] or self._clock() >= ends_at:
                return

    def _deliver(self, delivery: Delivery) -> Counter[str]:
        try:
            counts = deliver(delivery)
        except ElbError as error:
            log_event("webhook_error", job_id=delivery.job_id, code=error.code, message=error.message)
            counts = Counter(errors=1)
        with self._lock:
            self.served += 1
            self.counts.update(counts)
        return counts
