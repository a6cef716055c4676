"""What the Jobs of a search wrote last, over HTTP: bounded tails, without secrets, for the owner of the search only."""

from __future__ import annotations

import re

import azure.functions as func

from shared.auth import Caller
from shared.clients.search_logs import read_logs
from shared.domain.errors import MalformedError, NotFoundError
from shared.domain.search_logs import DEFAULT_LINES, MOST_JOBS, MOST_LINES, jobs_of
from shared.domain.times import format_time
from shared.responses import Reply, endpoint
from triggers.blueprint import http
from triggers.jobs import find_own


@http("api/blast/jobs/{id}/logs", "GET", name="blast_jobs_logs")
@endpoint
def show_logs(req: func.HttpRequest, caller: Caller) -> Reply:
    """Tails per Job: of one by its name, else of those that tell most. Only Jobs that the search's row names."""
    search = find_own(req, caller)
    lines, name = _read_tail(req), req.params.get("job")
    known = jobs_of(search)
    chosen = known[:MOST_JOBS] if name is None else [job for job in known if job.job == name]
    if name is not None and not chosen:
        raise NotFoundError("log_not_found", "the search has no such Job", "the search's kubernetes.jobs names them")
    logs = read_logs(search, chosen, lines)
    return Reply(
        {
            "items": [item.to_dict() for item in logs.items],
            "jobs_total": len(known),
            "truncated": name is None and len(chosen) < len(known),
            "observed_at": format_time(logs.observed_at),
            "stale": logs.stale_reason is not None,
            "stale_reason": logs.stale_reason,
        }
    )


def _read_tail(req: func.HttpRequest) -> int:
    """``?tail=``, lines of each container. Raises MalformedError ``invalid_tail``."""
    text = req.params.get("tail", str(DEFAULT_LINES))
    if not re.fullmatch(r"\d{1,4}", text, re.ASCII) or not 1 <= int(text) <= MOST_LINES:
        raise MalformedError(
            "invalid_tail", f"tail is not a number from 1 to {MOST_LINES}", f"leave it out for {DEFAULT_LINES} lines"
        )
    return int(text)
