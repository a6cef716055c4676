"""Webhooks: told at least once and in order, whatever dies or does not answer; nobody waits for others' receivers."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from activities.progress import advance_search
from activities.registry import errors_as_data
from activities.webhooks import deliver_webhook
from shared.clients.provider import use
from shared.domain.errors import PermanentError, TransientError
from shared.domain.search import Search, enter_phase, retried
from shared.domain.states import Phase
from shared.domain.times import format_time
from shared.domain.webhooks import ANNOUNCED_AGE, LEASE, Answer, Delivery, event_id
from tests.activities.fakes import World
from tests.activities.worlds import Json, job_id, new_world, put_search, ref
from triggers import timers
from triggers.timers import webhooks as turns
from triggers.timers.webhooks import HOST_SECONDS, NAME, by_host, deliver_due

BEGIN = datetime(2030, 1, 1, tzinfo=UTC)
SECRET = "0123456789abcdef"
URL = "https://hooks.example.org/in?token=T0KEN"
DEAD = "https://dead.example.org/"
SILENT = Answer(problem="timeout")
ERROR = {"code": "broken", "message": "it is broken", "hint": "mend it"}


class Time:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = BEGIN

    def __call__(self) -> datetime:
        return self.now

    def passes(self, seconds: float) -> None:
        """So much later."""
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def time(world: World) -> Time:
    """The world's time."""
    clock = Time()
    world.clock = clock
    return clock


@pytest.fixture
def world() -> Any:
    """One in which webhooks are signed."""
    made = new_world(ELB_WEBHOOK_SECRET=SECRET)
    with use(made):
        yield made


def begin(world: World, number: int = 1, url: str = URL) -> Search:
    """A search whose results are being exported, and whose end somebody wants to know."""
    return put_search(world, job_id(number), phase=Phase.EXPORTING, webhook_url=url)


def end(world: World, search: Search, **how: Any) -> Json:
    """The search's orchestration writes its end."""
    row = world.searches.get(search.owner, search.job_id)
    return advance_search(ref(row, at=format_time(world.now()), **(how or {"phase": "completed"})))


def retry(world: World, search: Search) -> None:
    """Somebody retries it, and it goes well until the export."""
    world.searches.update(search.owner, search.job_id, lambda row: retried(row, world.now()))
    world.searches.update(search.owner, search.job_id, lambda row: replace(row, phase=Phase.EXPORTING))


def told(world: World, search: Search) -> list[tuple[int, str]]:
    """What its receiver was told, in this order: attempt and status."""
    return [(said["attempt"], said["status"]) for said in world.webhooks.told if said["job_id"] == search.job_id]


def kinds(world: World, search: Search) -> list[str]:
    """What the history says of webhooks."""
    events = world.events.events.get(search.job_id, [])
    return [f"{event.kind} {event.why}" for event in events if event.kind.startswith("webhook")]


def nothing_is_left(world: World) -> bool:
    """Nothing is to be delivered any more."""
    return not world.outbox.rows and not world.outbox.events


