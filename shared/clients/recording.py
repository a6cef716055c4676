"""Writes statistics down, for triggers and activities.

What cannot be written is missing from the statistics and from nothing else: no submit and no search fails of it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from shared.clients.counters import COUNTERS, Counters
from shared.clients.provider import clients
from shared.domain.errors import ElbError
from shared.domain.search import Search
from shared.domain.stats import ended, registered, submitted
from shared.telemetry import log_event


def record_submit(search: Search) -> None:
    """A search was submitted; once or again."""
    _quietly(lambda: clients().stats.add(submitted(search.job_id, search.created_at)))


def record_registered(search: Search, at: datetime) -> None:
    """A search begun outside has got its row."""
    _quietly(lambda: clients().stats.add(registered(search.job_id, at)))


def record_end(search: Search) -> None:
    """An attempt of a search has ended, as its row says; once or again."""
    at = search.completed_at
    if not search.is_terminal or at is None:
        return
    code = str((search.error or {}).get("code") or "")
    _tell_end(search, at, code)
    _quietly(lambda: clients().stats.add(ended(search.job_id, search.attempt, search.status, code, at)))


def _tell_end(search: Search, at: datetime, code: str) -> None:
    """The events of an attempt's end: the end itself, and each of its steps that took time."""
    said: dict[str, Any] = {"job_id": search.job_id, "cluster": search.cluster.cluster_name, "attempt": search.attempt}
    began, seen = search.attempt_started_at or search.created_at, search.outcome_at
    log_event(
        "search_ended",
        **said,
        program=search.program,
        engine=search.engine,
        status=search.status.value,
        code=code,
        jobs=search.expected_jobs,
        seconds=round((at - began).total_seconds(), 3),
        settle_seconds=None if seen is None else round((at - seen).total_seconds(), 3),
    )
    for step in search.steps:
        if step.seconds is not None:
            log_event("search_step", **said, step=step.name.value, status=step.status.value, seconds=step.seconds)


def flush_counts(counters: Counters = COUNTERS) -> None:
    """Write what this process has counted, unless it did so in this minute already.

    Called wherever something is done that is counted, because an instance of the app may serve requests only, or
    activities only, and need never run a timer.
    """

    def write() -> None:
        for entry in counters.due(clients().now()):
            clients().stats.add(entry)
            counters.written([entry])
            log_event("app_counts", instance=counters.instance, counts=dict(entry.counts))

    _quietly(write)


@contextmanager
def timer_run(name: str) -> Iterator[dict[str, Any]]:
    """One run of a timer: one structured event, one row.

    ::

        with timer_run("reconcile_stale_jobs") as result:
            result["active"] = 3

    Args:
        name: the timer's.

    Yields:
        What the run has to say of itself, to be filled in; an error's code is added.
    """
    began, at, failed = time.monotonic(), clients().now(), True
    result: dict[str, Any] = {}
    try:
        yield result
        failed = False
    except ElbError as error:
        result["error"] = error.code
        raise
    finally:
        seconds = round(time.monotonic() - began, 3)
        level = logging.ERROR if failed else logging.INFO
        log_event("timer_run", level=level, timer=name, seconds=seconds, ended=not failed, result=result)
        _quietly(lambda: clients().stats.timer_ran(name, at, seconds, result, failed=failed))
        flush_counts()


def _quietly(write: Callable[[], None]) -> None:
    try:
        write()
    except ElbError as error:
        log_event("stats_not_written", level=logging.WARNING, code=error.code, message=error.message)
