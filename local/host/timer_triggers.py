"""Timer triggers: each timer function on its schedule, one run of it at a time.

As the Functions host does: a run that takes longer than the interval delays the next one, the missed moments between
are left out; a moment missed while no host was running is made up for at the start, with the past-due flag. That look
back (`useMonitor`) is for schedules of a minute and more only, as in the real host. The clock is a parameter.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from local.host.functions import Function, Trigger
from local.host.ncrontab import Schedule, parse_schedule
from local.host.settings import HostConfigurationError, resolve_settings

_LONGEST_SLEEP: Final = 30.0  # seconds; a step of the wall clock is noticed after this time at the latest
_SHORTEST_MONITORED: Final = timedelta(minutes=1)

_log = logging.getLogger(__name__)

type Run = Callable[[Function, str], Awaitable[None]]


class WallClock:
    """The real time, in UTC."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep_until(self, moment: datetime) -> None:
        while (left := (moment - self.now()).total_seconds()) > 0:  # noqa: ASYNC110 - time passing is no event
            await asyncio.sleep(min(left, _LONGEST_SLEEP))


class TimerClock(Protocol):
    """What timers need of a clock."""

    def now(self) -> datetime: ...

    async def sleep_until(self, moment: datetime) -> None: ...


class TimerStatus(Protocol):
    """Where it is kept when a timer last ran and is due next: the engine's file."""

    def load_timer(self, name: str) -> tuple[datetime | None, datetime] | None: ...

    def save_timer(self, name: str, last: datetime | None, following: datetime) -> None: ...


@dataclass(slots=True)
class _Timer:
    function: Function
    schedule: Schedule
    last: datetime | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def monitored(self) -> bool:
        first = self.schedule.next_after(datetime(2000, 1, 1, tzinfo=UTC))
        interval = self.schedule.next_after(first) - first
        return bool(self.function.binding.get("useMonitor", True)) and interval >= _SHORTEST_MONITORED


class TimerTriggers:
    """All timers of an app.

    Args:
        functions: those with another trigger are passed over.
        run: runs a function with its trigger data, a JSON document; it does not raise.
        status: see TimerStatus.
        clock: see TimerClock.

    Raises:
        HostConfigurationError: when a schedule cannot be read or a setting in it is missing.
    """

    def __init__(
        self, functions: Iterable[Function], run: Run, status: TimerStatus, clock: TimerClock | None = None
    ) -> None:
        self._run = run
        self._status = status
        self._clock: TimerClock = clock or WallClock()
        self._timers = {f.name.casefold(): _make_timer(f) for f in functions if f.trigger is Trigger.TIMER}
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to fire, on the present event loop."""
        for timer in self._timers.values():
            self._spawn(self._keep(timer))

    def stop(self) -> None:
        """Fire no more."""
        for task in self._tasks:
            task.cancel()

    def run_now(self, name: str) -> None:
        """Run a timer function as soon as no run of it is going on.

        Raises:
            KeyError: when there is no such timer.
        """
        self._spawn(self._fire(self._timers[name.casefold()], past_due=False))

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _keep(self, timer: _Timer) -> None:
        name = timer.function.name
        known = self._status.load_timer(name) if timer.monitored else None
        timer.last = known[0] if known else None
        missed = known is not None and known[1] < self._clock.now()
        if missed or timer.function.binding.get("runOnStartup"):
            await self._fire(timer, past_due=missed)
        while True:
            following = timer.schedule.next_after(self._clock.now())
            if timer.monitored:
                self._status.save_timer(name, timer.last, following)
            await self._clock.sleep_until(following)
            await self._fire(timer, past_due=False)

    async def _fire(self, timer: _Timer, *, past_due: bool) -> None:
        async with timer.lock:
            now = self._clock.now()
            status = {
                "Last": (timer.last or datetime.min.replace(tzinfo=UTC)).isoformat(),
                "Next": timer.schedule.next_after(now).isoformat(),
                "LastUpdated": (timer.last or datetime.min.replace(tzinfo=UTC)).isoformat(),
            }
            timer.last = now
            document = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": status, "IsPastDue": past_due}
            await self._run(timer.function, json.dumps(document))


def _make_timer(function: Function) -> _Timer:
    try:
        return _Timer(function, parse_schedule(resolve_settings(str(function.binding["schedule"]))))
    except ValueError as error:
        raise HostConfigurationError(f"function {function.name}: {error}") from error
