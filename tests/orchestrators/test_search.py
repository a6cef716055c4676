"""The search's orchestrator when all goes well, and while it has to wait."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from orchestrators.calls import MAX_ATTEMPTS
from orchestrators.search import search_orchestrator
from shared.clients.capacity import SILENCE
from shared.domain import functions as names
from tests.orchestrators.fake_context import START, Play, in_turn, play
from tests.orchestrators.searches import CLUSTER, REF, SEARCH, advanced, answers

WAITING = {"decision": "wait", "phase": "waiting_for_cluster", "reason": "cluster c is stopped", "seconds": 1800}
COLD = {"decision": "admit", "warm": False, "layout": 2}
WARM = {"decision": "admit", "warm": True, "layout": 2}


def search(**others: Any) -> Play:
    """Play the search, all going well but for what is given."""
    return play(search_orchestrator, SEARCH, answers(**others))


def phases(played: Play) -> list[str]:
    """Phases that were written, in order."""
    return [change["phase"] for change in played.context.calls(names.ADVANCE_SEARCH) if "phase" in change]


def finished(played: Play) -> dict[str, dict[str, Any]]:
    """Steps that were written as finished."""
    changes = played.context.calls(names.ADVANCE_SEARCH)
    return {step["step"]: step for change in changes for step in change.get("finish", ())}


class TestWarm:
    def test_every_phase_comes_in_its_order_and_ends_completed(self) -> None:
        played = search()
        assert played.result == {"phase": "completed"}
        assert phases(played) == [
            "configuring",
            "submitting",
            "submitted",
            "results_pending",
            "exporting",
            "completed",
        ]

    def test_warming_up_is_skipped_and_says_so(self) -> None:
        played = search()
        assert finished(played)["warming_up"] == {
            "step": "warming_up",
            "detail": "core_nt is warm already",
            "skipped": True,
        }
        assert played.context.calls(names.WARMUP_ORCHESTRATOR) == []

    def test_every_step_is_finished_and_says_what_it_did(self) -> None:
        steps = finished(search())
        assert {name: step.get("detail") for name, step in steps.items()} == {
            "preparing": None,
            "warming_up": "core_nt is warm already",
            "configuring": "40 queries in 3 batches",
            "staging_db": "core_nt is on the nodes already",
            "submitting": "6 Jobs",
            "running": None,
            "exporting": "77 bytes",
        }

    def test_each_batch_is_merged_and_the_counts_go_to_the_publisher(self) -> None:
        played = search()
        assert played.context.calls(names.MERGE_BATCH) == [{**REF, "batch": batch} for batch in range(3)]
        [published] = played.context.calls(names.PUBLISH_RESULTS)
        assert [merged["batch"] for merged in published["merged"]] == [0, 1, 2]

    def test_batches_are_merged_at_the_same_time(self) -> None:
        groups = [task for task in search().context.yielded if task.kind == "all"]
        assert [task.name for task in groups[-1].children] == [names.MERGE_BATCH] * 3

    def test_activities_get_references_only(self) -> None:
        inputs = [task.data for task in search().context.scheduled if task.kind == "activity"]
        known = {*REF, "at", "phase", "finish", "reason", "cluster", "batch", "merged"}
        assert set().union(*inputs) <= known

    def test_the_monitor_has_an_id_of_its_own_and_the_deadline(self) -> None:
        [task] = [t for t in search().context.scheduled if t.name == names.MONITOR_ORCHESTRATOR]
        assert task.instance == "monitor-job-1"
        assert task.data == {**REF, "created_at": SEARCH["created_at"], "deadline_seconds": 86_400}

    def test_a_second_run_takes_other_ids_for_its_children(self) -> None:
        played = play(search_orchestrator, SEARCH | {"run": 2}, answers(check_admission=COLD))
        children = [task.instance for task in played.context.scheduled if task.kind == "child"]
        assert children == ["warmup-job-1-2", "monitor-job-1-2"]

    def test_every_activity_has_the_retries_for_what_may_pass(self) -> None:
        policies = search().context.policies
        assert {policy.max_number_of_attempts for policy in policies} == {MAX_ATTEMPTS}

    def test_those_that_wait_for_its_slot_are_woken_at_the_end(self) -> None:
        assert search().context.names()[-1] == names.WAKE_WAITING

    def test_fields_of_a_newer_version_are_ignored(self) -> None:
        played = play(search_orchestrator, SEARCH | {"of_tomorrow": 1}, answers())
        assert played.result == {"phase": "completed"}


@pytest.mark.proves("S3")
class TestConfiguring:
    CALLS = (names.CLEANUP_STALE_JOBS, names.ENSURE_SCRIPTS, names.STAGE_QUERIES)

    @pytest.mark.parametrize(("parallel", "seconds"), [(True, 4), (False, 2 + 3 + 4)])
    def test_the_times_of_the_step_show_it(self, parallel: bool, seconds: int) -> None:
        takes = dict(zip(self.CALLS, (2, 3, 4), strict=True))
        played = play(search_orchestrator, SEARCH | {"parallel": parallel}, answers(), takes=takes)
        began, ended = (change["at"] for change in played.context.calls(names.ADVANCE_SEARCH)[:2])
        assert (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds() == seconds

    def test_clean_up_scripts_and_staging_run_at_the_same_time(self) -> None:
        [group, *_] = [task for task in search().context.yielded if task.kind == "all"]
        assert tuple(task.name for task in group.children) == self.CALLS

    def test_with_the_opt_out_they_run_one_after_another(self) -> None:
        played = play(search_orchestrator, SEARCH | {"parallel": False}, answers())
        alone = [task.name for task in played.context.yielded if task.name in self.CALLS]
        assert tuple(alone) == self.CALLS
        assert played.result == {"phase": "completed"}

    def test_a_search_of_before_the_setting_runs_them_at_the_same_time(self) -> None:
        before = {name: value for name, value in SEARCH.items() if name != "parallel"}
        played = play(search_orchestrator, before, answers())
        [group, *_] = [task for task in played.context.yielded if task.kind == "all"]
        assert len(group.children) == 3

    def test_the_scripts_go_to_the_cluster_of_the_search(self) -> None:
        assert search().context.calls(names.ENSURE_SCRIPTS) == [{"cluster": CLUSTER}]


class TestCold:
    def test_the_warmup_runs_as_a_child_first(self) -> None:
        played = search(check_admission=COLD)
        [task] = [t for t in played.context.scheduled if t.name == names.WARMUP_ORCHESTRATOR]
        assert task.instance == "warmup-job-1"
        assert task.data == {"database": "core_nt", "cluster": CLUSTER, "force": False}
        assert phases(played)[:2] == ["warming_up", "configuring"]
        assert finished(played)["warming_up"]["detail"] == "core_nt is warm now"
        assert played.result == {"phase": "completed"}

    @pytest.mark.proves("N10")
    @pytest.mark.parametrize(("seconds", "phase"), [(2699, "completed"), (2700, "completed"), (2701, "failed")])
    def test_it_is_waited_for_until_its_deadline(self, seconds: float, phase: str) -> None:
        takes = {names.WARMUP_ORCHESTRATOR: seconds}
        played = play(search_orchestrator, SEARCH, answers(check_admission=COLD), takes=takes)
        assert played.result == {"phase": phase}
        if phase == "failed":
            error = next(c["error"] for c in played.context.calls(names.ADVANCE_SEARCH) if "error" in c)
            assert error["code"] == "wait_timeout"
            assert error["message"] == "waited 2700 s: database core_nt did not become warm"

    def test_a_wake_up_meanwhile_changes_nothing(self) -> None:
        takes = {names.WARMUP_ORCHESTRATOR: 100.0}
        played = play(search_orchestrator, SEARCH, answers(check_admission=COLD), takes=takes, wakes=(10, 20))
        assert played.result == {"phase": "completed"}
        assert len(played.context.calls(names.WARMUP_ORCHESTRATOR)) == 1


class TestResume:
    """A revived search whose Jobs were made by an earlier run."""

    @pytest.mark.parametrize("engine", ["native", "cli"])
    def test_its_jobs_are_watched_and_nothing_is_prepared_again(self, engine: str) -> None:
        resume = answers(check_admission={"decision": "resume"})
        played = play(search_orchestrator, {**SEARCH, "engine": engine, "run": 2}, resume)
        assert played.result == {"phase": "completed"}
        assert played.context.names()[:2] == [names.CHECK_ADMISSION, names.MONITOR_ORCHESTRATOR]
        assert phases(played) == ["results_pending", "exporting", "completed"]


@pytest.mark.proves("S6")
class TestWaiting:
    def test_the_row_says_for_what_and_then_the_search_goes_on(self) -> None:
        played = search(check_admission=in_turn(WAITING, WAITING, WARM))
        waits = [c for c in played.context.calls(names.ADVANCE_SEARCH) if c.get("phase") == "waiting_for_cluster"]
        since = "since 2030-01-01T00:00:00.000Z, at most until 2030-01-01T00:30:00.000Z"
        assert [wait["reason"] for wait in waits] == [f"cluster c is stopped; {since}"] * 2
        assert played.context.seconds == 30
        assert played.result == {"phase": "completed"}

    def test_waiting_is_not_busy(self) -> None:
        assert search(check_admission=in_turn(WAITING, WAITING, WARM)).context.waits() == [15, 15]

    @pytest.mark.proves("N11")
    @pytest.mark.parametrize(("ready_after", "phase"), [(1785, "completed"), (1800, "completed"), (1815, "failed")])
    def test_it_ends_at_the_deadline_of_what_is_waited_for(self, ready_after: int, phase: str) -> None:
        waits = [WAITING] * (ready_after // 15)
        assert search(check_admission=in_turn(*waits, WARM)).result == {"phase": phase}

    @pytest.mark.proves("N8", "N9")
    @pytest.mark.parametrize(
        ("what", "seconds", "pause"), [("waiting_for_capacity", 1800, 60), ("waiting_for_database", 2700, 15)]
    )
    @pytest.mark.parametrize(("turns", "phase"), [(-1, "completed"), (0, "completed"), (1, "failed")])
    def test_and_so_do_a_slot_and_a_database(self, what: str, seconds: int, pause: int, turns: int, phase: str) -> None:
        """The seconds are the settings' defaults (``tests/activities/test_admission.py`` has them sent along)."""
        waits = [WAITING | {"phase": what, "seconds": seconds}] * (seconds // pause + turns)
        played = search(check_admission=in_turn(*waits, WARM))
        assert played.result == {"phase": phase}
        assert played.context.seconds == min(seconds, pause * len(waits))

    CAPACITY = WAITING | {"phase": "waiting_for_capacity", "reason": "10 searches are active", "seconds": 180}

    def test_each_reason_has_a_deadline_of_its_own(self) -> None:
        def after(capacity: int) -> Any:
            return search(check_admission=in_turn(*[WAITING] * 100, *[self.CAPACITY] * capacity, WARM)).result

        assert after(3) == {"phase": "completed"}
        assert after(4) == {"phase": "failed"}

    def test_for_a_slot_it_asks_once_a_minute(self) -> None:
        """Often enough to keep its place in the line, which is lost after 90 s of silence."""
        played = search(check_admission=in_turn(self.CAPACITY, self.CAPACITY, WAITING, WARM))
        assert played.context.waits() == [60, 60, 15]
        assert timedelta(seconds=60) < SILENCE

    def test_and_at_once_when_a_slot_is_free(self) -> None:
        waits = in_turn(self.CAPACITY, WARM)
        played = play(search_orchestrator, SEARCH, answers(check_admission=waits), wakes=(7.0,))
        assert played.context.seconds == 7
        assert played.result == {"phase": "completed"}

    def test_a_wake_up_ends_the_pause(self) -> None:
        waits = in_turn(WAITING, WAITING, WARM)
        played = play(search_orchestrator, SEARCH, answers(check_admission=waits), wakes=(1.0, 2.5))
        assert played.context.seconds == 2.5
        assert played.result == {"phase": "completed"}

    def test_a_long_wait_begins_its_history_anew_and_keeps_its_deadline(self) -> None:
        data: Any = {**SEARCH, "waits_per_generation": 3}
        generations, now, reasons = 0, START, set()
        while (played := play(search_orchestrator, data, answers(check_admission=WAITING), now=now)).continued:
            data, generations, now = played.continued, generations + 1, played.context.now
            assert len(played.context.waits()) == 3
            reasons |= {c["reason"] for c in played.context.calls(names.ADVANCE_SEARCH) if c.get("reason")}
        assert played.result == {"phase": "failed"}
        assert (played.context.now - START).total_seconds() == 1800
        assert generations == 1800 // 15 // 3
        assert len(reasons) == 1, "since when and until when stays the same"

    def test_another_orchestration_goes_by_when_the_search_began_to_wait(self) -> None:
        """A revival, or one that was begun anew: the row knows."""
        since = (START - timedelta(seconds=1700)).isoformat()
        played = search(check_admission=WAITING | {"since": since})
        assert played.result == {"phase": "failed"}
        assert played.context.seconds == 105

    def test_an_input_of_an_older_version_never_begins_anew(self) -> None:
        """Its history may have more waits already than a generation has now."""
        played = search(check_admission=in_turn(*[WAITING] * 100, WARM))
        assert played.continued is None
        assert played.result == {"phase": "completed"}

    def test_the_failure_says_what_was_waited_for(self) -> None:
        played = search(check_admission=WAITING)
        *_, last = played.context.calls(names.ADVANCE_SEARCH)
        assert last["error"]["code"] == "wait_timeout"
        assert last["error"]["message"] == "waited 1800 s: cluster c is stopped"
        assert last["error"]["hint"]
        assert played.context.seconds == 1800


@pytest.mark.proves("T3")
class TestResultsGate:
    CLOSED = {"open": False, "batches": 3, "missing": ["job-1/pieces/a"], "empty": ["job-1/pieces/b"]}  # noqa: RUF012
    OPEN = {"open": True, "batches": 3, "missing": [], "empty": []}  # noqa: RUF012

    def test_it_is_looked_at_again_until_it_opens(self) -> None:
        played = search(check_results=in_turn(self.CLOSED, self.CLOSED, self.OPEN))
        assert played.context.waits() == [2, 2]
        assert played.result == {"phase": "completed"}

    def test_a_cancel_meanwhile_ends_it(self) -> None:
        def marked(data: dict[str, Any]) -> dict[str, Any]:
            return advanced(data) if "phase" in data else {"phase": "cancelling", "cancelled": True}

        played = search(check_results=self.CLOSED, advance_search=marked)
        assert played.result == {"phase": "cancelled"}
        assert len(played.context.calls(names.CHECK_RESULTS)) == 1

    def test_nothing_is_merged_before_it_opens(self) -> None:
        called = search(check_results=in_turn(self.CLOSED, self.OPEN)).context.names()
        assert called.index(names.MERGE_BATCH) > len(called) - called[::-1].index(names.CHECK_RESULTS) - 1

    @pytest.mark.proves("N7")
    @pytest.mark.parametrize(("open_after", "phase"), [(118, "completed"), (120, "completed"), (122, "failed")])
    def test_results_are_waited_for_as_long_as_the_grace_period(self, open_after: int, phase: str) -> None:
        looks = [self.CLOSED] * (open_after // 2)
        assert search(check_results=in_turn(*looks, self.OPEN)).result == {"phase": phase}

    def test_the_failure_names_what_is_missing(self) -> None:
        *_, last = search(check_results=self.CLOSED).context.calls(names.ADVANCE_SEARCH)
        assert last["error"]["code"] == "results_lost"
        assert "job-1/pieces/a, job-1/pieces/b (empty)" in last["error"]["message"]

    @pytest.mark.proves("T4")
    def test_jobs_that_are_gone_leave_it_to_the_results(self) -> None:
        """A Job that its TTL removed: with its results it is completed, without them it is lost."""
        gone = {"state": "missing_jobs"}
        assert search(monitor_orchestrator=gone).result == {"phase": "completed"}
        played = search(monitor_orchestrator=gone, check_results=self.CLOSED)
        assert played.context.calls(names.ADVANCE_SEARCH)[-1]["error"]["code"] == "results_lost"
