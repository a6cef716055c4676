"""The index of unfinished searches: never without one that must be brought to its end, and cleaned of the rest."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from azure.data.tables import UpdateMode

from shared.clients import search_index
from shared.clients.provider import AzureClients
from shared.clients.search_rows import columns_of
from shared.clients.searches import SearchStore
from shared.clients.table_rows import INDEX, SEARCHES, key_part
from shared.domain.errors import NotFoundError, TransientError
from shared.domain.ids import newest_first_key, owner_key
from shared.domain.search import Search, cancelled, complete, enter_phase, fail, request_cancel, retried
from shared.domain.states import Phase
from tests.clients.conftest import Place
from tests.clients.support import T0, a_cluster, a_search, fresh, held_at
from tests.clients.wire import Rule, Seen


def failed(row: Search) -> Search:
    """It ended."""
    return fail(row, {"code": "x"}, T0)


def deleting(row: Search) -> Search:
    """It is being deleted."""
    return enter_phase(row, Phase.DELETING, T0)


def again(row: Search) -> Search:
    """It is tried again."""
    return retried(row, T0)


def titled(title: str) -> Callable[[Search], Search]:
    """A change of a column that says nothing about whether the search has ended."""
    return lambda row: replace(row, title=title)


def in_payload(row: Search) -> Search:
    """A change that no column shows."""
    return replace(row, plan={"shards": 3})


def unfinished(searches: SearchStore, search: Search) -> list[str]:
    """Ids of the unfinished searches of a search's cluster, as the index says."""
    return [found.job_id for found in searches.unfinished(search.cluster.key)]


def reconciled(searches: SearchStore, search: Search) -> list[str]:
    """The same as their rows say, which mends the index."""
    return [found.job_id for found in searches.unfinished_rows(search.cluster.key)]


def index_keys(search: Search) -> dict[str, str]:
    """The keys of a search's row among the unfinished ones."""
    return {"PartitionKey": f"active:{key_part(search.cluster.key)}", "RowKey": key_part(search.job_id)}


def copied(clients: AzureClients, search: Search) -> dict[str, Any] | None:
    """What the search's row among the unfinished ones says; None when there is none."""
    keys = index_keys(search)
    query = "PartitionKey eq @PartitionKey and RowKey eq @RowKey"
    found = list(clients.tables.client(INDEX).query_entities(query, parameters=keys))
    return {name: value for name, value in found[0].items() if name not in keys} if found else None


def put_index_row(clients: AzureClients, search: Search, **columns: Any) -> None:
    """Write a search's row among the unfinished ones whatever was there."""
    clients.tables.client(INDEX).upsert_entity(index_keys(search) | columns, mode=UpdateMode.REPLACE)


def steps(seen: list[Seen]) -> list[tuple[str, str]]:
    """Method and table of each request."""
    return [(each.method, "index" if "elbindex" in each.path else "row") for each in seen]


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

    def test_an_index_row_of_the_first_version_has_none(
        self, searches: SearchStore, clients: AzureClients, search: Search
    ) -> None:
        put_index_row(clients, search, owner=search.owner, job_id=search.job_id)
        assert unfinished(searches, search) == []
        assert reconciled(searches, search) == [search.job_id]
        assert copied(clients, search) == columns_of(search)

    def test_one_of_a_phase_that_nobody_knows_is_left_out_and_said(
        self, searches: SearchStore, clients: AzureClients, search: Search, caplog: pytest.LogCaptureFixture
    ) -> None:
        other, _ = searches.create(a_search(search.owner, cluster=search.cluster, minute=1))
        put_index_row(clients, search, **columns_of(search) | {"phase": "dreaming", "schema": 9})
        caplog.set_level("INFO", "elb")
        assert unfinished(searches, search) == [other.job_id]
        assert "row_of_newer_version" in caplog.text
        assert reconciled(searches, search) == [search.job_id, other.job_id]


