"""Copies of the rows of unfinished searches in the index: right when all is quiet, and mended where they are behind."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

import pytest

from shared.clients.provider import AzureClients
from shared.clients.search_rows import columns_of
from shared.clients.searches import SearchStore
from shared.domain.search import Search, request_cancel
from shared.domain.states import Phase
from tests.clients.conftest import Place
from tests.clients.support import T0, a_cluster, a_search, held_at
from tests.clients.unfinished import (
    again,
    copied,
    failed,
    in_payload,
    put_index_row,
    reconciled,
    steps,
    titled,
    unfinished,
)
from tests.clients.wire import Rule


@pytest.fixture
def search(searches: SearchStore, owner: str) -> Search:
    """A search on a cluster of its own."""
    return searches.create(a_search(owner, cluster=a_cluster(), phase=Phase.EXPORTING))[0]


class TestCopies:
    CHANGES: tuple[Callable[[Search], Search], ...] = (
        titled("Käfer 🪲"),
        lambda row: replace(row, expected_jobs=4, jobs_created_at=T0, all_succeeded_looks=1, aliases=("a", "b")),
        lambda row: replace(row, outcome="failed", outcome_at=T0, seen_digest="0" * 16, failure={"code": "y"}),
        lambda row: request_cancel(row, T0),
    )

    @pytest.mark.parametrize("change", CHANGES, ids=["title", "jobs", "outcome", "cancel"])
    def test_a_copy_says_what_the_row_says(
        self, searches: SearchStore, clients: AzureClients, search: Search, change: Callable[[Search], Search]
    ) -> None:
        assert copied(clients, search) == columns_of(search)
        changed = searches.update(search.owner, search.job_id, change)
        assert columns_of(changed) != columns_of(search)
        assert copied(clients, search) == columns_of(changed)
        (found,) = searches.unfinished(search.cluster.key)
        assert columns_of(found) == columns_of(searches.get(search.owner, search.job_id))

    def test_it_is_written_after_its_row_and_once(self, place: Place, searches: SearchStore, search: Search) -> None:
        with place.table.watching() as seen:
            searches.update(search.owner, search.job_id, titled("new"))
        assert steps(seen) == [("GET", "row"), ("PATCH", "row"), ("PUT", "index")]

    def test_a_change_that_no_column_shows_costs_the_index_nothing(
        self, place: Place, searches: SearchStore, search: Search
    ) -> None:
        with place.table.watching() as seen:
            searches.update(search.owner, search.job_id, in_payload)
        assert steps(seen) == [("GET", "row"), ("PATCH", "row")]

    def test_one_that_cannot_be_written_undoes_nothing_and_is_mended(
        self, place: Place, searches: SearchStore, search: Search, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO", "elb")
        with place.table.breaking(Rule("PUT", "elbindex", times=9, status=403)):
            assert searches.update(search.owner, search.job_id, titled("new")).title == "new"
        assert "copy_not_written" in caplog.text
        assert [each.title for each in searches.unfinished(search.cluster.key)] == [""]
        assert [each.title for each in searches.unfinished_rows(search.cluster.key)] == ["new"]
        assert [each.title for each in searches.unfinished(search.cluster.key)] == ["new"]

    def test_one_search_s_can_be_mended(self, place: Place, searches: SearchStore, search: Search) -> None:
        with place.table.breaking(Rule("PUT", "elbindex", times=9, status=403)):
            searches.update(search.owner, search.job_id, titled("new"))
        searches.mend_copy(search.owner, search.job_id)
        assert [each.title for each in searches.unfinished(search.cluster.key)] == ["new"]

    def test_those_that_are_right_are_not_written(self, place: Place, searches: SearchStore, search: Search) -> None:
        with place.table.watching() as seen:
            assert reconciled(searches, search) == [search.job_id]
            searches.mend_copy(search.owner, search.job_id)
        assert not [each for each in seen if each.writes]

    def test_an_index_row_of_the_first_version_has_none_and_its_search_is_read(
        self, searches: SearchStore, clients: AzureClients, search: Search
    ) -> None:
        put_index_row(clients, search, owner=search.owner, job_id=search.job_id)
        assert unfinished(searches, search) == [search.job_id], "slots and clean-up count on it, in any minute"
        assert reconciled(searches, search) == [search.job_id]
        assert copied(clients, search) == columns_of(search)

    def test_one_of_a_phase_that_nobody_knows_is_said_and_the_row_is_read(
        self, searches: SearchStore, clients: AzureClients, search: Search, caplog: pytest.LogCaptureFixture
    ) -> None:
        other, _ = searches.create(a_search(search.owner, cluster=search.cluster, minute=1))
        put_index_row(clients, search, **columns_of(search) | {"phase": "dreaming", "schema": 9})
        caplog.set_level("INFO", "elb")
        assert unfinished(searches, search) == [search.job_id, other.job_id]
        assert "row_of_newer_version" in caplog.text
        assert reconciled(searches, search) == [search.job_id, other.job_id]


class TestLateWriters:
    """A change is written in two steps; what others do between them must not be undone by the second one."""

    def test_a_copy_that_comes_after_the_end_does_not_bring_the_row_back(
        self, place: Place, searches: SearchStore, clients: AzureClients, search: Search
    ) -> None:
        with held_at(
            place.table, "PUT", "elbindex", lambda: searches.update(search.owner, search.job_id, titled("late"))
        ) as writing:
            searches.update(search.owner, search.job_id, failed)
        assert writing.result().title == "late"
        assert copied(clients, search) is None
        assert unfinished(searches, search) == []

    def test_a_copy_that_comes_just_before_the_drop_is_dropped_by_the_reconcile(
        self, place: Place, searches: SearchStore, clients: AzureClients, search: Search
    ) -> None:
        def end() -> Search:
            return searches.update(search.owner, search.job_id, failed)

        with ExitStack() as before_the_drop:
            with held_at(
                place.table, "PUT", "elbindex", lambda: searches.update(search.owner, search.job_id, titled("late"))
            ) as writing:
                ending = before_the_drop.enter_context(held_at(place.table, "DELETE", "elbindex", end))
            assert writing.result().title == "late"
        assert ending.result().is_terminal
        assert copied(clients, search) is not None
        assert reconciled(searches, search) == []
        assert copied(clients, search) is None

    def test_a_copy_of_the_attempt_before_is_mended(self, place: Place, searches: SearchStore, search: Search) -> None:
        with held_at(
            place.table, "PUT", "elbindex", lambda: searches.update(search.owner, search.job_id, titled("late"))
        ):
            searches.update(search.owner, search.job_id, failed)
            searches.update(search.owner, search.job_id, again)
        (row,) = searches.unfinished_rows(search.cluster.key)
        (copy,) = searches.unfinished(search.cluster.key)
        assert (row.attempt, copy.attempt, copy.phase) == (2, 2, Phase.PREPARING)

    @pytest.fixture
    def behind(self, place: Place, searches: SearchStore, search: Search) -> Search:
        """A search whose copy is behind its row."""
        with place.table.breaking(Rule("PUT", "elbindex", times=9, status=403)):
            return searches.update(search.owner, search.job_id, titled("newer"))

    def test_a_reconcile_does_not_undo_what_was_copied_meanwhile(
        self, place: Place, searches: SearchStore, behind: Search
    ) -> None:
        with held_at(place.table, "PUT", "elbindex", lambda: reconciled(searches, behind)) as reconciling:
            searches.update(behind.owner, behind.job_id, titled("newest"))
        assert reconciling.result() == [behind.job_id]
        assert [each.title for each in searches.unfinished(behind.cluster.key)] == ["newest"]

    def test_a_reconcile_does_not_bring_back_what_ended_meanwhile(
        self, place: Place, searches: SearchStore, clients: AzureClients, behind: Search
    ) -> None:
        with held_at(place.table, "PUT", "elbindex", lambda: reconciled(searches, behind)) as reconciling:
            searches.update(behind.owner, behind.job_id, failed)
        assert reconciling.result() == [behind.job_id]
        assert copied(clients, behind) is None
