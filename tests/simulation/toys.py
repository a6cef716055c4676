"""Orchestrations for the tests of the engine: how to run one, and what it is made of."""

from __future__ import annotations

from collections.abc import Callable, Generator
from datetime import timedelta
from typing import Any

import azure.durable_functions as df

from shared.clients.orchestrations import DurableOrchestrations
from tests.orchestrators.fake_context import in_turn
from tests.simulation.agenda import START
from tests.simulation.engine import VirtualEngine
from tests.simulation.execution import Instance

Steps = Generator[Any, Any, Any]


def run(
    orchestrator: Callable[[Any], Steps],
    *,
    data: Any = None,
    events: tuple[float, ...] = (),
    seconds: float = 1000,
    others: dict[str, Callable[[Any], Steps]] | None = None,
    **engine: Any,
) -> tuple[Instance, VirtualEngine]:
    """Run an orchestrator as instance ``i``; events ``wake`` come at these seconds."""
    made = VirtualEngine({"o": orchestrator} | (others or {}), **engine)
    instance = made.start("o", "i", data)
    for second in events:
        made.agenda.at(second, lambda: DurableOrchestrations(made.client).wake("i", "wake"))
    made.run_for(seconds)
    return instance, made


def timer(context: Any, seconds: float) -> Any:
    """A timer."""
    return context.create_timer(context.current_utc_datetime + timedelta(seconds=seconds))


def attempts(most: int) -> Any:
    """A retry policy: pauses of 1, 2, 4, ... seconds."""
    second = timedelta(seconds=1)
    return df.RetryPolicy(first_retry_interval=second, max_number_of_attempts=most, backoff_coefficient=2.0)


def elapsed(context: Any) -> float:
    """Seconds since the beginning, as the orchestrator sees them."""
    return float((context.current_utc_datetime - START).total_seconds())


def answering(*answers: Any) -> Callable[[dict[str, Any]], Any]:
    """An activity with an answer for each call, exceptions among them; the last one stays."""
    following = in_turn(*answers)

    def activity(data: dict[str, Any]) -> Any:
        answer = following(data)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return activity
