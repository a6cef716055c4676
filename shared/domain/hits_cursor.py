"""Cursors of pages of hits. They say where in a result to go on, so they are signed: a made-up one reads nothing.

A cursor holds for one search, one version of its result and one set of filters.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Final

from shared.domain.errors import ConflictError, MalformedError
from shared.domain.hits import Place

_FORM: Final = re.compile(
    r"([0-9a-f]{16})\.(\d{1,18})\.(-1|\d{1,18})\.(-1|\d{1,18})\.(\d{1,18})\.([0-9a-f]{32})", re.ASCII
)


@dataclass(frozen=True, slots=True)
class HitCursor:
    """Where the next page begins.

    Attributes:
        place: in the result, for hits in its order.
        first: how many sorted hits come before, for sorted hits.
    """

    place: Place
    first: int = 0


def write_hit_cursor(cursor: HitCursor, secret: str, job_id: str, sha256: str, filters: str) -> str:
    """A cursor as text.

    Args:
        secret: with which it is signed.
        sha256: of the result.
        filters: `HitQuery.key`.
    """
    place = cursor.place
    text = f"{sha256[:16]}.{place.offset}.{place.query_at}.{place.subject_at}.{cursor.first}"
    return base64.urlsafe_b64encode(f"{text}.{_signature(text, secret, job_id, filters)}".encode()).decode()


def read_hit_cursor(text: str, secret: str, job_id: str, sha256: str, filters: str) -> HitCursor:
    """Read a cursor.

    Raises:
        MalformedError: ``invalid_cursor``: it is not one of ours, or was made for another search or other filters.
        ConflictError: ``results_changed``: the result was published anew since it was made.
    """
    found = _FORM.fullmatch(_decoded(text))
    signed = found.group(0).rpartition(".")[0] if found else ""
    if found is None or not hmac.compare_digest(_signature(signed, secret, job_id, filters), found[6]):
        hint = "begin again without a cursor; filters and order stay the same from page to page"
        raise MalformedError("invalid_cursor", "the cursor is not one of ours for this search and these filters", hint)
    if found[1] != sha256[:16]:
        hint = "begin again without a cursor"
        raise ConflictError("results_changed", "the results were published anew since the first page", hint)
    offset, query_at, subject_at, first = (int(found[number]) for number in range(2, 6))
    return HitCursor(Place(offset, query_at, subject_at), first)


def _decoded(text: str) -> str:
    try:
        decoded = base64.urlsafe_b64decode(text.encode()).decode()
    except (ValueError, binascii.Error):
        return ""
    return decoded if base64.urlsafe_b64encode(decoded.encode()).decode() == text else ""


def _signature(text: str, secret: str, job_id: str, filters: str) -> str:
    content = "\n".join(("hits-cursor", job_id, filters, text))
    return hmac.new(secret.encode(), content.encode(), hashlib.sha256).hexdigest()[:32]
