"""Imports every module of triggers, so that its functions are registered with the blueprint."""

from __future__ import annotations

from triggers import (
    auto_warm,
    changes,
    cluster,
    databases,
    health,
    hits,
    jobs,
    logs,
    nodes,
    openapi,
    page,
    queries,
    results,
    stats,
    timers,
    validation,
    warmup,
    warmup_changes,
)
from triggers.blueprint import blueprint

__all__ = [
    "auto_warm",
    "blueprint",
    "changes",
    "cluster",
    "databases",
    "health",
    "hits",
    "jobs",
    "logs",
    "nodes",
    "openapi",
    "page",
    "queries",
    "results",
    "stats",
    "timers",
    "validation",
    "warmup",
    "warmup_changes",
]
