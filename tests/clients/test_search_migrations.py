"""Rows that other versions of the app wrote: older ones are brought up to date, newer ones lose nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from azure.data.tables import UpdateMode

from shared.clients.blobs import Blobs
from shared.clients.provider import AzureClients
from shared.clients.search_migrations import SCHEMA
from shared.clients.search_payloads import STATE_CONTAINER
from shared.clients.search_rows import COLUMNS, columns_of, payload_of
from shared.clients.searches import SearchStore
from shared.clients.table_rows import SEARCHES
from shared.domain.errors import PermanentError
from shared.domain.ids import owner_key, row_key
from shared.domain.search import Search
from shared.domain.states import Phase
from tests.clients.conftest import Place
from tests.clients.support import T0, a_cluster, a_search, newest_minute
from tests.clients.wire import Seen

SINCE_2 = {"outcome", "outcome_at", "waiting_since", "error_brief", "seen_digest", "first_run"}
"""Columns that schema 1 did not have."""
ERROR = {"code": "blast_failed", "message": "a message", "hint": "a hint", "log_tail": "many lines", "exit_code": 3}


def keys(search: Search) -> dict[str, str]:
    """The keys of a search's row."""
    row = f"s:{row_key(search.job_id, search.created_at)}"
    return {"PartitionKey": owner_key(search.owner), "RowKey": row}


def stored(clients: AzureClients, search: Search) -> dict[str, Any]:
    """The row as it is stored."""
    found: dict[str, Any] = clients.tables.client(SEARCHES).get_entity(*keys(search).values())
    return found


def put(clients: AzureClients, search: Search, **columns: Any) -> None:
    """Write a row whatever was there."""
    clients.tables.client(SEARCHES).upsert_entity(keys(search) | columns, mode=UpdateMode.REPLACE)


def of_schema_1(search: Search) -> dict[str, Any]:
    """The columns and the payload of a search as the first version wrote them."""
    columns = {name: value for name, value in columns_of(search).items() if name not in SINCE_2}
    payload = {name: value for name, value in json.loads(payload_of(search)).items() if name != "failure"}
    return columns | {"schema": 1, "stale_reason": "the cluster does not answer", "payload": json.dumps(payload)}


def columns_written(seen: list[Seen]) -> set[str]:
    """The columns of each write of a row among these requests."""
    writes = [json.loads(each.body) for each in seen if each.writes and "elbsearches" in each.path]
    return {name for write in writes for name in write if name not in ("PartitionKey", "RowKey") and "@" not in name}


def titled(row: Search) -> Search:
    """A small change."""
    return replace(row, title="new")


class TestOlderRows:
    @pytest.fixture
    def search(self, searches: SearchStore, clients: AzureClients, owner: str) -> Search:
        """A search that the first version of the app left running."""
        search = a_search(owner, minute=newest_minute(), cluster=a_cluster(), phase=Phase.RUNNING, labels={"a": "b"})
        search = replace(search, expected_jobs=4, jobs=({"name": "j"},), jobs_created_at=T0, attempt=2, run=3)
        searches.create(search)
        put(clients, search, **of_schema_1(search), payload_blob="")
        return search

    def test_they_say_what_they_said(self, searches: SearchStore, search: Search) -> None:
        for found in (searches.get(search.owner, search.job_id), searches.find(search.job_id)):
            assert replace(found, etag="", schema=0) == search
            assert found.schema == 1
        for page in (searches.page(search.owner, 10, None), searches.page_of_all(10, None)):
            (listed,) = [each for each in page[0] if each.job_id == search.job_id]
            assert columns_of(listed) == columns_of(search)
        assert [each.job_id for each in searches.unfinished_rows(search.cluster.key)] == [search.job_id]

    def test_the_first_change_writes_them_whole_and_the_next_one_what_differs(
        self, place: Place, searches: SearchStore, clients: AzureClients, search: Search
    ) -> None:
        with place.table.watching() as first:
            searches.update(search.owner, search.job_id, titled)
        assert columns_written(first) == {*COLUMNS, "payload", "payload_blob"}
        assert stored(clients, search)["schema"] == SCHEMA
        assert replace(searches.get(search.owner, search.job_id), etag="", schema=0) == titled(search)
        with place.table.watching() as second:
            searches.update(search.owner, search.job_id, lambda row: replace(row, title="newer"))
        assert columns_written(second) == {"title"}

    def test_nothing_is_written_when_nothing_changes(
        self, place: Place, searches: SearchStore, clients: AzureClients, search: Search
    ) -> None:
        with place.table.watching() as seen:
            searches.update(search.owner, search.job_id, lambda row: row)
        assert not [each for each in seen if each.writes]
        assert stored(clients, search)["schema"] == 1

    def test_one_with_few_columns_can_be_read_and_changed(
        self, searches: SearchStore, clients: AzureClients, owner: str
    ) -> None:
        search = a_search(owner)
        put(clients, search, job_id=search.job_id, owner=owner, status="running", phase="running")
        found = searches.get(owner, search.job_id)
        assert (found.phase, found.attempt, found.expected_jobs, found.labels) == (Phase.RUNNING, 1, None, {})
        (listed,) = searches.page(owner, 10, None)[0]
        assert (listed.job_id, listed.phase, listed.progress.total) == (search.job_id, Phase.RUNNING, 0)
        searches.update(owner, search.job_id, titled)
        assert searches.get(owner, search.job_id).title == "new"
        assert stored(clients, search)["schema"] == SCHEMA

    def test_a_payload_in_a_blob_is_replaced_with_them(
        self, searches: SearchStore, clients: AzureClients, blobs: Blobs, owner: str
    ) -> None:
        search = a_search(owner, labels={"text": "a" * 40_000})
        columns, name = of_schema_1(search), f"{search.job_id}/payload-of-old.json"
        blobs.put(STATE_CONTAINER, name, str(columns.pop("payload")).encode(), "application/json")
        put(clients, search, **columns, payload="", payload_blob=name)
        searches.update(owner, search.job_id, titled)
        assert searches.get(owner, search.job_id).labels == search.labels
        (left,) = blobs.listing(STATE_CONTAINER, f"{search.job_id}/")
        assert left.name == stored(clients, search)["payload_blob"] != name

    def test_an_error_is_in_the_detail_and_after_a_change_in_lists_too(
        self, searches: SearchStore, clients: AzureClients, owner: str
    ) -> None:
        search = replace(a_search(owner, phase=Phase.FAILED), error=ERROR)
        put(clients, search, **of_schema_1(search), payload_blob="")
        assert searches.get(owner, search.job_id).error == ERROR
        assert searches.page(owner, 10, None)[0][0].error is None
        searches.update(owner, search.job_id, titled)
        listed = searches.page(owner, 10, None)[0][0].error or {}
        assert (listed["code"], listed["message"], listed["exit_code"]) == ("blast_failed", "a message", 3)


