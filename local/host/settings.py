"""host.json and the app settings, read the way the Azure Functions host reads them.

App settings are the environment; host.json may name them, as `%NAME%`, in any text. Only what the product's host.json
uses is read; all else is ignored, as a host without that extension would.
"""

import json
import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_SETTING_REFERENCE: Final = re.compile(r"%([^%]+)%")
_LOG_LEVELS: Final = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "information": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "none": logging.CRITICAL + 1,
}


class HostConfigurationError(Exception):
    """The app or its host.json cannot be run; the text says why, for the person who starts the host."""


@dataclass(frozen=True, slots=True)
class HostSettings:
    """What host.json says, with the host's defaults for what it does not say.

    `max_activities`, `max_orchestrators` and `max_entities` are upper bounds of what runs at once; together they leave
    some of the worker's 32 threads, so that a synchronous HTTP function finds one whatever the activities do.
    """

    route_prefix: str = "api"
    max_activities: int = 16
    max_orchestrators: int = 6
    max_entities: int = 2
    log_level: int = logging.INFO


def load_host_settings(app_dir: Path, environment: Mapping[str, str] = os.environ) -> HostSettings:
    """Read `host.json` in the app folder.

    Raises:
        HostConfigurationError: when the file is missing, is not JSON, has a wrong value, or names an app setting that
            is not set.
    """
    path = app_dir / "host.json"
    try:
        content = _resolved(json.loads(path.read_text(encoding="utf-8")), environment)
    except HostConfigurationError as error:
        raise HostConfigurationError(f"{path}: {error}") from None
    except FileNotFoundError:
        raise HostConfigurationError(f"{path} is missing") from None
    except ValueError as error:
        raise HostConfigurationError(f"{path} is not JSON: {error}") from error
    extensions = _section(content, "extensions")
    durable = _section(extensions, "durableTask")
    defaults = HostSettings()
    level = str(_section(_section(content, "logging"), "logLevel").get("default", "Information"))
    if level.casefold() not in _LOG_LEVELS:
        raise HostConfigurationError(f"{path}: logging.logLevel.default is {level!r}")
    return HostSettings(
        route_prefix=str(_section(extensions, "http").get("routePrefix", defaults.route_prefix)).strip("/"),
        max_activities=_positive(durable, "maxConcurrentActivityFunctions", defaults.max_activities, path),
        max_orchestrators=_positive(durable, "maxConcurrentOrchestratorFunctions", defaults.max_orchestrators, path),
        max_entities=_positive(durable, "maxConcurrentEntityFunctions", defaults.max_entities, path),
        log_level=_LOG_LEVELS[level.casefold()],
    )


def _resolved(content: Any, environment: Mapping[str, str]) -> Any:
    """A JSON document with the app settings in place of their names."""
    if isinstance(content, dict):
        return {key: _resolved(value, environment) for key, value in content.items()}
    if isinstance(content, list):
        return [_resolved(value, environment) for value in content]
    return resolve_settings(content, environment) if isinstance(content, str) else content


def _section(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = content.get(name)
    return value if isinstance(value, Mapping) else {}


def _positive(section: Mapping[str, Any], name: str, default: int, path: Path) -> int:
    value = section.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise HostConfigurationError(f"{path}: {name} is {value!r}, it must be a whole number above 0")
    return value


def resolve_settings(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """Replace each `%NAME%` by that app setting, as in binding expressions.

    Raises:
        HostConfigurationError: when a setting is missing.
    """

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in environment:
            raise HostConfigurationError(f"the app setting {name}, used in {text!r}, is not set")
        return environment[name]

    return _SETTING_REFERENCE.sub(value, text)


def is_disabled(function_name: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether `AzureWebJobs.<name>.Disabled` (or, as on Linux, `AzureWebJobs_<name>_Disabled`) is true."""
    names = (f"AzureWebJobs.{function_name}.Disabled", f"AzureWebJobs_{function_name}_Disabled")
    return any(environment.get(name, "").strip().casefold() in ("true", "1") for name in names)
