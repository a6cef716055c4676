"""The cost of a search: what its Jobs ran is kept in the row when a look sees them end, and shown with a price."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.clients.observer import take_snapshot
from shared.clients.orchestrations import DurableOrchestrations
from shared.clients.provider import use
from shared.clients.search_rows import columns_of, search_of
from shared.clients.sightings import write_sightings
from shared.domain.search import Search, fail, retried
from tests.activities.fakes import World
from tests.activities.worlds import CLUSTER, new_world, put_job, put_pod, put_running_search
from triggers.views import list_item

AT = datetime.now(UTC)


def end_job(world: World, search: Search, shard: int, seconds: int, code: int = 0) -> None:
    """A Job whose pod ran for so long."""
    job = put_job(world, search, shard, "succeeded" if code == 0 else "running")
    pod = put_pod(world, job, "Succeeded" if code == 0 else "Failed", code)
    state = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    state |= {
        "startedAt": "2026-01-01T00:00:00Z",
        "finishedAt": f"2026-01-01T00:{seconds // 60:02d}:{seconds % 60:02d}Z",
    }


def look(world: World, search: Search, later: int = 0) -> Search:
    """The row after a look."""
    snapshot = replace(take_snapshot(CLUSTER), observed_at=AT + timedelta(seconds=later))
    row = world.searches.get(search.owner, search.job_id)
    write_sightings([row], snapshot, DurableOrchestrations(world.durable), "")
    return world.searches.get(search.owner, search.job_id)


def usd(search: Search) -> Any:
    cost = list_item(search)["cost"]
    return cost and cost["estimate_usd"]


def test_nothing_is_said_before_a_job_has_ended(world: World) -> None:
    assert usd(look(world, put_running_search(world))) is None


def test_it_grows_as_jobs_end_and_stays_when_they_are_gone(world: World) -> None:
    search = put_running_search(world)
    end_job(world, search, 0, 1800)
    assert usd(look(world, search)) == 0.126  # half an hour, 4 processors, 0.063 USD
    end_job(world, search, 1, 900)
    after = look(world, search, 1)
    assert (after.run_seconds, usd(after)) == (2700, 0.189)
    for kind in ("jobs", "pods"):
        world.cluster.objects[kind].clear()
    assert look(world, search, 2).run_seconds == 2700


def test_a_pod_that_was_run_again_counts_too(world: World) -> None:
    search = put_running_search(world, jobs=1)
    end_job(world, search, 0, 600, code=3)
    assert look(world, search).run_seconds == 600


def test_a_new_attempt_counts_from_nothing(world: World) -> None:
    search = put_running_search(world, jobs=1)
    end_job(world, search, 0, 600)
    failed = fail(look(world, search), {"code": "results_missing"}, AT)
    assert (failed.run_seconds, retried(failed, AT).run_seconds) == (600, 0)


@pytest.mark.parametrize("fields", [{"source": "external", "engine": "external"}, {"engine": "cli"}])
def test_what_others_jobs_ask_for_is_not_known(world: World, fields: dict[str, Any]) -> None:
    search = put_running_search(world, jobs=1, **fields)
    end_job(world, search, 0, 600)
    assert usd(look(world, search)) is None


def test_the_list_needs_nothing_but_the_columns(world: World) -> None:
    search = put_running_search(world, jobs=1)
    end_job(world, search, 0, 600)
    seen = look(world, search)
    listed = search_of(columns_of(seen))
    assert (listed.jobs, usd(listed)) == ((), usd(seen))
    assert usd(search_of({name: value for name, value in columns_of(seen).items() if name != "run_seconds"})) is None


@pytest.mark.parametrize("price", ["0", ""])
def test_without_a_price_there_is_no_cost(world: World, price: str) -> None:
    search = put_running_search(world, jobs=1)
    end_job(world, search, 0, 600)
    seen = look(world, search)
    assert usd(seen) is not None
    with use(new_world(ELB_VCPU_HOUR_USD=price)):
        assert usd(seen) is None
