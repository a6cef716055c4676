"""How a search is laid out in its row: columns that are filtered, refreshed or listed, and a payload for the rest.

A Table string holds 32,768 UTF-16 units (Azure Storage, "Understanding the Table service data model"). A payload that
would not fit goes into a blob, and the row keeps a reference.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from shared.clients.search_migrations import SCHEMA, migrated
from shared.domain.errors import PermanentError
from shared.domain.progress import Progress
from shared.domain.search import ClusterRef, Search
from shared.domain.states import Phase
from shared.domain.timeline import read_timeline
from shared.domain.times import format_time, parse_time

MAX_PAYLOAD_UNITS = 30_000
"""Below the limit of 32,768, so that an escape more does not matter."""

_TIMES = (
    "created_at",
    "started_at",
    "completed_at",
    "observed_at",
    "jobs_created_at",
    "cancel_requested_at",
    "attempt_started_at",
    "checked_at",
    "results_expire_at",
    "results_removed_at",
    "waiting_since",
    "outcome_at",
)
_TEXTS = (
    "job_id",
    "owner",
    "program",
    "database",
    "title",
    "source",
    "idempotency_key",
    "outcome",
    "seen_digest",
    "webhook_url",
)
_CLUSTER = ("subscription_id", "resource_group", "cluster_name", "storage_account")
_PROGRESS = tuple(f"progress_{name}" for name in ("total", "pending", "running", "succeeded", "failed"))
_STATE = ("schema", "status", "phase", "waiting_reason", "error_brief", "attempt", "run", "expected_jobs")
_ORIGIN = ("engine", "cloned_from", "delete_run", "first_run", "all_succeeded_looks", "run_seconds", "aliases")
_BRIEF = {"code": 100, "message": 1000, "hint": 1000, "job": 100}
"""What a list shows of an error, and how many characters of it: the log's tail is only in the detail."""
COLUMNS = (*_TEXTS, *_TIMES, *_CLUSTER, *_PROGRESS, *_STATE, *_ORIGIN)
"""All but the payload: what a list reads."""


def utf16_units(text: str) -> int:
    """Length of a text as Azure Tables counts it."""
    return len(text.encode("utf-16-le")) // 2


def columns_of(search: Search) -> dict[str, Any]:
    """The columns of a search's row, without its payload. Empty means: not set."""
    columns: dict[str, Any] = {name: getattr(search, name) for name in _TEXTS}
    columns |= {name: format_time(getattr(search, name)) or "" for name in _TIMES}
    columns |= search.cluster.to_dict()
    columns |= {f"progress_{k}": v for k, v in search.progress.to_dict().items() if k != "pct"}
    columns |= {
        "schema": SCHEMA,
        "status": search.status.value,
        "phase": search.phase.value,
        "waiting_reason": (search.waiting_reason or "")[:2000],
        "error_brief": _brief(search.error),
        "attempt": search.attempt,
        "run": search.run,
        "engine": search.engine,
        "cloned_from": search.cloned_from or "",
        "delete_run": search.delete_run,
        "first_run": search.first_run,
        "all_succeeded_looks": search.all_succeeded_looks,
        "run_seconds": search.run_seconds,
        "aliases": ",".join(search.aliases),
        "expected_jobs": -1 if search.expected_jobs is None else search.expected_jobs,
    }
    return columns


def _brief(error: Mapping[str, Any] | None) -> str:
    if error is None:
        return ""
    texts = {name: str(error.get(name) or "")[:limit] for name, limit in _BRIEF.items()}
    return json.dumps(texts | {"exit_code": error.get("exit_code")}, separators=(",", ":"))


def payload_of(search: Search) -> str:
    """What can grow, as JSON."""
    return json.dumps(
        {
            "options": dict(search.options),
            "labels": dict(search.labels),
            "steps": [step.to_dict() for step in search.steps],
            "error": search.error,
            "jobs": [dict(job) for job in search.jobs],
            "query": dict(search.query),
            "plan": dict(search.plan),
            "failure": search.failure,
        },
        separators=(",", ":"),
    )


def search_of(row: Mapping[str, Any], etag: str = "") -> Search:
    """A search from its columns; the payload's fields are empty until ``with_payload``.

    Unknown columns are ignored and missing ones have their default, so that older and newer rows can be read.

    Raises:
        PermanentError: ``row_of_newer_version``: the row is in a phase that only a newer version of the app knows.
    """
    row = migrated({name: value for name, value in row.items() if value is not None})  # asked for, but not there
    if row.get("phase", "preparing") not in set(Phase):
        raise PermanentError(
            "row_of_newer_version",
            f"search {row.get('job_id')} was written by a newer version of the app",
            "update this instance of the app",
        )
    times: dict[str, Any] = {name: parse_time(row.get(name)) for name in _TIMES}
    created = times.pop("created_at")
    expected = int(row.get("expected_jobs", -1))
    return Search(
        **{name: row.get(name, "") for name in _TEXTS},
        **times,
        created_at=created or datetime.fromisoformat("1970-01-01T00:00:00+00:00"),
        cluster=ClusterRef.from_dict({name: row.get(name, "") for name in _CLUSTER}),
        phase=Phase(row.get("phase", "preparing")),
        waiting_reason=row.get("waiting_reason") or None,
        error=json.loads(row["error_brief"]) if row.get("error_brief") else None,
        schema=int(row.get("schema", 1)),
        attempt=int(row.get("attempt", 1)),
        run=int(row.get("run", 1)),
        engine=row.get("engine") or "native",
        cloned_from=row.get("cloned_from") or None,
        delete_run=int(row.get("delete_run", 0)),
        first_run=int(row.get("first_run", 0)),
        all_succeeded_looks=int(row.get("all_succeeded_looks", 0)),
        run_seconds=int(row.get("run_seconds", 0)),
        aliases=tuple(filter(None, str(row.get("aliases", "")).split(","))),
        expected_jobs=None if expected < 0 else expected,
        progress=Progress.from_dict({name.removeprefix("progress_"): row.get(name, 0) for name in _PROGRESS}),
        etag=etag,
    )


def with_payload(search: Search, payload: str) -> Search:
    """The search with what its payload holds."""
    data = json.loads(payload) if payload else {}
    return replace(
        search,
        options=data.get("options") or {},
        labels=data.get("labels") or {},
        steps=read_timeline(data.get("steps") or ()),
        error=data.get("error"),
        jobs=tuple(data.get("jobs") or ()),
        query=data.get("query") or {},
        plan=data.get("plan") or {},
        failure=data.get("failure"),
    )
