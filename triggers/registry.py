"""Imports every module of triggers, so that its functions are registered with the blueprint."""

from __future__ import annotations

from triggers import changes, databases, health, jobs, stats, timers, validation, warmup
from triggers.blueprint import blueprint

__all__ = ["blueprint", "changes", "databases", "health", "jobs", "stats", "timers", "validation", "warmup"]
