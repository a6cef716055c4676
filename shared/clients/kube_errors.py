"""What an API server's refusals mean, as the product's errors. Called by :mod:`shared.clients.kube`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from shared.domain.errors import ConflictError, ElbError, NotFoundError, PermanentError, TransientError

_QUOTA = re.compile(r"(exceeded|failed) quota:")
"""How the API server's ResourceQuota admission says no (plugin/pkg/admission/resourcequota)."""


class ExpiredError(TransientError):
    """410: the list's snapshot is gone; begin it again."""


def error_of(status: int, headers: Mapping[str, str], body: bytes | str, what: str) -> ElbError:
    """An API server's answer as one of our errors, with the server's own message."""
    try:
        said = json.loads(body)
        message, reason = str(said.get("message") or ""), str(said.get("reason") or "")
    except (ValueError, AttributeError):
        message, reason = "", ""
    text = f"{what}: {message or f'HTTP {status}'}"
    if status < 400:
        return TransientError("kube_unreachable", f"{text}: a redirect is no answer of an API server")
    if status == 404:
        return NotFoundError("kube_not_found", text)
    if status == 409:
        return ConflictError("already_exists" if reason == "AlreadyExists" else "kube_conflict", text)
    if status == 410:
        return ExpiredError("kube_list_expired", text)
    if status == 429 or status >= 500:
        after = headers.get("Retry-After") or ""
        return TransientError("kube_busy", text, "try again", retry_after=float(after) if after.isdigit() else None)
    if status in (401, 403):
        code, hint = "kube_denied", "check the app's role on the cluster"
        if _QUOTA.search(message):
            code, hint = "quota_refused", "raise the namespace's quota or submit fewer batches"
            return PermanentError(code, text, hint)
        return TransientError(code, text, hint)
    return PermanentError("kube_refused", text, "this is what the API server said; correct it and submit again")
