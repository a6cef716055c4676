"""Wrong-status traps in what activities and orchestrators make of the rules: a search is played to its end on fakes.

``tests/unit/domain/test_traps.py`` has the traps that one look at a cluster is enough for.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from activities.observation import observe_cluster
from activities.registry import ACTIVITIES, WAKING, errors_as_data
from orchestrators.search import search_orchestrator
from shared.domain import functions as names
from shared.domain.errors import TransientError
from shared.domain.progress import Progress
from shared.domain.results import RESULTS_CONTAINER, piece_blob
from shared.domain.search import Search
from shared.domain.states import Phase
from tests.activities.external_worlds import put_external, put_outside, put_pod_of
from tests.activities.fakes import World
from tests.activities.worlds import (
    JOB_ID,
    Json,
    ago,
    hit,
    put_batches,
    put_job,
    put_piece,
    put_pod,
    put_raw_piece,
    put_running_search,
    put_search,
    ref,
)
from tests.orchestrators.fake_context import ActivityFailedError, Play, play
from tests.orchestrators.searches import SEARCH

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
FIVE_MINUTES = timedelta(minutes=5)


@pytest.fixture
def search(world: World) -> Search:
    """The search of ``put_eight_jobs``."""
    return put_eight_jobs(world)


def put_eight_jobs(world: World) -> Search:
    """Two batches in four shards; all eight Jobs have succeeded and have written their results."""
    plan = {"batches": 2, "shards": 4, "source_version": "v1"}
    made = put_search(world, phase=Phase.RUNNING, plan=plan, expected_jobs=8, jobs_created_at=ago(60))
    put_batches(world, made, [["q1", "q2"], ["q3"]])
    for number in range(8):
        put_job(world, made, number, "succeeded")
        batch, shard = divmod(number, 4)
        put_piece(world, made, batch, shard, [hit("q3" if batch else "q1", f"s{number}")])
    return made


class Life:
    """A search's orchestration, played on the real activities; every phase that its row had, in order."""

    def __init__(
        self, world: World, search: Search, meanwhile: Callable[[int], object] = lambda look: None, **others: Any
    ) -> None:
        """``meanwhile`` is called before each look at the results, with its number; ``others`` answer by name."""
        self.world, self.search, self.phases, self.reasons = world, search, [search.phase], [search.waiting_reason]
        self._meanwhile, self._looks = meanwhile, 0
        answers: Json = {name: self._recorded(errors_as_data(function)) for name, function in ACTIVITIES.items()}
        answers |= {name: self._recorded(self._with_client(function)) for name, function in WAKING.items()}
        answers |= {names.CHECK_ADMISSION: {"decision": "resume"}, names.MONITOR_ORCHESTRATOR: self._monitor}
        answers |= {names.CHECK_RESULTS: self._check_results, **others}
        request = {**SEARCH, **search.ref, "results_grace_seconds": 120}
        self.played: Play = play(search_orchestrator, request, answers)

    @property
    def row(self) -> Search:
        return self.world.searches.get(self.search.owner, self.search.job_id)

    @property
    def error(self) -> Json:
        assert self.row.error is not None
        return dict(self.row.error)

    def _recorded(self, function: Callable[[Json], Json]) -> Callable[[Json], Any]:
        def call(data: Json) -> Any:
            try:
                answer = function(data)
            except TransientError as error:
                return ActivityFailedError(str(error))
            if self.row.phase is not self.phases[-1]:
                self.phases.append(self.row.phase)
                self.reasons.append(self.row.waiting_reason)
            return answer

        return call

    def _with_client(self, function: Callable[[Json, Any], Json]) -> Callable[[Json], Json]:
        return lambda data: function(data, self.world.durable)

    def _monitor(self, data: Json) -> Json:
        return observe_cluster({**data, "max_age": 0}, self.world.durable)

    def _check_results(self, data: Json) -> Json:
        self._looks += 1
        self._meanwhile(self._looks)
        return errors_as_data(ACTIVITIES[names.CHECK_RESULTS])(data)


