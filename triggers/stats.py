"""What has been going on: submits and ends, who waits for what, what it cost in calls, and what the timers did.

Anybody who is signed in may ask. There are numbers over everybody's searches in it, never an id or an owner.
"""

from __future__ import annotations

from typing import Any

import azure.functions as func

from shared.auth import Caller
from shared.clients.counters import COUNTERS
from shared.clients.provider import clients
from shared.clients.recording import flush_counts
from shared.domain.stats import DEFAULT_WINDOW, add_up, answer, parse_window, waiting_of, with_held
from shared.responses import Reply, endpoint
from triggers.blueprint import http


@http("api/stats", "GET", name="stats")
@endpoint
def show_stats(req: func.HttpRequest, caller: Caller) -> Reply:  # noqa: ARG001
    """The numbers of ``?window=``; what other instances of the app count is in it after a minute."""
    window = parse_window(req.params.get("window", DEFAULT_WINDOW))
    flush_counts()
    now, stats = clients().now(), clients().stats
    held = COUNTERS.held(now)  # first: what is written from here on is among what is read
    entries = with_held(stats.since(now - window), held)
    return Reply(answer(window, add_up(entries, now - window), _waiting(), stats.timers()))


def _waiting() -> list[dict[str, Any]]:
    """Of every cluster: one query each."""
    return [
        row
        for cluster in clients().clusters.known()
        for row in waiting_of(cluster.cluster_name, clients().searches.unfinished(cluster.key))
    ]
