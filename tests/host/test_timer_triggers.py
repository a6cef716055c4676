"""Timer triggers under a clock that the tests move."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.host.functions import Function, Trigger
from local.host.settings import HostConfigurationError
from local.host.timer_triggers import TimerTriggers

START = datetime(2030, 1, 1, tzinfo=UTC)


class Clock:
    """Time stands still but for `advance`."""

    def __init__(self) -> None:
        self._now = START
        self._sleepers: list[tuple[datetime, asyncio.Event]] = []

    def now(self) -> datetime:
        return self._now

    async def sleep_until(self, moment: datetime) -> None:
        woken = asyncio.Event()
        self._sleepers.append((moment, woken))
        await woken.wait()

    async def advance(self, seconds: float) -> None:
        """Go from moment to moment, as time does."""
        end = self._now + timedelta(seconds=seconds)
        await settle()
        while due := [s for s in sorted(self._sleepers, key=lambda s: s[0]) if s[0] <= end]:
            self._sleepers.remove(due[0])
            self._now = max(self._now, due[0][0])
            due[0][1].set()
            await settle()
        self._now = end


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


class Status(dict[str, tuple[datetime | None, datetime]]):
    def load_timer(self, name: str) -> tuple[datetime | None, datetime] | None:
        return self.get(name)

    def save_timer(self, name: str, last: datetime | None, following: datetime) -> None:
        self[name] = (last, following)


def a_timer(name: str = "tick", schedule: str = "*/10 * * * * *", **binding: Any) -> Function:
    given = {"name": "timer", "type": "timerTrigger", "schedule": schedule, **binding}
    return Function(name, name, Trigger.TIMER, given)


class Runs:
    """What ran, when, and whether it was past due; a run takes `seconds`."""

    def __init__(self, clock: Clock, seconds: float = 0) -> None:
        self._clock, self._seconds = clock, seconds
        self.at: list[float] = []
        self.past_due: list[bool] = []
        self.documents: list[dict[str, Any]] = []
        self.most = self.now = 0

    async def __call__(self, function: Function, document: str) -> None:
        self.at.append((self._clock.now() - START).total_seconds())
        self.documents.append(json.loads(document))
        self.past_due.append(self.documents[-1]["IsPastDue"])
        self.now += 1
        self.most = max(self.most, self.now)
        if self._seconds:
            await self._clock.sleep_until(self._clock.now() + timedelta(seconds=self._seconds))
        self.now -= 1


type Scenario = Callable[[TimerTriggers], Awaitable[None]]


def play(clock: Clock, runs: Runs, scenario: Scenario, *functions: Function, status: Status | None = None) -> None:
    async def main() -> None:
        triggers = TimerTriggers(functions or [a_timer()], runs, Status() if status is None else status, clock)
        triggers.start()
        await scenario(triggers)
        triggers.stop()
        await settle()

    asyncio.run(main())


def advance(clock: Clock, seconds: float) -> Scenario:
    return lambda _: clock.advance(seconds)


class TestSchedule:
    def test_a_timer_runs_on_its_schedule(self) -> None:
        runs = Runs(clock := Clock())
        play(clock, runs, advance(clock, 35))
        assert runs.at == [10, 20, 30]
        assert runs.past_due == [False] * 3
        assert runs.documents[1]["ScheduleStatus"]["Last"] == (START + timedelta(seconds=10)).isoformat()

    def test_a_long_run_delays_the_next_and_never_overlaps(self) -> None:
        runs = Runs(clock := Clock(), seconds=25)
        play(clock, runs, advance(clock, 100))
        assert runs.at == [10, 40, 70, 100]
        assert runs.most == 1

    def test_timers_do_not_wait_for_each_other(self) -> None:
        runs = Runs(clock := Clock(), seconds=1000)
        play(clock, runs, advance(clock, 10), a_timer("a"), a_timer("b"))
        assert runs.at == [10, 10]

    def test_run_on_startup(self) -> None:
        runs = Runs(clock := Clock())
        play(clock, runs, advance(clock, 10), a_timer(runOnStartup=True))
        assert runs.at == [0, 10]
        assert runs.past_due == [False, False]


class TestPastDue:
    hourly = a_timer(schedule="0 0 * * * *")

    def test_a_moment_that_no_host_saw_is_made_up_for_once(self) -> None:
        status = Status(tick=(START - timedelta(hours=5), START - timedelta(hours=4)))
        runs = Runs(clock := Clock())
        play(clock, runs, advance(clock, 3600), self.hourly, status=status)
        assert (runs.at, runs.past_due) == ([0, 3600], [True, False])
        assert status["tick"] == (START + timedelta(hours=1), START + timedelta(hours=2))

    def test_a_moment_to_come_is_waited_for(self) -> None:
        status = Status(tick=(None, START + timedelta(minutes=60)))
        runs = Runs(clock := Clock())
        play(clock, runs, advance(clock, 3600), self.hourly, status=status)
        assert (runs.at, runs.past_due) == ([3600], [False])

    @pytest.mark.parametrize(
        "timer", [a_timer(), a_timer(schedule="0 0 * * * *", useMonitor=False)], ids=["short", "unmonitored"]
    )
    def test_short_and_unmonitored_timers_look_back_at_nothing(self, timer: Function) -> None:
        status = Status(tick=(None, START - timedelta(hours=4)))
        runs = Runs(clock := Clock())
        play(clock, runs, advance(clock, 0), timer, status=status)
        assert runs.at == []


class TestRunNow:
    def test_it_runs_at_once_and_the_schedule_stays(self) -> None:
        runs = Runs(clock := Clock())

        async def scenario(triggers: TimerTriggers) -> None:
            await clock.advance(3)
            triggers.run_now("TICK")
            await clock.advance(10)

        play(clock, runs, scenario)
        assert runs.at == [3, 10]

    def test_it_waits_for_a_run_that_is_going_on(self) -> None:
        runs = Runs(clock := Clock(), seconds=5)

        async def scenario(triggers: TimerTriggers) -> None:
            triggers.run_now("tick")
            triggers.run_now("tick")
            await clock.advance(9)

        play(clock, runs, scenario)
        assert runs.at == [0, 5]
        assert runs.most == 1


class TestSettings:
    def test_a_setting_in_a_schedule_is_resolved(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("EVERY", "*/5 * * * * *")
        runs = Runs(clock := Clock())
        play(clock, runs, advance(clock, 5), a_timer(schedule="%EVERY%"))
        assert runs.at == [5]

    @pytest.mark.parametrize(("schedule", "reason"), [("%NO_SUCH_SETTING%", "NO_SUCH_SETTING"), ("* *", "2 fields")])
    def test_a_schedule_that_cannot_be_read_stops_the_start(self, schedule: str, reason: str) -> None:
        with pytest.raises(HostConfigurationError, match=reason):
            TimerTriggers([a_timer(schedule=schedule)], Runs(Clock()), Status())
