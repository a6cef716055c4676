"""What the views show of answers that a whole stack gives only now and then."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.web.answers import EVERYTHING, HITS, USER, but, cluster, database, page_of, preference, search, warm

SECONDS = 30_000


def strip_of(routed: Any, *items: dict[str, Any], **more: Any) -> Page:
    """The cluster view with these databases on the nodes."""
    status = {"items": list(items), "stale": False, "stale_reason": None, **more}
    page: Page = routed(but({r"warmup-status": status}), "cluster")
    expect(page.get_by_label("Cluster c1")).to_be_visible()
    return page


@pytest.mark.proves("P1")
class TestMemoryStrip:
    @pytest.mark.parametrize(
        ("row", "text"),
        [
            (
                warm("core_nt", "loading", 9, 10, active_phase="copying_files", estimated_remaining_seconds=55.2),
                "core_nt - copying - 9/10 - ~55s left",
            ),
            (
                warm("core_nt", "loading", 0, 10, active_phase="verifying_db", estimated_remaining_seconds=200),
                "core_nt - verifying - 0/10 - ~3m 20s left",
            ),
            (warm("core_nt", "loading", 0, 10, active_phase="starting"), "core_nt - starting - 0/10"),
            (warm("core_nt", "ready", 10, 10), "core_nt - in memory - 10/10"),
            (warm("core_nt", "stale", 9, 10, stale_reason="node n is gone"), "core_nt - stale - 9/10"),
            (
                warm("core_nt", "cooled", 10, 10, residency={"bytes": 10, "resident_bytes": 4}),
                "core_nt - cooled - 10/10",
            ),
        ],
    )
    def test_one_database(self, routed: Any, row: dict[str, Any], text: str) -> None:
        page = strip_of(routed, row)
        item = page.get_by_label("Databases in memory").get_by_role("listitem")
        expect(item).to_have_count(1)
        expect(item).to_contain_text(re.compile("^" + re.escape(text) + "(?! - )"))

    def test_its_tooltip_has_the_counts_and_the_times(self, routed: Any) -> None:
        row = warm("core_nt", "loading", 9, 10, active_phase="copying_files", estimated_remaining_seconds=55)
        item = strip_of(routed, row).get_by_label("Databases in memory").get_by_role("listitem")
        expect(item).to_have_attribute("title", "9 of 10 shards done, 1 copying; 40s elapsed; about 55s remaining")

    @pytest.mark.parametrize(
        "row",
        [
            warm("core_nt", "cold", 0, 10),
            warm("core_nt", "failed", 3, 10),
            warm("core_nt", "unknown", 0, 10),
            warm("core_nt", "stale", 0, 10),
            warm("core_nt", "cooled", 10, 10, residency={"bytes": 10, "resident_bytes": 0}),
        ],
        ids=lambda row: str(row["status"]),
    )
    def test_what_is_on_disks_only_is_not_there(self, routed: Any, row: dict[str, Any]) -> None:
        page = strip_of(routed, row)
        empty = page.locator("[data-strip='empty']")
        expect(empty).to_contain_text("No warmed databases yet")
        empty.get_by_role("link", name="Auto warm").click()
        expect(page.get_by_role("heading", name="Auto-warm")).to_be_in_viewport()

    def test_what_is_not_known_is_not_said_to_be_empty(self, routed: Any) -> None:
        page = strip_of(routed, stale=True, stale_reason="the cluster does not answer")
        expect(page.get_by_text("What is in memory is not known: the cluster does not answer")).to_be_visible()
        expect(page.locator("[data-strip='empty']")).to_have_count(0)


@pytest.mark.proves("P2")
@pytest.mark.parametrize("state", ["stopped", "starting", "stopping", "provisioning", "failed", "not_found", "unknown"])
@pytest.mark.parametrize("view", ["searches", "databases", "cluster"])
def test_a_cluster_that_is_not_ready_is_told_without_counts(routed: Any, view: str, state: str) -> None:
    row = cluster(lifecycle_state=state, workload_ready=False, reason="it is looked at again", next_refresh_seconds=30)
    del row["counts"]
    page = routed(but({r"^api/monitor/aks$": page_of(row)}), view)
    panel = page.locator(f"[data-lifecycle='{state}']")
    expect(panel).to_contain_text("it is looked at again")
    expect(panel).to_contain_text("looked at again in 30 s")
    expect(page.get_by_label("Activity of the last 15 minutes")).to_have_count(0)
    expect(page.get_by_label("Nodes")).to_have_count(0)
    expect(page.get_by_label("Databases in memory")).to_have_count(0)


@pytest.mark.proves("P2")
def test_a_ready_cluster_shows_the_pipeline_of_the_last_15_minutes(routed: Any) -> None:
    page = routed(EVERYTHING)
    expect(page.get_by_label("Activity of the last 15 minutes")).to_contain_text("3 submitted")


@pytest.mark.proves("P3")
class TestAutoWarmBoxes:
    def boxes(self, routed: Any, *databases: dict[str, Any], chosen: dict[str, Any], me: Any = None) -> Page:
        rows = {**page_of(*databases), "cluster_name": "c1", "stale": False, "stale_reason": None}
        answers = {r"blast/databases": rows, r"auto-preference": chosen, **({"^api/me$": me} if me else {})}
        page: Page = routed(but(answers), "databases")
        expect(page.get_by_role("heading", name="Auto-warm")).to_be_visible()
        return page

    def test_core_nt_is_checked_by_default(self, routed: Any) -> None:
        page = self.boxes(routed, database("core_nt"), chosen=preference("core_nt"))
        expect(page.get_by_label("core_nt", exact=True)).to_be_checked()

    @pytest.mark.parametrize("storage", ["not_downloaded", "incomplete"])
    def test_what_is_not_downloaded_cannot_be_checked(self, routed: Any, storage: str) -> None:
        page = self.boxes(routed, database("nt", storage=storage), chosen=preference())
        box = page.get_by_label("nt", exact=True)
        expect(box).not_to_be_checked()
        expect(box).to_be_disabled()

    def test_a_check_is_saved_by_its_name(self, routed: Any) -> None:
        page = self.boxes(routed, database("nt"), chosen=preference())
        with page.expect_request(lambda request: request.method == "PUT") as sent:
            page.get_by_label("nt", exact=True).check()
        assert sent.value.post_data_json == {"add": ["nt"]}

    def test_a_user_who_is_no_operator_sees_but_changes_nothing(self, routed: Any) -> None:
        page = self.boxes(routed, database("nt"), chosen=preference("nt"), me=USER)
        expect(page.get_by_label("nt", exact=True)).to_be_disabled()
        expect(page.get_by_role("button", name="Warm")).to_have_count(0)


class TestSearches:
    def test_ten_thousand_are_paged_and_none_twice(self, routed: Any) -> None:
        asked: list[str] = []

        def answer(request: Any) -> dict[str, Any]:
            asked.append(request.url)
            found = re.search(r"cursor=(\d+)", request.url)
            begin = int(found[1]) if found else 0
            end = min(10_000, begin + int(re.search(r"limit=(\d+)", request.url)[1]))  # type: ignore[index]
            return page_of(*(search(n) for n in range(begin, end)), cursor=str(end) if end < 10_000 else None)

        page = routed(but({r"^api/blast/jobs\?": answer}))
        rows = page.locator("tbody tr")
        for shown in (50, 100, 200, 400, 800, 1600, 3200):
            expect(rows).to_have_count(shown, timeout=SECONDS)
            page.get_by_role("button", name="Older ones").click()
        expect(rows).to_have_count(6400, timeout=SECONDS)
        ids = page.evaluate("[...document.querySelectorAll('tbody tr')].map((row) => row.dataset.job)")
        assert len(set(ids)) == 6400
        page.get_by_label("Title has").fill("it still listens")
        expect(page.get_by_label("Title has")).to_have_value("it still listens")

    def test_filters_are_in_the_address_and_in_the_question(self, routed: Any) -> None:
        page = routed(EVERYTHING, "searches?status=failed")
        expect(page.get_by_label("Status")).to_have_value("failed")
        with page.expect_request(lambda request: "q=virus" in request.url and "status=failed" in request.url):
            page.get_by_label("Title has").fill("virus")
        assert page.url.endswith("#/searches?status=failed&q=virus")

    def test_what_is_old_says_so(self, routed: Any) -> None:
        stale = search(status="running", phase="running", completed_at=None, stale=True, stale_reason="no answer")
        page = routed(but({r"^api/blast/jobs\?": page_of(stale)}))
        expect(page.locator("tbody tr")).to_contain_text("stale")

    def test_nobody_signed_in_is_sent_to_sign_in(self, routed: Any) -> None:
        refused = (401, {"error": {"code": "not_signed_in", "message": "nobody is signed in", "hint": ""}})
        page = routed({r"^api/": refused})
        with page.expect_request(lambda request: "/.auth/login/aad?post_login_redirect_uri=%2F%23%2F" in request.url):
            page.get_by_role("button", name="Sign in").click()

    def test_text_of_others_is_text(self, routed: Any) -> None:
        evil = '<img src=x onerror="document.title=\'broken\'"><script>document.title="broken"</script>'
        one = search(title=evil, waiting_reason=evil, error={"code": "x", "message": evil, "hint": evil})
        page = routed(but({r"^api/blast/jobs\?": page_of(one)}))
        expect(page.get_by_role("link", name=evil)).to_be_visible()
        assert page.title() == "Searches - ElasticBLAST"
        assert page.locator("td img").count() == 0


class TestHits:
    def test_the_table_is_filtered_and_sorted_by_the_server(self, routed: Any) -> None:
        asked: list[str] = []

        def answer(request: Any) -> dict[str, Any]:
            asked.append(request.url.partition("/hits")[2])
            return page_of(*HITS)

        page = routed(but({r"/hits": answer}), f"searches/{search()['job_id']}")
        expect(page.get_by_label("Hits", exact=True).get_by_role("row")).to_have_count(len(HITS) + 1)
        page.get_by_label("Identity at least (%)").fill("97")
        page.get_by_role("button", name="Filter hits").click()
        with page.expect_request(lambda request: "sort=" in request.url):
            page.get_by_role("button", name="E-value").click()
        header = page.get_by_role("columnheader", name="E-value")
        expect(header).to_have_attribute("aria-sort", "ascending")
        assert asked[-1] == "?min_identity=97&sort=evalue&limit=100"

    def test_short_pages_are_followed_until_there_are_hits(self, routed: Any) -> None:
        def answer(request: Any) -> dict[str, Any]:
            found = re.search(r"cursor=(\d+)", request.url)
            turn = int(found[1]) if found else 0
            return page_of(cursor=str(turn + 1)) if turn < 5 else page_of(*HITS)

        page = routed(but({r"/hits": answer}), f"searches/{search()['job_id']}")
        expect(page.get_by_label("Hits", exact=True).get_by_role("row")).to_have_count(len(HITS) + 1)

    def test_the_picture_has_a_line_a_subject_of_one_query(self, routed: Any) -> None:
        page = routed(EVERYTHING, f"searches/{search()['job_id']}")
        picture = page.get_by_role("img", name=re.compile("7 subjects with hits between 1 and 620 of query q1"))
        expect(picture).to_be_visible()
        page.get_by_label("Hits along").select_option("q2")
        expect(page.get_by_role("img", name=re.compile("of query q2"))).to_be_visible()


@pytest.mark.parametrize("view", ["searches", f"searches/{search()['job_id']}", "new", "databases", "cluster"])
def test_a_phone_shows_it_without_scrolling_sideways(routed: Any, view: str) -> None:
    page = routed(EVERYTHING, view, viewport={"width": 360, "height": 740})
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_the_keyboard_is_enough(routed: Any) -> None:
    page = routed(EVERYTHING)
    expect(page.get_by_role("link", name="run 1")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.get_by_role("link", name="run 1").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="run 1")).to_be_visible()
    assert page.evaluate("document.activeElement.id") == "main", "a new view is read from its beginning"
    page.go_back()
    expect(page.get_by_role("heading", name="Searches")).to_be_visible()
