"""Looks at a cluster are agreed by one conditional write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from shared.clients.cluster_rows import ClusterRows, Numbered
from shared.clients.provider import AzureClients
from shared.clients.table_rows import CLUSTERS, key_part
from shared.domain.database_work import DatabaseWork, begin_release, join_warmup, leave
from shared.domain.errors import StoredValueError
from shared.domain.schedule import ClusterRow
from shared.domain.search import ClusterRef
from tests.clients.support import T0, a_cluster, at_once, fresh

SECOND = timedelta(seconds=1)
LATER = T0 + 5 * SECOND


class TestTakingALook:
    @pytest.mark.parametrize("known", [False, True], ids=["no row yet", "a row"])
    def test_one_of_many_wins(self, cluster_rows: ClusterRows, known: bool) -> None:
        cluster = a_cluster()
        if known:
            cluster_rows.remember(cluster)
        row = cluster_rows.read(cluster)
        assert at_once(8, lambda _: cluster_rows.take_look(cluster, row, T0)).count(True) == 1
        assert cluster_rows.read(cluster).observed_at == T0

    def test_it_can_be_taken_again_with_a_new_read(self, cluster_rows: ClusterRows) -> None:
        cluster = a_cluster()
        assert cluster_rows.take_look(cluster, cluster_rows.read(cluster), T0)
        row = cluster_rows.read(cluster)
        assert cluster_rows.take_look(cluster, row, LATER)
        assert not cluster_rows.take_look(cluster, row, LATER)
        found = cluster_rows.read(cluster)
        assert (found.observed_at, found.previous_look_at) == (LATER, T0)

    @pytest.mark.parametrize("known", [False, True], ids=["no row yet", "a row"])
    def test_a_wake_up_in_between_makes_it_fail(self, cluster_rows: ClusterRows, known: bool) -> None:
        cluster = a_cluster()
        if known:
            assert cluster_rows.take_look(cluster, cluster_rows.read(cluster), T0)
        row = cluster_rows.read(cluster)
        cluster_rows.request_wake(cluster, LATER)
        assert not cluster_rows.take_look(cluster, row, LATER)
        assert cluster_rows.read(cluster).wake_requested_at == LATER


class TestTimes:
    def test_no_row_has_none(self, cluster_rows: ClusterRows) -> None:
        assert cluster_rows.read(a_cluster()) == ClusterRow()

    def test_each_writer_keeps_the_others(self, cluster_rows: ClusterRows) -> None:
        cluster = a_cluster()
        cluster_rows.request_wake(cluster, T0)
        assert cluster_rows.take_look(cluster, cluster_rows.read(cluster), LATER)
        cluster_rows.remember(cluster)
        cluster_rows.request_wake(cluster, LATER)
        found = cluster_rows.read(cluster)
        assert (found.observed_at, found.wake_requested_at, found.previous_look_at) == (LATER, LATER, None)


class TestWhatALookSaw:
    def test_the_first_one_of_a_cluster(self, cluster_rows: ClusterRows) -> None:
        seen, silent = a_cluster(), a_cluster()
        cluster_rows.seen(seen, T0)
        cluster_rows.unreachable(silent, T0, "no route")
        assert replace(cluster_rows.read(seen), etag="") == ClusterRow(seen_at=T0)
        wanted = ClusterRow(unreachable_since=T0, unreachable_reason="no route")
        assert replace(cluster_rows.read(silent), etag="") == wanted

    def test_a_cluster_that_answers_again(self, cluster_rows: ClusterRows) -> None:
        cluster = a_cluster()
        cluster_rows.seen(cluster, T0)
        cluster_rows.unreachable(cluster, LATER, "no route")
        found = cluster_rows.read(cluster)
        assert (found.seen_at, found.unreachable_since, found.unreachable_reason) == (T0, LATER, "no route")
        cluster_rows.seen(cluster, LATER + SECOND)
        found = cluster_rows.read(cluster)
        assert (found.seen_at, found.unreachable_since, found.unreachable_reason) == (LATER + SECOND, None, "")

    @pytest.mark.parametrize("reason", ["x" * 5000, "🧬" * 5000, "Łódź\n\u202e", ""])
    def test_any_reason(self, cluster_rows: ClusterRows, reason: str) -> None:
        cluster = a_cluster()
        cluster_rows.unreachable(cluster, T0, reason)
        assert cluster_rows.read(cluster).unreachable_reason == reason[:1000]

    def test_claims_and_wake_ups_meanwhile_stay(self, cluster_rows: ClusterRows) -> None:
        cluster = a_cluster()
        assert cluster_rows.take_look(cluster, cluster_rows.read(cluster), T0)
        cluster_rows.request_wake(cluster, T0 + SECOND)
        assert cluster_rows.take_look(cluster, cluster_rows.read(cluster), LATER)
        writers: tuple[Callable[[], None], ...] = (
            lambda: cluster_rows.seen(cluster, T0),
            lambda: cluster_rows.unreachable(cluster, LATER, "no route"),
            lambda: cluster_rows.remember(cluster),
        )
        for write in writers:
            write()
            found = cluster_rows.read(cluster)
            assert (found.observed_at, found.previous_look_at, found.wake_requested_at) == (LATER, T0, T0 + SECOND)

    def test_a_claim_keeps_what_was_seen(self, cluster_rows: ClusterRows) -> None:
        """Also that the cluster does not answer: until a look succeeds it gets single probes."""
        cluster = a_cluster()
        cluster_rows.seen(cluster, T0)
        cluster_rows.unreachable(cluster, T0 + SECOND, "no route")
        assert cluster_rows.take_look(cluster, cluster_rows.read(cluster), LATER)
        found = cluster_rows.read(cluster)
        assert (found.seen_at, found.unreachable_since, found.unreachable_reason) == (T0, T0 + SECOND, "no route")

    def test_of_many_writers_at_once_none_loses_anothers_column(self, cluster_rows: ClusterRows) -> None:
        cluster = a_cluster()
        cluster_rows.remember(cluster)
        times = [T0 + n * SECOND for n in range(20)]

        def write(number: int) -> list[bool]:
            writers: tuple[Callable[[datetime], bool | None], ...] = (
                lambda at: cluster_rows.request_wake(cluster, at),
                lambda at: cluster_rows.seen(cluster, at),
                lambda at: cluster_rows.take_look(cluster, cluster_rows.read(cluster), at),
            )
            return [bool(writers[number](at)) for at in times]

        claimed = at_once(3, write)[2]
        found = cluster_rows.read(cluster)
        assert (found.wake_requested_at, found.seen_at) == (times[-1], times[-1])
        last = [at for at, taken in zip(times, claimed, strict=True) if taken]
        assert found.observed_at == (last[-1] if last else None)
        assert found.previous_look_at == (last[-2] if len(last) > 1 else None)


class TestWork:
    @pytest.mark.parametrize("database", ["core_nt", "a/b#c?d\\e\n", "x" * 500])
    def test_a_row_for_each_database_that_goes_when_nobody_is_left(
        self, cluster_rows: ClusterRows, database: str
    ) -> None:
        cluster = a_cluster()
        nobody = cluster_rows.work(cluster, database)
        assert nobody == DatabaseWork()
        joined = join_warmup(nobody, "warmup-1", database, T0)
        assert at_once(8, lambda _: cluster_rows.write_work(cluster, database, joined)).count(True) == 1
        found = cluster_rows.work(cluster, database)
        assert dict(found.warmups) == {"warmup-1": T0}
        assert cluster_rows.work(cluster, "other") == DatabaseWork()
        assert all(at_once(8, lambda _: cluster_rows.write_work(cluster, database, leave(found, "warmup-1"))))
        assert cluster_rows.work(cluster, database) == DatabaseWork()

    def test_what_was_changed_meanwhile_is_not_overwritten(self, cluster_rows: ClusterRows) -> None:
        cluster = a_cluster()
        assert cluster_rows.write_work(cluster, "db", begin_release(DatabaseWork(), "release-1", "db", T0))
        old = cluster_rows.work(cluster, "db")
        assert (old.release, old.release_since) == ("release-1", T0)
        assert cluster_rows.write_work(cluster, "db", join_warmup(leave(old, "release-1"), "warmup-1", "db", LATER))
        assert not cluster_rows.write_work(cluster, "db", leave(old, "release-1"))
        assert set(cluster_rows.work(cluster, "db").warmups) == {"warmup-1"}

    def test_what_was_removed_meanwhile_does_not_come_back(self, cluster_rows: ClusterRows) -> None:
        cluster = a_cluster()
        assert cluster_rows.write_work(cluster, "db", join_warmup(DatabaseWork(), "warmup-1", "db", T0))
        old = cluster_rows.work(cluster, "db")
        assert cluster_rows.write_work(cluster, "db", leave(old, "warmup-1"))
        assert not cluster_rows.write_work(cluster, "db", join_warmup(old, "warmup-2", "db", LATER))
        assert cluster_rows.work(cluster, "db") == DatabaseWork()

    @pytest.mark.parametrize(
        ("row", "column", "read"),
        [
            ("work|db", "work", lambda rows, cluster: rows.work(cluster, "db")),
            ("slots", "holders", lambda rows, cluster: rows.slots(cluster)),
            ("operations-stop", "number", lambda rows, cluster: rows.operations(cluster, "stop")),
        ],
    )
    @pytest.mark.parametrize("text", ["{", "[]", "", None])
    def test_one_that_cannot_be_read_is_named_and_stays(
        self,
        clients: AzureClients,
        row: str,
        column: str,
        read: Callable[[ClusterRows, ClusterRef], object],
        text: str | None,
    ) -> None:
        cluster = a_cluster()
        table, keys = clients.tables.client(CLUSTERS), (key_part(cluster.key), row)
        table.create_entity({"PartitionKey": keys[0], "RowKey": row} | ({} if text is None else {column: text}))
        before = table.get_entity(*keys)
        with pytest.raises(StoredValueError, match=f"row_corrupted: column {column} of row ") as raised:
            read(clients.clusters, cluster)
        assert row in raised.value.message
        assert "delete the row" in raised.value.hint
        assert table.get_entity(*keys) == before

    def test_it_is_no_cluster_that_searches_know(self, cluster_rows: ClusterRows) -> None:
        cluster = a_cluster()
        cluster_rows.write_work(cluster, "db", join_warmup(DatabaseWork(), "warmup-1", "db", T0))
        assert cluster not in cluster_rows.known()


class TestKnownClusters:
    def test_remembered_once(self, cluster_rows: ClusterRows) -> None:
        cluster = a_cluster()
        cluster_rows.remember(cluster)
        cluster_rows.remember(cluster)
        cluster_rows.request_wake(cluster, T0)
        assert cluster_rows.known().count(cluster) == 1

    @pytest.mark.parametrize("name", ["a/b", "a\\b#?", "o'brien", "Ł🧬", "x" * 3000])
    def test_of_any_name(self, cluster_rows: ClusterRows, name: str) -> None:
        cluster = a_cluster(f"{name}{fresh('')}")
        cluster_rows.remember(cluster)
        assert cluster in cluster_rows.known()
        assert cluster_rows.take_look(cluster, cluster_rows.read(cluster), T0)
        assert cluster_rows.read(a_cluster(cluster.cluster_name + "2")) == ClusterRow()


@pytest.mark.proves("C2")
class TestOperations:
    def test_each_number_is_taken_once(self, cluster_rows: ClusterRows) -> None:
        cluster = a_cluster()

        def claim(before: Numbered) -> int:
            return at_once(8, lambda _: cluster_rows.claim_operation(cluster, "start", before)).count(True)

        for number in range(3):
            before = cluster_rows.operations(cluster, "start")
            assert (before.number, claim(before)) == (number, 1)

    def test_kinds_and_clusters_count_by_themselves(self, cluster_rows: ClusterRows) -> None:
        one, other = a_cluster(), a_cluster()
        assert cluster_rows.claim_operation(one, "start", cluster_rows.operations(one, "start"))
        assert [cluster_rows.operations(*each).number for each in ((one, "stop"), (other, "start"))] == [0, 0]
        assert one.key not in [cluster.key for cluster in cluster_rows.known()], "it is no cluster of a search by that"
