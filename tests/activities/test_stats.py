"""Statistics: written once whatever runs twice, and never in the way of a search."""

from __future__ import annotations

import json
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import azure.functions as func
import pytest

from activities.progress import advance_search
from activities.registry import errors_as_data, then_flush
from shared import responses
from shared.clients.counters import Counters, count
from shared.clients.orchestrations import DurableOrchestrations
from shared.clients.recording import flush_counts, record_end, timer_run
from shared.domain.callback import callback_token
from shared.domain.errors import ElbError, PermanentError, TransientError
from shared.domain.search import Search, retried
from shared.domain.states import Phase
from shared.domain.times import format_time
from tests.activities.fakes import World
from tests.activities.worlds import Json, put_database, put_search, ref
from tests.counting import held
from triggers import jobs
from triggers.start import start_missing

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
BODY = {"program": "blastn", "database": "db", "query_fasta": ">q1\nACGTACGTAC\n"}
DOWN = TransientError("state_unavailable", "the state store did not answer")


@pytest.fixture(autouse=True)
def app(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A time that stands still, and one user on loopback."""
    world.clock = lambda: AT
    monkeypatch.setattr(responses, "settings", lambda: world.settings)


def written(world: World) -> list[tuple[str, str, str]]:
    """What is in the statistics of searches: kind, status, code."""
    return [(e.kind.value, e.status, e.code) for e in world.stats.entries.values() if e.kind != "counted"]


def advance(search: Search, **data: Any) -> None:
    """Run the activity."""
    advance_search(ref(search, at=format_time(AT), **data))


class TestEnds:
    def test_an_activity_that_runs_twice_writes_one(self, world: World) -> None:
        search = put_search(world, phase=Phase.RUNNING)
        for seconds in (0, 4000):
            error = {"code": "out_of_memory", "message": "m", "hint": "h"}
            advance_search(ref(search, at=format_time(AT + timedelta(seconds=seconds)), error=error))
        (((hour, _), entry),) = world.stats.entries.items()
        assert (hour, entry.at, entry.status, entry.code) == ("2026-01-02T03", AT, "failed", "out_of_memory")

    @pytest.mark.parametrize(("phase", "to"), [(Phase.EXPORTING, Phase.COMPLETED), (Phase.CANCELLING, Phase.CANCELLED)])
    def test_other_ends(self, world: World, phase: Phase, to: Phase) -> None:
        advance(put_search(world, phase=phase), phase=to.value)
        assert written(world) == [("ended", to.value, "")]

    def test_each_attempt_ends_for_itself(self, world: World) -> None:
        search = put_search(world, phase=Phase.RUNNING)
        advance(search, error={"code": "lost"})
        again = world.searches.update(search.owner, search.job_id, lambda row: retried(row, AT))
        advance(again, error={"code": "lost"})
        assert written(world) == [("ended", "failed", "lost")] * 2

    @pytest.mark.parametrize("phase", ["configuring", "waiting_for_cluster"])
    def test_what_goes_on_has_not_ended(self, world: World, phase: str) -> None:
        advance(put_search(world), phase=phase)
        assert written(world) == []

    def test_a_failed_deletion_is_no_end(self, world: World) -> None:
        advance(put_search(world, phase=Phase.DELETING, completed_at=AT), phase="delete_failed", reason="no answer")
        assert written(world) == []

    def test_one_that_the_reconcile_ends(self, world: World) -> None:
        search = put_search(world, created_at=AT - timedelta(days=1))
        world.store.blobs.clear()
        assert start_missing(search, DurableOrchestrations(world.durable)) is False
        assert written(world) == [("ended", "failed", "query_missing")]

    def test_a_search_ends_though_that_cannot_be_counted(self, world: World, caplog: pytest.LogCaptureFixture) -> None:
        world.stats.failing = DOWN
        caplog.set_level("INFO", "elb")
        search = put_search(world, phase=Phase.EXPORTING)
        advance(search, phase="completed")
        assert world.searches.get(search.owner, search.job_id).phase is Phase.COMPLETED
        assert "stats_not_written" in caplog.text

    def test_a_row_without_an_end_is_not_written(self, world: World) -> None:
        record_end(put_search(world))
        assert written(world) == []


class TestSubmits:
    @pytest.fixture(autouse=True)
    def database(self, world: World) -> None:
        put_database(world)

    def post(self, world: World, key: str) -> int:
        headers = {"Host": "localhost:7071", "Idempotency-Key": key}
        request = func.HttpRequest("POST", "http://localhost:7071", headers=headers, body=json.dumps(BODY).encode())
        status: int = jobs.submit_search(request, world.durable).status_code
        return status

    def test_one_of_each_search(self, world: World) -> None:
        assert [self.post(world, key) for key in ("a", "a", "b")] == [202, 202, 202]
        assert written(world) == [("submitted", "", "")] * 2

    def test_one_whose_first_try_died_before_it_was_counted(self, world: World) -> None:
        world.stats.failing = DOWN
        assert self.post(world, "a") == 202
        world.stats.failing = None
        assert self.post(world, "a") == 202
        assert written(world) == [("submitted", "", "")]

    def test_a_refused_one_is_none(self, world: World) -> None:
        world.searches.failing = DOWN
        assert self.post(world, "a") == 503
        assert written(world) == []


class TestCounts:
    def test_written_once_a_minute_and_as_they_were(self, world: World) -> None:
        counters = Counters()
        counters.count("kube_calls", 3)
        moments = iter([AT, AT + timedelta(seconds=1), AT + timedelta(seconds=2)])
        world.clock = lambda: next(moments)
        for _ in range(3):
            flush_counts(counters)
            counters.count("kube_calls")
        assert [entry.counts for entry in world.stats.entries.values()] == [{"kube_calls": 3}]
        world.clock = lambda: AT + timedelta(minutes=1)
        flush_counts(counters)
        assert [entry.counts for entry in world.stats.entries.values()] == [{"kube_calls": 3}, {"kube_calls": 3}]
        assert held(counters) == {}

    def test_what_could_not_be_written_is_written_later(self, world: World) -> None:
        counters = Counters()
        counters.count("kube_calls", 3)
        world.stats.failing = DOWN
        flush_counts(counters)
        world.stats.failing = None
        flush_counts(counters)
        assert world.stats.entries == {}, "not before another minute: the store has enough to do"
        world.clock = lambda: AT + timedelta(minutes=1)
        flush_counts(counters)
        assert [entry.counts for entry in world.stats.entries.values()] == [{"kube_calls": 3}]

    @pytest.mark.parametrize("error", [None, PermanentError("bad", "it is bad"), DOWN])
    def test_every_activity_does_it(self, world: World, error: ElbError | None) -> None:
        def work(data: Json) -> Json:
            count("kube_calls", 5)
            if error is not None:
                raise error
            return data

        flush_counts()
        world.clock = lambda: AT + timedelta(minutes=1)
        with pytest.raises(TransientError) if error is DOWN else nullcontext():
            then_flush(errors_as_data(work))({})
        assert sum(entry.counts.get("kube_calls", 0) for entry in world.stats.entries.values()) >= 5

    def test_wake_ups(self, world: World) -> None:
        search = put_search(world, phase=Phase.RUNNING)
        headers = {"X-Elb-Token": callback_token("secret", search.job_id)}
        request = func.HttpRequest(
            "POST", "http://localhost:7071", headers=headers, route_params={"id": search.job_id}, body=b""
        )
        before = total(world, "wake_ups")
        assert jobs.notify(request, world.durable).status_code == 202
        assert total(world, "wake_ups") == before + 1


def total(world: World, name: Any) -> int:
    """What is written and what is not yet."""
    return sum(e.counts.get(name, 0) for e in world.stats.entries.values()) + held().get(name, 0)


class TestTimers:
    def test_what_it_did_is_kept_and_told(self, world: World, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("INFO", "elb")
        with timer_run("reconcile") as result:
            result["active"] = 3
        run = world.stats.runs["reconcile"]
        assert (run.last_run, run.result, run.failed) == (AT, {"active": 3}, False)
        assert run.seconds >= 0
        event = json.loads(caplog.records[0].getMessage())
        assert event | {"seconds": 0} == {
            **{"event": "timer_run", "timer": "reconcile", "seconds": 0, "ended": True},
            "result": {"active": 3},
        }

    def test_the_next_run_takes_its_place(self, world: World) -> None:
        for active in (3, 4):
            with timer_run("reconcile") as result:
                result["active"] = active
        assert world.stats.runs["reconcile"].result == {"active": 4}

    @pytest.mark.parametrize(("error", "said"), [(DOWN, {"n": 1, "error": DOWN.code}), (ValueError("x"), {"n": 1})])
    def test_one_that_fails_says_so_and_goes_on_failing(self, world: World, error: Exception, said: Json) -> None:
        def run() -> None:
            with timer_run("reconcile") as result:
                result["n"] = 1
                raise error

        with pytest.raises(type(error)):
            run()
        assert (world.stats.runs["reconcile"].failed, world.stats.runs["reconcile"].result) == (True, said)

    def test_it_runs_though_that_cannot_be_written(self, world: World) -> None:
        world.stats.failing = DOWN
        with timer_run("reconcile"):
            pass
        assert world.stats.runs == {}