class TestNewerRows:
    @pytest.fixture
    def search(self, searches: SearchStore, clients: AzureClients, owner: str) -> Search:
        """A search that a newer version of the app has changed."""
        search, _ = searches.create(a_search(owner, cluster=a_cluster(), labels={"a": "b"}, phase=Phase.RUNNING))
        columns = columns_of(search) | {"schema": 9, "colour": "red", "payload": '{"labels":{"a":"b"},"shape":"round"}'}
        put(clients, search, **columns)
        return search

    def test_what_is_not_known_is_passed_over_and_kept(
        self, place: Place, searches: SearchStore, clients: AzureClients, search: Search
    ) -> None:
        assert searches.get(search.owner, search.job_id).labels == {"a": "b"}
        with place.table.watching() as seen:
            searches.update(search.owner, search.job_id, titled)
        assert columns_written(seen) == {"title"}
        row = stored(clients, search)
        assert (row["colour"], row["schema"], row["title"]) == ("red", 9, "new")
        assert row["payload"] == '{"labels":{"a":"b"},"shape":"round"}'

    def test_their_schema_stays_when_the_payload_changes(
        self, searches: SearchStore, clients: AzureClients, search: Search
    ) -> None:
        searches.update(search.owner, search.job_id, lambda row: replace(row, labels={"a": "c"}))
        row = stored(clients, search)
        assert (row["colour"], row["schema"]) == ("red", 9)
        assert searches.get(search.owner, search.job_id).labels == {"a": "c"}

    def test_the_index_still_says_that_they_are_unfinished(self, searches: SearchStore, search: Search) -> None:
        searches.update(search.owner, search.job_id, titled)
        (row,), (copy,) = searches.unfinished_rows(search.cluster.key), searches.unfinished(search.cluster.key)
        assert (row.title, copy.title) == ("new", "new")


class TestUnknownPhases:
    @pytest.fixture
    def search(self, searches: SearchStore, clients: AzureClients, owner: str) -> Search:
        """A search in a phase that only a newer version knows, between two others of its owner and its cluster."""
        cluster = a_cluster()
        first = newest_minute()
        made = [a_search(owner, cluster=cluster, minute=first + n, phase=Phase.RUNNING) for n in range(3)]
        for each in made:
            searches.create(each)
        put(clients, made[1], **columns_of(made[1]) | {"phase": "dreaming", "status": "asleep", "schema": 9})
        return made[1]

    def test_it_is_said_who_asks_for_it(self, place: Place, searches: SearchStore, search: Search) -> None:
        asked: tuple[Callable[[], Search], ...] = (
            lambda: searches.get(search.owner, search.job_id),
            lambda: searches.find(search.job_id),
            lambda: searches.update(search.owner, search.job_id, titled),
        )
        with place.table.watching() as seen:
            for ask in asked:
                with pytest.raises(PermanentError) as caught:
                    ask()
                assert caught.value.code == "row_of_newer_version"
        assert not [each for each in seen if each.writes]

    def test_it_keeps_no_other_from_being_listed(
        self, searches: SearchStore, search: Search, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO", "elb")
        minute = timedelta(minutes=1)
        for page in (searches.page(search.owner, 2, None), searches.page(search.owner, 3, None)):
            assert [each.created_at - search.created_at for each in page[0]] == [minute, -minute]
        everybody, _ = searches.page_of_all(20, None)
        assert [each.owner for each in everybody].count(search.owner) == 2
        told = [json.loads(record.message) for record in caplog.records]
        assert told.count({"event": "row_of_newer_version", "job_id": search.job_id}) == 3

    def test_it_keeps_no_other_of_its_cluster_from_being_brought_to_its_end(
        self, searches: SearchStore, search: Search, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO", "elb")
        assert len(searches.unfinished_rows(search.cluster.key)) == 2
        assert "row_of_newer_version" in caplog.text
        assert len(searches.unfinished(search.cluster.key)) == 3  # its copy is of before: nobody may drop it