WHOLE = gzip.compress(hit("q1", "s2") * 40, mtime=0)
DAMAGED = {
    "truncated": WHOLE[:-12],
    "not gzip": b"<html>The proxy says no, at some length</html>",
    "not BLAST's": gzip.compress(b"<html>The proxy says no</html>\n", mtime=0),
    "a flipped bit": WHOLE[:30] + bytes([WHOLE[30] ^ 1]) + WHOLE[31:],
}
PIECE = piece_blob(JOB_ID, 0, 2)


@pytest.mark.proves("T3")
class TestOneOfEightResults:
    def test_all_eight_are_a_completed_search(self, world: World, search: Search) -> None:
        life = Life(world, search)
        assert life.phases == [Phase.RUNNING, Phase.RESULTS_PENDING, Phase.EXPORTING, Phase.COMPLETED]

    @pytest.mark.parametrize("content", [None, b"", b"x" * 19], ids=["missing", "empty", "too short for gzip"])
    def test_is_missing_or_empty(self, world: World, search: Search, content: bytes | None) -> None:
        if content is None:
            del world.store.blobs[RESULTS_CONTAINER, PIECE]
        else:
            put_raw_piece(world, search, 0, 2, content)
        life = Life(world, search)
        assert life.phases == [Phase.RUNNING, Phase.RESULTS_PENDING, Phase.FAILED]
        assert life.played.context.seconds == 120
        assert life.error["code"] == "results_lost"
        assert (PIECE + ("" if content is None else " (empty)")) in life.error["message"]

    @pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
    def test_is_not_valid(self, world: World, search: Search, content: bytes) -> None:
        put_raw_piece(world, search, 0, 2, content)
        life = Life(world, search)
        assert life.phases == [
            Phase.RUNNING,
            Phase.RESULTS_PENDING,
            Phase.EXPORTING,
            Phase.RESULTS_PENDING,
            Phase.FAILED,
        ]
        assert life.error["code"] == "results_invalid"
        assert life.error["message"].startswith("batch 0: ")
        assert PIECE in life.error["message"] or "shard 2" in life.error["message"]
        assert life.reasons[3] == life.error["message"], "while it is waited for, the row says what is wrong"
        assert 120 <= life.played.context.seconds <= 130
        assert (RESULTS_CONTAINER, f"{JOB_ID}/manifest.json") not in world.store.blobs

    def test_comes_late(self, world: World, search: Search) -> None:
        content = world.store.blobs.pop((RESULTS_CONTAINER, PIECE))

        def write(look: int) -> None:
            if look == 3:
                world.store.blobs[RESULTS_CONTAINER, PIECE] = content

        life = Life(world, search, write)
        assert life.phases == [Phase.RUNNING, Phase.RESULTS_PENDING, Phase.EXPORTING, Phase.COMPLETED]

    def test_is_replaced_by_a_valid_one_while_it_is_waited_for(self, world: World, search: Search) -> None:
        whole = world.store.blobs[RESULTS_CONTAINER, PIECE]
        put_raw_piece(world, search, 0, 2, DAMAGED["truncated"])

        def write(look: int) -> None:
            if look == 3:
                put_raw_piece(world, search, 0, 2, whole)

        life = Life(world, search, write)
        assert life.phases[-2:] == [Phase.EXPORTING, Phase.COMPLETED]
        assert life.row.error is None
        assert life.row.waiting_reason is None


@pytest.mark.proves("T4")
class TestJobsRemovedByTheirTtl:
    @pytest.mark.parametrize("left", [0, 1, 7])
    def test_with_their_results_it_is_completed(self, world: World, search: Search, left: int) -> None:
        for name in world.cluster.names("jobs")[left:]:
            world.cluster.delete("jobs", name)
        assert Life(world, search).phases[-1] is Phase.COMPLETED

    @pytest.mark.parametrize("left", [0, 1, 7])
    def test_without_one_of_them_it_is_lost_and_never_creating(self, world: World, search: Search, left: int) -> None:
        for name in world.cluster.names("jobs")[left:]:
            world.cluster.delete("jobs", name)
        del world.store.blobs[RESULTS_CONTAINER, PIECE]
        life = Life(world, search)
        assert life.phases == [Phase.RUNNING, Phase.RESULTS_PENDING, Phase.FAILED]
        assert life.error["code"] == "results_lost"


