"""The timers: each a singleton that may overlap with itself, each run one event and one row of the statistics.

On the Flex Consumption plan every timer function is scaled and billed by itself, each run as at least one second of an
instance. So there are four, by how soon something must be noticed, and each has all the duties of its interval:

- ``discover_external``, every 30 s: searches that were begun outside the product; and webhooks that are due.
- ``reconcile_stale_jobs``, every 60 s: what became of every active search, when nobody else found out.
- ``reconcile_auto_warm``, every 60 s: databases to be warmed. By itself, so that a cluster that starts does not wait
  for the searches of all others.
- ``purge_history``, daily: whatever is kept for a while only.

docs/decisions/0017-timers.md
"""

from __future__ import annotations

from triggers.timers.auto_warm import reconcile_auto_warm
from triggers.timers.discovery import discover_external
from triggers.timers.history import purge_history
from triggers.timers.reconcile import reconcile_stale_jobs

__all__ = ["discover_external", "purge_history", "reconcile_auto_warm", "reconcile_stale_jobs"]
