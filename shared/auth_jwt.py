"""Bearer tokens of ``AUTH_MODE=jwt``: what a token says, once it is known to be the tenant's word.

RS256 and nothing else, whatever the token's header says; the key is one of the tenant's, by its id, and never one that
comes with the token. ``aud``, ``iss``, ``exp`` and ``nbf`` must be there and right (RFC 8725, 3; RFC 9068, 4).
"""

from __future__ import annotations

import re
from typing import Any

from shared.clients.signing_keys import signing_keys
from shared.config import Settings
from shared.domain.errors import UnauthenticatedError
from shared.telemetry import log_event

ALGORITHM = "RS256"
LEEWAY_SECONDS = 60
"""By which clocks may differ."""
MAX_TOKEN = 16_384
"""Characters. A token with the most groups that Entra puts into one (200) has about 10,000."""
MAX_KEY_ID = 200
_BEARER = re.compile(r"(?i:bearer) +([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)", re.ASCII)


def read_token(authorization: str, settings: Settings) -> dict[str, Any]:
    """The claims of a bearer token.

    Args:
        authorization: the header, empty where there is none; several of them are joined by commas and are no token.

    Raises:
        UnauthenticatedError: ``not_signed_in``: no token, or not one of this tenant for this app at this time.
        TransientError: ``signing_keys_unavailable``.
    """
    found = _BEARER.fullmatch(authorization) if len(authorization) <= MAX_TOKEN else None
    if found is None or not settings.auth_tenant_id or not settings.auth_audiences:
        raise _nobody("no token of this form" if authorization else "no token")
    return _checked(found[1], settings)


def _checked(token: str, settings: Settings) -> dict[str, Any]:
    import jwt

    try:
        key = signing_keys(settings.auth_keys_url).key(_key_id(token))
        if key is None:
            raise _nobody("unknown key")
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            audience=settings.auth_audiences,
            issuer=settings.auth_issuer,
            leeway=LEEWAY_SECONDS,
            options={"require": ["aud", "iss", "exp", "nbf"]},
        )
    except jwt.ExpiredSignatureError as error:  # known to be the tenant's: its owner may be told
        raise _nobody("expired", "the token has expired") from error
    except (jwt.PyJWTError, ValueError, RecursionError) as error:  # the last two: of JSON that is none
        raise _nobody(type(error).__name__) from error
    return claims


def _key_id(token: str) -> str:
    """The id of the key that a token names. Nothing of the token is believed yet: a key is looked up by it, no more."""
    import jwt

    header = jwt.get_unverified_header(token)
    kid = header.get("kid")
    is_ours = header.get("alg") == ALGORITHM and "crit" not in header and "b64" not in header
    if not is_ours or not isinstance(kid, str) or not 0 < len(kid) <= MAX_KEY_ID:
        raise _nobody("header")
    return kid


def _nobody(reason: str, message: str = "nobody is signed in") -> UnauthenticatedError:
    log_event("token_refused", reason=reason)
    return UnauthenticatedError(
        "not_signed_in", message, "send a token of the app's tenant: Authorization: Bearer <token>"
    )