def look(world: World, search: Search) -> str:
    """What the monitor is told by a look that is taken now."""
    return str(observe_cluster(ref(search, follow_up=False, max_age=0), world.durable)["state"])


class TestClocks:
    @pytest.mark.parametrize("ahead", [-FIVE_MINUTES, FIVE_MINUTES], ids=["behind", "ahead"])
    def test_of_two_hosts_do_not_hide_the_end(self, world: World, ahead: timedelta) -> None:
        """One host has looked and written; the other one, whose clock differs, sees what has happened since."""
        search = put_running_search(world, jobs=1, jobs_created_at=NOW - timedelta(minutes=9))
        world.clock = lambda: NOW + ahead
        put_pod(world, put_job(world, search, 0, "running"), "Running")
        assert look(world, search) == "active"
        world.clock = lambda: NOW + timedelta(seconds=10)
        put_job(world, search, 0, "succeeded")
        assert look(world, search) == "done"

    @pytest.mark.parametrize("ahead", [-FIVE_MINUTES, FIVE_MINUTES], ids=["behind", "ahead"])
    @pytest.mark.parametrize(("minutes", "state"), [(9, "active"), (11, "failed")])
    def test_of_the_api_server_neither_hurry_nor_delay(
        self, world: World, ahead: timedelta, minutes: int, state: str
    ) -> None:
        search = put_running_search(world, jobs=1, jobs_created_at=NOW - timedelta(minutes=minutes))
        waits = put_pod(world, put_job(world, search, 0, "running"), "Pending")
        waits["metadata"]["creationTimestamp"] = (NOW - timedelta(minutes=minutes)).isoformat()
        waits["status"]["containerStatuses"][0]["state"] = {"waiting": {"reason": "ImagePullBackOff"}}
        world.cluster.clock = lambda: NOW
        world.clock = lambda: NOW + ahead
        assert look(world, search) == state


class TestWaitingItsTurn:
    """A pod that finds no place is given up only when it still finds none a minute later."""

    def put_queue(self, world: World) -> tuple[Search, Search]:
        """A search whose pod has queued for two hours behind another search, which was cancelled just now."""
        self.now = NOW
        world.clock = lambda: self.now
        queued = put_running_search(world, jobs=1, jobs_created_at=NOW - timedelta(hours=2))
        unschedulable = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "full"}
        pod = put_pod(world, put_job(world, queued, 0, "running"), "Pending")
        pod["metadata"]["creationTimestamp"] = (NOW - timedelta(hours=2)).isoformat()
        pod["status"]["conditions"] = [unschedulable]
        other = put_running_search(world, 2, jobs=1, jobs_created_at=NOW - timedelta(hours=3))
        put_pod(world, put_job(world, other, 0, "running"), "Running")
        assert look(world, queued) == "active"
        for kind in ("jobs", "pods"):
            for name in world.cluster.names(kind):
                if other.job_id in str(world.cluster.objects[kind][name]):
                    del world.cluster.objects[kind][name]
        return queued, other

    def later(self, world: World, queued: Search, seconds: float) -> str:
        self.now += timedelta(seconds=seconds)
        return look(world, queued)

    def test_a_place_that_came_free_is_taken(self, world: World) -> None:
        queued, _ = self.put_queue(world)
        assert self.later(world, queued, 5) == "active"
        put_pod(world, put_job(world, queued, 0, "running"), "Running")
        assert self.later(world, queued, 5) == "active"
        assert world.searches.get(queued.owner, queued.job_id).outcome == ""
        assert self.later(world, queued, 600) == "active"

    def test_one_that_nobody_gives_is_not_waited_for(self, world: World) -> None:
        queued, _ = self.put_queue(world)
        assert [self.later(world, queued, seconds) for seconds in (5, 30, 29)] == ["active"] * 3
        assert self.later(world, queued, 2) == "failed"

    def test_what_an_old_look_saw_is_looked_at_again(self, world: World) -> None:
        queued, _ = self.put_queue(world)
        assert self.later(world, queued, 5) == "active"
        put_pod(world, put_job(world, queued, 0, "running"), "Running")
        assert self.later(world, queued, 3600) == "active"


