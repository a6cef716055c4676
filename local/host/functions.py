"""The functions of an app as the worker library reports them: name, trigger, durable client inputs.

worker.py reads them from the bindings; the routes, the timers and the durable dispatcher each take their kind.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from local.host.settings import HostConfigurationError


class Trigger(StrEnum):
    """The triggers that this host fires, by their binding type in lower case."""

    HTTP = "httptrigger"
    TIMER = "timertrigger"
    ORCHESTRATION = "orchestrationtrigger"
    ACTIVITY = "activitytrigger"
    ENTITY = "entitytrigger"


_DURABLE_NAME = {Trigger.ORCHESTRATION: "orchestration", Trigger.ACTIVITY: "activity", Trigger.ENTITY: "entityName"}


@dataclass(frozen=True, slots=True)
class Function:
    """One function: `binding` is its trigger's binding, `clients` the parameters that get a durable client."""

    name: str
    function_id: str
    trigger: Trigger
    binding: dict[str, Any]
    clients: tuple[str, ...] = ()

    @property
    def parameter(self) -> str:
        """The parameter that gets the trigger's data; not always the one in the code."""
        return str(self.binding["name"])

    @property
    def durable_name(self) -> str:
        """The name by which orchestrations call it."""
        return str(self.binding.get(_DURABLE_NAME.get(self.trigger, "")) or self.name)


def parse_function(name: str, function_id: str, raw_bindings: Iterable[str]) -> Function:
    """Make a Function of the binding documents that the worker library reports.

    Args:
        raw_bindings: one JSON object per binding.

    Raises:
        HostConfigurationError: when the function has no trigger that this host can fire.
    """
    bindings = [json.loads(raw) for raw in raw_bindings]
    triggers = [binding for binding in bindings if binding["type"].casefold().endswith("trigger")]
    kinds = {str(kind) for kind in Trigger}
    if len(triggers) != 1 or triggers[0]["type"].casefold() not in kinds:
        found = ", ".join(binding["type"] for binding in triggers) or "none"
        raise HostConfigurationError(f"function {name} has the trigger {found}, which this host cannot fire")
    clients = tuple(b["name"] for b in bindings if b["type"].casefold() in ("durableclient", "orchestrationclient"))
    return Function(name, function_id, Trigger(triggers[0]["type"].casefold()), triggers[0], clients)
