"""What people do to a search: said before it is done, done once, and refused where it would undo something else."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import azure.functions as func
import grpc
import pytest

from shared import responses
from shared.domain.errors import TransientError
from shared.domain.search import Search
from shared.domain.states import Phase
from tests.activities.fakes import World
from tests.activities.worlds import Json, ago, put_database, put_running_search, put_search
from triggers import changes

Change = Callable[[func.HttpRequest, Any], func.HttpResponse]
OWNER = "dev@localhost"
LARGE = b">q1\n" + b"ACGTACGT" * 200_000 + b"\n"


@pytest.fixture(autouse=True)
def app(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The app with a prepared database, and one user on loopback."""
    monkeypatch.setattr(responses, "settings", lambda: world.settings)
    put_database(world)


def ask(world: World, change: Change, search: Search, body: Json | None = None, **headers: str) -> tuple[int, Json]:
    """Ask for a change; the status and the body of the answer."""
    request = func.HttpRequest(
        "POST",
        "http://localhost:7071/api/blast/jobs",
        headers={"Host": "localhost:7071", **headers},
        route_params={"id": search.job_id},
        body=json.dumps(body or {}).encode(),
    )
    answer = change(request, world.durable)
    return answer.status_code, json.loads(answer.get_body())


def row(world: World, search: Search) -> Search:
    """The search's row as it is now."""
    return world.searches.get(search.owner, search.job_id)


def kinds(world: World, search: Search) -> list[str]:
    """What the history says, oldest first."""
    return [event.kind for event in world.events.events.get(search.job_id, [])]


class TestCancel:
    def test_who_and_why_is_kept_before_the_marker(self, world: World) -> None:
        """The marker alone would not say it, and nothing would be asked for again."""
        search = put_running_search(world, owner=OWNER)
        real, phases = world.events.add, []

        def add(job_id: str, event: Any) -> None:
            phases.append(row(world, search).phase)
            real(job_id, event)

        world.events.add = add  # type: ignore[method-assign]
        assert ask(world, changes.cancel_search, search, {"reason": "too slow"})[0] == 202
        assert phases == [Phase.RUNNING]
        [event] = world.events.events[search.job_id]
        assert (event.kind, event.who, event.why) == ("cancel_requested", OWNER, "too slow")
        assert row(world, search).phase is Phase.CANCELLING

    def test_an_event_that_cannot_be_written_cancels_nothing(self, world: World) -> None:
        search = put_running_search(world, owner=OWNER)

        def add(job_id: str, event: Any) -> None:
            raise TransientError("state_unavailable", "no answer")

        world.events.add = add  # type: ignore[method-assign]
        assert ask(world, changes.cancel_search, search)[0] == 503
        assert row(world, search) == search

    def test_again_changes_nothing_but_wakes_again(self, world: World) -> None:
        search = put_running_search(world, owner=OWNER, run=2)
        ask(world, changes.cancel_search, search)
        first = row(world, search)
        assert ask(world, changes.cancel_search, search)[0] == 202
        assert row(world, search) == first
        assert kinds(world, search) == ["cancel_requested"]
        assert world.durable.woken == [f"{search.job_id}-2", f"monitor-{search.job_id}-2"] * 2

    def test_of_a_search_of_the_command_line_its_submit_is_woken_too(self, world: World) -> None:
        search = put_running_search(world, owner=OWNER, engine="cli")
        ask(world, changes.cancel_search, search)
        assert f"cli-{search.job_id}" in world.durable.woken

    @pytest.mark.parametrize("phase", [Phase.COMPLETED, Phase.FAILED, Phase.CANCELLED, Phase.DELETING])
    def test_after_the_end_it_does_nothing(self, world: World, phase: Phase) -> None:
        search = put_search(world, owner=OWNER, phase=phase)
        assert ask(world, changes.cancel_search, search)[0] == 202
        assert row(world, search) == search
        assert kinds(world, search) == []
        assert world.durable.woken == []


class TestRetry:
    @pytest.mark.parametrize("phase", [Phase.FAILED, Phase.CANCELLED])
    def test_a_new_attempt_begins(self, world: World, phase: Phase) -> None:
        search = put_search(world, owner=OWNER, phase=phase)
        assert ask(world, changes.retry_search, search)[0] == 202
        after = row(world, search)
        assert (after.phase, after.attempt, after.run) == (Phase.PREPARING, 2, 2)
        assert list(world.durable.started) == [f"{search.job_id}-2"]
        assert kinds(world, search) == ["retried"]

    def test_again_is_the_same_attempt(self, world: World) -> None:
        search = put_search(world, owner=OWNER, phase=Phase.FAILED)
        world.durable.failing = grpc.StatusCode.UNAVAILABLE
        assert ask(world, changes.retry_search, search)[0] == 503
        world.durable.failing = None
        assert ask(world, changes.retry_search, search)[0] == 202
        assert row(world, search).attempt == 2
        assert list(world.durable.started) == [f"{search.job_id}-2"]

    @pytest.mark.parametrize("phase", [Phase.FAILED, Phase.CANCELLED])
    def test_not_of_a_search_that_is_to_be_deleted(self, world: World, phase: Phase) -> None:
        search = put_search(world, owner=OWNER, phase=phase, delete_run=1)
        status, body = ask(world, changes.retry_search, search)
        assert (status, body["error"]["code"]) == (409, "not_retryable")
        assert row(world, search) == search
        assert world.durable.started == {}

    @pytest.mark.parametrize("phase", sorted(set(Phase) - {Phase.FAILED, Phase.CANCELLED}), ids=str)
    def test_nor_of_one_that_has_not_failed(self, world: World, phase: Phase) -> None:
        search = put_search(world, owner=OWNER, phase=phase)
        assert ask(world, changes.retry_search, search)[0] == 409
        assert row(world, search) == search


