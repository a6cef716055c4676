"""The residency probe on a cluster: written once, its last lines read, and never a reason to call anything cold."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from shared.clients.provider import use
from shared.clients.residency import ensure_probe, read_residency
from shared.domain.errors import ConflictError, NotFoundError, PermanentError, TransientError
from shared.domain.residency import Residency
from shared.domain.times import format_time
from tests.activities.fakes import World
from tests.activities.worlds import Json, new_world

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def clock(world: World) -> None:
    """Time stands still."""
    world.clock = lambda: NOW


def put_probe(world: World, node: str, log: str = "", *, phase: str = "Running", **metadata: str) -> Json:
    """A probe's pod on a node."""
    name = metadata.pop("name", f"probe-{node}")
    pod = {
        "metadata": {"name": name, "labels": {"app": "elb-cache-probe"}, **metadata},
        "spec": {"nodeName": node, "containers": [{"name": "probe"}]},
        "status": {"phase": phase},
    }
    world.cluster.logs[name] = log
    return world.cluster.put("pods", pod)


def line(seconds_ago: float = 10, resident: int = 5) -> str:
    """A measurement."""
    at = format_time(NOW - timedelta(seconds=seconds_ago))
    return json.dumps({"at": at, "databases": [{"database": "db", "bytes": 9, "resident": resident}]}) + "\n"


class TestEnsure:
    def test_it_is_made_once_and_not_written_again(self, world: World) -> None:
        assert ensure_probe(world.cluster) is True
        assert ensure_probe(world.cluster) is False
        assert world.cluster.names("daemonsets") == ["elb-cache-probe"]
        assert world.cluster.calls["create daemonsets"] == 1
        assert world.cluster.calls["replace daemonsets"] == 0

    def test_one_of_another_version_of_the_product_is_replaced(self, world: World) -> None:
        ensure_probe(world.cluster)
        kept = world.cluster.objects["daemonsets"]["elb-cache-probe"]
        kept["metadata"]["annotations"] = {}
        assert ensure_probe(world.cluster) is True
        assert ensure_probe(world.cluster) is False

    def test_the_settings_are_in_it(self) -> None:
        world = new_world(ELB_PROBE_SECONDS="7", ELB_ACR_NAME="registry")
        with use(world):
            ensure_probe(world.cluster)
        container = world.cluster.objects["daemonsets"]["elb-cache-probe"]["spec"]["template"]["spec"]["containers"][0]
        assert container["image"] == "registry.azurecr.io/ncbi/elb:1.4.0"
        assert container["env"] == [{"name": "ELB_PROBE_SECONDS", "value": "7"}]
        assert "vmtouch" in container["command"][2]

    def test_two_at_once_make_one(self, world: World) -> None:
        world.cluster.meanwhile = lambda: ensure_probe(world.cluster)
        assert ensure_probe(world.cluster) is False
        assert world.cluster.names("daemonsets") == ["elb-cache-probe"]

    @pytest.mark.parametrize(
        "error", [ConflictError("kube_conflict", "changed"), NotFoundError("kube_not_found", "gone")]
    )
    def test_somebody_else_writes_it_just_now(self, world: World, error: PermanentError) -> None:
        ensure_probe(world.cluster)
        world.cluster.objects["daemonsets"]["elb-cache-probe"]["metadata"]["annotations"] = {}
        world.cluster.fail("replace", "daemonsets", error)
        with pytest.raises(TransientError):
            ensure_probe(world.cluster)


class TestRead:
    def read(self, world: World) -> Residency:
        return read_residency(world.cluster)

    def test_the_last_line_of_each_node(self, world: World) -> None:
        put_probe(world, "a", line(70, 1) + line(10, 2))
        put_probe(world, "b", line(20, 3))
        found = self.read(world)
        assert {node: n.resident_bytes for node, n in found.nodes.items()} == {"a": 2, "b": 3}
        assert (dict(found.unknown), found.reason) == ({}, "")

    def test_a_line_older_than_three_minutes_says_nothing(self, world: World) -> None:
        put_probe(world, "a", line(181))
        put_probe(world, "b", line(179))
        found = self.read(world)
        assert list(found.nodes) == ["b"]
        assert found.unknown == {"a": "the probe's last line is 181 s old"}

    def test_a_probe_that_cannot_begin_says_why(self, world: World) -> None:
        pod = put_probe(world, "a", phase="Pending")
        waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
        pod["status"]["containerStatuses"] = [{"name": "probe", "state": waiting}]
        put_probe(world, "b", phase="Pending")
        assert self.read(world).unknown == {
            "a": "ImagePullBackOff: no such image",
            "b": "the probe is being started",
        }

    def test_one_log_that_cannot_be_read_hides_no_other(self, world: World) -> None:
        put_probe(world, "a", line())
        put_probe(world, "b", line())
        world.cluster.fail("log", "probe-b", TransientError("kube_busy", "too many requests"))
        found = self.read(world)
        assert list(found.nodes) == ["a"]
        assert found.unknown == {"b": "the probe's log could not be read: too many requests"}

    def test_a_cluster_without_probes(self, world: World) -> None:
        assert self.read(world).reason == "no probe runs on this cluster; the next warmup starts it"

    def test_a_cluster_that_does_not_answer(self, world: World) -> None:
        world.cluster.fail("list", "pods", TransientError("kube_unreachable", "no answer"))
        assert self.read(world) == Residency(reason="the probes could not be listed: no answer")

    def test_the_newest_pod_of_a_node_that_is_not_being_deleted(self, world: World) -> None:
        put_probe(world, "a", line(30, 1), name="old", creationTimestamp="2026-03-04T10:00:00Z")
        put_probe(world, "a", line(10, 2), name="new", creationTimestamp="2026-03-04T11:00:00Z")
        gone = "2026-03-04T11:59:00Z"
        put_probe(
            world, "a", line(1, 3), name="going", creationTimestamp="2026-03-04T11:30:00Z", deletionTimestamp=gone
        )
        assert self.read(world).nodes["a"].resident_bytes == 2
