"""Answers of the API as the page gets them, for views that a whole stack shows only now and then."""

from __future__ import annotations

from typing import Any

ME = {"owner": "o-1", "name": "Ada", "roles": ["user", "operator"]}
USER = {"owner": "o-2", "name": "Bob", "roles": ["user"]}
AT = "2026-01-02T03:04:05.678Z"


def search(number: int = 1, **change: Any) -> dict[str, Any]:
    """An item of the list, and a detail."""
    return {
        "job_id": f"job-{number:032x}",
        "short_id": f"{number:012x}",
        "aliases": [],
        "source": "api",
        "status": "completed",
        "phase": "completed",
        "waiting_reason": None,
        "title": f"run {number}",
        "program": "blastn",
        "database": "core_nt",
        "owner": "o-1",
        "created_at": AT,
        "started_at": AT,
        "completed_at": "2026-01-02T03:14:05.678Z",
        "observed_at": AT,
        "stale": False,
        "stale_reason": None,
        "progress": {"total": 8, "pending": 0, "running": 0, "succeeded": 8, "failed": 0, "pct": 100.0},
        "results_expire_at": "2026-02-01T03:14:05.678Z",
        "error": None,
        "attempt": 1,
        "cloned_from": None,
        "cost": None,
        "steps": [
            {
                "name": name,
                "status": "completed",
                "started_at": AT,
                "completed_at": AT,
                "seconds": 1.5,
                "detail": None,
            }
            for name in ("preparing", "warming_up", "configuring", "staging_db", "submitting", "running", "exporting")
        ],
        "kubernetes": {
            "jobs": [{"name": "b-1", "shard": 0, "batch": 0, "state": "succeeded", "reason": None, "exit_code": 0}]
        },
        "options": {"task": "megablast", "evalue": 10, "outfmt": "6 std"},
        "labels": {"project": "x"},
        "query": {"sequences": 2, "letters": 3000},
        **change,
    }


def cluster(**change: Any) -> dict[str, Any]:
    """A row of the clusters."""
    return {
        "subscription_id": "s",
        "resource_group": "g",
        "cluster_name": "c1",
        "storage_account": "account",
        "lifecycle_state": "running",
        "workload_ready": True,
        "warm_ready": True,
        "reason": "ready",
        "next_refresh_seconds": 10,
        "summary": {
            "region": "westeurope",
            "version": "1.32.4",
            "pools": [{"name": "blast", "mode": "user", "sku": "Standard_E8s_v5", "count": 4, "ready": 4}],
        },
        "counts": {"nodes_expected": 4, "nodes_ready": 4, "searches_active": 0, "searches_waiting": 0},
        "observed_at": AT,
        "stale": False,
        "stale_reason": None,
        **change,
    }


def warm(database: str, status: str, done: int, total: int, **change: Any) -> dict[str, Any]:
    """A row of the warmup status."""
    return {
        "database": database,
        "status": status,
        "progress_pct": 100.0 * done / total,
        "elapsed_seconds": 40.0,
        "estimated_remaining_seconds": None,
        "active_phase": "completed",
        "phase_counts": {"completed": done, "copying_files": total - done},
        "total_jobs": total,
        "residency": None,
        "stale_reason": None,
        **change,
    }


def database(name: str, state: str = "cold", storage: str = "sharded", **change: Any) -> dict[str, Any]:
    """A row of the databases."""
    return {
        "name": name,
        "title": f"{name} of NCBI",
        "storage_state": storage,
        "type": "nucl",
        "sequences": 3144,
        "letters": 3_000_000,
        "bytes": 250_000_000_000,
        "volumes": 80,
        "version": "2026-01-02-0a1b2c3d",
        "shards": [10],
        "warmth": {"state": state, "progress_pct": None},
        "fit": None,
        "auto_warm": False,
        "in_use": 0,
        "allowed_actions": ["warm"],
        **change,
    }


