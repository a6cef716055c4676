"""Results are kept for so many days: then they are refused, and removed by the daily timer, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import azure.functions as func
import pytest

from activities.progress import advance_search
from activities.publishing import publish_results
from activities.results import merge_search_batch
from shared import responses
from shared.clients.expiry import remove_results
from shared.domain.errors import TransientError
from shared.domain.results import QUERIES_CONTAINER, RESULTS_CONTAINER
from shared.domain.search import Search
from shared.domain.states import Phase
from shared.domain.times import format_time
from tests.activities.fakes import World
from tests.activities.worlds import JOB_ID, Json, job_id, put_database, put_finished_search, put_search, ref
from triggers import changes, hits, jobs, results
from triggers.timers import purge_history
from triggers.timers.expiry import BUDGET_SECONDS, PAGE, expire_results

DONE_AT = datetime(2026, 4, 20, 12, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
DOWN = TransientError("storage_unavailable", "storage does not answer")


@pytest.fixture(autouse=True)
def signed_in(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests come from the development user, who may see everything."""
    monkeypatch.setattr(responses, "settings", lambda: world.settings)


@pytest.fixture
def search(world: World) -> Search:
    """One that was completed, by the activities that do it, with the default of 30 days."""
    made = put_finished_search(world)
    merged = [merge_search_batch(ref(made, batch=batch)) for batch in range(2)]
    publish_results(ref(made, merged=merged))
    advance_search(ref(made, at=format_time(DONE_AT), phase=Phase.COMPLETED))
    return world.searches.get("anna", JOB_ID)


def ask(function: Callable[..., func.HttpResponse], *bindings: Any, **route: str) -> tuple[int, Json]:
    """Status and body."""
    headers = {"Host": "localhost:7071"}
    given = {"id": JOB_ID, "name": "results.tsv"} | route
    request = func.HttpRequest("GET", "http://localhost:7071/api", headers=headers, route_params=given, body=b"{}")
    answer = function(request, *bindings)
    body = answer.get_body()
    return int(answer.status_code), json.loads(body) if body.startswith(b"{") else {}


def names(world: World) -> list[str]:
    """What is left in storage of any search."""
    return sorted(name for container, name in world.store.blobs if container in (RESULTS_CONTAINER, QUERIES_CONTAINER))


def just_beyond(days: float = 30) -> datetime:
    """The moment after the last one at which results are kept."""
    return DONE_AT + timedelta(days=days) + MILLISECOND


@pytest.mark.proves("N16")
class TestThirtyDays:
    @pytest.mark.parametrize("days", [1, 30])
    def test_are_a_setting_and_shown(self, world: World, days: int) -> None:
        world.settings = replace(world.settings, results_days=days)
        made = put_search(world, phase=Phase.EXPORTING)
        advance_search(ref(made, at=format_time(DONE_AT), phase=Phase.COMPLETED))
        shown = ask(jobs.show_search, world.durable)[1]
        assert shown["results_expire_at"] == format_time(DONE_AT + timedelta(days=days))

    @pytest.mark.parametrize("route", [results.show_results, results.download_result, hits.show_hits])
    def test_at_the_limit_they_are_read_and_just_beyond_it_they_are_gone(
        self, world: World, search: Search, route: Any
    ) -> None:
        world.clock = lambda: DONE_AT + timedelta(days=30)
        assert ask(route)[0] == 200
        world.clock = just_beyond
        status, body = ask(route)
        assert (status, body["error"]["code"]) == (410, "results_expired")
        assert "2026-05-20T12:00:00" in body["error"]["message"]

    def test_at_the_limit_they_stay_in_storage_and_just_beyond_it_they_go(self, world: World, search: Search) -> None:
        before = names(world)
        assert expire_results(DONE_AT + timedelta(days=30)) == 0
        assert names(world) == before != []
        assert expire_results(just_beyond()) == 1
        assert names(world) == []


