"""An activity of a run that is over, delivered late, changes nothing of the run that came after it.

The durable engine may deliver an activity again long after its orchestration has ended: by then the search may have
been retried, or revived. Every activity of the registry is tried against every way in which it may stand.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest

from activities import registry
from activities.observation import observe_cluster
from activities.removal import wake_waiting
from activities.search_jobs import create_search_jobs
from shared.clients.capacity import take_slot
from shared.clients.provider import use
from shared.domain import functions as names
from shared.domain.cli_manifest import helper_name
from shared.domain.history import Event
from shared.domain.search import Search
from shared.domain.states import Phase
from tests.activities.fakes import World
from tests.activities.test_cli_engine import put_openapi
from tests.activities.worlds import (
    CLUSTER,
    JOB_ID,
    Json,
    ago,
    new_world,
    put_batches,
    put_job,
    put_pod,
    put_raw_piece,
    put_search,
    put_warm_cluster,
    ref,
    status_of,
)

AT = "2030-01-01T00:00:00.000Z"
ERROR = {"code": "broken", "message": "it is broken", "hint": "mend it"}
MERGED = [{"batch": 0, "queries": 2, "queries_with_hits": 1, "hits": 2}]
LATE: dict[str, tuple[Json, ...]] = {
    names.CHECK_ADMISSION: ({},),
    names.ADVANCE_SEARCH: (
        {"at": AT, "finish": [{"step": "preparing", "detail": "late"}]},
        {"at": AT, "error": ERROR},
        {"at": AT, "reason": "not removed from the cluster yet"},
        *({"at": AT, "phase": phase.value, "reason": "late"} for phase in Phase),
    ),
    names.CLEANUP_STALE_JOBS: ({},),
    names.STAGE_QUERIES: ({},),
    names.CREATE_SEARCH_JOBS: ({},),
    names.STOP_SEARCH_JOBS: ({},),
    names.OBSERVE_CLUSTER: ({"follow_up": False}, {"follow_up": True}),
    names.CHECK_RESULTS: ({},),
    names.MERGE_BATCH: ({"batch": 0},),
    names.PUBLISH_RESULTS: ({"merged": MERGED},),
    names.REGISTER_RESULTS: ({},),
    names.REMOVE_SEARCH_OBJECTS: ({}, {"clear": True}),
    names.CHECK_DELETION: ({},),
    names.DELETE_SEARCH_BLOBS: ({},),
    names.DELETE_SEARCH_ROW: ({},),
    names.WAKE_WAITING: ({},),
    names.DELIVER_WEBHOOK: ({},),
    names.START_CLI_SUBMIT: ({"number": 1}, {"number": 2}),
    names.CHECK_CLI_SUBMIT: ({"number": 1},),
    names.REMOVE_CLI_SUBMIT: ({},),
    names.REGISTER_CLI_SEARCH: ({"alias": "job-" + "ab" * 16},),
    names.REGISTER_RESULTS: ({},),
}
"""What each activity gets besides the search's reference."""
OF_NO_SEARCH = {
    names.ENSURE_SCRIPTS,
    names.PLAN_WARMUP,
    names.CREATE_WARMUP_JOB,
    names.OBSERVE_WARMUP,
    names.PREPARE_SHARDS,
    names.ENSURE_PROBE,
    names.REMOVE_WARMUP_LEFTOVERS,
    names.END_WARMUP,
    names.PLAN_RELEASE,
    names.REMOVE_WARMUP_OBJECTS,
    names.CREATE_CLEAN_JOB,
    names.OBSERVE_CLEANING,
    names.END_RELEASE,
    names.REQUEST_POWER,
    names.OBSERVE_CLUSTER_POWER,
    names.ENSURE_ROLES,
    names.DEPLOY_OPENAPI,
    names.OBSERVE_OPENAPI,
    names.WARM_CONFIGURED,
}
"""Of a cluster or a database, whichever search asks; ``test_twice``, ``test_warm_steps`` and ``test_release`` have
them."""
DELIVERIES = [
    pytest.param(name, more, id=f"{name}-{number}")
    for name, all_of in LATE.items()
    for number, more in enumerate(all_of)
]


