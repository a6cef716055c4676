"""One run of a search's orchestration: how it writes into the row, pauses, and learns that it must end.

Used by ``orchestrators/search.py``, whose steps all take a ``Run``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from orchestrators.calls import Steps, discard, is_done, run
from shared.domain import functions as names
from shared.domain.states import Phase
from shared.domain.times import format_time

_ENDED = (Phase.COMPLETED.value, Phase.FAILED.value, Phase.CANCELLED.value, Phase.DELETING.value)


class CancelledError(Exception):
    """The search's row has the cancel marker."""


class SupersededError(Exception):
    """The search has ended, or another orchestration has it now: this one has nothing more to do."""


@dataclass(slots=True)
class Run:
    """One run of the orchestration: its context, its input, and the one wait for a wake-up that is outstanding.

    A wake-up carries no truth: it only ends a pause, and whoever paused looks again.
    """

    context: Any
    job: dict[str, Any]
    wake: Any
    webhook: bool = False
    """Whether the search has ended and somebody is to be told. Rows in older histories do not say it."""

    @property
    def ref(self) -> dict[str, Any]:
        """The search's reference, for activities."""
        return {"job_id": self.job["job_id"], "owner": self.job["owner"], "run": self.job["run"]}

    def until(self, *tasks: Any) -> Steps:
        """Wait for any of the tasks, or for a wake-up."""
        yield self.context.task_any([*tasks, self.wake])
        if is_done(self.wake):
            self.wake = self.context.wait_for_external_event(names.WAKE_EVENT)

    def pause(self, time: timedelta) -> Steps:
        """Wait for a while, or for a wake-up."""
        timer = self.context.create_timer(self.context.current_utc_datetime + time)
        yield from self.until(timer)
        discard(timer)

    def advance(self, **change: Any) -> Steps:
        """Write a change into the row; every step checks the cancel marker here.

        Raises:
            CancelledError: the marker is there, and the search has not ended.
            SupersededError: the search has ended otherwise, or has been given another orchestration.
        """
        data = {**self.ref, "at": format_time(self.context.current_utc_datetime), **change}
        row = yield from run(self.context, names.ADVANCE_SEARCH, data)
        self.webhook = bool(row.get("webhook"))
        if row.get("cancelled") and row["phase"] == Phase.CANCELLING:
            raise CancelledError
        ended_otherwise = row["phase"] in _ENDED and row["phase"] != change.get("phase") and not change.get("error")
        if row.get("superseded") or ended_otherwise:
            raise SupersededError
        return row["phase"]
