"""Looks at a cluster are agreed by one conditional write."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.clients.cluster_rows import ClusterRows
from shared.domain.schedule import ClusterRow
from tests.clients.support import T0, a_cluster, at_once, fresh

LATER = T0 + timedelta(seconds=5)


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
