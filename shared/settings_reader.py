"""Values from the environment: each is what it should be, or the start stops with its name."""

from __future__ import annotations

import math
from collections.abc import Mapping

from shared.domain.errors import ConfigurationError

UNRESOLVED = "@Microsoft.KeyVault("
"""What Azure gives an app in place of a secret that it cannot get: the reference itself, which anybody could guess
(App Service, "Use Key Vault references")."""


class Reader:
    """Reads settings by name; each method raises ConfigurationError ``wrong_setting``."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ

    def text(self, name: str, default: str = "") -> str:
        """The value as it is; an empty one is a value, a Key Vault reference that Azure could not resolve is none."""
        value = self.environ.get(name, default)
        if value.startswith(UNRESOLVED):
            raise ConfigurationError(
                "wrong_setting",
                f"setting {name} is a Key Vault reference that Azure could not resolve",
                "look at the secret, and at the identity's role on the vault; then restart the app",
            )
        return value

    def flag(self, name: str, default: bool) -> bool:
        """``0`` or ``1``."""
        text = self.environ.get(name, "1" if default else "0")
        if text not in ("0", "1"):
            raise wrong_setting(name, text, "0 or 1")
        return text == "1"

    def number(self, name: str, default: float, *, least: float) -> float:
        """A finite number."""
        text = self.environ.get(name, str(default))
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise wrong_setting(name, text, "a number")
        if value < least:
            raise wrong_setting(name, text, f"at least {least:g}")
        return value

    def whole(self, name: str, default: int, *, least: int, most: int | None = None) -> int:
        """A whole number from ``least`` to ``most``, both included."""
        value = self.number(name, default, least=least)
        if value != int(value):
            raise wrong_setting(name, self.environ.get(name, ""), "a whole number")
        if most is not None and value > most:
            raise wrong_setting(name, self.environ.get(name, ""), f"at most {most}")
        return int(value)


def wrong_setting(name: str, value: str, wanted: str) -> ConfigurationError:
    """The error of a setting that is not what it should be."""
    return ConfigurationError("wrong_setting", f"setting {name} is {value!r}", f"set {name} to {wanted}")
