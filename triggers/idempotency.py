"""The ``Idempotency-Key`` header, by which a request that is sent again is known."""

from __future__ import annotations

import re

from shared.domain.errors import InvalidInputError

_KEY = re.compile(r"[\x20-\x7e]{1,200}")


def check_idempotency_key(key: str | None) -> str | None:
    """The header's value, if it may be a key; None where there is none.

    Raises:
        InvalidInputError: ``invalid_idempotency_key``.
    """
    if key is not None and not _KEY.fullmatch(key):
        raise InvalidInputError(
            "invalid_idempotency_key",
            "the Idempotency-Key is empty, too long, or not printable ASCII",
            "use at most 200 printable characters",
            field="Idempotency-Key",
        )
    return key
