"""The page when things go otherwise than well: slow, wrong, gone, refused, several at once; and by keyboard alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import count
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.web.answers import EVERYTHING, USER, but, cluster, database, page_of, search

SECONDS = 30_000
JOBS = r"^api/blast/jobs\?"
DETAIL = r"^api/blast/jobs/[^/?]+$"
ADDRESS = f"searches/{search()['job_id']}"
RUNNING: dict[str, Any] = {"status": "running", "phase": "running", "completed_at": None}


def refusal(status: int, code: str, message: str, **headers: str) -> tuple[int, dict[str, Any], dict[str, str]]:
    """An answer of the API that says no."""
    body = {"error": {"code": code, "message": message, "hint": "what to do"}}
    return status, body, {name.replace("_", "-"): value for name, value in headers.items()}


def in_turn(*answers: Any) -> Callable[[Any], Any]:
    """One after the other, the last one for ever."""
    left = list(answers)
    return lambda _request: left.pop(0) if len(left) > 1 else left[0]


class TestWhatIsOld:
    def test_a_server_that_asks_for_a_pause_gets_it(self, routed: Any) -> None:
        asked: list[str] = []

        def answer(request: Any) -> Any:
            asked.append(request.url)
            return refusal(503, "busy", "too busy", Retry_After="60") if len(asked) > 1 else page_of(search(**RUNNING))

        page = routed(but({JOBS: answer}), before=lambda page: page.clock.install())
        expect(page.get_by_role("link", name="run 1")).to_be_visible()
        page.clock.run_for(1500)
        expect(page.get_by_text("too busy")).to_be_visible()
        expect(page.get_by_role("link", name="run 1"), "what was shown stays").to_be_visible()
        page.clock.run_for(50_000)
        assert len(asked) == 2
        with page.expect_request(lambda request: "/blast/jobs?" in request.url):
            page.clock.run_for(15_000)

    def test_ages_are_by_the_servers_clock(self, routed: Any) -> None:
        server = datetime.now(UTC) + timedelta(hours=5)
        begun = (server - timedelta(hours=2, minutes=30)).isoformat().replace("+00:00", "Z")
        date = {"Date": format_datetime(server, usegmt=True)}
        page = routed(but({JOBS: (200, page_of(search(created_at=begun, **RUNNING)), date)}))
        expect(page.locator("tbody tr")).to_contain_text("2 h ago")
        expect(page.locator("tbody tr")).to_contain_text("2 h 30 min")

    def test_who_is_signed_out_meanwhile_can_sign_in_and_sees_what_was_shown(self, routed: Any) -> None:
        told = in_turn(page_of(search(**RUNNING)), refusal(401, "not_signed_in", "nobody is signed in"))
        page = routed(but({JOBS: told}))
        expect(page.get_by_role("button", name="Sign in")).to_be_visible()
        expect(page.get_by_role("link", name="run 1")).to_be_visible()

    def test_a_search_that_is_gone_is_not_shown_any_more(self, routed: Any) -> None:
        told = in_turn(search(status="deleting", phase="deleting"), refusal(404, "job_not_found", "no such search"))
        page = routed(but({DETAIL: told}), ADDRESS)
        expect(page.get_by_text("no such search")).to_be_visible()
        expect(page.get_by_role("heading", name="run 1")).to_have_count(0)

    def test_an_answer_that_is_none_of_the_api_is_told(self, routed: Any) -> None:
        page = routed(but({JOBS: (200, "<html>a gateway</html>")}))
        expect(page.get_by_text("The server answered 200, and not as the API does.")).to_be_visible()

    def test_an_answer_that_breaks_a_view_leaves_the_others(self, routed: Any) -> None:
        page = routed(but({DETAIL: {"status": "completed"}}), ADDRESS)
        expect(page.get_by_text("This view cannot show what the server answered.")).to_be_visible()
        page.get_by_role("link", name="Databases").click()
        expect(page.get_by_role("heading", name="Databases")).to_be_visible()


class TestOlderPages:
    @pytest.mark.parametrize("working", [120, 0], ids=["one works", "all have ended"])
    def test_they_follow_when_new_searches_push_others_down(self, routed: Any, working: int) -> None:
        """No row is lost between the newest page and the older ones, and what works on the older ones goes on."""
        state = {"newest": 200, "working": working}

        def row(number: int) -> dict[str, Any]:
            return search(number, **RUNNING) if number == state["working"] else search(number)

        def answer(request: Any) -> Any:
            found = re.search(r"cursor=(\d+)", request.url)
            limit = int(re.search(r"limit=(\d+)", request.url)[1])  # type: ignore[index]
            top = int(found[1]) - 1 if found else state["newest"]
            rows = [row(number) for number in range(top, max(0, top - limit), -1)]
            last = top - len(rows) + 1
            return page_of(*rows, cursor=str(last) if last > 1 else None)

        def shown(number: int) -> Any:
            return page.locator(f"tr[data-job='{search(number)['job_id']}']")

        page: Page = routed(but({JOBS: answer}))
        rows = page.locator("tbody tr")
        expect(rows).to_have_count(50)
        page.get_by_role("button", name="Older ones").click()
        expect(rows).to_have_count(100)
        expect(shown(120)).to_contain_text("running" if working else "completed")
        state |= {"newest": 203, "working": 0}
        expect(shown(203)).to_be_visible(timeout=SECONDS)
        expect(shown(152), "it was on the newest page").to_be_visible(timeout=SECONDS)
        expect(shown(120)).to_contain_text("completed", timeout=SECONDS)
        ids = page.evaluate("[...document.querySelectorAll('tbody tr')].map((row) => row.dataset.job)")
        assert ids == [search(number)["job_id"] for number in range(203, 203 - len(ids), -1)]

    def test_short_pages_of_a_filter_are_followed_to_what_there_is(self, routed: Any) -> None:
        def answer(request: Any) -> Any:
            found = re.search(r"cursor=(\d+)", request.url)
            turn = int(found[1]) if found else 0
            return page_of(cursor=str(turn + 1)) if turn < 8 else page_of(search(7, title="the needle"))

        page = routed(but({JOBS: answer}), "searches?q=needle")
        expect(page.get_by_role("link", name="the needle")).to_be_visible(timeout=SECONDS)

    def test_two_filters_typed_one_after_the_other_are_both_kept(self, routed: Any) -> None:
        page = routed(EVERYTHING)
        page.get_by_label("Database").fill("core_nt")
        page.get_by_label("Title has").fill("virus")
        page.wait_for_url(re.compile("db=core_nt&q=virus"))
        expect(page.get_by_label("Database")).to_have_value("core_nt")


class TestKeyboardAndScreenReader:
    @staticmethod
    def moving() -> Callable[[Any], Any]:
        """A running search that is never twice the same."""
        numbers = count()

        def answer(_request: Any) -> Any:
            done = next(numbers) % 8
            progress = {
                "total": 8,
                "pending": 0,
                "running": 8 - done,
                "succeeded": done,
                "failed": 0,
                "pct": done * 12.5,
            }
            return search(progress=progress, **RUNNING)

        return answer

    def test_the_focus_stays_where_it_is_while_answers_come(self, routed: Any) -> None:
        page: Page = routed(but({DETAIL: self.moving()}), ADDRESS)
        page.get_by_role("button", name="Cancel search").press("Enter")
        expect(page.get_by_role("button", name="Cancel search")).to_be_focused()
        page.keyboard.press("Tab")
        keep = page.get_by_role("button", name="Keep")
        expect(keep).to_be_focused()
        for _ in range(3):
            with page.expect_response(lambda response: re.search(r"/jobs/[^/?]+$", response.url) is not None):
                pass
        expect(keep).to_be_focused()
        page.keyboard.press("Escape")
        expect(page.get_by_role("button", name="Cancel search")).to_be_focused()
        expect(keep).to_have_count(0)

    def test_a_screen_reader_hears_of_changes_not_of_every_answer(self, routed: Any) -> None:
        page: Page = routed(but({DETAIL: self.moving()}), ADDRESS)
        expect(page.get_by_label("Standing")).to_contain_text("of 8 Jobs done")
        page.evaluate(
            """window.heard = [];
            new MutationObserver((changes) => {
              for (const { target } of changes) {
                const element = target.nodeType === Node.TEXT_NODE ? target.parentElement : target;
                const live = element?.closest('[role=status], [role=alert], [aria-live]');
                if (live) window.heard.push(live.textContent);
              }
            }).observe(document.body, { childList: true, characterData: true, subtree: true })"""
        )
        for _ in range(3):
            with page.expect_response(lambda response: re.search(r"/jobs/[^/?]+$", response.url) is not None):
                pass
        assert page.evaluate("window.heard") == []

    def test_the_name_of_the_tab_says_how_it_stands(self, routed: Any) -> None:
        page = routed(but({DETAIL: in_turn(search(**RUNNING), search())}), ADDRESS)
        expect(page).to_have_title("completed: run 1 - ElasticBLAST", timeout=SECONDS)
        page.get_by_role("link", name="Searches").first.click()
        expect(page).to_have_title("Searches - ElasticBLAST")


class TestOneSearch:
    def test_expired_results_are_no_error(self, routed: Any) -> None:
        gone = refusal(410, "results_expired", "the results were kept until yesterday")
        page = routed(but({r"/results$": gone}), ADDRESS)
        results = page.get_by_label("Results")
        expect(results).to_contain_text("kept until yesterday")
        expect(results.get_by_role("alert")).to_have_count(0)
        expect(results.get_by_role("link", name="Search again")).to_be_visible()

    def test_a_result_without_hits_says_so(self, routed: Any) -> None:
        nothing = {**EVERYTHING[r"^api/blast/jobs/[^/]+/results$"]}
        nothing["summary"] = {"queries": 2, "queries_with_hits": 0, "hits": 0}
        page = routed(but({r"/results$": nothing}), ADDRESS)
        expect(page.get_by_label("Results")).to_contain_text("Nothing in core_nt is similar enough")
        expect(page.get_by_label("Hits", exact=True)).to_have_count(0)

    def test_a_format_without_rows_is_no_error(self, routed: Any) -> None:
        no = refusal(409, "hits_not_available", "the result is not tabular")
        page = routed(but({r"/hits": no}), ADDRESS)
        expect(page.get_by_label("Results")).to_contain_text("the result is not tabular")
        expect(page.get_by_role("alert")).to_have_count(0)
        expect(page.get_by_role("link", name="results.tsv")).to_be_visible()

    def test_what_the_hits_are_filtered_by_is_in_the_address(self, routed: Any) -> None:
        with_filter = f"{ADDRESS}?query=q1&min_identity=97&sort=-bit_score"
        asked: list[str] = []
        hits = EVERYTHING[r"^api/blast/jobs/[^/]+/hits"]

        def answer(request: Any) -> Any:
            asked.append(request.url.partition("/hits")[2])
            return hits

        page = routed(but({r"/hits": answer}), with_filter)
        expect(page.get_by_label("Query id")).to_have_value("q1")
        header = page.get_by_role("columnheader", name="Bit score")
        expect(header).to_have_attribute("aria-sort", "descending")
        assert asked == ["?query=q1&min_identity=97&sort=-bit_score&limit=100"]
        page.get_by_role("button", name="All hits").click()
        expect(page.get_by_label("Query id")).to_have_value("")
        assert page.url.endswith(f"{ADDRESS}?sort=-bit_score")

    @pytest.mark.parametrize(
        ("change", "shown", "hidden"),
        [
            ({"status": "deleting", "phase": "deleting"}, [], ["Cancel search", "Delete", "Retry"]),
            ({"status": "delete_failed", "phase": "delete_failed"}, ["Delete again"], ["Cancel search", "Retry"]),
            ({"status": "running", "phase": "cancelling"}, ["Delete"], ["Cancel search", "Retry"]),
            ({"status": "failed", "phase": "failed"}, ["Retry", "Delete"], ["Cancel search"]),
            ({"source": "external", **RUNNING}, ["Cancel search"], ["Retry"]),
        ],
        ids=["deleting", "delete_failed", "cancelling", "failed", "external"],
    )
    def test_only_what_can_be_done_is_offered(
        self, routed: Any, change: dict[str, Any], shown: list[str], hidden: list[str]
    ) -> None:
        page = routed(but({DETAIL: search(**change)}), ADDRESS)
        expect(page.get_by_role("heading", name="run 1")).to_be_visible()
        for name in shown:
            expect(page.get_by_role("button", name=name, exact=True)).to_be_visible()
        for name in hidden:
            expect(page.get_by_role("button", name=name, exact=True)).to_have_count(0)
        expect(page.get_by_role("link", name="Clone")).to_have_count(0 if "source" in change else 1)

    def test_nothing_runs_any_more_of_one_that_was_cancelled(self, routed: Any) -> None:
        progress = {"total": 8, "pending": 1, "running": 4, "succeeded": 3, "failed": 0, "pct": 37.5}
        jobs = [{"name": "b-1", "shard": 0, "batch": 0, "state": "running", "reason": None, "exit_code": None}]
        ended = search(status="cancelled", phase="cancelled", progress=progress, kubernetes={"jobs": jobs})
        page = routed(but({DETAIL: ended}), ADDRESS)
        expect(page.get_by_label("Standing")).to_contain_text("3 of 8 Jobs done, the others were not")
        expect(page.get_by_label("Standing")).not_to_contain_text("running")
        page.get_by_text("1 Kubernetes Job with their logs").click()
        expect(page.get_by_label("Kubernetes Jobs")).to_contain_text("was running")

    def test_the_log_of_one_job_is_asked_for_by_its_name(self, routed: Any) -> None:
        page = routed(EVERYTHING, ADDRESS)
        page.get_by_text("1 Kubernetes Job with their logs").click()
        with page.expect_request(lambda request: "/logs?job=b-1&tail=500" in request.url):
            page.get_by_role("button", name="Log of b-1").click()


class TestSeveralClusters:
    OTHER = cluster(cluster_name="c2", resource_group="g2", storage_account="account2")
    STOPPED = cluster(cluster_name="c2", lifecycle_state="stopped", workload_ready=False, reason="start it")

    @pytest.mark.proves("P2")
    @pytest.mark.parametrize("view", ["searches", "cluster"])
    def test_one_is_ready_and_one_is_not(self, routed: Any, view: str) -> None:
        page = routed(but({r"^api/monitor/aks$": page_of(cluster(), self.STOPPED)}), view)
        expect(page.locator("[data-lifecycle='stopped']")).to_contain_text("start it")
        expect(page.locator("[data-lifecycle='stopped']")).not_to_contain_text("submitted")
        expect(page.get_by_label("Activity of the last 15 minutes")).to_contain_text("3 submitted")

    def test_the_databases_of_another_one_are_read_and_warmed_there(self, routed: Any) -> None:
        rows = {**page_of(database("nt")), "cluster_name": "c2", "stale": False, "stale_reason": None}
        asked: list[str] = []

        def answer(request: Any) -> Any:
            asked.append(request.url)
            return rows

        started = (202, {"instance_id": "warmup-1", "status_url": "/api/warmup/warmup-1/status"})
        answers = {r"^api/monitor/aks$": page_of(cluster(), self.OTHER), r"^api/blast/databases": answer}
        page = routed(but({**answers, r"^api/warmup/start": started}), "databases?cluster=c2")
        expect(page.get_by_label("Cluster")).to_have_value("c2")
        with page.expect_request(lambda request: "warmup/start" in request.url) as sent:
            page.get_by_role("button", name="Warm", exact=True).click()
        there = {"subscription_id": "s", "resource_group": "g2", "cluster_name": "c2", "storage_account": "account2"}
        assert sent.value.post_data_json == {"database": "nt", **there}
        assert all("cluster_name=c2" in url and "resource_group=g2" in url for url in asked)
        with page.expect_request(lambda request: request.method == "PUT") as saved:
            page.get_by_label("nt", exact=True).check()
        assert saved.value.post_data_json == {"add": ["nt"], **there}
        link = page.get_by_role("link", name="nt", exact=True)
        expect(link).to_have_attribute("href", "#/new?database=nt&cluster=c2")

    def test_two_of_one_name_are_told_apart(self, routed: Any) -> None:
        same = cluster(resource_group="g2")
        page = routed(but({r"^api/monitor/aks$": page_of(cluster(), same)}), "databases?cluster=g2/c1")
        expect(page.get_by_label("Cluster").get_by_role("option")).to_have_text(["the default one", "g/c1", "g2/c1"])
        expect(page.get_by_label("Cluster")).to_have_value("g2/c1")

    def test_a_search_goes_to_the_cluster_that_was_chosen(self, routed: Any) -> None:
        accepted = (202, {"job_id": search()["job_id"]})
        answers = {r"^api/monitor/aks$": page_of(cluster(), self.OTHER), r"/blast/jobs$": accepted}
        page = routed(but(answers), "new?database=nt&cluster=c2")
        page.get_by_label("Queries in FASTA format").fill(">q\nACGT\n")
        with page.expect_request(lambda request: request.method == "POST" and request.url.endswith("/jobs")) as sent:
            page.get_by_role("button", name="Submit").click()
        assert sent.value.post_data_json["cluster"]["cluster_name"] == "c2"

    def test_who_is_no_operator_gets_no_buttons(self, routed: Any) -> None:
        page = routed(but({r"^api/me$": USER, r"^api/monitor/aks$": page_of(cluster(), self.STOPPED)}), "cluster")
        expect(page.locator("[data-lifecycle='stopped']")).to_be_visible()
        expect(page.get_by_role("button")).to_have_count(0)


class TestNewSearch:
    def test_a_clone_keeps_labels_and_batches(self, routed: Any) -> None:
        original = search(query={"sequences": 2, "letters": 3000, "batch_len": 20_000})
        accepted = (202, {"job_id": search(2)["job_id"]})
        page = routed(but({r"/clone$": accepted, DETAIL: original}), f"new?clone={original['job_id']}")
        expect(page.get_by_label("Title")).to_have_value("run 1")
        with page.expect_request(lambda request: request.url.endswith("/clone")) as sent:
            page.get_by_role("button", name="Submit the clone").click()
        body = sent.value.post_data_json
        assert body["labels"] == {"project": "x"}
        assert body["batch_len"] == 20_000
        assert body["options"] == {"task": "megablast", "evalue": 10, "outfmt": "6 std"}
        assert "query_fasta" not in body
        assert "cluster" not in body

    def test_it_is_submitted_where_the_browser_gives_no_random_uuid(self, routed: Any) -> None:
        """As on http without a certificate, inside a network of one's own."""
        accepted = (202, {"job_id": search()["job_id"]})
        taken_away = "delete Crypto.prototype.randomUUID"
        page = routed(but({r"/blast/jobs$": accepted}), "new", before=lambda page: page.add_init_script(taken_away))
        page.get_by_label("Database").fill("core_nt")
        page.get_by_label("Queries in FASTA format").fill(">q\nACGT\n")
        with page.expect_request(lambda request: request.method == "POST" and request.url.endswith("/jobs")) as sent:
            page.get_by_role("button", name="Submit").click()
        assert re.fullmatch("[0-9a-f]{32}", sent.value.headers["idempotency-key"])

    def test_a_large_paste_is_uploaded_first(self, routed: Any) -> None:
        uploaded = {"query_blob": "uploads/o/1", "sequences": 1, "letters": 1_200_000}
        page = routed(but({r"^api/blast/queries": (201, uploaded)}), "new?database=core_nt")
        with page.expect_request(lambda request: "/blast/queries?program=blastn" in request.url):
            page.get_by_label("Queries in FASTA format").fill(">q\n" + "ACGT" * 300_000)
        expect(page.get_by_text("1 sequence, 1,200,000 letters, uploaded and checked")).to_be_visible()

    def test_checks_that_cannot_be_made_say_so_and_do_not_hinder(self, routed: Any) -> None:
        page = routed(but({r"/validate$": refusal(429, "rate_limited", "too many checks", Retry_After="60")}), "new")
        page.get_by_label("Database").fill("core_nt")
        page.get_by_label("Queries in FASTA format").fill(">q\nACGT\n")
        expect(page.get_by_label("Checks")).to_contain_text("The checks could not be made: too many checks")
        expect(page.get_by_role("button", name="Submit")).to_be_enabled()


def test_a_release_that_left_something_says_what(routed: Any) -> None:
    rows = {**page_of(database("nt", "ready", allowed_actions=["release"])), "cluster_name": "c1"}
    rows |= {"stale": False, "stale_reason": None}
    partial = {"status": "partial", "deleted": [], "errors": [{"message": "node n does not answer"}]}
    page = routed(but({r"^api/blast/databases": rows, r"^api/warmup/release": partial}), "databases")
    row = page.locator("tr[data-database='nt']")
    row.get_by_role("button", name="Release").click()
    row.get_by_role("button", name="Release").click()
    expect(row).to_contain_text("partial: node n does not answer")
