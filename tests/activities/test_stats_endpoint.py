"""``GET /api/stats``: everybody's numbers and nobody's name."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import azure.functions as func
import pytest

from shared import responses
from shared.clients.counters import Counters, count
from shared.clients.recording import flush_counts, record_end, timer_run
from shared.domain.errors import TransientError
from shared.domain.states import Phase
from shared.domain.stats import Entry, registered, submitted
from tests.activities.fakes import World
from tests.activities.worlds import CLUSTER, OTHER_CLUSTER, Json, ago, job_id, put_search
from triggers import stats

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture(autouse=True)
def app(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A time that stands still, and one user on loopback."""
    world.clock = lambda: AT
    monkeypatch.setattr(responses, "settings", lambda: world.settings)


def ask(window: str | None = None) -> tuple[int, Json]:
    """Ask; the status and the body of the answer."""
    request = func.HttpRequest(
        "GET",
        "http://localhost:7071/api/stats",
        headers={"Host": "localhost:7071"},
        params={} if window is None else {"window": window},
        body=b"",
    )
    answer = stats.show_stats(request)
    return answer.status_code, json.loads(answer.get_body())


def test_a_quarter_of_an_hour_unless_another_window_is_asked_for() -> None:
    assert ask()[1]["window_seconds"] == 900
    assert ask("2h")[1]["window_seconds"] == 7200


@pytest.mark.parametrize("window", ["59s", "25h", "soon", ""])
def test_a_window_that_is_none(window: str) -> None:
    status, body = ask(window)
    assert (status, body["error"]["code"]) == (400, "invalid_window")


def test_submits_and_ends_of_the_window(world: World) -> None:
    def minutes(number: float) -> datetime:
        return AT - timedelta(minutes=number)

    for number, age in enumerate((0, 14.9, 15.1, 60)):
        world.stats.add(submitted(job_id(number), minutes(age)))
    error = {"code": "out_of_memory", "message": "m", "hint": "h"}
    record_end(put_search(world, phase=Phase.FAILED, completed_at=AT, error=error))
    record_end(put_search(world, job_id(7), phase=Phase.COMPLETED, completed_at=AT))
    world.stats.add(registered("blast-of-ada", AT))
    body = ask()[1]
    assert (body["submitted"], body["registered"]) == (2, 1)
    assert body["ended"] == {"completed": 1, "failed": 1, "cancelled": 0}
    assert body["failures"] == {"out_of_memory": 1}
    assert ask("2h")[1]["submitted"] == 4


def test_counts_of_this_and_of_other_instances(world: World) -> None:
    before = ask()[1]["looks"]["throttled"]
    other = Counters()
    other.count("looks_throttled", 3)
    flush_counts(other)
    count("looks_throttled", 2)
    assert ask()[1]["looks"]["throttled"] == before + 5


class TestWhileItIsWritten:
    """Another thread writes this instance's counts down just then: each is in the answer once."""

    @pytest.fixture
    def own(self, world: World, monkeypatch: pytest.MonkeyPatch) -> Counters:
        """An instance that has counted five wake-ups."""
        ask()  # what the process itself has counted is written for this minute
        counters = Counters()
        monkeypatch.setattr(stats, "COUNTERS", counters)
        self.before = ask()[1]["wake_ups"]
        counters.count("wake_ups", 5)
        return counters

    def test_after_they_are_in_the_table_and_before_that_is_noted(
        self, world: World, own: Counters, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shown, add = list[int](), world.stats.add

        def adding(entry: Entry) -> None:
            add(entry)
            shown.append(ask()[1]["wake_ups"] - self.before)

        monkeypatch.setattr(world.stats, "add", adding)
        flush_counts(own)
        assert shown == [5]

    @pytest.mark.parametrize("minutes", [0, 60])
    @pytest.mark.parametrize(("is_read_before", "count"), [(True, 5), (False, 7)])
    def test_while_the_table_is_read(
        self,
        world: World,
        own: Counters,
        monkeypatch: pytest.MonkeyPatch,
        is_read_before: bool,
        count: int,
        minutes: int,
    ) -> None:
        since = world.stats.since

        def reading(at: datetime) -> list[Entry]:
            found = since(at)
            own.count("wake_ups", 2)
            world.clock = lambda: AT + timedelta(minutes=minutes)
            flush_counts(own)
            return found if is_read_before else since(at)

        monkeypatch.setattr(world.stats, "since", reading)
        assert ask()[1]["wake_ups"] - self.before == count


def test_who_waits_for_what_on_every_cluster(world: World) -> None:
    waiting: Json = {"phase": Phase.WAITING_FOR_CAPACITY, "waiting_reason": "10 searches are active"}
    put_search(world, job_id(1), created_at=ago(50), waiting_since=ago(50), **waiting)
    put_search(world, job_id(2), created_at=ago(40), waiting_since=ago(40), **waiting)
    stopped: Json = {"phase": Phase.WAITING_FOR_CLUSTER, "waiting_reason": "it is stopped"}
    put_search(world, job_id(3), cluster=OTHER_CLUSTER, owner="berta", **stopped)
    put_search(world, job_id(4), phase=Phase.RUNNING)
    world.clusters.refs[OTHER_CLUSTER.key] = OTHER_CLUSTER
    body = ask()[1]
    assert sorted(body["waiting"], key=lambda row: row["cluster_name"]) == [
        {
            **{"cluster_name": CLUSTER.cluster_name, "phase": "waiting_for_capacity", "count": 2},
            "reason": "10 searches are active",
        },
        {
            **{"cluster_name": OTHER_CLUSTER.cluster_name, "phase": "waiting_for_cluster", "count": 1},
            "reason": "it is stopped",
        },
    ]


def test_it_names_nobody_and_no_search(world: World) -> None:
    record_end(put_search(world, job_id(1), owner="berta", phase=Phase.COMPLETED, completed_at=AT))
    put_search(world, job_id(2), owner="berta", phase=Phase.WAITING_FOR_CLUSTER, waiting_reason="it is stopped")
    with timer_run("reconcile"):
        pass
    said = json.dumps(ask()[1])
    assert "it is stopped" in said
    assert not any(secret in said for secret in ("berta", "anna", "job-", *(f"{n:032x}" for n in (1, 2))))


def test_timers(world: World) -> None:
    with timer_run("reconcile") as result:
        result["active"] = 3
    run = ask()[1]["timers"]["reconcile"]
    assert run | {"seconds": 0} == {
        **{"last_run": "2026-01-02T03:04:05.000Z", "seconds": 0, "failed": False},
        "result": {"active": 3},
    }


def test_a_store_that_does_not_answer_is_no_idle_app(world: World) -> None:
    world.searches.failing = TransientError("state_unavailable", "the state store did not answer")
    world.clusters.refs[CLUSTER.key] = CLUSTER
    assert ask()[0] == 503
