"""A search as its orchestrator gets it, and the answers of a search that goes well."""

from __future__ import annotations

from typing import Any

from shared.domain import functions as names
from tests.orchestrators.fake_context import START

REF = {"job_id": "job-1", "owner": "anna", "run": 1}
CLUSTER = {"subscription_id": "s", "resource_group": "g", "cluster_name": "c", "storage_account": "store"}
SEARCH: dict[str, Any] = {
    **REF,
    "cluster": CLUSTER,
    "database": "core_nt",
    "created_at": START.isoformat(),
    "parallel": True,
    "warmup_wait_seconds": 2700,
    "deadline_seconds": 86_400,
    "results_grace_seconds": 120,
}
BROKEN = {"code": "broken", "message": "it is broken", "hint": "mend it"}


def advanced(data: dict[str, Any]) -> dict[str, Any]:
    """A row that follows."""
    phase = data.get("phase") or ("failed" if "error" in data else "running")
    return {"phase": phase, "cancelled": False, "superseded": False}


def answers(**others: Any) -> dict[str, Any]:
    """All goes well on a warm cluster, but for what is given by the name of its activity."""
    well: dict[str, Any] = {
        names.CHECK_ADMISSION: {"decision": "admit", "warm": True, "layout": 2},
        names.ADVANCE_SEARCH: advanced,
        names.WARMUP_ORCHESTRATOR: {"status": "succeeded", "database": "core_nt"},
        names.CLEANUP_STALE_JOBS: {"deleted": 0},
        names.ENSURE_SCRIPTS: {"written": False},
        names.STAGE_QUERIES: {"batches": 3, "sequences": 40, "letters": 1000},
        names.CREATE_SEARCH_JOBS: {"jobs": 6},
        names.MONITOR_ORCHESTRATOR: {"state": "done"},
        names.CHECK_RESULTS: {"open": True, "batches": 3, "missing": [], "empty": []},
        names.MERGE_BATCH: lambda data: {"batch": data["batch"], "queries": 1, "queries_with_hits": 1, "hits": 2},
        names.PUBLISH_RESULTS: {"files": ["results.tsv", "manifest.json"], "bytes": 77},
        names.REGISTER_RESULTS: {"files": 3, "bytes": 99},
        names.STOP_SEARCH_JOBS: {"deleted": 0},
        names.REMOVAL_ORCHESTRATOR: {"left": 0},
        names.WAKE_WAITING: {"woken": 0},
        names.DELIVER_WEBHOOK: {"delivered": 1},
    }
    assert others.keys() <= well.keys(), "an answer for something that no search calls"
    return well | others