class TestAtOnce:
    def test_the_orchestration_is_told_that_somebody_wants_to_know(self, world: World) -> None:
        assert end(world, begin(world))["webhook"] is True

    def test_and_only_at_the_end(self, world: World) -> None:
        assert "webhook" not in end(world, begin(world), phase="results_pending")
        assert "webhook" not in end(world, begin(world, 2, ""))

    def test_the_receiver_is_told(self, world: World) -> None:
        search = begin(world)
        end(world, search)
        assert deliver_webhook(ref(search)) == {"delivered": 1}
        assert told(world, search) == [(1, "completed")]
        assert kinds(world, search) == ["webhook_delivered http_204"]
        assert nothing_is_left(world)

    def test_again_it_does_nothing(self, world: World) -> None:
        search = begin(world)
        end(world, search)
        deliver_webhook(ref(search))
        assert end(world, search)["webhook"] is True
        assert deliver_webhook(ref(search)) == {}
        assert told(world, search) == [(1, "completed")]

    def test_what_failed_waits_for_its_time(self, world: World, time: Time) -> None:
        world.webhooks.answers["hooks.example.org"] = lambda: Answer(500)
        search = begin(world)
        end(world, search)
        assert deliver_webhook(ref(search))["failed"] == 1
        assert deliver_webhook(ref(search)) == {}
        time.passes(30)
        assert deliver_webhook(ref(search))["failed"] == 1

    def test_a_failure_says_its_code(self, world: World) -> None:
        search = begin(world)
        end(world, search, error=ERROR)
        deliver_webhook(ref(search))
        assert world.webhooks.told[0]["error"] == {"code": "broken", "message": "it is broken"}

    def test_without_a_secret_nothing_is_sent_and_nothing_is_lost(self, time: Time) -> None:
        unsigned = new_world()
        unsigned.clock = time
        with use(unsigned):
            search = begin(unsigned)
            end(unsigned, search)
            answer = errors_as_data(deliver_webhook)(ref(search))
            assert answer["error"]["code"] == "webhooks_not_configured"
            with pytest.raises(PermanentError):
                turns.deliver_webhooks()
            run = unsigned.stats.runs[NAME]
            assert (run.failed, run.result) == (True, {"error": "webhooks_not_configured"})
        signed = replace(unsigned, settings=new_world(ELB_WEBHOOK_SECRET=SECRET).settings)
        signed.outbox = unsigned.outbox
        with use(signed):
            deliver_due()
        assert told(signed, search) == [(1, "completed")]


class TestReceiverDown:
    @pytest.mark.parametrize("answer", [SILENT, Answer(503), Answer(problem="unreachable"), Answer(404)])
    def test_for_three_minutes_then_up(self, world: World, time: Time, answer: Answer) -> None:
        """Searches end while it is down and after it; some fail, are retried, and end again."""
        up_at = BEGIN + timedelta(minutes=3)
        world.webhooks.answers["hooks.example.org"] = lambda: answer if world.now() < up_at else Answer(200)
        searches = [begin(world, number) for number in range(1, 7)]
        wanted: dict[str, list[tuple[int, str]]] = {}
        for search in searches[:3]:
            end(world, search, error=ERROR)
            wanted[search.job_id] = [(1, "failed")]
        for second in range(0, 600, 30):
            if second == 60:
                for search in searches[:2]:
                    retry(world, search)
            if second == 90:
                end(world, searches[0])
                end(world, searches[1], error=ERROR)
                end(world, searches[3])
                wanted |= {searches[0].job_id: [(1, "failed"), (2, "completed")]}
                wanted |= {searches[1].job_id: [(1, "failed"), (2, "failed")]}
                wanted |= {searches[3].job_id: [(1, "completed")]}
            if second == 240:
                end(world, searches[4])
                wanted |= {searches[4].job_id: [(1, "completed")]}
            deliver_due()
            time.passes(30)
        taken: dict[str, list[tuple[int, str]]] = {}
        for said in world.webhooks.taken:
            taken.setdefault(said["job_id"], []).append((said["attempt"], said["status"]))
        assert taken == wanted
        assert len({said["id"] for said in world.webhooks.taken}) == len(world.webhooks.taken) == 7
        assert nothing_is_left(world)
        assert kinds(world, searches[2]) == [f"webhook_failing {answer.brief}", "webhook_delivered http_200"]
        assert kinds(world, searches[4]) == ["webhook_delivered http_200"]

    @pytest.mark.proves("N17")
    def test_for_a_day_is_given_up_and_the_history_says_so(self, world: World, time: Time) -> None:
        world.webhooks.answers["hooks.example.org"] = lambda: Answer(502)
        search = begin(world)
        end(world, search)
        tried_at = []
        while world.outbox.rows:
            tried_at.append(time.now)
            deliver_due()
            if world.outbox.rows:
                time.now = world.outbox.rows[search.job_id].next_at
        assert (tried_at[0], tried_at[-1]) == (BEGIN, BEGIN + timedelta(hours=24))
        assert len(tried_at) == 31
        assert kinds(world, search) == ["webhook_failing http_502", "webhook_given_up http_502"]
        assert nothing_is_left(world)

    @pytest.mark.proves("N17")
    @pytest.mark.parametrize(("seconds", "left"), [(86_399, True), (86_400, False), (86_401, False)])
    def test_at_the_limit_and_just_beyond(self, world: World, time: Time, seconds: int, left: bool) -> None:
        world.webhooks.answers["hooks.example.org"] = lambda: Answer(502)
        search = begin(world)
        end(world, search)
        deliver_due()
        time.passes(seconds)
        deliver_due()
        assert bool(world.outbox.rows) is left

    @pytest.mark.proves("N17")
    def test_the_limit_is_a_setting(self, time: Time) -> None:
        hasty = new_world(ELB_WEBHOOK_SECRET=SECRET, ELB_WEBHOOK_RETRY_SECONDS="0")
        hasty.clock = time
        hasty.webhooks.answers["hooks.example.org"] = lambda: SILENT
        with use(hasty):
            search = begin(hasty)
            end(hasty, search)
            counts = deliver_due()
        assert (counts["given_up"], kinds(hasty, search)) == (1, ["webhook_given_up timeout"])

    def test_gone_for_good_is_given_up_at_once_and_the_next_event_is_tried(self, world: World, time: Time) -> None:
        answers = iter([Answer(410), Answer(200)])
        world.webhooks.answers["hooks.example.org"] = lambda: next(answers)
        search = begin(world)
        end(world, search, error=ERROR)
        retry(world, search)
        end(world, search)
        assert deliver_due()["given_up"] == 1
        assert told(world, search) == [(1, "failed"), (2, "completed")]
        assert kinds(world, search) == ["webhook_given_up http_410", "webhook_delivered http_200"]
        assert nothing_is_left(world)

    def test_it_is_left_alone_for_as_long_as_it_asks(self, world: World, time: Time) -> None:
        world.webhooks.answers["hooks.example.org"] = lambda: Answer(429, retry_after=600)
        end(world, begin(world))
        deliver_due()
        time.passes(599)
        assert deliver_due()["due"] == 0
        time.passes(1)
        assert deliver_due()["due"] == 1


