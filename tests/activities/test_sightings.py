"""What a look writes: only rows that changed, only where they are as their copies were, each with its own troubles."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest

from shared.clients.observer import take_snapshot
from shared.clients.orchestrations import DurableOrchestrations
from shared.clients.sightings import sighted, write_failure, write_sightings
from shared.domain.errors import ElbError, NotFoundError, PermanentError, TransientError
from shared.domain.failures import Failure
from shared.domain.observation import Observation, Outcome
from shared.domain.progress import Progress
from shared.domain.schedule import LATE_WRITER
from shared.domain.search import Search, request_cancel
from shared.domain.states import WATCHED, Phase
from tests.activities.fakes import World
from tests.activities.worlds import CLUSTER, JOB_ID, put_job, put_running_search

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SECOND = timedelta(seconds=1)
LOST = Failure("cluster_deleted", "it was deleted", "submit it again", "", "", None)
BROKEN = Failure("blast_failed", "it failed", "", "job", "", 3)


def write(world: World, searches: list[Search], at: datetime = AT, asking: str = "") -> None:
    """What a look that began then writes of these copies."""
    snapshot = replace(take_snapshot(CLUSTER), observed_at=at)
    write_sightings(searches, snapshot, DurableOrchestrations(world.durable), asking)


def row(world: World, search: Search) -> Search:
    """The search's row."""
    return world.searches.rows[search.owner, search.job_id]


def seen(outcome: Outcome, **more: Any) -> Observation:
    """What a look says of a search of two Jobs."""
    return Observation(outcome, more.pop("progress", Progress(2, 1, 1)), ({"name": "j"},), **more)


class TestTheRowAfterALook:
    SEARCH = Search(JOB_ID, "anna", "blastn", "db", CLUSTER, AT, phase=Phase.RUNNING, progress=Progress(2, 1, 1))

    def after(self, search: Search, look: Observation, digest: str = "", **more: bool) -> Search:
        return sighted(search, look, AT, digest, **more)

    def test_is_the_same_row_when_nothing_is_new(self) -> None:
        assert self.after(self.SEARCH, seen(Outcome.RUNNING)) is self.SEARCH

    @pytest.mark.parametrize(
        ("look", "changed"),
        [
            (seen(Outcome.RUNNING, progress=Progress(2, 0, 2)), {"progress": Progress(2, 0, 2)}),
            (seen(Outcome.RUNNING, waiting_reason="no room"), {"waiting_reason": "no room"}),
            (seen(Outcome.RUNNING, all_succeeded_looks=1), {"all_succeeded_looks": 1}),
            (seen(Outcome.DONE), {"outcome": "done", "outcome_at": AT}),
            (seen(Outcome.MISSING_JOBS), {"outcome": "missing_jobs", "outcome_at": AT}),
            (
                seen(Outcome.FAILED, failure=BROKEN),
                {"outcome": "failed", "outcome_at": AT, "failure": BROKEN.to_dict()},
            ),
        ],
    )
    def test_has_what_is_new_and_when_it_was_seen(self, look: Observation, changed: dict[str, Any]) -> None:
        assert self.after(self.SEARCH, look) == replace(self.SEARCH, observed_at=AT, jobs=look.jobs, **changed)

    def test_follows_jobs_that_no_count_shows(self) -> None:
        after = self.after(self.SEARCH, seen(Outcome.RUNNING), "digest")
        assert after == replace(self.SEARCH, observed_at=AT, jobs=({"name": "j"},), seen_digest="digest")

    def test_keeps_the_time_at_which_an_outcome_was_seen_first(self) -> None:
        done = self.after(self.SEARCH, seen(Outcome.DONE))
        again = sighted(done, seen(Outcome.DONE, progress=Progress(2, 0, 0, 2)), AT + SECOND, "")
        assert (again.outcome_at, again.observed_at) == (AT, AT + SECOND)

    def test_takes_back_an_outcome_that_is_none_any_more(self) -> None:
        """Jobs that a LIST did not have, and the next one has."""
        lost = self.after(self.SEARCH, seen(Outcome.FAILED, failure=BROKEN))
        found = self.after(lost, seen(Outcome.RUNNING))
        assert (found.outcome, found.outcome_at, found.failure) == ("", None, None)

    @pytest.mark.parametrize("before", sorted(WATCHED))
    @pytest.mark.parametrize("outcome", list(Outcome))
    def test_never_goes_back_to_an_earlier_phase(self, before: Phase, outcome: Outcome) -> None:
        order = [Phase.CREATING, Phase.SUBMITTED, Phase.RUNNING]
        after = self.after(replace(self.SEARCH, phase=before), seen(outcome)).phase
        wanted = {Outcome.CREATING: 0, Outcome.SUBMITTED: 1, Outcome.RUNNING: 2}.get(outcome, 0)
        assert after is order[max(order.index(before), wanted)]

    def test_keeps_the_jobs_where_none_were_looked_at(self) -> None:
        search = replace(self.SEARCH, jobs=({"name": "of before"},), seen_digest="digest")
        look = Observation(Outcome.FAILED, search.progress, (), failure=LOST)
        after = self.after(search, look, "digest", keep_jobs=True)
        assert (after.jobs, after.outcome, after.failure) == (search.jobs, "failed", LOST.to_dict())


