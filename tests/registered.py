"""What the app registers, as the host indexes it, for every test that asks."""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def app_functions() -> list[Any]:
    """The app's functions. Asked for once in a process: the Durable app adds its own to them each time it is asked."""
    import function_app

    functions: list[Any] = function_app.app.get_functions()
    return functions