class TestDeath:
    """A host that dies is an exception that nobody catches."""

    class DiedError(BaseException):
        """The end of the process."""

    def die(self) -> Any:
        raise self.DiedError

    @pytest.mark.parametrize("moment", ["while sending", "after sending", "after forgetting", "before the row goes"])
    def test_the_event_comes_again_or_has_come(self, world: World, time: Time, moment: str) -> None:
        search = begin(world)
        end(world, search)
        restore: list[tuple[Any, str]] = []
        if moment == "while sending":
            world.webhooks.answers["hooks.example.org"] = self.die
        else:
            at = {"after sending": "remove_event", "after forgetting": "first_event", "before the row goes": "drop"}
            name, real = at[moment], getattr(world.outbox, at[moment])
            calls = Counter[str]()

            def call(*given: Any) -> Any:
                calls[name] += 1
                return self.die() if name != "first_event" or calls[name] == 2 else real(*given)

            setattr(world.outbox, name, call)
            restore.append((real, name))
        with pytest.raises(self.DiedError):
            deliver_due()
        world.webhooks.answers.clear()
        for real, name in restore:
            setattr(world.outbox, name, real)
        time.passes(LEASE.total_seconds() - 1)
        assert deliver_due()["due"] == 0, "somebody may still be at it"
        time.passes(1)
        deliver_due()
        wanted = [(1, "completed")] * (2 if moment == "after sending" else 1)
        assert told(world, search) == wanted
        assert {said["id"] for said in world.webhooks.told} == {event_id(search.job_id, 1)}
        assert nothing_is_left(world)

    def test_an_event_that_was_announced_and_never_written_is_forgotten(self, world: World, time: Time) -> None:
        search = begin(world)
        end(world, search)
        world.outbox.events.clear()
        for wait in (0.0, ANNOUNCED_AGE.total_seconds()):
            time.passes(wait)
            deliver_due()
            assert world.outbox.rows
        time.passes(1)
        deliver_due()
        assert nothing_is_left(world)
        assert told(world, search) == []


