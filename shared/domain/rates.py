"""How often somebody may ask: a token bucket for each owner and kind of request. Pure.

A bucket holds at most ``burst`` tokens and gains ``per_minute`` of them each minute; a request takes one. So in any
time of ``m`` minutes an owner makes at most ``burst + m * per_minute`` requests of a kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

BURST_MINUTES = 2
"""Minutes' worth of requests that may come at once after a pause: a script that submits a folder of queries is no
attack."""


class Rate(StrEnum):
    """Kinds of requests, each with a bucket of its own."""

    SUBMIT = "submit"
    """Begins a search: a submit, its alias, a clone."""

    VALIDATE = "validate"
    """Checks a search and begins nothing."""

    UPLOAD = "upload"
    """Brings queries: a body, an address to upload to, the commit of what was uploaded."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What an owner may do of a kind.

    Attributes:
        per_minute: requests in the long run; 0 for as many as they like.
    """

    per_minute: int

    @property
    def burst(self) -> int:
        """Requests at once, after a pause."""
        return self.per_minute * BURST_MINUTES

    @property
    def full_after(self) -> timedelta:
        """How long an empty bucket takes to be full."""
        return timedelta(minutes=BURST_MINUTES)


@dataclass(frozen=True, slots=True)
class Bucket:
    """Tokens that were there at a time."""

    tokens: float
    at: datetime


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a request.

    Attributes:
        bucket: what is left; None where nothing is to be written, because nothing was taken.
        wait_seconds: until the next token; 0 for a request that may go on.
    """

    bucket: Bucket | None
    wait_seconds: float = 0.0

    @property
    def is_allowed(self) -> bool:
        """Whether the request may go on."""
        return self.wait_seconds == 0


def take(bucket: Bucket | None, allowance: Allowance, now: datetime) -> Decision:
    """Take a token for a request.

    Instances of the app have clocks of their own. A bucket of a moment ahead gains nothing until then, so that two
    clocks do not count the same seconds twice; one of more than ``full_after`` ahead is no clock's difference, and
    counts as full.

    Args:
        bucket: as stored; None before the first request.
        allowance: what is allowed now, which may be less than what it was when the bucket was stored.
    """
    if not allowance.per_minute:
        return Decision(None)
    if bucket is None or bucket.at - now > allowance.full_after:
        bucket = Bucket(allowance.burst, now)
    at = max(bucket.at, now)
    gained = (at - bucket.at) / timedelta(minutes=1) * allowance.per_minute
    tokens = min(float(allowance.burst), max(0.0, bucket.tokens) + gained)
    if tokens >= 1:
        return Decision(Bucket(tokens - 1, at))
    missing = timedelta(minutes=(1 - tokens) / allowance.per_minute)
    return Decision(None, max((at - now + missing).total_seconds(), 0.001))
