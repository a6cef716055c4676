"""The token with which a finishing Job may wake its search: HMAC-SHA256 of the job id under the app's secret."""

from __future__ import annotations

import hashlib
import hmac


def callback_token(secret: str, job_id: str) -> str:
    """The token of one search, hex."""
    # "surrogatepass": the id of a call may be any text, and one that is no id has no right token either.
    return hmac.new(secret.encode(), job_id.encode(errors="surrogatepass"), hashlib.sha256).hexdigest()


def token_is_valid(secret: str, job_id: str, token: str) -> bool:
    """Compare in constant time; an app without a secret accepts no token."""
    return bool(secret) and hmac.compare_digest(callback_token(secret, job_id).encode(), token.encode(errors="replace"))