class TestWriting:
    def test_nothing_is_written_or_read_of_a_search_of_which_nothing_is_new(self, world: World) -> None:
        searches = [put_running_search(world, number) for number in range(1, 4)]
        write(world, searches)
        put_job(world, searches[1], 0, "running")
        rows = [row(world, search) for search in searches]
        world.searches.written.clear()
        write(world, rows, AT + SECOND)
        assert world.searches.written == [searches[1].job_id]
        world.searches.failing = TransientError("state_unavailable", "asked without need")
        world.searches.written.clear()
        rows[1] = world.searches.rows[searches[1].owner, searches[1].job_id]
        write(world, rows, AT + 2 * SECOND)
        assert world.searches.written == []

    MOVED_ON: tuple[Callable[[Search], Search], ...] = (
        lambda row: request_cancel(row, AT),
        lambda row: replace(row, phase=Phase.RESULTS_PENDING),
        lambda row: replace(row, attempt=2),
        lambda row: replace(row, run=2),
        lambda row: replace(row, aliases=("another",)),
        lambda row: replace(row, expected_jobs=3),
        lambda row: replace(row, jobs_created_at=AT),
        lambda row: replace(row, all_succeeded_looks=1),
        lambda row: replace(row, progress=replace(row.progress, total=5)),
    )

    @pytest.mark.parametrize("move", MOVED_ON, ids=range(len(MOVED_ON)))
    def test_a_row_that_has_moved_on_since_it_was_copied_is_left_alone(
        self, world: World, move: Callable[[Search], Search]
    ) -> None:
        """What was derived from the copy would be wrong of it. The copy is mended, and the next look sees to it."""
        copy = put_running_search(world, jobs=1)
        put_job(world, copy, 0, "succeeded")
        moved = world.searches.put(move(copy))
        write(world, [copy])
        assert row(world, copy) == moved
        assert world.searches.mended == [copy.job_id]

    @pytest.mark.parametrize("phase", sorted(WATCHED))
    def test_one_that_is_only_in_another_watched_phase_is_written(self, world: World, phase: Phase) -> None:
        copy = put_running_search(world, jobs=1, phase=phase)
        put_job(world, copy, 0, "succeeded")
        world.searches.put(replace(copy, phase=Phase.RUNNING, title="new"))
        write(world, [copy])
        after = row(world, copy)
        assert (after.outcome, after.title, after.phase) == ("done", "new", Phase.RUNNING)
        assert world.searches.mended == []

    @pytest.mark.parametrize(
        ("later", "is_written"),
        [(-SECOND, True), (0 * SECOND, True), (SECOND, False), (LATE_WRITER - SECOND, False), (LATE_WRITER, True)],
        ids=str,
    )
    def test_what_a_newer_look_wrote_stays(self, world: World, later: timedelta, is_written: bool) -> None:
        """Unless it is so much newer that a clock is wrong."""
        copy = put_running_search(world, jobs=1)
        put_job(world, copy, 0, "succeeded")
        world.searches.put(replace(copy, observed_at=AT + later))
        write(world, [copy])
        assert (row(world, copy).outcome == "done") is is_written

    def test_one_that_was_deleted_meanwhile_stays_deleted(self, world: World) -> None:
        copies = [put_running_search(world, number) for number in (1, 2)]
        del world.searches.rows[copies[0].owner, copies[0].job_id]
        write(world, copies)
        assert list(world.searches.rows) == [(copies[1].owner, copies[1].job_id)]
        assert row(world, copies[1]).observed_at == AT


