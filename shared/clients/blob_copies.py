"""Copying blobs within storage: nothing of the content goes through the app. Used by ``shared.clients.blobs``."""

from __future__ import annotations

import time
from typing import Any

from shared.domain.errors import TransientError

PATIENCE_SECONDS = 100.0
"""Of waiting for a copy: within one account it is a matter of a second, and a request has 230 s."""
_PAUSE_SECONDS = 0.5


def copy_blob(blob: Any, source: str, content_type: str, *, etag: str, new: bool) -> None:
    """Copy to a blob and wait for the end; the copy has none of the source's headers.

    Args:
        blob: the SDK's client of the copy.
        source: signed URL of the source.
        etag: that the source must have; empty for any.
        new: whether nothing may be there under the copy's name.

    Raises:
        TransientError: ``copy_pending`` after a while, ``storage_unavailable`` when storage gave it up.
        HttpResponseError: of the SDK.
    """
    from azure.core import MatchConditions
    from azure.storage.blob import ContentSettings

    conditions: dict[str, Any] = {"match_condition": MatchConditions.IfMissing} if new else {}
    if etag:
        conditions |= {"source_etag": f'"{etag}"', "source_match_condition": MatchConditions.IfNotModified}
    status = blob.start_copy_from_url(source, **conditions)["copy_status"]
    ends = time.monotonic() + PATIENCE_SECONDS
    while status == "pending" and time.monotonic() < ends:
        time.sleep(_PAUSE_SECONDS)
        status = blob.get_blob_properties().copy.status
    if status == "pending":
        raise TransientError("copy_pending", "storage is still copying the file", "try again in a minute")
    if status != "success":
        blob.delete_blob()
        raise TransientError("storage_unavailable", f"storage did not copy the file: {status}", "try again")
    blob.set_http_headers(ContentSettings(content_type=content_type))
