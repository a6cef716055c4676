"""What starting and stopping does to the cluster, without a clock or a process."""

from __future__ import annotations

import pytest

from local.azure.errors import ArmError
from local.azure.model import RUNNING, STOPPED, Cluster


def stopped() -> Cluster:
    return Cluster(power=STOPPED, start_seconds=4, stop_seconds=2)


class TestTransition:
    def test_starting_is_running_but_not_yet_succeeded(self) -> None:
        cluster = stopped()
        operation = cluster.request(RUNNING, now=100)
        assert (cluster.provisioning, cluster.power) == ("Starting", "Running")
        assert (operation.ends_at, operation.ended) == (104, False)
        cluster.finish(operation)
        assert (cluster.provisioning, cluster.power) == ("Succeeded", "Running")

    def test_stopping_is_stopped_only_at_its_end(self) -> None:
        cluster = Cluster(stop_seconds=2)
        operation = cluster.request(STOPPED, now=100)
        assert (cluster.provisioning, cluster.power) == ("Stopping", "Running")
        cluster.finish(operation)
        assert (cluster.provisioning, cluster.power) == ("Succeeded", "Stopped")

    def test_the_state_that_is_there_already_is_reached_at_once(self) -> None:
        cluster = stopped()
        operation = cluster.request(STOPPED, now=100)
        assert operation.ended
        assert cluster.provisioning == "Succeeded"

    def test_asking_again_joins_the_operation_under_way(self) -> None:
        cluster = stopped()
        first = cluster.request(RUNNING, now=100)
        assert cluster.request(RUNNING, now=101) is first
        assert len(cluster.operations) == 1

    @pytest.mark.parametrize(("first", "second"), [(RUNNING, STOPPED), (STOPPED, RUNNING)])
    def test_the_opposite_is_refused_while_one_is_under_way(self, first: str, second: str) -> None:
        cluster = stopped() if first == RUNNING else Cluster()
        cluster.request(first, now=100)
        with pytest.raises(ArmError) as refused:
            cluster.request(second, now=101)
        assert (refused.value.status, refused.value.code) == (409, "OperationNotAllowed")

    def test_a_cluster_that_is_being_changed_is_not_started(self) -> None:
        cluster = Cluster(power=STOPPED, provisioning="Updating")
        with pytest.raises(ArmError, match="Updating"):
            cluster.request(RUNNING, now=100)

    def test_only_the_newest_operations_are_kept(self) -> None:
        cluster = stopped()
        newest = [cluster.request(STOPPED, now=number) for number in range(60)][-1]
        assert len(cluster.operations) == 50
        assert cluster.operations[-1] is newest


def test_a_cluster_survives_being_written_and_read() -> None:
    cluster = stopped()
    cluster.request(RUNNING, now=100)
    assert Cluster.from_dict({**cluster.to_dict(), "of a later version": 1}) == cluster


def test_an_operation_says_when_it_ended() -> None:
    cluster = stopped()
    operation = cluster.request(RUNNING, now=0)
    assert operation.to_arm() == {
        "name": operation.name,
        "status": "InProgress",
        "startTime": "1970-01-01T00:00:00Z",
    }
    cluster.finish(operation)
    assert operation.to_arm() == {
        "name": operation.name,
        "status": "Succeeded",
        "startTime": "1970-01-01T00:00:00Z",
        "endTime": "1970-01-01T00:00:04Z",
    }
