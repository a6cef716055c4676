"""Identifiers of searches: made once, used in rows, labels, blobs, events and instance ids alike.

A job id is ``job-`` and the 32 hex digits of a UUIDv7 (RFC 9562, 5.7): its first 48 bits are milliseconds
since 1970, so ids sort by time and the *inverted* id sorts newest first in an Azure Table.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime, timedelta

JOB_ID = re.compile(r"job-[0-9a-f]{32}")
_OWN_ID = re.compile(r"job-[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}")
_ALL_ONES = (1 << 128) - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def new_job_id(now_ms: int, entropy: bytes) -> str:
    """Make a job id.

    Args:
        now_ms: milliseconds since 1970-01-01 UTC, below 2**48.
        entropy: 10 random bytes.

    Raises:
        ValueError: the time does not fit or the entropy is not 10 bytes.
    """
    if not 0 <= now_ms < 1 << 48 or len(entropy) != 10:
        raise ValueError("a job id needs 48 bits of milliseconds and 10 bytes of entropy")
    rand = int.from_bytes(entropy)
    rand_a, rand_b = rand >> 68, rand & ((1 << 62) - 1)
    value = now_ms << 80 | 7 << 76 | rand_a << 64 | 2 << 62 | rand_b
    return f"job-{value:032x}"


def is_job_id(text: str) -> bool:
    """Whether the text has the form of an id that this product makes."""
    return JOB_ID.fullmatch(text) is not None


def is_own_id(text: str) -> bool:
    """Whether the text is an id that this product may have made: one that says when its search was submitted.

    elastic-blast makes ids of the same form from a UUIDv4.
    """
    return _OWN_ID.fullmatch(text) is not None


def newest_first_key(job_id: str) -> str:
    """A row key that sorts newest first, 32 hex digits, of an id that says its time.

    Raises:
        ValueError: the id has another form.
    """
    if not is_job_id(job_id):
        raise ValueError(f"{job_id!r} does not say when its search was submitted")
    return f"{_ALL_ONES - int(job_id[4:], 16):032x}"


def row_key(job_id: str, created_at: datetime) -> str:
    """A row key of the same form for any id.

    Args:
        created_at: decides where an id that others made has its place; its milliseconds count.
    """
    if is_own_id(job_id):
        return newest_first_key(job_id)
    milliseconds = max(0, (created_at - _EPOCH) // _MILLISECOND)
    digest = int.from_bytes(hashlib.sha256(job_id.encode(errors="surrogatepass")).digest()[:10])
    return f"{_ALL_ONES - (milliseconds << 80 | digest):032x}"


def time_of_key(key: str) -> datetime:
    """The time by which a row key sorts, to the millisecond."""
    return _EPOCH + (((_ALL_ONES - int(key, 16)) >> 80) * _MILLISECOND)


def short_id(job_id: str) -> str:
    """The last 12 characters, for display."""
    return job_id[-12:]


def owner_key(owner: str) -> str:
    """The partition of an owner's rows: a name that is valid in a Table and tells nothing about the owner."""
    return hashlib.sha256(owner.encode(errors="surrogatepass")).hexdigest()[:32]


def content_key(*parts: str) -> str:
    """One key for several strings; ("a", "bc") and ("ab", "c") give different ones."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
