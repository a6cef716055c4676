"""Parts of the page that a person uses now and then: the nodes' memory, a file of queries, and what ends a search."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.web.answers import but, cluster, database, node, page_of, search, warm
from tests.web.test_accessibility import AXE


class TestNodes:
    def cluster_view(self, routed: Any, *nodes: dict[str, Any], **options: Any) -> Page:
        """The cluster with these nodes."""
        answer = {**page_of(*nodes), "stale": False, "stale_reason": None}
        page: Page = routed(but({r"^api/monitor/aks/nodes": answer}), "cluster", **options)
        expect(page.get_by_label("Nodes")).to_be_visible()
        return page

    def test_what_is_in_memory_and_what_is_held_is_drawn_and_said(self, routed: Any) -> None:
        page = self.cluster_view(routed, node("n1", 8, 6, 4), node("n2", 8, 6, None))
        expect(page.get_by_role("img", name="4.0 GB in memory, 6.0 GB held, of 8.0 GB")).to_be_visible()
        rows = page.get_by_label("Nodes").get_by_role("row")
        expect(rows.nth(1)).to_contain_text("core_nt \N{MULTIPLICATION SIGN} 1")
        expect(rows.nth(2)).to_contain_text("not measured")

    def test_a_node_that_holds_no_databases_is_not_there(self, routed: Any) -> None:
        page = self.cluster_view(routed, node("n1", 8, 6, 4), {**node("system", 8, 0, 0), "holds_databases": False})
        expect(page.get_by_label("Nodes").get_by_role("row")).to_have_count(2)

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_axe_finds_nothing(self, routed: Any, scheme: str) -> None:
        page = self.cluster_view(routed, node("n1", 8, 6, 4), node("n2", 8, 6, None), color_scheme=scheme)
        page.evaluate(AXE.read_text())
        assert [each["id"] for each in page.evaluate("axe.run()")["violations"]] == []


@pytest.mark.proves("P1")
def test_where_nothing_is_warm_the_way_to_warm_now_leads_to_the_table(routed: Any) -> None:
    page = routed(but({}), "cluster")
    page.locator("[data-strip='empty']").get_by_role("link", name="Warm now").click()
    expect(page.get_by_role("heading", name="Databases", exact=True)).to_be_visible()


def test_a_database_on_its_way_shows_phase_percent_and_time_left(routed: Any) -> None:
    loading = {
        "state": "loading",
        "progress_pct": 42.4,
        "active_phase": "copying_files",
        "estimated_remaining_seconds": 200,
    }
    rows = {
        **page_of(database("core_nt", warmth=loading)),
        "cluster_name": "c1",
        "stale": False,
        "stale_reason": None,
    }
    status = {"items": [warm("core_nt", "loading", 4, 10)], "stale": False, "stale_reason": None}
    page = routed(but({r"^api/blast/databases": rows, r"^api/monitor/aks/warmup-status": status}), "databases")
    row = page.locator("tr[data-database='core_nt']")
    expect(row).to_contain_text("copying files 42 %, about 3 min 20 s left")
    expect(row.get_by_role("progressbar", name="Warming of core_nt")).to_have_attribute("value", "42.4")


class TestAFileOfQueries:
    FASTA = b">q1\nACGTACGTACGT\n"

    def test_a_small_one_is_shown_and_sent_as_text(self, routed: Any) -> None:
        page = routed(
            but({r"^api/blast/jobs/validate": {"ok": True, "checks": [], "plan": None, "estimate": None}}), "new"
        )
        page.get_by_label(re.compile("or a file")).set_input_files(
            {"name": "mine.fa", "mimeType": "text/plain", "buffer": self.FASTA}
        )
        expect(page.get_by_label("Queries in FASTA format")).to_have_value(self.FASTA.decode())
        expect(page.get_by_label("Title")).to_have_value("mine.fa")

    def test_a_packed_one_is_uploaded_as_it_is(self, routed: Any) -> None:
        sent: list[bytes] = []

        def stored(request: Any) -> tuple[int, dict[str, Any]]:
            sent.append(request.post_data_buffer)
            return 201, {"query_blob": "uploads/x/y", "sequences": 3, "letters": 900, "sha256": "0", "programs": []}

        page = routed(but({r"^api/blast/queries": stored}), "new")
        page.get_by_label(re.compile("or a file")).set_input_files(
            {"name": "mine.fa.gz", "mimeType": "application/gzip", "buffer": b"\x1f\x8bpacked"}
        )
        expect(page.get_by_text("3 sequences, 900 letters")).to_be_visible()
        assert sent == [b"\x1f\x8bpacked"]


class TestWhatEndsASearch:
    def test_retry_and_delete_ask_the_server_for_it(self, routed: Any) -> None:
        failed = search(status="failed", phase="failed", error={"code": "x", "message": "it failed", "hint": "mend"})
        page = routed(but({r"^api/blast/jobs/[^/?]+$": failed, r"/retry$": (202, {})}), f"searches/{failed['job_id']}")
        with page.expect_request(lambda request: request.method == "POST" and request.url.endswith("/retry")):
            page.get_by_role("button", name="Retry").click()
        page.get_by_role("button", name="Delete").click()
        with page.expect_request(lambda request: request.method == "DELETE"):
            page.get_by_role("button", name="Delete").click()

    def test_a_table_can_be_had_as_csv(self, routed: Any) -> None:
        page = routed(but({}), f"searches/{search()['job_id']}")
        expect(page.get_by_role("link", name="as CSV")).to_have_attribute("href", re.compile("format=csv"))


def test_a_cluster_that_is_not_ready_offers_its_start_only(routed: Any) -> None:
    stopped = cluster(lifecycle_state="stopped", workload_ready=False)
    page = routed(but({r"^api/monitor/aks$": page_of(stopped)}), "cluster")
    expect(page.get_by_role("button", name="Start cluster")).to_be_visible()
    expect(page.get_by_role("button", name="Stop cluster")).to_have_count(0)
