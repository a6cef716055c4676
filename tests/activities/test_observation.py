"""What a monitor is told of its search: from a look, from the row that another look wrote, or without any look."""

from __future__ import annotations

from typing import Any

import pytest

from activities.observation import observe_cluster
from shared.domain.errors import TransientError
from shared.domain.search import Search
from shared.domain.states import Phase
from tests.activities.fakes import World
from tests.activities.worlds import (
    Json,
    ago,
    job_id,
    put_job,
    put_pod,
    put_running_search,
    put_search,
    ref,
)


def look(world: World, search: Search, *, follow_up: bool = False) -> Json:
    """What the monitor of a search gets."""
    return observe_cluster(ref(search, follow_up=follow_up), world.durable)


def row(world: World, search: Search) -> Search:
    """The search's row as it is now."""
    return world.searches.get(search.owner, search.job_id)


def lists(world: World) -> int:
    """How often Jobs were listed."""
    return world.cluster.calls["list jobs"]


class TestWhatItSees:
    def test_pending_jobs(self, world: World) -> None:
        search = put_running_search(world, phase=Phase.SUBMITTED)
        assert look(world, search) == {"state": "active"}
        assert row(world, search).phase is Phase.SUBMITTED

    def test_running_jobs_are_shown_as_running(self, world: World) -> None:
        search = put_running_search(world, phase=Phase.SUBMITTED)
        put_pod(world, put_job(world, search, 0, "running"), "Running")
        assert look(world, search) == {"state": "active"}
        after = row(world, search)
        assert after.phase is Phase.RUNNING
        assert (after.progress.total, after.progress.running, after.progress.pending) == (2, 1, 1)
        assert after.observed_at is not None

    def test_all_succeeded(self, world: World) -> None:
        search = put_running_search(world)
        for shard in range(2):
            put_job(world, search, shard, "succeeded")
        assert look(world, search) == {"state": "done"}
        assert row(world, search).progress.succeeded == 2

    def test_done_is_not_completed(self, world: World) -> None:
        """Only the results gate makes it so."""
        search = put_running_search(world, jobs=1)
        put_job(world, search, 0, "succeeded")
        look(world, search)
        assert row(world, search).phase is Phase.RUNNING

    @pytest.mark.proves("T4")
    def test_jobs_that_are_gone(self, world: World) -> None:
        search = put_running_search(world)
        world.cluster.objects["jobs"].clear()
        assert look(world, search) == {"state": "missing_jobs"}

    def test_a_failed_job_with_its_exit_code_and_the_end_of_its_log(self, world: World) -> None:
        search = put_running_search(world)
        job = put_job(world, search, 0, "failed")
        pod = put_pod(world, job, "Failed", exit_code=2)
        world.cluster.logs[pod["metadata"]["name"]] = "BLAST Database error: No alias"
        seen = look(world, search)
        assert seen["state"] == "failed"
        error = seen["error"]
        assert (error["code"], error["exit_code"]) == ("bad_database", 2)
        assert error["job"] == job["metadata"]["name"]
        assert error["log_tail"] == "BLAST Database error: No alias"

    @pytest.mark.proves("Q3")
    def test_no_signature_of_a_url_is_kept_with_the_error(self, world: World) -> None:
        search = put_running_search(world)
        pod = put_pod(world, put_job(world, search, 0, "failed"), "Failed", exit_code=5)
        world.cluster.logs[pod["metadata"]["name"]] = "cannot read https://a.net/c/b?se=1&sig=abc"
        assert look(world, search)["error"]["log_tail"] == "cannot read https://a.net/c/b?***"

    def test_a_log_that_cannot_be_read_does_not_hide_the_failure(self, world: World) -> None:
        """The node of the failing pod may be gone for good; the Job has failed all the same."""
        search = put_running_search(world)
        put_pod(world, put_job(world, search, 0, "failed"), "Failed", exit_code=137)
        world.cluster.fail("log", "pods", TransientError("kube_busy", "dial tcp: no route to host"))
        seen = look(world, search)
        assert (seen["state"], seen["error"]["code"]) == ("failed", "out_of_memory")
        assert seen["error"]["log_tail"] == ""

    def test_jobs_of_helpers_and_of_other_searches_never_count(self, world: World) -> None:
        search = put_running_search(world, jobs=1)
        put_job(world, search, 0, "succeeded")
        other = put_job(world, put_search(world, job_id(2)), 0, "failed")
        helper = put_job(world, search, 7, "failed")
        helper["metadata"]["labels"]["app"] = "submit"
        assert look(world, search) == {"state": "done"}
        assert other["metadata"]["name"] in world.cluster.names("jobs")

    def test_nothing_there_yet_is_creating(self, world: World) -> None:
        search = put_search(world, phase=Phase.SUBMITTED)
        assert look(world, search) == {"state": "active"}


@pytest.mark.proves("F4")
class TestWithoutALook:
    @pytest.mark.parametrize("phase", [Phase.COMPLETED, Phase.FAILED, Phase.CANCELLED])
    def test_a_search_that_has_ended_is_not_looked_at(self, world: World, phase: Phase) -> None:
        search = put_running_search(world, phase=phase)
        assert look(world, search) == {"state": "ended", "phase": phase.value}
        assert not world.cluster.calls

    def test_a_row_that_is_gone(self, world: World) -> None:
        search = put_running_search(world)
        world.searches.rows.clear()
        assert look(world, search) == {"state": "missing"}
        assert not world.cluster.calls

    def test_a_monitor_of_an_earlier_run_ends(self, world: World) -> None:
        """The run that came after it has a monitor of its own."""
        search = put_running_search(world, run=2)
        assert observe_cluster(ref(search, run=1), world.durable) == {"state": "ended", "phase": "running"}
        assert not world.cluster.calls

    def test_a_cancel_marker(self, world: World) -> None:
        search = put_running_search(world, cancel_requested_at=ago(1))
        assert look(world, search) == {"state": "cancelled"}
        assert not world.cluster.calls


def test_the_answer_is_plain_data(world: World) -> None:
    import json

    search = put_running_search(world)
    put_pod(world, put_job(world, search, 0, "failed"), "Failed", exit_code=1)
    answer: Any = look(world, search)
    assert json.loads(json.dumps(answer)) == answer
