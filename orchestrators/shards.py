"""Prepares a database's shard layout: one activity, as an orchestration, so that it can be asked about and retried."""

from __future__ import annotations

from typing import Any

from orchestrators.calls import StepFailedError, Steps, run
from shared.domain import functions as names


def shards_orchestrator(context: Any) -> Steps:
    """Prepare a layout. Input: ``database``, ``shards``, ``storage_account``."""
    request = context.get_input()
    try:
        layout = yield from run(context, names.PREPARE_SHARDS, request)
    except StepFailedError as failure:
        return {"status": "failed", "error": failure.error}
    return {"status": "succeeded", **layout}