class TestClone:
    def put_original(self, world: World, query: bytes) -> Search:
        search = put_search(world, owner=OWNER, phase=Phase.COMPLETED)
        world.store.blobs["queries", str(search.query["blob"])] = query
        return search

    def test_the_queries_are_copied_byte_for_byte_whatever_their_size(self, world: World) -> None:
        """An uploaded query may be larger than what a request may hold."""
        assert len(LARGE) > world.settings.query_limit_bytes
        original = self.put_original(world, LARGE)
        status, body = ask(world, changes.clone_search, original, {"title": "again", "batch_len": 2_000_000})
        assert status == 202
        clone = world.searches.find(body["job_id"])
        assert world.store.read("queries", str(clone.query["blob"])) == LARGE
        assert (clone.cloned_from, clone.title, clone.query["letters"]) == (original.job_id, "again", 1_600_000)

    def test_the_same_key_makes_one_clone(self, world: World) -> None:
        original = self.put_original(world, LARGE)
        edits = {"batch_len": 2_000_000}
        first = ask(world, changes.clone_search, original, edits, **{"Idempotency-Key": "clone-1"})
        assert ask(world, changes.clone_search, original, edits, **{"Idempotency-Key": "clone-1"}) == first
        assert len(world.searches.rows) == 2

    def test_the_same_key_for_clones_of_two_searches_is_a_conflict(self, world: World) -> None:
        """Their bodies may be the same, and their queries are not."""
        first = self.put_original(world, b">q1\nACGT\n")
        second = put_search(world, f"job-{9:032x}", owner=OWNER, phase=Phase.COMPLETED)
        headers = {"Idempotency-Key": "clone-1"}
        assert ask(world, changes.clone_search, first, {"title": "again"}, **headers)[0] == 202
        status, body = ask(world, changes.clone_search, second, {"title": "again"}, **headers)
        assert (status, body["error"]["code"]) == (409, "idempotency_key_reused")

    def test_a_query_of_its_own_is_held_to_the_limit(self, world: World) -> None:
        original = self.put_original(world, b">q1\nACGT\n")
        status, body = ask(world, changes.clone_search, original, {"query_fasta": LARGE.decode()})
        assert (status, body["error"]["code"]) == (413, "query_too_large")

    def test_queries_that_are_gone(self, world: World) -> None:
        original = self.put_original(world, b"")
        del world.store.blobs["queries", str(original.query["blob"])]
        status, body = ask(world, changes.clone_search, original)
        assert (status, body["error"]["code"]) == (422, "query_not_found")


class TestDelete:
    @pytest.mark.parametrize("phase", [Phase.COMPLETED, Phase.FAILED, Phase.CANCELLED, Phase.DELETE_FAILED])
    def test_one_that_has_ended_is_deleted_at_once(self, world: World, phase: Phase) -> None:
        search = put_search(world, owner=OWNER, phase=phase)
        assert ask(world, changes.delete_search, search)[0] == 202
        assert row(world, search).phase is Phase.DELETING
        assert list(world.durable.started) == [f"delete-{search.job_id}-1"]
        assert kinds(world, search) == ["delete_requested"]

    def test_an_active_one_is_cancelled_first(self, world: World) -> None:
        search = put_running_search(world, owner=OWNER)
        assert ask(world, changes.delete_search, search)[0] == 202
        after = row(world, search)
        assert (after.phase, after.delete_run) == (Phase.CANCELLING, 1)
        assert list(world.durable.started) == [f"delete-{search.job_id}-1"]
        assert kinds(world, search) == ["delete_requested", "cancel_requested"]
        cancelled = world.searches.put(replace(after, phase=Phase.CANCELLED))
        assert ask(world, changes.retry_search, cancelled)[0] == 409

    def test_again_starts_no_second_one(self, world: World) -> None:
        search = put_search(world, owner=OWNER, phase=Phase.FAILED)
        for _ in range(3):
            assert ask(world, changes.delete_search, search)[0] == 202
        assert list(world.durable.started) == [f"delete-{search.job_id}-1"]

    def test_again_starts_what_could_not_be_started(self, world: World) -> None:
        search = put_search(world, owner=OWNER, phase=Phase.FAILED)
        world.durable.failing = grpc.StatusCode.UNAVAILABLE
        assert ask(world, changes.delete_search, search)[0] == 503
        assert row(world, search).phase is Phase.DELETING
        world.durable.failing = None
        assert ask(world, changes.delete_search, search)[0] == 202
        assert len(world.durable.started) == 1

    def test_after_one_that_failed_there_is_another(self, world: World) -> None:
        search = put_search(world, owner=OWNER, phase=Phase.FAILED)
        ask(world, changes.delete_search, search)
        world.durable.ended[f"delete-{search.job_id}-1"] = "COMPLETED"
        world.searches.put(replace(row(world, search), phase=Phase.DELETE_FAILED))
        assert ask(world, changes.delete_search, search)[0] == 202
        assert list(world.durable.started) == [f"delete-{search.job_id}-{number}" for number in (1, 2)]


def test_a_change_of_a_search_of_long_ago_changes_no_other(world: World) -> None:
    old = put_search(world, owner=OWNER, phase=Phase.FAILED, created_at=ago(10**7))
    other = put_running_search(world, 2, owner=OWNER)
    ask(world, changes.retry_search, old)
    ask(world, changes.delete_search, row(world, old))
    assert row(world, other) == other