class TestAtTheSameTime:
    def test_two_turns_tell_once(self, world: World) -> None:
        search = begin(world)
        end(world, search)
        world.outbox.meanwhile = deliver_due
        deliver_due()
        assert told(world, search) == [(1, "completed")]

    @pytest.mark.parametrize("answer", [Answer(200), SILENT])
    def test_an_attempt_that_ends_while_the_one_before_is_told(self, world: World, time: Time, answer: Answer) -> None:
        search = begin(world)
        end(world, search, error=ERROR)

        def go_on() -> Answer:
            world.webhooks.answers.clear()
            retry(world, search)
            end(world, search)
            return answer

        world.webhooks.answers["hooks.example.org"] = go_on
        deliver_due()
        time.passes(30)
        deliver_due()
        assert told(world, search) == [(1, "failed"), (2, "completed")]
        assert nothing_is_left(world)

    def test_a_lease_that_ran_out_is_somebody_else_s(self, world: World, time: Time) -> None:
        """The try took longer than the lease; what came of the second one stands."""
        search = begin(world)
        end(world, search)

        def slow() -> Answer:
            world.webhooks.answers["hooks.example.org"] = lambda: Answer(500)
            time.passes(LEASE.total_seconds())
            deliver_due()
            return Answer(503)

        world.webhooks.answers["hooks.example.org"] = slow
        deliver_due()
        row = world.outbox.rows[search.job_id]
        assert (row.tries, row.next_at) == (2, time.now + timedelta(seconds=60))

    def test_a_search_that_is_deleted_takes_its_events_along(self, world: World, time: Time) -> None:
        world.webhooks.answers["hooks.example.org"] = lambda: Answer(500)
        search = begin(world)
        end(world, search)
        deliver_due()
        world.searches.delete(world.searches.get(search.owner, search.job_id))
        assert nothing_is_left(world)
        time.passes(30)
        assert deliver_due()["due"] == 0

    @pytest.mark.parametrize("answer", [Answer(200), Answer(410), Answer(500)])
    def test_one_that_is_deleted_while_it_is_told_gets_no_history_again(self, world: World, answer: Answer) -> None:
        search = begin(world)
        end(world, search)

        def delete() -> Answer:
            world.searches.delete(world.searches.get(search.owner, search.job_id))
            world.events.clear(search.job_id)
            return answer

        world.webhooks.answers["hooks.example.org"] = delete
        deliver_due()
        assert nothing_is_left(world)
        assert world.events.events.get(search.job_id) is None

    def test_a_delete_is_no_end(self, world: World) -> None:
        search = begin(world)
        end(world, search)
        deliver_due()
        world.searches.update(search.owner, search.job_id, lambda row: enter_phase(row, Phase.DELETING, BEGIN))
        assert nothing_is_left(world)


