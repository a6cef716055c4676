"""What a search's orchestration writes into its row: once or again, never backwards, never after its end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from activities.progress import advance_search
from shared.domain.errors import NotFoundError
from shared.domain.search import Search
from shared.domain.states import Phase, StepName, StepStatus
from shared.domain.times import format_time
from tests.activities.fakes import World
from tests.activities.worlds import ago, put_search, ref

AT = datetime(2030, 1, 1, tzinfo=UTC)
ERROR = {"code": "broken", "message": "it is broken", "hint": "mend it"}


def advance(world: World, search: Search, **change: Any) -> Search:
    """Write a change; the row after it."""
    answer = advance_search(ref(search, at=format_time(AT), **change))
    after = world.searches.get(search.owner, search.job_id)
    assert answer == {
        "phase": after.phase.value,
        "cancelled": after.cancel_requested_at is not None,
        "superseded": False,
    }
    return after


def step(search: Search, name: StepName) -> tuple[StepStatus, str]:
    """How a step stands."""
    [found] = [step for step in search.steps if step.name is name]
    return found.status, found.detail


class TestChanges:
    def test_a_phase_begins_its_step(self, world: World) -> None:
        after = advance(world, put_search(world), phase="warming_up")
        assert after.phase is Phase.WARMING_UP
        assert step(after, StepName.WARMING_UP)[0] is StepStatus.RUNNING
        assert after.started_at == AT

    def test_steps_end_with_what_they_did(self, world: World) -> None:
        finish = [{"step": "preparing"}, {"step": "warming_up", "detail": "warm already", "skipped": True}]
        after = advance(world, put_search(world), finish=finish, phase="configuring")
        assert step(after, StepName.PREPARING) == (StepStatus.COMPLETED, "")
        assert step(after, StepName.WARMING_UP) == (StepStatus.SKIPPED, "warm already")

    def test_waiting_says_for_what(self, world: World) -> None:
        after = advance(world, put_search(world), phase="waiting_for_cluster", reason="it is stopped")
        assert (after.phase, after.waiting_reason) == (Phase.WAITING_FOR_CLUSTER, "it is stopped")
        assert advance(world, after, phase="configuring").waiting_reason is None

    def test_an_error_ends_it(self, world: World) -> None:
        after = advance(world, put_search(world, phase=Phase.RUNNING), error=ERROR)
        assert (after.phase, after.error, after.completed_at) == (Phase.FAILED, ERROR, AT)

    def test_completed_says_how_long_its_results_are_kept(self, world: World) -> None:
        after = advance(world, put_search(world, phase=Phase.EXPORTING), phase="completed")
        assert after.phase is Phase.COMPLETED
        assert after.results_expire_at == AT + timedelta(days=30)

    def test_a_cancel_marker_is_reported(self, world: World) -> None:
        advance(world, put_search(world, cancel_requested_at=ago(1)), phase="configuring")

    def test_what_is_waited_for_may_change_without_a_phase(self, world: World) -> None:
        search = put_search(world, phase=Phase.CANCELLING)
        after = advance(world, search, reason="not removed from the cluster yet: no answer")
        assert (after.phase, after.waiting_reason) == (Phase.CANCELLING, "not removed from the cluster yet: no answer")

    def test_an_error_that_comes_while_it_is_cancelled_changes_nothing(self, world: World) -> None:
        search = put_search(world, phase=Phase.CANCELLING, cancel_requested_at=ago(1))
        assert advance(world, search, error=ERROR) == search
        assert advance(world, search, phase="cancelled").phase is Phase.CANCELLED

    def test_a_row_that_is_gone(self, world: World) -> None:
        search = put_search(world)
        world.searches.rows.clear()
        with pytest.raises(NotFoundError):
            advance(world, search, phase="configuring")


class TestOrder:
    @pytest.mark.proves("T3")
    @pytest.mark.parametrize(
        "phase", [p for p in Phase if p not in (Phase.EXPORTING, Phase.COMPLETED, Phase.CANCELLING)]
    )
    def test_completed_comes_from_the_results_only(self, world: World, phase: Phase) -> None:
        assert advance(world, put_search(world, phase=phase), phase="completed").phase is phase

    def test_never_backwards(self, world: World) -> None:
        search = put_search(world, phase=Phase.RUNNING)
        assert advance(world, search, phase="configuring") == search

    @pytest.mark.parametrize("phase", [Phase.COMPLETED, Phase.FAILED, Phase.CANCELLED])
    @pytest.mark.parametrize("change", [{"phase": "running"}, {"phase": "completed"}, {"error": ERROR}])
    def test_a_search_that_has_ended_stays_as_it_ended(
        self, world: World, phase: Phase, change: dict[str, Any]
    ) -> None:
        search = put_search(world, phase=phase)
        assert advance(world, search, **change) == search

    def test_not_even_its_steps_change(self, world: World) -> None:
        search = put_search(world, phase=Phase.FAILED)
        assert advance(world, search, finish=[{"step": "exporting", "detail": "late"}]) == search

    @pytest.mark.parametrize("change", [{"phase": "configuring"}, {"error": ERROR}, {"reason": "late"}])
    def test_another_runs_search_is_left_as_it_is(self, world: World, change: dict[str, Any]) -> None:
        before = put_search(world, run=2)
        answer = advance_search(ref(before, run=1, at=format_time(AT), **change))
        assert answer == {"phase": "preparing", "cancelled": False, "superseded": True}
        assert world.searches.get(before.owner, before.job_id) == before
        assert world.events.events == {}

    def test_also_when_it_gets_its_new_run_just_now(self, world: World) -> None:
        search = put_search(world)
        world.searches.meanwhile = lambda: put_search(world, run=2)
        assert advance_search(ref(search, at=format_time(AT), phase="configuring"))["superseded"] is True
        assert world.searches.get(search.owner, search.job_id).phase is Phase.PREPARING

    def test_somebody_elses_write_meanwhile_is_kept(self, world: World) -> None:
        search = put_search(world)
        world.searches.meanwhile = lambda: put_search(world, title="changed")
        after = advance(world, search, phase="configuring")
        assert (after.title, after.phase) == ("changed", Phase.CONFIGURING)
