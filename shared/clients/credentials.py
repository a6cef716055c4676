"""Who the app is towards Azure: the platform's identity, or a fixed token for emulators on loopback."""

from __future__ import annotations

import time
from typing import Any, Protocol

from shared.config import Settings


class AccessToken(Protocol):
    """A bearer token and the time (seconds since 1970) at which it ends."""

    @property
    def token(self) -> str:
        """The token."""

    @property
    def expires_on(self) -> int:
        """Seconds since 1970."""


class TokenCredential(Protocol):
    """What every Azure SDK client asks for tokens (azure.core.credentials.TokenCredential)."""

    def get_token(self, *scopes: str, **kwargs: Any) -> Any:
        """A token for the scopes."""


class StaticCredential:
    """One fixed token. The settings allow it for loopback endpoints only."""

    def __init__(self, token: str) -> None:
        self._token = token

    def get_token(self, *_scopes: str, **_kwargs: Any) -> Any:
        """The token, as if it ended in an hour."""
        from azure.core.credentials import AccessToken as SdkAccessToken

        return SdkAccessToken(self._token, int(time.time()) + 3600)


def make_credential(settings: Settings) -> TokenCredential:
    """The credential that the settings ask for."""
    if settings.credential.startswith("static:"):
        return StaticCredential(settings.credential.removeprefix("static:"))
    from azure.identity import DefaultAzureCredential

    return DefaultAzureCredential()


def account_key(settings: Settings, account: str) -> str | None:
    """The shared key of a storage account, where the settings hold a connection string for that very account."""
    parts = dict(part.split("=", 1) for part in settings.storage.split(";") if "=" in part)
    if parts.get("AccountName", "").lower() == account.lower():
        return parts.get("AccountKey")
    return None