class Seconds:
    """The turn's clock; a try at the dead host takes ten seconds of it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def silent(self) -> Answer:
        """No answer."""
        self.now += 10
        return SILENT


@pytest.fixture
def one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """One host after another, so that what is served does not depend on threads."""
    monkeypatch.setattr(turns, "PARALLEL_HOSTS", 1)


@pytest.mark.usefixtures("one_after_another")
class TestFairness:
    def end_many(self, world: World, time: Time, count: int, url: str, first: int = 1) -> list[Search]:
        """Searches that end, one a second."""
        searches = []
        for number in range(first, first + count):
            searches.append(begin(world, number, url))
            end(world, searches[-1])
            time.passes(1)
        return searches

    def test_a_dead_host_is_tried_once_a_turn_whatever_waits_for_it(self, world: World, time: Time) -> None:
        clock = Seconds()
        world.webhooks.answers["dead.example.org"] = clock.silent
        self.end_many(world, time, 20, DEAD)
        counts = deliver_due(clock)
        assert (counts["due"], counts["left_over"], counts["failed"], clock.now) == (20, 19, 1, 10)

    def test_it_does_not_hold_up_the_others(self, world: World, time: Time) -> None:
        clock = Seconds()
        world.webhooks.answers["dead.example.org"] = clock.silent
        self.end_many(world, time, 20, DEAD)
        alive = self.end_many(world, time, 3, URL, first=100)
        deliver_due(clock)
        assert [told(world, search) for search in alive] == [[(1, "completed")]] * 3

    def test_many_dead_hosts_do_not_hold_up_what_was_never_tried(self, world: World, time: Time) -> None:
        clock = Seconds()
        for number in range(1, 21):
            world.webhooks.answers[f"dead{number}.example.org"] = clock.silent
            end(world, begin(world, number, f"https://dead{number}.example.org/"))
        while any(row.tries == 0 for row in world.outbox.rows.values()):
            deliver_due(clock)
        time.passes(3600)
        [alive] = self.end_many(world, time, 1, URL, first=100)
        counts = deliver_due(clock)
        assert told(world, alive) == [(1, "completed")]
        assert counts["left_over"] > 0

    def test_a_turn_begins_nothing_after_its_time(self, world: World, time: Time) -> None:
        clock = Seconds()
        for number in range(1, 11):
            world.webhooks.answers[f"dead{number}.example.org"] = clock.silent
            end(world, begin(world, number, f"https://dead{number}.example.org/"))
        counts = deliver_due(clock)
        assert (counts["failed"], counts["left_over"]) == (2, 8)
        assert clock.now <= 30, "the next turn comes then"

    def test_every_host_is_served_in_the_end(self, world: World, time: Time) -> None:
        clock = Seconds()
        for number in range(1, 11):
            world.webhooks.answers[f"dead{number}.example.org"] = clock.silent
            end(world, begin(world, number, f"https://dead{number}.example.org/"))
        for _ in range(5):
            deliver_due(clock)
        assert all(row.tries == 1 for row in world.outbox.rows.values())

    def test_a_slow_host_has_its_time_and_no_more(self, world: World, time: Time) -> None:
        clock = Seconds()

        def slow() -> Answer:
            clock.now += HOST_SECONDS / 2
            return Answer(200)

        world.webhooks.answers["hooks.example.org"] = slow
        self.end_many(world, time, 5, URL)
        counts = deliver_due(clock)
        assert (counts["delivered"], counts["left_over"]) == (2, 3)

    def test_a_refusal_of_one_is_none_of_the_others_on_its_host(self, world: World, time: Time) -> None:
        """Thousands may share one, and one of them may have taken its webhook away."""
        answers = iter([Answer(404), Answer(200), Answer(200)])
        world.webhooks.answers["hooks.example.org"] = lambda: next(answers)
        self.end_many(world, time, 3, URL)
        counts = deliver_due()
        assert (counts["failed"], counts["delivered"], counts["left_over"]) == (1, 2, 0)

    def test_hosts_in_order(self) -> None:
        def row(number: int, host: str, tries: int, seconds: int) -> Delivery:
            at = BEGIN + timedelta(seconds=seconds)
            return Delivery(job_id(number), "anna", host, at, 1, tries=tries)

        a, b, c, d = row(1, "x", 3, 0), row(2, "x", 0, 9), row(3, "y", 0, 5), row(4, "z", 1, 1)
        assert by_host([a, b, c, d]) == [[c], [b, a], [d]]


class TestTimer:
    def test_it_comes_with_the_discovery_and_is_in_the_statistics(self, world: World) -> None:
        search = begin(world)
        end(world, search)
        timer: Any = None
        timers.discover_external(timer, world.durable)
        run = world.stats.runs[NAME]
        assert (run.failed, run.result["due"], run.result["delivered"]) == (False, 1, 1)
        assert told(world, search) == [(1, "completed")]

    def test_trouble_with_one_is_none_of_the_others(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        searches = [begin(world, number, f"https://h{number}.example.org/") for number in (1, 2, 3)]
        for search in searches:
            end(world, search)
        real: Callable[[Delivery], Any] = world.outbox.first_event

        def first_event(delivery: Delivery) -> Any:
            if delivery.job_id == searches[0].job_id:
                raise TransientError("state_unavailable", "no answer")
            return real(delivery)

        monkeypatch.setattr(world.outbox, "first_event", first_event)
        counts = deliver_due()
        assert (counts["errors"], counts["delivered"]) == (1, 2)


@pytest.mark.proves("Q3")
def test_nothing_of_the_url_but_its_host_is_logged(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    answers = iter([SILENT, Answer(500), Answer(200)])
    world.webhooks.answers["hooks.example.org"] = lambda: next(answers)
    for number in (1, 2, 3):
        end(world, begin(world, number))
        deliver_due()
    assert "webhook_tried" in caplog.text
    assert "T0KEN" not in caplog.text + json.dumps([e.to_dict() for e in world.events.events[job_id(1)]])
