"""Warms configured databases, once there are preferences that say which."""

from __future__ import annotations

from typing import Any

import azure.functions as func

from shared.clients.recording import timer_run
from triggers.blueprint import timer

NAME = "reconcile_auto_warm"


@timer("0 * * * * *", name=NAME)
def reconcile_auto_warm(timer: func.TimerRequest, client: Any) -> None:  # noqa: ARG001
    """Nothing to warm by itself yet: preferences come with the warm cache."""
    with timer_run(NAME) as result:
        result["warmed"] = 0
