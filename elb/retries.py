"""When a request is sent again, and when. Rules only; :mod:`elb.api` follows them.

- The API's own "not now" (429, 503) asks for the same request once more, when its ``Retry-After`` says.
- A connection that was never made carried nothing either.
- A lost answer (reset, time-out, a gateway's 502 or 504) may belong to a request that was carried out: only what may be
  done twice is sent again: reads, and changes that the API knows by a key or that change nothing the second time.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 8.0
NOT_NOW = (429, 503)
GATEWAY = (502, 504)
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


def may_repeat_lost(error: httpx.TransportError, *, repeatable: bool) -> bool:
    """Whether a request without an answer may be sent again.

    Args:
        error: how the answer was lost.
        repeatable: whether doing it twice is the same as once.
    """
    return repeatable or isinstance(error, _NEVER_SENT)


def may_repeat_answered(status: int, *, repeatable: bool) -> bool:
    """Whether a request that was answered with this status may be sent again."""
    return status in NOT_NOW or (repeatable and status in GATEWAY)


def backoff(attempt: int, chance: Callable[[], float] = random.random) -> float:
    """Seconds to wait before a further attempt: doubling, and spread, so that many clients do not come at once.

    Args:
        attempt: 1 after the first failure.
        chance: a number in [0, 1).
    """
    whole = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(attempt - 1, 10))
    return float(whole * (0.5 + 0.5 * chance()))


def retry_after(header: str | None, now: datetime) -> float | None:
    """The seconds that a ``Retry-After`` asks for, as a number or a date (RFC 9110, 10.2.3), if readable."""
    if not header:
        return None
    if header.strip().isascii() and header.strip().isdigit():
        return float(header.strip()[:9])
    try:
        at = parsedate_to_datetime(header)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - now).total_seconds())
