"""How work that was answered with 202 stands, as the API shows it."""

from __future__ import annotations

from typing import Any

from shared.clients.orchestrations import OrchestrationView


def work_status(view: OrchestrationView) -> dict[str, Any]:
    """The state of an orchestration; one that crashed has failed as much as one that says so."""
    output = view.output
    if view.runtime_status in ("failed", "terminated"):
        output = {"status": "failed", "error": {"code": "work_crashed", "message": view.error, "hint": "see the log"}}
    return {
        "instance_id": view.instance_id,
        "runtime_status": view.runtime_status,
        "custom_status": view.custom_status or {"phase": view.runtime_status},
        "output": output,
    }