def registered() -> dict[str, Callable[..., Json]]:
    """The activities by name, as they are registered; those with a client are called without the binding."""
    found: dict[str, Callable[..., Json]] = {}
    builders: list[Any] = registry.blueprint._function_builders  # the app can be asked for its functions once only
    for function in (builder._function for builder in builders):
        trigger = function.get_trigger()
        if getattr(trigger, "activity", "") in vars(names).values():  # the SDK has activities of its own
            found[trigger.activity] = function.get_user_function()
    found[names.OBSERVE_CLUSTER] = registry.with_client(observe_cluster, names.OBSERVE_CLUSTER)
    found[names.WAKE_WAITING] = registry.with_client(wake_waiting, names.WAKE_WAITING)
    return found


ACTIVITIES = registered()


def test_every_activity_is_tried() -> None:
    assert LATE.keys() | OF_NO_SEARCH == ACTIVITIES.keys()


@dataclass(frozen=True)
class Scene:
    """How the search stands when the late activity comes. A revival keeps the attempt, a retry begins another."""

    phase: Phase
    attempt: int = 2
    engine: str = "native"

    def __str__(self) -> str:
        return f"{self.engine}-{'retried' if self.attempt > 1 else 'revived'}-{self.phase}"


SCENES = [
    Scene(phase, attempt, engine)
    for phase in Phase
    for attempt, engine in ((1, "native"), (2, "native"), (2, "cli"), (1, "external"))
]


def put_second_run(world: World, scene: Scene) -> Search:
    """A search in its second run, with all that any phase could have: Jobs, pods, batches, pieces, payloads."""
    put_warm_cluster(world)
    put_openapi(world)
    fields: Json = {"phase": scene.phase, "attempt": scene.attempt, "engine": scene.engine, "run": 2}
    if scene.phase is Phase.CANCELLING:
        fields["cancel_requested_at"] = ago(1)
    fields["plan"] = {"batches": 1, "shards": 2, "source_version": "another"}
    search = put_search(world, **fields)
    put_batches(world, search, [["q1", "q2"]])
    for shard, state in enumerate(("running", "succeeded")):
        put_pod(world, put_job(world, search, shard, state), "Running")
        put_raw_piece(world, search, 0, shard, b"this is what a Job of the second run is writing")
    helper = {"name": helper_name(JOB_ID, scene.attempt, 1), "labels": {"app": "elb-submit", "elb-job-id": JOB_ID}}
    world.cluster.put("jobs", {"metadata": helper, "spec": {}, "status": status_of("running")})
    world.store.blobs["elb-state", f"{JOB_ID}/payload-1.json"] = b"{}"
    world.events.add(JOB_ID, Event(ago(5), "submitted", "anna", "", 1))
    if search.is_active:
        take_slot(search)
    return search


def everything(world: World) -> Json:
    """All that could change, and what was written or woken meanwhile."""
    return {
        "rows": dict(world.searches.rows),
        "aliases": dict(world.searches.aliases),
        "blobs": dict(world.store.blobs),
        "written": (list(world.searches.written), list(world.store.written)),
        "objects": copy.deepcopy(world.cluster.objects),
        "deleted": list(world.cluster.deleted),
        "slots": {key: dict(slots.holders) for key, slots in world.clusters.held.items()},
        "looks": world.clusters.read(CLUSTER),
        "events": copy.deepcopy(world.events.events),
        "orchestrations": (dict(world.durable.started), list(world.durable.woken)),
    }


@cache
def world_of(scene: Scene) -> World:
    """The world of a scene, made once: nothing may change in it, whichever test comes first."""
    world = new_world()
    with use(world):
        put_second_run(world, scene)
    return world


@pytest.mark.parametrize(("name", "more"), DELIVERIES)
def test_a_late_activity_of_the_first_run_changes_nothing(name: str, more: Json) -> None:
    client = [new_world().durable] if name in (names.OBSERVE_CLUSTER, names.WAKE_WAITING) else []
    for scene in SCENES:
        world = world_of(scene)
        before = everything(world)
        with use(world):
            answer = ACTIVITIES[name](ref(world.searches.find(JOB_ID), run=1, **more), *client)
        after = everything(world)
        if after != before:
            world_of.cache_clear()  # what it did must not be held against the next one
        assert "error" not in answer, scene
        assert after == before, scene
    if client:
        assert client[0].woken == []


