"""Orchestrations of the sample app, in a host that runs and in one that is killed."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.host.sample_client import SampleApp, eventually

MOST_ACTIVITIES = 16  # host.json of the sample app


class TestOrchestrations:
    def test_200_activities_at_once(self, sample: SampleApp) -> None:
        sample.start("fan_out", "fan", 200)
        assert sample.ended("fan")["output"] == sum(2 * i for i in range(200))

    def test_no_more_activities_run_at_once_than_host_json_says(self, sample: SampleApp) -> None:
        sample.start("crowd", "crowd")
        assert 1 < sample.ended("crowd")["output"] <= MOST_ACTIVITIES

    def test_an_event_comes_before_the_timer(self, sample: SampleApp) -> None:
        sample.start("race", "event-first", 60)
        eventually(lambda: sample.status("event-first")["custom"] == "waiting")
        sample.control("event", "event-first", name="go")
        assert sample.ended("event-first")["output"] == ""

    def test_the_timer_comes_before_the_event(self, sample: SampleApp) -> None:
        sample.start("race", "timer-first", 0.2)
        assert sample.ended("timer-first")["output"] == "late"

    def test_an_activity_with_a_durable_client(self, sample: SampleApp) -> None:
        sample.start("race", "sleeper", 60)
        sample.start("waker", "waker", "sleeper")
        assert sample.ended("waker")["output"] == "sleeper"
        sample.control("terminate", "sleeper")
        assert sample.ended("sleeper")["status"] == "TERMINATED"

    def test_generations_with_leftovers(self, sample: SampleApp) -> None:
        sample.start("loop", "loop", {"round": 0, "rounds": 8})
        assert sample.ended("loop")["output"] == 16

    def test_an_entity(self, sample: SampleApp) -> None:
        sample.start("count", "count", 5)
        assert sample.ended("count")["output"] == 5

    def test_the_id_of_a_running_one_is_refused_and_that_of_an_ended_one_is_free(self, sample: SampleApp) -> None:
        assert [sample.start("race", "twice", 60) for _ in range(2)] == [202, 409]
        sample.control("event", "twice", name="go")
        sample.ended("twice")
        assert sample.start("fan_out", "twice", 3) == 202
        assert sample.ended("twice")["output"] == sum(2 * i for i in range(3))

    def test_an_unknown_orchestrator_fails_with_its_name(self, sample: SampleApp) -> None:
        sample.start("nobody", "unknown")
        failure = sample.ended("unknown")["failure"]
        assert failure == ["FunctionNotFound", "there is no orchestrationtrigger function nobody"]

    def test_suspend_and_resume(self, sample: SampleApp) -> None:
        sample.start("race", "paused", 60)
        sample.control("suspend", "paused")
        eventually(lambda: sample.status("paused")["status"] == "SUSPENDED")
        sample.control("event", "paused", name="go")
        sample.control("resume", "paused")
        assert sample.ended("paused")["status"] == "COMPLETED"

    def test_purge(self, sample: SampleApp) -> None:
        sample.start("fan_out", "purged", 1)
        sample.ended("purged")
        sample.control("purge", "purged")
        assert sample.http.get("/status/purged").status_code == 404
        assert sample.start("fan_out", "purged", 1) == 202


class TestFailures:
    TEXT = "code=quota_refused: 'quoted' \"double\"\nsecond line\nTraceback (most recent call last):\nLookupError: x"

    def test_the_message_of_an_activity_survives_whole(self, sample: SampleApp) -> None:
        sample.start("catching", "caught", self.TEXT)
        assert sample.ended("caught")["output"].endswith(f": {self.TEXT}")

    def test_an_exception_without_text_is_a_failure_too(self, sample: SampleApp) -> None:
        sample.start("catching", "caught-empty", "")
        assert "LookupError" in sample.ended("caught-empty")["output"]

    def test_the_message_of_a_child_survives_whole(self, sample: SampleApp) -> None:
        sample.start("parent_of_failing", "failing-child")
        found = sample.ended("failing-child")
        assert found["status"] == "FAILED"
        assert found["failure"][1].endswith("deep\nreason: 'quoted'")


class TestWakeUps:
    def test_a_wake_up_during_continue_as_new_costs_nothing_with_a_marker(
        self, sample: SampleApp, tmp_path: Path
    ) -> None:
        def wake_often_then_end(number: int) -> float:
            name, marker = f"monitor-{number}", tmp_path / str(number)
            sample.start("monitor", name, {"marker": str(marker), "round": 0})
            for _ in range(10):
                sample.control("event", name, name="wake")
            marker.touch()
            began = time.monotonic()
            sample.control("event", name, name="wake")
            assert sample.ended(name)["status"] == "COMPLETED"
            return time.monotonic() - began

        with ThreadPoolExecutor(10) as pool:
            seconds = list(pool.map(wake_often_then_end, range(20)))
        assert max(seconds) < 10, "none had to wait for its timer of 20 s"


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SampleApp]:
    """A host that was killed in the middle of everything, was away for a while, and was started again."""
    with SampleApp.started(tmp_path_factory.mktemp("killed")) as sample:
        sample.start("fan_out", "past", 10)
        sample.ended("past")
        sample.start("wait_timer", "timer", 4)
        sample.start("wait_timer", "timer-missed", 2)
        sample.start("parent", "parent", 4)
        sample.start("race", "waiting", 60)
        sample.start("long_history", "steps", 300)
        sample.start("slow_fan_out", "slow", [0.3 + number / 1000 for number in range(60)])
        eventually(lambda: sum(note.startswith("slow ends") for note in sample.notes()) >= 22)
        assert sample.status("slow")["status"] == "RUNNING"
        sample.host.kill()
        time.sleep(1)  # a time in which nobody looks: the missed timer becomes due
        sample.host.start()
        yield sample


class TestKilled:
    def test_a_fan_out_is_completed_and_what_had_ended_is_not_run_again(self, killed: SampleApp) -> None:
        found = killed.ended("slow")
        assert found["output"] == [0.3 + number / 1000 for number in range(60)]
        begun = [note for note in killed.notes() if note.startswith("slow begins")]
        # At most those that were running, and some whose answer was under way.
        assert 60 <= len(begun) <= 60 + MOST_ACTIVITIES + 4

    def test_a_timer_keeps_its_time(self, killed: SampleApp) -> None:
        assert killed.ended("timer")["output"] == "waited"
        assert killed.notes().count("timer timer") == 1

    def test_a_timer_that_became_due_meanwhile_fires(self, killed: SampleApp) -> None:
        assert killed.ended("timer-missed")["output"] == "waited"

    def test_a_parent_hears_of_its_child(self, killed: SampleApp) -> None:
        assert killed.ended("parent")["output"] == "child waited"

    def test_a_long_history_goes_on(self, killed: SampleApp) -> None:
        assert killed.ended("steps")["output"] == sum(2 * i for i in range(300))

    def test_events_reach_who_waited(self, killed: SampleApp) -> None:
        killed.control("event", "waiting", name="go")
        assert killed.ended("waiting")["status"] == "COMPLETED"

    def test_what_had_ended_is_still_known(self, killed: SampleApp) -> None:
        assert killed.status("past")["output"] == 90
