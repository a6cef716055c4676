"""How long to wait before asking again: exponential with jitter, or what the other side asked for; bounded. Pure."""

from __future__ import annotations

FIRST_SECONDS = 0.25
LONGEST_SECONDS = 8.0
TRIES = 5
"""Tries of one call, the first included."""


def retry_delay(failures: int, retry_after: float | None, jitter: float) -> float | None:
    """Seconds until the next try; None when there is to be none.

    Args:
        failures: how many tries have failed.
        retry_after: seconds that the other side asked to wait, if it did.
        jitter: a random number from 0 to 1, so that many callers do not come back at once.
    """
    if failures >= TRIES:
        return None
    if retry_after is not None:
        # Longer than we would wait here: the durable retry comes back later.
        return retry_after + jitter * FIRST_SECONDS if retry_after <= LONGEST_SECONDS else None
    longest: float = min(LONGEST_SECONDS, FIRST_SECONDS * 2 ** (failures - 1))
    return longest * (0.5 + jitter / 2)
