"""Structured log events: one line of JSON per event, with the fields that the workbook and the alerts read.

No sequence, no token and no unescaped user text goes in here; JSON escapes what is text.
"""

from __future__ import annotations

import json
import logging
from typing import Any

_LOGGER = logging.getLogger("elb")


def log_event(event: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """Write one event.

    Args:
        event: snake_case name of what happened.
        fields: ``job_id``, ``phase``, ``cluster``, ``attempt``, ``seconds``, ... JSON values only.
    """
    _LOGGER.log(level, "%s", json.dumps({"event": event, **fields}, default=str, ensure_ascii=True))


def log_event_once(context: Any, event: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """Write one event from an orchestrator: not again on every replay.

    Args:
        context: the orchestration context (``is_replaying``).
    """
    if not context.is_replaying:
        log_event(event, level=level, **fields)
