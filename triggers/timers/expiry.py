"""Removes the results that are not kept any more (``ELB_RESULTS_DAYS``): a duty of the daily timer.

The searches are found by an index of expiry times, the oldest first. A turn begins nothing new after
``BUDGET_SECONDS``; whom it does not get to waits for the next day, and nobody can read those results meanwhile. What
time is left goes to searches that were completed before there was an index: they are put into it, once.
"""

from __future__ import annotations

import threading
import time
from datetime import datetime

from shared.clients.expiry import remove_results
from shared.clients.provider import clients
from shared.domain.errors import ElbError, NotFoundError
from shared.domain.search import Search
from shared.telemetry import log_event
from triggers.timers.turns import Budget, Clock, serve

BUDGET_SECONDS = 300.0
PAGE = 100
PARALLEL_SEARCHES = 4


def expire_results(now: datetime, clock: Clock = time.monotonic) -> int:
    """Remove what has expired; one search in trouble keeps no other from being served.

    Args:
        clock: seconds that only grow, for the budget.

    Returns:
        Of how many searches.

    Raises:
        ElbError: the index cannot be read.
    """
    budget = Budget(clock() + BUDGET_SECONDS, clock)
    removed = 0
    lock = threading.Lock()

    def remove(search: Search) -> None:
        nonlocal removed
        try:
            remove_results(search, now)
        except NotFoundError:  # deleted meanwhile, with all that it had
            return
        except ElbError as error:  # it is found again the next day
            log_event("results_not_removed", job_id=search.job_id, code=error.code, message=error.message)
            return
        with lock:
            removed += 1

    after: str | None = None
    while not budget.is_spent:
        searches, after = clients().searches.expired(now, PAGE, after)
        serve(searches, remove, parallel=PARALLEL_SEARCHES, budget=budget)
        if after is None:
            break
    while not budget.is_spent and clients().searches.index_older(PAGE):
        pass  # those that it finds have their turn the next day
    return removed
