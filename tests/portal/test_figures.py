"""The figures of the events that charts are made of."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from activities.progress import advance_search
from shared.clients.counters import Counters
from shared.clients.observer import look_at_cluster
from shared.clients.orchestrations import DurableOrchestrations
from shared.clients.recording import flush_counts
from shared.domain.states import Phase, StepName
from shared.domain.timeline import begin, finish, new_timeline
from shared.domain.times import format_time
from tests.activities.fakes import World
from tests.activities.worlds import CLUSTER, put_running_search, put_search, ref

Told = Callable[[str], list[dict[str, Any]]]
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def before(seconds: float) -> datetime:
    """So many seconds before the look."""
    return AT - timedelta(seconds=seconds)


def test_the_end_of_the_jobs_is_told_with_how_long_nobody_saw_it(world: World, told: Told) -> None:
    world.clock = lambda: AT
    search = put_running_search(world, jobs=2, created_at=before(100), jobs_created_at=before(60))
    for job, seconds in zip(world.cluster.objects["jobs"].values(), (9, 4), strict=True):
        condition = {"type": "Complete", "status": "True"}
        job["status"] = {"completionTime": format_time(before(seconds)), "conditions": [condition]}
    for _ in range(2):  # the second one sees nothing new
        look_at_cluster(CLUSTER, DurableOrchestrations(world.durable), max_age=0)
    (event,) = told("search_outcome")
    assert (event["job_id"], event["outcome"], event["unseen_seconds"]) == (search.job_id, "done", 4.0)


def test_a_phase_that_a_look_finds_is_told(world: World, told: Told) -> None:
    world.clock = lambda: AT
    put_running_search(world, phase=Phase.CREATING, created_at=before(100), jobs_created_at=before(60))
    look_at_cluster(CLUSTER, DurableOrchestrations(world.durable), max_age=0)
    assert [(event["phase"], event["seconds"]) for event in told("search_phase")] == [("submitted", 100.0)]


def test_an_end_is_told_with_its_times_and_those_of_its_steps(world: World, told: Told) -> None:
    steps = finish(begin(new_timeline(), StepName.RUNNING, before(30)), StepName.RUNNING, before(10))
    steps = begin(steps, StepName.EXPORTING, before(10))
    search = put_search(
        world, phase=Phase.EXPORTING, created_at=before(100), outcome="done", outcome_at=before(12), steps=steps
    )
    advance_search(ref(search, at=format_time(AT), phase="completed"))
    (ended,) = told("search_ended")
    assert (ended["status"], ended["code"], ended["seconds"], ended["settle_seconds"]) == ("completed", "", 100.0, 12.0)
    assert {event["step"]: event["seconds"] for event in told("search_step")} == {"running": 20.0, "exporting": 10.0}


def test_what_was_counted_is_told_once(world: World, told: Told) -> None:
    world.clock = lambda: AT
    counters = Counters()
    counters.count("kube_calls", 3)
    for _ in range(2):
        flush_counts(counters)
    assert [event["counts"] for event in told("app_counts")] == [{"kube_calls": 3}]
