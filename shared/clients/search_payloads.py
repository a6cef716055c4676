"""What can grow of a search: in a column of its row, or, where it does not fit, in a blob that the row names.

A blob is written before the row that names it and deleted after the one that no longer does. Its name says its content
and upon which ETag it was written, so that no name comes back and a late delete never meets what a later change wrote.
So a row is never without its payload, and a blob that a dead process left behind is harmless.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from shared.clients.blobs import Blobs
from shared.clients.search_rows import (
    MAX_PAYLOAD_UNITS,
    columns_of,
    payload_of,
    search_of,
    utf16_units,
    with_payload,
)
from shared.domain.errors import NotFoundError, TransientError
from shared.domain.search import Search

STATE_CONTAINER = "elb-state"


def stored_columns(search: Search) -> dict[str, Any]:
    """Columns and payload; for a payload too long for a column, the name of its blob."""
    payload = payload_of(search)
    if utf16_units(payload) <= MAX_PAYLOAD_UNITS:
        return columns_of(search) | {"payload": payload, "payload_blob": ""}
    digest = hashlib.sha256(f"{search.etag}{payload}".encode()).hexdigest()[:32]
    return columns_of(search) | {"payload": "", "payload_blob": f"{search.job_id}/payload-{digest}.json"}


class SearchPayloads:
    """The blobs of payloads that do not fit."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    def read(self, row: Any) -> Search:
        """The search of a row, with its payload.

        Raises:
            TransientError: ``payload_missing``: its blob was replaced since the row was read, or is lost.
        """
        payload, blob = row.get("payload", ""), row.get("payload_blob", "")
        if blob:
            try:
                payload = self._blobs.read(STATE_CONTAINER, blob).decode()
            except NotFoundError as error:  # never "no such search"
                raise TransientError(
                    "payload_missing", f"the row of {row['job_id']} has moved on", "try again"
                ) from error
        return replace(with_payload(search_of(row, row.metadata["etag"]), payload), payload_blob=blob)

    def write(self, search: Search, columns: Mapping[str, Any]) -> None:
        """Write the payload's blob, before the row, when the columns to be written refer to one."""
        if columns.get("payload_blob"):
            data = payload_of(search).encode()
            self._blobs.put(STATE_CONTAINER, columns["payload_blob"], data, "application/json")

    def delete(self, name: str) -> None:
        """Delete the blob of a payload that was replaced."""
        self._blobs.delete(STATE_CONTAINER, [name])
