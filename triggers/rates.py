"""Rate limits per owner: the one call that a handler makes before it does what is limited."""

from __future__ import annotations

import logging
import math

from shared.auth import Caller
from shared.clients.provider import clients
from shared.domain.errors import RateLimitedError, TransientError
from shared.domain.rates import Allowance, Rate
from shared.telemetry import log_event


def limit_rate(caller: Caller, rate: Rate) -> None:
    """Count a request of the caller's.

    While the table does not answer nobody is refused for that: what is limited here needs the same account for
    its own work, and an app that is slow already must not say that its callers are to blame.

    Raises:
        RateLimitedError: ``rate_limited``, with the seconds after which the next one may come.
    """
    allowance = allowance_of(rate)
    try:
        wait = clients().rates.take(caller.owner, rate, allowance, clients().now())
    except TransientError as error:
        log_event("rate_not_counted", level=logging.WARNING, rate=rate.value, code=error.code)
        return
    if wait:
        seconds = max(1, math.ceil(wait))
        log_event("rate_limited", rate=rate.value, seconds=seconds)
        raise RateLimitedError(
            "rate_limited",
            f"more than {allowance.per_minute} requests a minute of the kind {rate}, after {allowance.burst} at once",
            f"wait {seconds} s and send it again",
            retry_after=seconds,
        )


def allowance_of(rate: Rate) -> Allowance:
    """What the settings allow of a kind."""
    settings = clients().settings
    per_minute = {
        Rate.SUBMIT: settings.rate_submit,
        Rate.VALIDATE: settings.rate_validate,
        Rate.UPLOAD: settings.rate_upload,
    }
    return Allowance(per_minute[rate])
