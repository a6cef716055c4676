"""The one blueprint of the triggers. Identity is the app's own business, so the platform's keys are off everywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import azure.durable_functions as df
import azure.functions as func

blueprint: Any = df.Blueprint(http_auth_level=func.AuthLevel.ANONYMOUS)


def http(route: str, method: str, *, name: str, durable: bool = False) -> Callable[[Any], Any]:
    """Register an HTTP function.

    Args:
        route: written out, ``routePrefix`` is empty.
        name: the function's name; the host matches templates in the alphabetical order of names.
        durable: whether the function takes the Durable ``client``.
    """

    def register(function: Any) -> Any:
        built = blueprint.route(route=route, methods=[method], auth_level=func.AuthLevel.ANONYMOUS)(function)
        if durable:
            built = blueprint.durable_client_input(client_name="client")(built)
        blueprint.function_name(name)(built)
        return function

    return register


def timer(schedule: str, *, name: str) -> Callable[[Any], Any]:
    """Register a timer function with the Durable client.

    Args:
        schedule: six-field NCRONTAB, UTC.
    """

    def register(function: Any) -> Any:
        built = blueprint.timer_trigger(schedule=schedule, arg_name="timer", use_monitor=True)(function)
        built = blueprint.durable_client_input(client_name="client")(built)
        blueprint.function_name(name)(built)
        return function

    return register