def node(name: str, budget: int, held: int, resident: int | None) -> dict[str, Any]:
    """A row of the nodes; sizes in GB."""
    size = 1_000_000_000
    shard = {"database": "core_nt", "shards": 10, "shard": 0, "state": "warm", "bytes": 1, "resident_bytes": 1}
    return {
        "name": name,
        "pool": "blast",
        "sku": "Standard_E8s_v5",
        "ready": True,
        "schedulable": True,
        "holds_databases": True,
        "memory_used_bytes": 20 * size,
        "headroom_bytes": 30 * size,
        "cache_budget_bytes": budget * size,
        "cache_held_bytes": held * size,
        "cache_free_bytes": (budget - held) * size,
        "resident_bytes": None if resident is None else resident * size,
        "measured_at": AT,
        "unmeasured_reason": None if resident is not None else "no probe runs on it",
        "shards": [shard],
    }


def preference(*names: str, **change: Any) -> dict[str, Any]:
    """The auto-warm preference."""
    items = [
        {
            "database": name,
            "storage_state": "sharded",
            "skipped_because": None,
            "tries": 0,
            "last_instance_id": None,
            "next_try_at": None,
        }
        for name in names
    ]
    return {"databases": list(names), "enabled": True, "saved": False, "items": items, **change}


def page_of(*items: Any, cursor: str | None = None) -> dict[str, Any]:
    """One page of a list."""
    return {"items": list(items), "next_cursor": cursor}


STATS = {
    "window_seconds": 900,
    "submitted": 3,
    "registered": 0,
    "ended": {"completed": 2, "failed": 1, "cancelled": 0},
    "failures": {"out_of_memory": 1},
    "waiting": [],
}

HITS = [
    {
        "query": f"q{number % 2 + 1}",
        "subject": f"NC_{number:06d}.1",
        "title": "Escherichia coli, complete genome",
        "identity": 100.0 - number,
        "length": 500 - number,
        "mismatches": number,
        "gap_opens": 0,
        "query_start": 1 + number * 20,
        "query_end": 500 + number * 10,
        "subject_start": 1000,
        "subject_end": 1500,
        "evalue": 10.0 ** -(50 - number),
        "bit_score": 300.0 - number * 20,
        "columns": {},
    }
    for number in range(14)
]

RESULTS = {
    "manifest": [
        {"name": "results.tsv", "size": 1234, "sha256": "ab" * 32, "content_type": "text/plain", "url": "/api/x"}
    ],
    "provenance": {"program": "blastn", "command_line": ["blastn", "-db", "core_nt"], "shards": 10},
    "summary": {"queries": 2, "queries_with_hits": 2, "hits": 14},
}

EVERYTHING: dict[str, Any] = {
    r"^api/me$": ME,
    r"^api/stats": STATS,
    r"^api/monitor/aks$": page_of(cluster()),
    r"^api/monitor/aks/warmup-status": {"items": [], "stale": False, "stale_reason": None},
    r"^api/monitor/aks/nodes": {**page_of(), "stale": False, "stale_reason": None},
    r"^api/blast/databases": {
        **page_of(database("core_nt", "ready"), database("nt_viruses")),
        "cluster_name": "c1",
        "stale": False,
        "stale_reason": None,
    },
    r"^api/warmup/auto-preference": preference("core_nt"),
    r"^api/blast/jobs/[^/]+/results$": RESULTS,
    r"^api/blast/jobs/[^/]+/hits": page_of(*HITS),
    r"^api/blast/jobs/[^/]+/events": page_of({"at": AT, "kind": "submitted", "who": "o-1", "why": "", "attempt": 1}),
    r"^api/blast/jobs/[^/]+/logs": {
        "items": [
            {
                "job": "b-1",
                "shard": 0,
                "batch": 0,
                "state": "succeeded",
                "pod": "p",
                "container": "blast",
                "source": "pod",
                "reason": None,
                "text": "DONE",
                "truncated": False,
            }
        ],
        "jobs_total": 1,
        "truncated": False,
        "observed_at": AT,
        "stale": False,
        "stale_reason": None,
    },
    r"^api/blast/jobs/[^/?]+$": search(),
    r"^api/blast/jobs(\?|$)": page_of(search()),
}
"""An answer for everything that a view asks for; a test puts its own in the place of some."""


def but(changed: dict[str, Any]) -> dict[str, Any]:
    """Everything, with these answers in the place of those for the same paths."""
    return {**changed, **{pattern: body for pattern, body in EVERYTHING.items() if pattern not in changed}}