@pytest.mark.parametrize("name", [names.MERGE_BATCH, names.CREATE_SEARCH_JOBS, names.STOP_SEARCH_JOBS])
def test_the_same_activity_of_the_second_run_does_change_something(world: World, name: str) -> None:
    """The test above can fail."""
    phase = Phase.EXPORTING if name == names.MERGE_BATCH else Phase.SUBMITTING
    search = put_second_run(world, Scene(phase))
    before = everything(world)
    ACTIVITIES[name](ref(search, **LATE[name][0]))
    assert everything(world) != before


class TestJobsThatAreStillBeingMade:
    """The late run has begun to make its Jobs before it could know."""

    @pytest.fixture
    def search(self, world: World) -> Search:
        put_warm_cluster(world)
        return put_search(world, plan={"batches": 1, "sequences": 3})

    def jobs(self, world: World) -> list[str]:
        return [name for name in world.cluster.names("jobs") if not name.startswith("warm-")]

    def change_meanwhile(self, world: World, **fields: Any) -> None:
        """Somebody else's write between the first Job and the end of the activity."""
        world.cluster.meanwhile = lambda: put_search(world, plan={"batches": 1, "sequences": 3}, **fields)

    @pytest.mark.parametrize(
        "fields",
        [
            {"phase": Phase.CANCELLING, "cancel_requested_at": ago(1)},
            {"phase": Phase.FAILED},
            {"phase": Phase.CANCELLED, "cancel_requested_at": ago(1)},
            {"phase": Phase.DELETING},
            {"attempt": 2, "run": 2},
        ],
        ids=["cancelled", "failed", "cancel has ended", "deleted", "retried"],
    )
    def test_it_removes_them_again(self, world: World, search: Search, fields: Json) -> None:
        self.change_meanwhile(world, **fields)
        create_search_jobs(ref(search))
        assert self.jobs(world) == []
        assert len(world.cluster.deleted) == 2

    def test_also_when_the_row_is_gone(self, world: World, search: Search) -> None:
        world.cluster.meanwhile = world.searches.rows.clear
        assert create_search_jobs(ref(search)) == {"jobs": 2}
        assert self.jobs(world) == []

    def test_jobs_of_the_retry_stay(self, world: World, search: Search) -> None:
        self.change_meanwhile(world, attempt=2, run=2)
        own = put_job(world, put_search(world, attempt=2), 0, "running")
        world.searches.put(search)
        create_search_jobs(ref(search))
        assert self.jobs(world) == [own["metadata"]["name"]]

    def test_those_that_a_revival_of_the_same_attempt_has_too_stay(self, world: World, search: Search) -> None:
        """It makes Jobs of the same names, and takes those that are there for its own."""
        self.change_meanwhile(world, run=2)
        create_search_jobs(ref(search))
        assert len(self.jobs(world)) == 2
        assert create_search_jobs(ref(search, run=2)) == {"jobs": 2}
        assert world.searches.find(JOB_ID).expected_jobs == 2

    @pytest.mark.parametrize(
        "fields",
        [
            {"phase": Phase.CANCELLING, "cancel_requested_at": ago(1)},
            {"phase": Phase.FAILED},
            {"run": 2},
        ],
        ids=["cancelled", "failed", "another run"],
    )
    def test_one_that_comes_when_the_search_is_over_makes_none(
        self, world: World, search: Search, fields: Json
    ) -> None:
        put_search(world, **fields)
        world.cluster.calls.clear()
        assert create_search_jobs(ref(search)) == {"jobs": 0}
        assert not world.cluster.calls


@pytest.mark.parametrize("name", [names.STAGE_QUERIES, names.REGISTER_CLI_SEARCH])
def test_a_run_that_begins_between_the_read_and_the_write_is_left_alone(world: World, name: str) -> None:
    search = put_search(world, phase=Phase.SUBMITTING)
    next_runs: list[Search] = []
    world.searches.meanwhile = lambda: next_runs.append(put_search(world, attempt=2, run=2))
    ACTIVITIES[name](ref(search, **LATE[name][0]))
    assert next_runs == [world.searches.find(JOB_ID)]
