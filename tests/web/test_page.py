"""The page on a whole stack, as a user has it: submit, watch, results, cancel, warm, release, a host that is gone."""

from __future__ import annotations

import time

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.product import DATABASE, QUERIES, TERMINAL, wait_for
from tests.web.conftest import Site

SECONDS = 30_000
BUSY = 4
"""How much slower than by itself a busy machine may be before a time is taken for a wrong one."""


def submit(page: Page, title: str, *, task: str = "megablast") -> str:
    """Fill in the form and submit it; the new search's id."""
    page.get_by_label("Database").fill(DATABASE)
    page.get_by_label("Title").fill(title)
    page.get_by_label("Queries in FASTA format").fill(QUERIES.read_text())
    page.get_by_label("Task").select_option(task)
    expect(page.get_by_label("Checks")).to_contain_text("4 shards", timeout=SECONDS)
    page.get_by_role("button", name="Submit").click()
    page.wait_for_url("**/#/searches/job-*", timeout=SECONDS)
    return page.url.rpartition("/")[2]


def test_a_search_from_the_form_to_its_hits(site: Site) -> None:
    page = site.open("new")
    job_id = submit(page, "from the form")
    expect(page.get_by_role("heading", name="from the form")).to_be_visible()
    expect(page.get_by_label("Status")).to_have_text("completed", timeout=SECONDS)
    expect(page.get_by_label("Steps")).to_contain_text("exporting")
    results = page.get_by_label("Results")
    summary = site.product.http.get(f"/blast/jobs/{job_id}/results").json()["summary"]
    assert summary["queries_with_hits"] > 0
    expect(results).to_contain_text(f"for {summary['queries_with_hits']} of {summary['queries']} queries")
    with page.expect_download() as download:
        results.get_by_role("link", name="results.tsv").click()
    assert download.value.path().read_bytes() == site.product.result(job_id)


def test_what_is_wrong_is_said_before_the_submit_and_nothing_is_sent(site: Site) -> None:
    before = site.product.everything_kept()
    page = site.open("new")
    page.get_by_label("Database").fill(DATABASE)
    page.get_by_label("Queries in FASTA format").fill(">q1\nACGT\n>q1\nACGT\n")
    expect(page.get_by_label("Checks")).to_contain_text("line 3 has the id 'q1' of line 1", timeout=SECONDS)
    expect(page.get_by_role("button", name="Submit")).to_be_disabled()
    assert site.product.everything_kept() == before


def test_a_finished_search_shows_on_the_open_list_within_two_seconds(site: Site) -> None:
    product = site.product
    job_id = product.submit(title="watched in the list")
    page = site.open()
    row = page.locator(f"tr[data-job='{job_id}']")
    expect(row).to_be_visible(timeout=SECONDS)
    wait_for(lambda: True if product.detail(job_id)["status"] in TERMINAL else None, 30, "the end of the search")
    seen = time.monotonic()
    expect(row).to_contain_text("completed", timeout=SECONDS)
    seconds = time.monotonic() - seen
    print(f"\nfrom completed in the API to completed on the open page: {seconds:.2f} s")
    assert seconds < 2 * BUSY, "the open page asks each second"
    assert page.evaluate("performance.getEntriesByType('navigation').length") == 1, "it was not loaded anew"


def test_a_running_search_is_cancelled_after_a_question(site: Site) -> None:
    product = site.product
    slow = {"label_selector": "app=blast", "delay_seconds": 120}
    product.control("/pace", slow)
    try:
        page = site.open(f"searches/{product.submit(title='to be cancelled')}")
        page.get_by_role("button", name="Cancel search").click()
        expect(page.get_by_text("Cancel this search?")).to_be_visible()
        page.get_by_role("button", name="Cancel search").click()
        expect(page.get_by_label("Status")).to_have_text("cancelled", timeout=SECONDS)
        expect(page.get_by_role("button", name="Retry")).to_be_visible()
    finally:
        product.control("/pace", {**slow, "delay_seconds": 0})


def test_a_clone_begins_with_what_the_original_was(site: Site) -> None:
    job_id = site.product.submit(title="the original")
    site.product.wait_end(job_id)
    page = site.open(f"searches/{job_id}")
    page.get_by_role("link", name="Clone").click()
    expect(page.get_by_label("Database")).to_have_value(DATABASE)
    page.get_by_label("Title").fill("the copy")
    page.get_by_role("button", name="Submit the clone").click()
    expect(page.get_by_role("heading", name="the copy")).to_be_visible(timeout=SECONDS)
    expect(page.get_by_label("What was asked for")).to_contain_text(job_id)


def test_a_database_is_released_and_warmed(site: Site) -> None:
    page = site.open("databases")
    row = page.locator(f"tr[data-database='{DATABASE}']")
    release = row.get_by_role("button", name="Release")
    expect(release).to_be_visible(timeout=SECONDS)
    release.click()
    row.get_by_role("button", name="Release").click()
    expect(row).to_contain_text("cold", timeout=SECONDS)
    expect(page.locator("[data-strip='empty']")).to_contain_text("No warmed databases yet", timeout=SECONDS)
    row.get_by_role("button", name="Warm").click()
    expect(row.get_by_text("ready", exact=True)).to_be_visible(timeout=SECONDS)
    expect(page.get_by_label("Databases in memory")).to_contain_text(f"{DATABASE} - in memory - 4/4", timeout=SECONDS)


@pytest.mark.proves("P2")
def test_a_stopped_cluster_is_told_instead_of_counts(site: Site) -> None:
    page = site.open("cluster")
    page.get_by_role("button", name="Stop cluster").click()
    page.get_by_role("button", name="Stop cluster").click()
    panel = page.locator("[data-lifecycle='stopped']")
    try:
        expect(panel).to_be_visible(timeout=SECONDS)
        expect(panel).not_to_contain_text("nodes ready")
        site.open("searches")
        expect(page.locator("[data-lifecycle='stopped']")).to_contain_text("looked at again", timeout=SECONDS)
        expect(page.get_by_label("Activity of the last 15 minutes")).to_have_count(0)
    finally:
        site.open("cluster")
        page.get_by_role("button", name="Start cluster").click()
        expect(page.locator("[data-lifecycle='running']")).to_be_visible(timeout=SECONDS)
        warm = site.product.finish(site.product.http.post("/warmup/start", json={"database": DATABASE}))
        assert warm["status"] == "succeeded", warm


def test_a_server_that_does_not_answer_is_told_and_what_was_shown_stays(site: Site) -> None:
    job_id = site.product.submit(title="before the fall")
    site.product.wait_end(job_id)
    page = site.open()
    row = page.locator(f"tr[data-job='{job_id}']")
    expect(row).to_be_visible(timeout=SECONDS)
    page.context.set_offline(True)
    expect(page.get_by_text("The server does not answer.")).to_be_visible(timeout=SECONDS)
    expect(row).to_be_visible()
    site.product.stack.kill_host()
    page.context.set_offline(False)
    site.product.stack.wait_ready()
    expect(page.get_by_text("The server does not answer.")).to_have_count(0, timeout=60_000)
    expect(row).to_contain_text("completed")
