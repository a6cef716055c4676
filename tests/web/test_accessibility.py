"""Axe finds nothing on any view, dark and light."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.web.answers import EVERYTHING, STATS, but, cluster, page_of, search, warm

AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
VIEWS = {
    "searches": EVERYTHING,
    "searches, running": but(
        {
            r"^api/blast/jobs\?": page_of(
                search(status="running", phase="running", completed_at=None, stale=True, stale_reason="no answer"),
                search(
                    2, status="failed", phase="failed", error={"code": "x", "message": "it failed", "hint": "mend it"}
                ),
                cursor="more",
            ),
            r"^api/stats": {
                **STATS,
                "waiting": [{"cluster_name": "c1", "phase": "waiting_for_capacity", "count": 2, "reason": "full"}],
            },
        }
    ),
    f"searches/{search()['job_id']}": EVERYTHING,
    f"searches/{search()['job_id']}, failed": but(
        {
            r"^api/blast/jobs/[^/?]+$": search(
                status="failed",
                phase="failed",
                error={"code": "x", "message": "it failed", "hint": "mend it", "job": "b-1", "log_tail": "last line"},
            ),
        }
    ),
    f"searches/{search()['job_id']}, running": but(
        {
            r"^api/blast/jobs/[^/?]+$": search(
                status="running", phase="running", completed_at=None, stale=True, stale_reason="no answer"
            ),
        }
    ),
    f"searches/{search()['job_id']}, results expired": but(
        {
            r"/results$": (410, {"error": {"code": "results_expired", "message": "gone", "hint": ""}}),
            r"/logs": (503, {"error": {"code": "busy", "message": "busy", "hint": "later"}}),
        }
    ),
    "new": EVERYTHING,
    "databases?cluster=c2, of two clusters": but(
        {r"^api/monitor/aks$": page_of(cluster(), cluster(cluster_name="c2"))},
    ),
    "databases": EVERYTHING,
    "cluster": but(
        {
            r"warmup-status": {
                "items": [warm("core_nt", "loading", 1, 2, estimated_remaining_seconds=9)],
                "stale": False,
                "stale_reason": None,
            },
        }
    ),
    "cluster, stopped": but(
        {
            r"^api/monitor/aks$": page_of(cluster(lifecycle_state="stopped", workload_ready=False)),
        }
    ),
    "nowhere": EVERYTHING,
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", VIEWS)
def test_axe_finds_nothing(routed: Any, name: str, scheme: str) -> None:
    page: Page = routed(VIEWS[name], name.partition(",")[0], color_scheme=scheme)
    page.wait_for_load_state("networkidle")
    for details in page.locator("details").all():
        details.locator("summary").click()
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run()")
    told = [f"{each['id']}: {node['html'][:200]}" for each in found["violations"] for node in each["nodes"]]
    assert told == []
    assert len(found["passes"]) > 10, "axe has looked at it"