class TestEnds:
    ENDS: tuple[Callable[[Search], Search], ...] = (
        failed,
        lambda row: complete(row, T0, T0),
        lambda row: cancelled(request_cancel(row, T0), T0),
    )

    @pytest.mark.parametrize("end", ENDS, ids=["failed", "completed", "cancelled"])
    def test_an_end_drops_its_index_row_as_it_was_before(
        self,
        place: Place,
        searches: SearchStore,
        clients: AzureClients,
        search: Search,
        end: Callable[[Search], Search],
    ) -> None:
        with place.table.watching() as seen:
            assert searches.update(search.owner, search.job_id, end).is_terminal
        assert steps(seen) == [("GET", "row"), ("GET", "index"), ("PATCH", "row"), ("DELETE", "index")]
        assert seen[-1].headers["If-Match"] not in ("", "*")
        assert copied(clients, search) is None
        assert unfinished(searches, search) == reconciled(searches, search) == []

    def test_it_stands_where_the_index_row_cannot_be_dropped(
        self, place: Place, searches: SearchStore, clients: AzureClients, search: Search
    ) -> None:
        with place.table.breaking(Rule("DELETE", "elbindex", times=9, status=403)):
            assert searches.update(search.owner, search.job_id, failed).is_terminal
        assert unfinished(searches, search) == [search.job_id]
        assert reconciled(searches, search) == []
        assert copied(clients, search) is None

    def test_it_is_not_written_where_the_index_does_not_answer(
        self, place: Place, searches: SearchStore, search: Search
    ) -> None:
        with place.table.breaking(Rule("GET", "elbindex", times=9, status=403)), pytest.raises(TransientError):
            searches.update(search.owner, search.job_id, failed)
        assert searches.get(search.owner, search.job_id) == search

    def test_a_reconcile_that_cannot_drop_it_says_so(self, place: Place, searches: SearchStore, search: Search) -> None:
        with place.table.breaking(Rule("DELETE", "elbindex", times=99, status=403)):
            searches.update(search.owner, search.job_id, failed)
            with pytest.raises(TransientError):
                reconciled(searches, search)

    def test_mending_its_copy_drops_it(
        self, place: Place, searches: SearchStore, clients: AzureClients, search: Search
    ) -> None:
        with place.table.breaking(Rule("DELETE", "elbindex", times=9, status=403)):
            searches.update(search.owner, search.job_id, failed)
        searches.mend_copy(search.owner, search.job_id)
        assert copied(clients, search) is None


class TestDeletions:
    @pytest.fixture(autouse=True)
    def ended(self, searches: SearchStore, search: Search) -> None:
        searches.update(search.owner, search.job_id, failed)
        assert unfinished(searches, search) == []

    def test_one_that_is_being_deleted_is_unfinished(self, searches: SearchStore, search: Search) -> None:
        searches.update(search.owner, search.job_id, deleting)
        for found in (searches.unfinished(search.cluster.key), searches.unfinished_rows(search.cluster.key)):
            assert [(each.phase, each.is_active) for each in found] == [(Phase.DELETING, False)]

    def test_one_that_could_not_be_deleted_waits_for_somebody(
        self, searches: SearchStore, clients: AzureClients, search: Search
    ) -> None:
        searches.update(search.owner, search.job_id, deleting)
        searches.update(search.owner, search.job_id, lambda row: enter_phase(row, Phase.DELETE_FAILED, T0))
        assert copied(clients, search) is None
        assert unfinished(searches, search) == reconciled(searches, search) == []

    def test_mending_the_copy_of_one_that_is_gone(self, searches: SearchStore, search: Search) -> None:
        searches.delete(searches.get(search.owner, search.job_id))
        searches.mend_copy(search.owner, search.job_id)
        with pytest.raises(NotFoundError):
            searches.find(search.job_id)


