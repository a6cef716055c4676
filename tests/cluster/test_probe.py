"""The residency probe on the emulator: real pods that look at the real page cache, and what the product makes of it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local.cluster.harness import RunningCluster, blast_nodes, start_cluster
from shared.clients.kube import KubeClient
from shared.clients.kube_credentials import KubeAccess
from shared.clients.provider import use
from shared.clients.residency import ensure_probe, read_residency
from shared.clients.warm_cache import CacheReading, read_cache
from shared.domain.manifests import NODE_FOLDER
from shared.domain.warmth import Warmth, WarmupStatus
from tests.activities.worlds import new_world
from tests.cluster.support import Json, control, eventually, job, node_name, on_node

FILE_BYTES = 200_000
VERSION = "2024-05-24-abcdef01"
TAINT = {"key": "workload", "value": "blast", "effect": "NoSchedule"}
SYSTEM = {"name": "aks-system-0", "pool": "system", "mode": "System", "cpu": "2", "memory": "4Gi", "labels": {}}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    """Two tainted BLAST nodes and a system node."""
    nodes = [node | {"taints": [TAINT]} for node in blast_nodes(2)]
    running = start_cluster(tmp_path_factory.mktemp("probed"), [*nodes, SYSTEM], backoff_seconds=0.2)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def kube(cluster: RunningCluster) -> Iterator[KubeClient]:
    """The product's client, in a process that measures each second."""
    with use(new_world(ELB_PROBE_SECONDS="1")):
        yield KubeClient(KubeAccess(cluster.api_url, "", ""), "default", lambda: "")


def folder_on(cluster: RunningCluster, number: int) -> Path:
    """The database's folder on a node."""
    return cluster.node_folder(node_name(number)) / NODE_FOLDER.lstrip("/") / "db"


@pytest.fixture(scope="module")
def warmed(cluster: RunningCluster, kube: KubeClient) -> None:
    """A database in two shards as a warmup leaves it: files, list, marker and an ended Job on each node."""
    for shard in (0, 1):
        folder = folder_on(cluster, shard)
        folder.mkdir(parents=True)
        with (folder / f"db.{shard:02d}.nsq").open("wb") as file:
            file.write(b"x" * FILE_BYTES)
            os.fsync(file.fileno())  # only what is on the disk can be pushed out of memory
        (folder / f".files-02-{shard:02d}").write_text(f"db.{shard:02d}.nsq\n")
        (folder / f".warm-02-{shard:02d}").write_text(VERSION)
        kube.create("jobs", warmup_job(shard))
    for name in ("warm-db-00", "warm-db-01"):
        eventually(lambda name=name: ended(kube.get("jobs", name)), f"{name} to end")  # type: ignore[misc]
    ensure_probe(kube)


def warmup_job(shard: int) -> Json:
    """A Job that looks like a warmup's, and has nothing to do."""
    env = [
        {"name": "ELB_DB", "value": "db"},
        {"name": "ELB_FILES", "value": f"{FILE_BYTES} db/db.{shard:02d}.nsq"},
    ]
    tolerations = [{"key": "workload", "operator": "Equal", "value": "blast", "effect": "NoSchedule"}]
    pod = {"affinity": on_node(node_name(shard)), "env": env, "tolerations": tolerations}
    made = job(f"warm-db-{shard:02d}", "true", pod)
    annotations = {"elb-control/layout": "2", "elb-control/source-version": VERSION}
    labels = {"app": "elb-db-warmup", "db": "db", "shard": f"{shard:02d}"}
    made["metadata"] |= {"labels": labels, "annotations": annotations}
    made["spec"]["template"]["metadata"]["labels"] = labels
    return made


def ended(obj: Json) -> bool:
    """Whether a Job has succeeded."""
    return any(c["type"] == "Complete" for c in obj["status"].get("conditions") or ())


def wait_for_status(kube: KubeClient, what: Callable[[WarmupStatus], bool], said: str) -> WarmupStatus:
    """The first status that is so."""

    def look() -> WarmupStatus | None:
        status = read_cache(kube).status("db", VERSION)
        return status if what(status) else None

    found = eventually(look, said)
    assert found is not None
    return found


def all_measured(status: WarmupStatus) -> bool:
    """Whether both shards were measured since they were warmed."""
    return len(status.measured) == 2