class TestWhatTheLogsTell:
    @pytest.mark.proves("T6")
    def test_the_failing_container_of_several_is_the_one_that_is_read(self, world: World) -> None:
        search = put_running_search(world, jobs=1)
        pod = put_pod(world, put_job(world, search, 0, "failed"), "Failed", exit_code=1)
        pod["spec"]["containers"] = [{"name": "blast"}, {"name": "results-export"}]
        name = pod["metadata"]["name"]
        world.cluster.logs |= {f"{name}/blast": "Query is Empty!", f"{name}/results-export": "nothing to upload"}
        answer = observe_cluster(ref(search, follow_up=False, max_age=0), world.durable)
        assert (answer["error"]["code"], answer["error"]["log_tail"]) == ("bad_query", "Query is Empty!")

    @pytest.mark.proves("T6")
    def test_a_cluster_that_went_away_since_takes_only_the_log_with_it(self, world: World) -> None:
        search = put_running_search(world, jobs=1)
        put_pod(world, put_job(world, search, 0, "failed"), "Failed", exit_code=2)
        assert look(world, search) == "failed"
        world.kube = _gone  # type: ignore[method-assign]  # the cluster was deleted between two looks
        answer = observe_cluster(ref(search, follow_up=False, max_age=0), world.durable)
        assert (answer["state"], answer["error"]["code"], answer["error"]["log_tail"]) == ("failed", "bad_database", "")


def _gone(*args: Any, **more: Any) -> Any:
    from shared.domain.errors import NotFoundError

    raise NotFoundError("cluster_not_found", "there is no cluster")


@pytest.mark.proves("T4")
class TestAJobThatOnlyItsPodNames:
    """The id of a search begun outside may stand in its pods alone; a pod that is evicted or deleted takes it along."""

    @pytest.fixture
    def outside(self, world: World) -> Search:
        """A search begun outside whose only Job runs, as a look has seen."""
        self.now = NOW
        world.clock = lambda: self.now
        made = put_external(world, phase=Phase.RUNNING, progress=Progress(1, running=1), jobs_created_at=NOW)
        self.job = put_outside(world, labels={"elb-job-id": ""})
        put_pod_of(world, self.job, made.job_id)
        assert look(world, made) == "active"
        return made

    def later(self, world: World, outside: Search, seconds: float) -> str:
        self.now += timedelta(seconds=seconds)
        return look(world, outside)

    def test_is_not_missed_while_it_gets_another_pod(self, world: World, outside: Search) -> None:
        world.cluster.objects["pods"].clear()
        assert [self.later(world, outside, seconds) for seconds in (5, 0.5, 30, 29)] == ["active"] * 4
        put_pod_of(world, self.job, outside.job_id)
        assert self.later(world, outside, 5) == "active"
        row = world.searches.get(outside.owner, outside.job_id)
        assert (row.phase, row.outcome, row.progress) == (Phase.RUNNING, "", Progress(1, running=1))

    def test_each_time_anew(self, world: World, outside: Search) -> None:
        for _ in range(3):
            world.cluster.objects["pods"].clear()
            assert self.later(world, outside, 40) == "active"
            put_pod_of(world, self.job, outside.job_id)
            assert self.later(world, outside, 40) == "active"

    def test_is_missed_when_looks_still_miss_it_a_minute_later(self, world: World, outside: Search) -> None:
        world.cluster.objects["pods"].clear()
        assert [self.later(world, outside, seconds) for seconds in (5, 60)] == ["active", "missing_jobs"]

    def test_a_cluster_that_is_silent_since_confirms_nothing(self, world: World, outside: Search) -> None:
        world.cluster.objects["pods"].clear()
        assert self.later(world, outside, 5) == "active"
        world.cluster.fail("list", "jobs", TransientError("kube_unreachable", "no answer"))
        assert self.later(world, outside, 600) == "active"

    def test_so_is_one_of_the_command_line(self, world: World, outside: Search) -> None:
        row = world.searches.put(replace(outside, engine="cli", source="api", outcome=""))
        world.cluster.objects["pods"].clear()
        assert [self.later(world, row, seconds) for seconds in (5, 60)] == ["active", "missing_jobs"]