class TestBeginsAgain:
    def test_it_is_indexed_before_the_row_and_after(self, place: Place, searches: SearchStore, search: Search) -> None:
        searches.update(search.owner, search.job_id, failed)
        with place.table.watching() as seen:
            searches.update(search.owner, search.job_id, again)
        assert steps(seen) == [("GET", "row"), ("PUT", "index"), ("PATCH", "row"), ("PUT", "index")]
        assert unfinished(searches, search) == reconciled(searches, search) == [search.job_id]
        assert [each.attempt for each in searches.unfinished(search.cluster.key)] == [2]

    def test_a_reconcile_that_drops_the_row_just_before_the_write_does_no_harm(
        self, place: Place, searches: SearchStore, search: Search
    ) -> None:
        searches.update(search.owner, search.job_id, failed)
        with held_at(place.table, "PATCH", "elbsearches", lambda: searches.update(search.owner, search.job_id, again)):
            assert unfinished(searches, search) == [search.job_id]
            assert reconciled(searches, search) == []
            assert unfinished(searches, search) == []
        assert unfinished(searches, search) == reconciled(searches, search) == [search.job_id]

    def test_during_a_reconcile_it_keeps_its_row(self, place: Place, searches: SearchStore, search: Search) -> None:
        """The reconcile has read that the search had ended; its delete then meets a row that was written anew."""
        with place.table.breaking(Rule("DELETE", "elbindex", times=9, status=403)):
            searches.update(search.owner, search.job_id, failed)
        with held_at(place.table, "DELETE", "elbindex", lambda: reconciled(searches, search)) as reconciling:
            searches.update(search.owner, search.job_id, again)
        assert reconciling.result() == []
        assert unfinished(searches, search) == reconciled(searches, search) == [search.job_id]

    def test_between_an_end_and_its_drop_it_keeps_its_row(
        self, place: Place, searches: SearchStore, search: Search
    ) -> None:
        with held_at(
            place.table, "DELETE", "elbindex", lambda: searches.update(search.owner, search.job_id, failed)
        ) as ending:
            searches.update(search.owner, search.job_id, again)
        assert ending.result().phase is Phase.FAILED
        assert unfinished(searches, search) == reconciled(searches, search) == [search.job_id]
        assert [each.attempt for each in searches.unfinished(search.cluster.key)] == [2]


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


class TestOrphans:
    @pytest.fixture
    def orphan(self, searches: SearchStore, clients: AzureClients, search: Search) -> Search:
        """A submit died between its index rows and its row; or has not come to it yet."""
        row_key = f"s:{newest_first_key(search.job_id)}"
        clients.tables.client(SEARCHES).delete_entity(owner_key(search.owner), row_key)
        return search

    def test_a_young_one_may_be_of_a_submit_that_goes_on(
        self, searches: SearchStore, clients: AzureClients, orphan: Search
    ) -> None:
        assert reconciled(searches, orphan) == []
        assert copied(clients, orphan) is not None
        assert timedelta(minutes=10) == search_index.ORPHAN_AGE

    def test_an_old_one_is_removed(
        self, searches: SearchStore, clients: AzureClients, orphan: Search, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(search_index, "ORPHAN_AGE", timedelta(seconds=-60))
        assert reconciled(searches, orphan) == []
        assert copied(clients, orphan) is None

    def test_an_old_row_of_an_unfinished_search_is_not(
        self, searches: SearchStore, search: Search, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(search_index, "ORPHAN_AGE", timedelta(seconds=-60))
        assert reconciled(searches, search) == unfinished(searches, search) == [search.job_id]


class TestAliases:
    def test_another_id_leads_to_the_search_until_it_is_deleted(
        self, searches: SearchStore, clients: AzureClients, search: Search
    ) -> None:
        alias = fresh("alias")
        assert searches.add_alias(search.owner, search.job_id, alias)
        assert searches.add_alias(search.owner, search.job_id, alias)
        search = searches.update(search.owner, search.job_id, lambda row: replace(row, aliases=(alias,)))
        assert searches.find(alias).job_id == search.job_id
        searches.delete(search)
        left = clients.tables.client(INDEX).query_entities("job_id eq @j", parameters={"j": search.job_id})
        assert list(left) == []

    def test_one_of_another_search_is_refused_and_stays(self, searches: SearchStore, search: Search) -> None:
        other, _ = searches.create(a_search(fresh("other")))
        assert not searches.add_alias(search.owner, search.job_id, other.job_id)
        assert searches.find(other.job_id) == other