@pytest.mark.usefixtures("warmed")
class TestProbe:
    def test_what_is_pushed_out_of_a_nodes_memory_has_cooled_and_what_is_touched_is_warm(
        self, cluster: RunningCluster, kube: KubeClient
    ) -> None:
        subprocess.run(["vmtouch", "-qt", str(folder_on(cluster, 0)), str(folder_on(cluster, 1))], check=True)
        warm = wait_for_status(
            kube, lambda s: all_measured(s) and s.state is Warmth.READY, "both shards measured in memory"
        )
        assert warm.residency is not None
        assert warm.residency["resident_bytes"] == warm.residency["bytes"] == 2 * FILE_BYTES

        subprocess.run(["vmtouch", "-qe", str(folder_on(cluster, 1))], check=True)
        cooled = wait_for_status(kube, lambda s: s.state is Warmth.COOLED, "one node's memory to be seen empty")
        assert cooled.stale_reason == f"0 of {FILE_BYTES} bytes of shard 1 are in memory of {node_name(1)}"
        assert [s.residency.resident_bytes for s in cooled.shards if s.residency] == [FILE_BYTES, 0]

        subprocess.run(["vmtouch", "-qt", str(folder_on(cluster, 1))], check=True)
        wait_for_status(kube, lambda s: s.state is Warmth.READY, "it to be warm again")

    def test_it_runs_where_databases_may_lie_and_nowhere_else(self, cluster: RunningCluster, kube: KubeClient) -> None:
        wait_for_status(kube, all_measured, "both shards measured")
        assert set(read_residency(kube).nodes) == {node_name(0), node_name(1)}
        pods = kube.pods("app=elb-cache-probe")
        assert {pod["spec"]["nodeName"] for pod in pods} == {node_name(0), node_name(1)}

    def test_an_unchanged_one_is_not_written_again(self, kube: KubeClient) -> None:
        before = kube.get("daemonsets", "elb-cache-probe")["metadata"]
        assert ensure_probe(kube) is False
        assert kube.get("daemonsets", "elb-cache-probe")["metadata"] == before

    def test_a_changed_one_replaces_the_pods(self, kube: KubeClient) -> None:
        before = {pod["metadata"]["uid"] for pod in kube.pods("app=elb-cache-probe")}
        with use(new_world(ELB_PROBE_SECONDS="2")):
            assert ensure_probe(kube) is True

            def replaced() -> bool:
                pods = kube.pods("app=elb-cache-probe")
                new = [p for p in pods if p["metadata"]["uid"] not in before and p["status"].get("phase") == "Running"]
                return len(new) == len(pods) == 2

            eventually(replaced, "new pods on both nodes")
        assert ensure_probe(kube) is True

    def test_a_probe_that_fails_leaves_the_database_warm_by_its_jobs(
        self, cluster: RunningCluster, kube: KubeClient
    ) -> None:
        wait_for_status(kube, all_measured, "both shards measured")
        control(cluster, "/images", {"deny": ["ncbi/elb:1.4.0"]})
        try:
            for pod in kube.pods("app=elb-cache-probe"):
                kube.delete("pods", pod["metadata"]["name"])
            status = wait_for_status(kube, lambda s: not s.measured and "Image" in s.unmeasured, "no measurement")
            assert status.state is Warmth.READY
            assert status.to_dict()["residency"] is None
        finally:
            control(cluster, "/images", {"add": ["ncbi/elb:1.4.0"]})

    def test_nodes_with_their_metrics(self, kube: KubeClient) -> None:
        wait_for_status(kube, all_measured, "both shards measured")
        reading: CacheReading = read_cache(kube)
        rows = {row["name"]: row for row in reading.node_rows()}
        row = rows[node_name(0)]
        assert 0 < row["memory_used_bytes"] < row["capacity"]["memory_bytes"] == 8 * 2**30
        assert row["headroom_bytes"] == 8 * 2**30 - row["memory_used_bytes"]
        assert [(s["database"], s["shard"], s["bytes"]) for s in row["shards"]] == [("db", 0, FILE_BYTES)]
        assert rows["aks-system-0"]["cache_budget_bytes"] == 0
        capacity = reading.capacity()
        assert (capacity["nodes"], capacity["nodes_for_databases"]) == (3, 2)
        assert capacity["cache_budget_bytes"] == 8 * 2**30
