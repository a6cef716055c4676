"""Who is asking, and may they. Fails closed: without an identity that somebody vouches for there is none.

``easyauth``: App Service authentication puts ``X-MS-CLIENT-PRINCIPAL`` on the request (the settings make sure that it
is on, or anybody could send it). ``jwt``: a token that the tenant has signed (``shared.auth_jwt``). ``dev``: one fixed
user, on loopback only (``shared.config.check_deployment``).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from shared.config import Settings
from shared.domain.errors import ForbiddenError, UnauthenticatedError
from shared.hosts import is_loopback, without_port

OBJECT_ID_CLAIM = "http://schemas.microsoft.com/identity/claims/objectidentifier"
"""Claim that names the user in one tenant for good; names and addresses change."""
OBJECT_ID_CLAIMS = frozenset({OBJECT_ID_CLAIM, "oid"})
"""Its names: App Service maps the token's own one to the long one, unless it is told not to."""
ENTRA_PROVIDER = "aad"
"""``auth_typ`` of a principal whom Microsoft Entra vouches for. Another provider's ``oid`` is not of our tenant."""
_IDENTITY_HEADERS = frozenset({"authorization", "host", "x-ms-client-principal"})
_NAMES = ("preferred_username", "name", "upn")
_CLIENT_CLAIMS = frozenset({"azp", "appid"})
"""Which client an access token was given to. A sign-in's own token, of which App Service makes a session, has none."""
_SCOPE_CLAIMS = frozenset({"scp", "http://schemas.microsoft.com/identity/claims/scope"})


class Role(StrEnum):
    """What a caller may do."""

    USER = "user"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking."""

    owner: str
    name: str
    roles: frozenset[Role]

    @property
    def is_operator(self) -> bool:
        """Whether everybody's searches and the clusters are theirs to see."""
        return Role.OPERATOR in self.roles

    def need(self, role: Role) -> None:
        """Refuse a caller without the role.

        Raises:
            ForbiddenError: ``role_missing``.
        """
        if role not in self.roles:
            raise ForbiddenError("role_missing", f"this needs the role {role}", "ask an administrator for the role")


def identify(headers: Mapping[str, str], settings: Settings) -> Caller:
    """Say who is asking.

    Args:
        headers: of the request; names in any case.

    Raises:
        UnauthenticatedError: ``not_signed_in``, for whatever reason.
        ForbiddenError: ``role_missing``: a token that nobody was given for this app.
        TransientError: ``signing_keys_unavailable``: who it is cannot be told now.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    if len(lower) < len(headers) and sum(name.lower() in _IDENTITY_HEADERS for name in headers) > len(
        _IDENTITY_HEADERS & lower.keys()
    ):
        raise _nobody()  # two that say who it is
    if settings.auth_mode == "dev":
        return _dev_user(lower, settings)
    if settings.auth_mode == "easyauth" and settings.platform_auth_enabled:
        return _easyauth_user(lower)
    if settings.auth_mode == "jwt":
        return _token_user(lower, settings)
    raise _nobody()


def _dev_user(headers: Mapping[str, str], settings: Settings) -> Caller:
    if not is_loopback(without_port(headers.get("host", ""))):
        raise _nobody()
    return Caller(settings.dev_user, settings.dev_user, frozenset({Role.USER, Role.OPERATOR}))


def _easyauth_user(headers: Mapping[str, str]) -> Caller:
    try:
        principal = json.loads(base64.b64decode(headers.get("x-ms-client-principal", ""), validate=True))
        claims = [(c["typ"], c["val"]) for c in principal["claims"] if isinstance(c["val"], str)]
        is_entra = principal["auth_typ"] == ENTRA_PROVIDER
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error) as error:
        raise _nobody() from error
    owners = {value for kind, value in claims if isinstance(kind, str) and kind in OBJECT_ID_CLAIMS}
    if not is_entra or len(owners) != 1 or owners == {""}:
        raise _nobody()
    (owner,) = owners
    if not owner.isprintable():  # no id has such characters, and no row could be stored with half of a surrogate pair
        raise _nobody()
    named = {value.lower() for kind, value in claims if kind in ("roles", principal.get("role_typ", "roles"))}
    kinds = {kind for kind, _ in claims if isinstance(kind, str)}
    if kinds & _CLIENT_CLAIMS and not (kinds & _SCOPE_CLAIMS or named & set(Role)):
        raise _granted_nothing()  # as in ``_token_user``: App Service takes such tokens for a session
    name = next((value for kind, value in claims if kind in _NAMES and value.isprintable()), owner)
    return Caller(owner, name, _roles(named))


def _token_user(headers: Mapping[str, str], settings: Settings) -> Caller:
    """Whom a token names. It must grant something here: a scope to a person's client, or a role.

    Any app of a tenant gets tokens for any other one, with neither (Microsoft Entra, "Validate the permissions of a
    token"); a sign-in's own token has neither as well.
    """
    from shared.auth_jwt import read_token

    claims = read_token(headers.get("authorization", ""), settings)
    owner, given = claims.get("oid"), claims.get("roles")
    if not isinstance(owner, str) or not owner or not owner.isprintable():
        raise _nobody()
    named = {role.lower() for role in given if isinstance(role, str)} if isinstance(given, list) else set()
    if not (_text(claims, "scp") or named & set(Role)):
        raise _granted_nothing()
    name = next((text for kind in _NAMES if (text := _text(claims, kind))), owner)
    return Caller(owner, name, _roles(named))


def _text(claims: Mapping[str, Any], kind: str) -> str:
    """A claim that is a printable text, empty for any other."""
    value = claims.get(kind)
    return value.strip() if isinstance(value, str) and value.isprintable() else ""


def _roles(named: set[str]) -> frozenset[Role]:
    """Whoever gets in is a user."""
    return frozenset({Role.USER} | ({Role.OPERATOR} if Role.OPERATOR.value in named else set()))


def _granted_nothing() -> ForbiddenError:
    return ForbiddenError(
        "role_missing", "the token grants nothing here", "ask for a token with the app's scope, or for a role"
    )


def _nobody() -> UnauthenticatedError:
    return UnauthenticatedError("not_signed_in", "nobody is signed in", "sign in at /.auth/login/aad")
