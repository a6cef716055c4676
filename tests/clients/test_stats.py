"""Statistics in the table: each thing once, instances added up, old rows removed; and what is counted on the wire."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.clients.blobs import AzureBlobs, Blobs
from shared.clients.counters import Counters
from shared.clients.provider import AzureClients
from shared.clients.stats import Stats, TableStats
from shared.clients.table_rows import STATS, Tables
from shared.domain.errors import TransientError
from shared.domain.stats import CounterName, TimerRun, add_up, counted, ended, submitted
from tests.clients.conftest import Place
from tests.clients.support import T0, a_cluster, a_search, at_once, fresh
from tests.clients.wire import Rule
from tests.counting import held

HOUR = timedelta(hours=1)


@pytest.fixture
def stats(clients: AzureClients) -> Stats:
    """The statistics, empty."""
    clients.stats.purge(datetime(9999, 1, 1, tzinfo=UTC))
    return clients.stats


class TestEntries:
    def test_what_is_written_twice_is_there_once(self, stats: Stats) -> None:
        for _ in range(2):
            stats.add(submitted("job-a", T0))
            stats.add(ended("job-a", 1, "failed", "lost", T0))
            stats.add(counted("i", 1, {"kube_calls": 3}, T0))
        found = add_up(stats.since(T0), T0)
        assert (found.submitted, found.ended, found.failures, found.counts) == (
            *(1, {"failed": 1}, {"lost": 1}),
            {"kube_calls": 3},
        )

    def test_also_by_many_at_once(self, stats: Stats) -> None:
        at_once(8, lambda _: stats.add(ended("job-a", 1, "completed", "", T0)))
        assert len(stats.since(T0)) == 1

    def test_also_when_the_answer_is_lost(self, stats: Stats, place: Place) -> None:
        with place.table.breaking(Rule(path=STATS, status=500, forward=True)):
            stats.add(submitted("job-a", T0))
        assert len(stats.since(T0)) == 1

    def test_what_is_read_is_what_was_written(self, stats: Stats) -> None:
        stats.add(ended("job-a", 2, "failed", "out_of_memory", T0))
        (found,) = stats.since(T0)
        assert (found.kind, found.at, found.status, found.code) == ("ended", T0, "failed", "out_of_memory")
        assert found.key == ended("job-a", 2, "failed", "", T0).key

    @pytest.mark.parametrize("name", ["a/b", "a\\b#?", "o'brien", "Ł🧬", "x" * 3000])
    def test_of_a_search_of_any_name(self, stats: Stats, name: str) -> None:
        stats.add(ended(name, 1, "completed", "", T0))
        stats.add(ended(f"{name}!", 1, "completed", "", T0))
        assert len(stats.since(T0)) == 2

    def test_from_the_hour_of_a_time_on(self, stats: Stats) -> None:
        for hours in (-2, -1, 0, 1, 24):
            stats.add(submitted(f"job-{hours}", T0 + hours * HOUR))
        assert len(stats.since(T0)) == 3
        assert len(stats.since(T0 - HOUR)) == 4

    def test_more_than_a_page_of_them(self, stats: Stats, clients: AzureClients) -> None:
        table = clients.tables.client(STATS)
        entries = [submitted(f"job-{number}", T0) for number in range(1100)]
        rows = [{"PartitionKey": e.bucket, "RowKey": e.key, **e.to_dict()} for e in entries]
        for first in range(0, len(rows), 100):
            table.submit_transaction([("upsert", row) for row in rows[first : first + 100]])
        assert add_up(stats.since(T0), T0).submitted == 1100
        assert stats.purge(T0 + HOUR) == 1100
        assert stats.since(T0) == []

    def test_a_table_that_does_not_answer(self, stats: Stats, place: Place) -> None:
        with place.table.breaking(Rule(path=STATS, status=403, times=9)), pytest.raises(TransientError) as caught:
            stats.add(submitted("job-a", T0))
        assert caught.value.code == "state_unavailable"


class TestInstances:
    def test_what_two_of_them_counted_is_added_up(self, stats: Stats, place: Place) -> None:
        others = TableStats(AzureClients(place.settings()).tables)
        for where in (stats, others):
            counters = Counters()
            counters.count("looks_taken", 2)
            for minute in range(3):
                counters.count("kube_calls")
                for entry in counters.due(T0 + timedelta(minutes=minute)):
                    where.add(entry)
                    counters.written([entry])
        assert add_up(stats.since(T0), T0).counts == {"looks_taken": 4, "kube_calls": 6}


class TestTimers:
    def test_the_last_run_of_each(self, stats: Stats) -> None:
        one, other = fresh("timer"), fresh("timer")
        stats.timer_ran(one, T0, 0.25, {"active": 1}, failed=True)
        stats.timer_ran(one, T0 + HOUR, 1, {"active": 2, "revived": 0})
        stats.timer_ran(other, T0, 0.5, {"error": "state_unavailable"}, failed=True)
        found = stats.timers()
        assert found[one] == TimerRun(T0 + HOUR, 1.0, {"active": 2, "revived": 0})
        assert found[other] == TimerRun(T0, 0.5, {"error": "state_unavailable"}, failed=True)


class TestPurge:
    def test_whole_hours_before_a_time_go_and_timers_stay(self, stats: Stats) -> None:
        name = fresh("timer")
        stats.timer_ran(name, T0 - 1000 * HOUR, 1, {})
        for hours in (-30, -2, -1, 0):
            stats.add(submitted(f"job-{hours}", T0 + hours * HOUR))
        assert stats.purge(T0) == 3
        assert len(stats.since(T0 - 100 * HOUR)) == 1
        assert name in stats.timers()
        assert stats.purge(T0) == 0

    def test_rows_that_another_one_removes_meanwhile_keep_none(self, stats: Stats, place: Place) -> None:
        for number in range(10):
            stats.add(submitted(f"job-{number}", T0))
        with place.table.watching() as seen:
            TableStats(Overtaken(place.settings(), AzureClients(place.settings()).credential)).purge(T0 + HOUR)
        assert stats.since(T0) == []
        assert [each.status for each in seen if "batch" in each.path] == [202], "one that was refused inside"


class Overtaken(Tables):
    """Tables whose rows somebody else removes just before a transaction removes them."""

    def client(self, name: str) -> Any:
        real = super().client(name)

        class Client:
            query_entities, delete_entity = real.query_entities, real.delete_entity

            def submit_transaction(self, operations: list[tuple[str, dict[str, str]]]) -> None:
                real.delete_entity(operations[3][1]["PartitionKey"], operations[3][1]["RowKey"])
                real.submit_transaction(operations)

        return Client()


class TestCounting:
    """What is counted is what goes over the wire."""

    def test_every_request_to_a_table(self, place: Place, owner: str) -> None:
        clients, before = AzureClients(place.settings()), held()
        with place.table.watching() as seen:
            cluster = a_cluster()
            clients.clusters.remember(cluster)
            clients.clusters.known()
            clients.searches.create(a_search(owner))
        assert any("$batch" in each.path for each in seen)
        assert _since(before) == {"storage_calls": len(seen)}

    @pytest.mark.parametrize("status", [500, 0])
    def test_every_try_of_one(self, place: Place, status: int) -> None:
        tables = Tables(place.settings(), AzureClients(place.settings()).credential)
        clients = TableStats(tables)
        clients.add(submitted("job-a", T0))
        before = held()
        with place.table.watching() as seen, place.table.breaking(Rule(method="GET", path=STATS, status=status)):
            clients.timers()
        assert len(seen) == 2
        assert _since(before) == {"storage_calls": 2}

    def test_every_request_for_a_blob(self, place: Place, clients: AzureClients) -> None:
        blobs: Blobs = AzureBlobs(place.settings(), "elblocal", clients.credential)
        name, before = fresh("blob"), held()
        with place.blob.watching() as seen:
            blobs.put("results", name, b"x" * 10, "text/plain")
            blobs.read("results", name)
            blobs.listing("results", name)
            blobs.delete("results", [name, name])
        assert len(seen) >= 5
        assert _since(before) == {"storage_calls": len(seen)}

    def test_requests_of_kubernetes_and_lists(self, place: Place) -> None:
        kube = place.kube(page=2)
        names = [fresh("map") for _ in range(2)]
        before = held()
        with place.kubernetes.watching() as seen:
            for name in names:
                kube.create("configmaps", {"kind": "ConfigMap", "metadata": {"name": name}})
                kube.delete("configmaps", name)
            kube.jobs("of=nobody")
            kube.nodes()
        lists = [each for each in seen if each.method == "GET" and "continue" not in each.path]
        assert len(seen) > 6, "the nodes take more than a page"
        assert _since(before) == {"kube_calls": len(seen), "kube_lists": len(lists)}


def _since(before: Mapping[CounterName, int]) -> dict[CounterName, int]:
    """What was counted since then."""
    now = held()
    return {name: number - before.get(name, 0) for name, number in now.items() if number != before.get(name, 0)}