class TestTrouble:
    @pytest.fixture
    def copies(self, world: World) -> list[Search]:
        """Three searches that are done."""
        copies = [put_running_search(world, number, jobs=1) for number in (1, 2, 3)]
        for copy in copies:
            put_job(world, copy, 0, "succeeded")
        return copies

    def break_row(
        self, world: World, monkeypatch: pytest.MonkeyPatch, search: Search, error: ElbError, method: str = "update"
    ) -> None:
        real = getattr(world.searches, method)

        def broken(owner: str, job_id: str, *more: Any) -> Any:
            if job_id == search.job_id:
                raise error
            return real(owner, job_id, *more)

        monkeypatch.setattr(world.searches, method, broken)

    OF_ONE = (
        TransientError("payload_missing", "its payload is lost"),
        TransientError("row_contended", "everybody writes it"),
        PermanentError("row_of_newer_version", "it is in a phase that nobody knows"),
        NotFoundError("row_not_found", "it is gone"),
    )

    @pytest.mark.parametrize("error", OF_ONE, ids=lambda error: error.code)
    def test_with_one_row_keeps_no_other_from_being_written(
        self,
        world: World,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        copies: list[Search],
        error: ElbError,
    ) -> None:
        caplog.set_level("INFO", "elb")
        self.break_row(world, monkeypatch, copies[0], error)
        write(world, copies)
        assert [row(world, copy).outcome for copy in copies] == ["", "done", "done"]
        assert {f"monitor-{copy.job_id}" for copy in copies[1:]} <= set(world.durable.woken)
        told = [json.loads(record.message) for record in caplog.records]
        failed = [(each["job_id"], each["error"]) for each in told if each["event"] == "sighting_not_written"]
        if error.status != 404:
            assert failed == [(copies[0].job_id, error.code)]

    def test_with_the_mending_of_a_copy_neither(
        self, world: World, monkeypatch: pytest.MonkeyPatch, copies: list[Search]
    ) -> None:
        world.searches.put(replace(copies[0], attempt=2))
        self.break_row(world, monkeypatch, copies[0], self.OF_ONE[0], "mend_copy")
        write(world, copies)
        assert [row(world, copy).outcome for copy in copies] == ["", "done", "done"]

    def test_with_the_store_is_said(self, world: World, monkeypatch: pytest.MonkeyPatch, copies: list[Search]) -> None:
        """So that nobody takes the cluster for seen."""
        self.break_row(world, monkeypatch, copies[0], TransientError("state_unavailable", "no answer"))
        with pytest.raises(TransientError, match="state_unavailable"):
            write(world, copies)

    def test_with_durable_keeps_nobody_from_being_written(self, world: World, copies: list[Search]) -> None:
        world.durable.failing = grpc.StatusCode.UNAVAILABLE
        write(world, copies)
        assert [row(world, copy).outcome for copy in copies] == ["done"] * 3


class TestCertainEnds:
    def test_every_search_has_failed_in_this_way_and_keeps_its_jobs(self, world: World) -> None:
        searches = [put_running_search(world, number) for number in (1, 2)]
        write(world, searches)
        before = [row(world, search) for search in searches]
        world.clock = lambda: AT + SECOND
        world.durable.woken.clear()
        write_failure(before, LOST, DurableOrchestrations(world.durable), searches[0].job_id)
        for known in before:
            after = row(world, known)
            assert (after.outcome, after.outcome_at, after.failure) == ("failed", AT + SECOND, LOST.to_dict())
            assert (after.jobs, after.progress) == (known.jobs, known.progress)
        assert len(before[0].jobs) == 2
        assert world.durable.woken == [f"monitor-{searches[1].job_id}"]