class TestRemoval:
    def test_the_search_stays_completed_and_its_history_says_it_once(self, world: World, search: Search) -> None:
        for _ in range(3):
            expire_results(just_beyond())
        world.clock = lambda: just_beyond(31)
        status, shown = ask(jobs.show_search, world.durable)
        assert (status, shown["status"]) == (200, "completed")
        assert [event.kind for event in world.events.events[JOB_ID]].count("results_expired") == 1
        assert ask(results.show_results)[1]["error"]["code"] == "results_expired"

    def test_two_timers_at_once_do_it_once(self, world: World, search: Search) -> None:
        world.searches.meanwhile = lambda: expire_results(just_beyond() + MILLISECOND)
        assert expire_results(just_beyond()) == 1
        assert world.searches.get("anna", JOB_ID).results_removed_at == just_beyond() + MILLISECOND
        assert [event.kind for event in world.events.events[JOB_ID]].count("results_expired") == 1
        assert names(world) == []

    def test_a_host_that_dies_in_between_leaves_the_rest_for_the_next_day(self, world: World, search: Search) -> None:
        delete = world.store.delete

        def die(container: str, names: Iterable[str]) -> None:
            delete(container, list(names)[:2])
            raise DOWN

        world.store.delete = die  # type: ignore[method-assign]
        assert expire_results(just_beyond()) == 0
        left = names(world)
        assert len(left) > 0
        assert world.searches.get("anna", JOB_ID).results_removed_at is None
        world.store.delete = delete  # type: ignore[method-assign]
        assert expire_results(just_beyond(31)) == 1
        assert names(world) == []

    def test_nothing_of_any_other_search_goes(self, world: World, search: Search) -> None:
        others: dict[str, Json] = {
            job_id(2): {"phase": Phase.COMPLETED, "results_expire_at": just_beyond(40)},
            job_id(3): {"phase": Phase.COMPLETED, "engine": "external"},
            job_id(4): {"phase": Phase.RUNNING, "results_expire_at": DONE_AT},
            job_id(5): {"phase": Phase.FAILED},
            job_id(6): {"phase": Phase.DELETING, "results_expire_at": DONE_AT},
            f"{JOB_ID}0": {"phase": Phase.RUNNING},
        }
        for name, fields in others.items():
            put_search(world, name, **fields)
            world.store.blobs[RESULTS_CONTAINER, f"{name}/results.tsv"] = b"a row"
        world.store.blobs[QUERIES_CONTAINER, "uploads/anna/x"] = b">q\nACGT\n"
        before = [name for name in names(world) if not name.startswith(f"{JOB_ID}/")]
        rows = {key: row for key, row in world.searches.rows.items() if key[1] != JOB_ID}
        expire_results(just_beyond())
        assert names(world) == before
        assert {key: row for key, row in world.searches.rows.items() if key[1] != JOB_ID} == rows

    def test_one_that_changed_since_it_was_listed_is_left_alone(self, world: World, search: Search) -> None:
        world.searches.put(replace(search, phase=Phase.DELETING))
        before = names(world)
        assert remove_results(search, just_beyond()) == 0
        assert names(world) == before

    def test_one_in_trouble_keeps_no_other_from_going(self, world: World, search: Search) -> None:
        other = put_search(world, job_id(2), phase=Phase.COMPLETED, results_expire_at=DONE_AT)
        delete = world.store.delete

        def refuse(container: str, names: Iterable[str]) -> None:
            given = list(names)
            if any(name.startswith(JOB_ID) for name in given):
                raise DOWN
            delete(container, given)

        world.store.delete = refuse  # type: ignore[method-assign]
        assert expire_results(just_beyond()) == 1
        assert world.searches.get("anna", other.job_id).results_removed_at == just_beyond()
        assert world.searches.get("anna", JOB_ID).results_removed_at is None

    def test_many_go_page_by_page_until_the_time_is_up(self, world: World) -> None:
        for number in range(PAGE + 5):
            put_search(world, job_id(number), phase=Phase.COMPLETED, results_expire_at=DONE_AT)
        seconds = iter([0.0] + [0.0] * 8 + [BUDGET_SECONDS] * 1000)
        done = expire_results(just_beyond(), clock=lambda: next(seconds))
        assert 0 < done < 8
        assert done + expire_results(just_beyond(), clock=lambda: 0.0) == PAGE + 5
        assert names(world) == []

    def test_older_searches_are_looked_for_in_the_time_that_is_left(self, world: World, search: Search) -> None:
        world.searches.older = 3
        assert expire_results(just_beyond(), clock=lambda: 0.0) == 1
        assert world.searches.older == 0
        world.searches.older = 3
        seconds = iter([0.0, 0.0, 0.0, BUDGET_SECONDS])
        expire_results(just_beyond(), clock=lambda: next(seconds))
        assert world.searches.older == 2


class TestTimer:
    def test_the_daily_timer_does_it_and_the_statistics_say_so(self, world: World, search: Search) -> None:
        world.clock = world.durable.clock = just_beyond
        timer: Any = None
        purge_history(timer, world.durable)
        run = world.stats.runs["purge_history"]
        assert (run.failed, run.result["results"], run.result["uploads"]) == (False, 1, 0)
        assert names(world) == []


class TestAfterwards:
    def test_a_retry_is_refused_and_a_clone_needs_its_queries(self, world: World, search: Search) -> None:
        put_database(world)
        expire_results(just_beyond())
        world.clock = just_beyond
        status, body = ask(changes.retry_search, world.durable)
        assert (status, body["error"]["code"]) == (409, "not_retryable")
        status, body = ask(changes.clone_search, world.durable)
        assert (status, body["error"]["code"]) == (422, "query_not_found")

    def test_a_delete_removes_what_is_left(self, world: World, search: Search) -> None:
        expire_results(just_beyond())
        assert ask(changes.delete_search, world.durable)[0] == 202
