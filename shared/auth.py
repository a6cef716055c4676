"""Who is asking, and may they. Fails closed: without an identity that the platform vouches for there is none.

``easyauth``: App Service authentication puts ``X-MS-CLIENT-PRINCIPAL`` on the request (the settings make sure that it
is on, or anybody could send it). ``dev``: one fixed user, on loopback only (``shared.config.check_deployment``).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from shared.config import Settings, is_loopback, without_port
from shared.domain.errors import ForbiddenError, UnauthenticatedError

OBJECT_ID_CLAIM = "http://schemas.microsoft.com/identity/claims/objectidentifier"
"""Claim that names the user in one tenant for good; names and addresses change."""


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
    """
    lower = {name.lower(): value for name, value in headers.items()}
    if settings.auth_mode == "dev":
        return _dev_user(lower, settings)
    if settings.auth_mode == "easyauth" and settings.platform_auth_enabled:
        return _easyauth_user(lower)
    raise _nobody()


def _dev_user(headers: Mapping[str, str], settings: Settings) -> Caller:
    if not is_loopback(without_port(headers.get("host", ""))):
        raise _nobody()
    return Caller(settings.dev_user, settings.dev_user, frozenset({Role.USER, Role.OPERATOR}))


def _easyauth_user(headers: Mapping[str, str]) -> Caller:
    try:
        principal = json.loads(base64.b64decode(headers.get("x-ms-client-principal", ""), validate=True))
        claims = [(c["typ"], c["val"]) for c in principal["claims"] if isinstance(c["val"], str)]
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error) as error:
        raise _nobody() from error
    owner = next((value for kind, value in claims if kind == OBJECT_ID_CLAIM and value), "")
    if not owner:
        raise _nobody()
    named = {value.lower() for kind, value in claims if kind in ("roles", principal.get("role_typ", "roles"))}
    roles = {Role.USER} | ({Role.OPERATOR} if Role.OPERATOR.value in named else set())
    name = next((value for kind, value in claims if kind in ("preferred_username", "name")), owner)
    return Caller(owner, name, frozenset(roles))


def _nobody() -> UnauthenticatedError:
    return UnauthenticatedError("not_signed_in", "nobody is signed in", "sign in at /.auth/login/aad")
