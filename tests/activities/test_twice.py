"""Every activity twice in a row gives the same world: the durable engine may run each one again after it has ended."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from activities import registry
from activities.admission import check_admission
from activities.observation import observe_cluster
from activities.preparation import cleanup_stale_jobs, ensure_scripts, stage_queries
from activities.progress import advance_search
from activities.publishing import publish_results
from activities.removal import (
    check_deletion,
    delete_search_blobs,
    delete_search_row,
    remove_search_objects,
    wake_waiting,
)
from activities.results import check_results, merge_search_batch
from activities.search_jobs import create_search_jobs, stop_search_jobs
from activities.warmup import observe_warmup, plan_database_warmup, prepare_shards
from activities.warmup_jobs import create_warmup_job
from shared.domain.errors import PermanentError, TransientError
from shared.domain.states import Phase
from tests.activities.fakes import World
from tests.activities.worlds import (
    CLUSTER,
    DB,
    Json,
    ago,
    job_id,
    put_database,
    put_finished_search,
    put_job,
    put_node,
    put_running_search,
    put_search,
    put_warm_cluster,
    ref,
    warmup_data,
)

Twice = Callable[[], Json]
MERGED = [{"batch": 0, "queries": 2, "queries_with_hits": 1, "hits": 2}, {"batch": 1, "queries": 1}]


def admission(world: World) -> Twice:
    put_warm_cluster(world)
    search = put_search(world)
    return lambda: check_admission(ref(search))


def advance(world: World) -> Twice:
    search = put_search(world)
    at = "2030-01-01T00:00:00.000Z"
    return lambda: advance_search(ref(search, at=at, phase="configuring", finish=[{"step": "preparing"}]))


def fail(world: World) -> Twice:
    search = put_search(world)
    error = {"code": "broken", "message": "it is broken", "hint": ""}
    return lambda: advance_search(ref(search, at="2030-01-01T00:00:00.000Z", error=error))


def clean_up(world: World) -> Twice:
    old = put_job(world, put_search(world, job_id(7), phase="failed"), 0, "succeeded")
    old["metadata"]["creationTimestamp"] = ago(7200).isoformat()
    search = put_search(world)
    return lambda: cleanup_stale_jobs(ref(search))


def scripts(world: World) -> Twice:
    return lambda: ensure_scripts({"cluster": CLUSTER.to_dict()})


def stage(world: World) -> Twice:
    search = put_search(world)
    return lambda: stage_queries(ref(search))


def create_jobs(world: World) -> Twice:
    put_warm_cluster(world)
    search = put_search(world, plan={"batches": 2})
    return lambda: create_search_jobs(ref(search))


def stop_jobs(world: World) -> Twice:
    search = put_running_search(world)
    return lambda: stop_search_jobs(ref(search))


def observe(world: World) -> Twice:
    search = put_running_search(world, jobs=1)
    put_job(world, search, 0, "succeeded")
    return lambda: observe_cluster(ref(search), world.durable)


def gate(world: World) -> Twice:
    search = put_finished_search(world)
    return lambda: check_results(ref(search))


def merge(world: World) -> Twice:
    search = put_finished_search(world)
    return lambda: merge_search_batch(ref(search, batch=0))


def publish(world: World) -> Twice:
    search = put_finished_search(world)
    for batch in range(2):
        merge_search_batch(ref(search, batch=batch))
    return lambda: publish_results(ref(search, merged=MERGED))


def plan(world: World) -> Twice:
    put_database(world)
    put_node(world, "node-a")
    return lambda: plan_database_warmup({"database": DB, "cluster": CLUSTER.to_dict()})


def warm(world: World) -> Twice:
    put_database(world)
    return lambda: create_warmup_job(warmup_data())


def observe_warm(world: World) -> Twice:
    put_warm_cluster(world)
    return lambda: observe_warmup({"database": DB, "cluster": CLUSTER.to_dict(), "source_version": None})


def shards(world: World) -> Twice:
    put_database(world, shards=0)
    return lambda: prepare_shards({"database": DB, "shards": 2, "storage_account": "store"})


def remove_objects(world: World) -> Twice:
    search = put_running_search(world, phase="cancelling")
    return lambda: remove_search_objects(ref(search))


def may_delete(world: World) -> Twice:
    search = put_search(world, phase="failed")
    return lambda: check_deletion(ref(search))


def delete_blobs(world: World) -> Twice:
    search = world.searches.put(replace(put_finished_search(world), phase=Phase.DELETING))
    return lambda: delete_search_blobs(ref(search))


def delete_row(world: World) -> Twice:
    search = put_search(world, phase="deleting")
    return lambda: delete_search_row(ref(search))


def wake(world: World) -> Twice:
    search = put_search(world)
    return lambda: wake_waiting(ref(search), world.durable)


ACTIVITIES: tuple[Callable[[World], Twice], ...] = (
    admission, advance, fail, clean_up, scripts, stage, create_jobs, stop_jobs, observe, gate, merge, publish, plan,
    warm, observe_warm, shards, remove_objects, may_delete, delete_blobs, delete_row, wake,
)  # fmt: skip


def kept(world: World) -> Json:
    """Everything that is kept, but for the guards of the rows and the time at which results were published."""
    blobs: dict[Any, Any] = dict(world.store.blobs)
    for (container, name), content in world.store.blobs.items():
        if name.endswith("/manifest.json"):
            manifest = json.loads(content)
            manifest["provenance"]["published_at"] = "some time"
            blobs[container, name] = manifest
    return {
        "rows": dict(world.searches.rows),
        "blobs": blobs,
        "objects": copy.deepcopy(world.cluster.objects),
        "slots": {key: dict(slots.holders) for key, slots in world.clusters.held.items()},
        "events": copy.deepcopy(world.events.events),
    }


@pytest.mark.parametrize("activity", ACTIVITIES, ids=lambda a: a.__name__)
def test_the_second_run_changes_nothing(world: World, activity: Callable[[World], Twice]) -> None:
    run = activity(world)
    run()
    first = kept(world)
    run()
    assert kept(world) == first


class TestErrorsAsData:
    def test_a_permanent_error_comes_back_as_data(self) -> None:
        def broken(data: Json) -> Json:
            raise PermanentError("broken", "it is broken", "mend it")

        answer = registry.errors_as_data(broken)({})
        assert answer == {"error": {"code": "broken", "message": "it is broken", "hint": "mend it"}}

    def test_a_transient_one_is_raised_for_the_retry_with_its_code_in_its_text(self) -> None:
        def busy(data: Json) -> Json:
            raise TransientError("kube_busy", "try later")

        with pytest.raises(TransientError) as raised:
            registry.errors_as_data(busy)({})
        assert str(raised.value) == "kube_busy: try later"

    def test_the_look_of_a_monitor_too(self, world: World) -> None:
        world.searches.failing = PermanentError("broken", "it is broken")
        search = put_running_search(world)
        look = registry.with_client(observe_cluster, "observe_cluster")
        assert look(ref(search), world.durable)["error"]["code"] == "broken"
