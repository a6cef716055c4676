"""Changes of one search by many writers: none is lost, and each writes no more than it changed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from shared.clients.provider import AzureClients
from shared.clients.searches import SearchStore
from shared.clients.table_rows import INDEX, SEARCHES
from shared.domain.errors import TransientError
from shared.domain.ids import newest_first_key, owner_key
from shared.domain.search import Search, complete, enter_phase, fail, finish_step
from shared.domain.states import Phase, StepName, StepStatus
from tests.clients.conftest import Place
from tests.clients.support import T0, a_cluster, a_search, at_once
from tests.clients.wire import Rule, Seen


def counted(row: Search) -> Search:
    """One more in the payload."""
    return replace(row, plan={"count": row.plan.get("count", 0) + 1})


def columns_written(seen: list[Seen]) -> set[str]:
    """The columns of the one write of the search's row among these requests."""
    (write,) = [each for each in seen if each.writes and "elbsearches" in each.path]
    return {name for name in json.loads(write.body) if name not in ("PartitionKey", "RowKey") and "@" not in name}


class TestManyWriters:
    def test_no_change_of_two_threads_is_lost(self, searches: SearchStore, owner: str) -> None:
        search, _ = searches.create(a_search(owner))

        def write(number: int) -> None:
            for _ in range(50):
                searches.update(owner, search.job_id, counted)
                if number == 0:
                    searches.update(owner, search.job_id, lambda row: replace(row, attempt=row.attempt + 1))

        at_once(2, write)
        found = searches.get(owner, search.job_id)
        assert (found.plan["count"], found.attempt) == (100, 51)

    def test_a_change_is_made_on_what_another_wrote_meanwhile(self, searches: SearchStore, owner: str) -> None:
        search, _ = searches.create(a_search(owner))
        tries = 0

        def change(row: Search) -> Search:
            nonlocal tries
            tries += 1
            if tries == 1:  # another writer, between our read and our write
                other = finish_step(enter_phase(row, Phase.CONFIGURING, T0), StepName.PREPARING, T0, "theirs")
                searches.update(owner, search.job_id, lambda _: replace(other, title="theirs"))
            return enter_phase(row, Phase.SUBMITTING, T0)

        searches.update(owner, search.job_id, change)
        found = searches.get(owner, search.job_id)
        assert tries == 2
        assert (found.title, found.phase) == ("theirs", Phase.SUBMITTING)
        steps = {step.name: step for step in found.steps}
        assert steps[StepName.PREPARING].detail == "theirs"
        assert steps[StepName.CONFIGURING].status is StepStatus.COMPLETED
        assert steps[StepName.SUBMITTING].status is StepStatus.RUNNING

    def test_endless_contention_is_said(self, place: Place, searches: SearchStore, owner: str) -> None:
        search, _ = searches.create(a_search(owner))
        rule = Rule("PATCH", "elbsearches", times=99, status=412)
        with place.table.breaking(rule), place.table.watching() as seen, pytest.raises(TransientError) as caught:
            searches.update(owner, search.job_id, counted)
        assert caught.value.code == "row_contended"
        assert len([each for each in seen if each.writes]) <= 12


class TestWhatIsWritten:
    def test_only_what_differs(self, place: Place, searches: SearchStore, owner: str) -> None:
        search, _ = searches.create(a_search(owner))
        with place.table.watching() as seen:
            searches.update(owner, search.job_id, lambda row: replace(row, observed_at=T0))
        assert columns_written(seen) == {"observed_at"}
        with place.table.watching() as seen:
            searches.update(owner, search.job_id, counted)
        assert columns_written(seen) == {"payload"}

    def test_a_column_of_another_writer_stays(self, searches: SearchStore, clients: AzureClients, owner: str) -> None:
        search, _ = searches.create(a_search(owner))
        keys = {"PartitionKey": owner_key(owner), "RowKey": f"s:{newest_first_key(search.job_id)}"}
        clients.tables.client(SEARCHES).upsert_entity({**keys, "elsewhere": "kept"})
        searches.update(owner, search.job_id, lambda row: replace(row, title="new"))
        assert clients.tables.client(SEARCHES).get_entity(*keys.values())["elsewhere"] == "kept"

    @pytest.mark.parametrize("length", [10, 40_000], ids=["in the row", "in a blob"])
    def test_nothing_when_nothing_changes(self, place: Place, searches: SearchStore, owner: str, length: int) -> None:
        search, _ = searches.create(a_search(owner, labels={"text": "a" * length}))
        with place.table.watching() as rows, place.blob.watching() as content:
            found = searches.update(owner, search.job_id, lambda row: replace(row, title=""))
        assert found.job_id == search.job_id
        assert [each.method for each in rows] == ["GET"]
        assert not [each for each in content if each.writes]

    def test_a_blob_is_written_only_with_its_payload(self, place: Place, searches: SearchStore, owner: str) -> None:
        search, _ = searches.create(a_search(owner, labels={"text": "a" * 40_000}))
        with place.blob.watching() as content:
            searches.update(owner, search.job_id, lambda row: replace(row, title="new"))
        assert not [each for each in content if each.writes]
        assert searches.get(owner, search.job_id).labels["text"] == "a" * 40_000


class TestEnd:
    @pytest.mark.parametrize("how", ["completed", "failed"])
    def test_it_leaves_the_active_ones(self, searches: SearchStore, owner: str, how: str) -> None:
        cluster = a_cluster()
        search, _ = searches.create(a_search(owner, cluster=cluster, phase=Phase.EXPORTING))
        assert [each.job_id for each in searches.unfinished(cluster.key)] == [search.job_id]

        def end(row: Search) -> Search:
            return complete(row, T0, T0) if how == "completed" else fail(row, {"code": "x"}, T0)

        assert searches.update(owner, search.job_id, end).phase.value == how
        assert searches.unfinished(cluster.key) == []

    def test_only_its_own_index_row_goes(self, searches: SearchStore, clients: AzureClients, owner: str) -> None:
        cluster = a_cluster()
        ended, _ = searches.create(a_search(owner, cluster=cluster))
        going, _ = searches.create(a_search(owner, cluster=cluster, minute=1))
        searches.update(owner, ended.job_id, lambda row: fail(row, {"code": "x"}, T0))
        assert [each.job_id for each in searches.unfinished(cluster.key)] == [going.job_id]
        rows = clients.tables.client(INDEX).query_entities("job_id eq @j", parameters={"j": ended.job_id})
        assert sorted(row["PartitionKey"].split(":")[0] for row in rows) == ["all", "id"]
        assert searches.find(ended.job_id).phase is Phase.FAILED
