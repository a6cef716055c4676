"""Hundreds of active searches whose orchestrations are all gone, and a host that dies while it mends that."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import httpx
import pytest
from durabletask.client import OrchestrationStatus

from local.stack.settings import app_settings
from local.stack.stack import Stack
from shared.clients.kube import KubeClient
from shared.clients.kube_credentials import KubeAccess
from shared.clients.provider import AzureClients
from shared.config import read_settings
from shared.domain.functions import monitor_instance
from shared.domain.ids import new_job_id
from shared.domain.names import blast_job_name
from shared.domain.search import ClusterRef, Search
from shared.domain.states import Phase
from tests.e2e.crashes.guarded import OWNER
from tests.e2e.product import wait_for

SEARCHES = 500
TICKS = 3
AT_ONCE = 8


@dataclass(frozen=True)
class Aftermath:
    """A stack, its state as the app reaches it, and searches that somebody began and nobody looks after."""

    stack: Stack
    clients: AzureClients
    searches: list[Search]

    def reconcile(self) -> None:
        """Run the timer once, as if its minute had come."""
        base = self.stack.api.removesuffix("/api")
        httpx.post(f"{base}/admin/functions/reconcile_stale_jobs", json={}).raise_for_status()

    def turn(self) -> None:
        """One whole turn of the timer: until its run is in the statistics."""
        began = datetime.now(UTC)
        self.reconcile()

        def done() -> bool | None:
            run = self.clients.stats.timers().get("reconcile_stale_jobs")
            return True if run is not None and run.last_run >= began - timedelta(milliseconds=1) else None

        wait_for(done, 90, "the end of a turn")

    def running(self) -> set[str]:
        """Instances that have made a checkpoint and go on: what the engine has on its disk."""
        file = self.stack.home.state / "host.sqlite"
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
            records = [json.loads(row[0]) for row in database.execute("SELECT record FROM instances")]
        return {r["instance_id"] for r in records if r["status"] == OrchestrationStatus.RUNNING.value}

    def monitored(self) -> int:
        """How many of the searches have a live monitor."""
        running = self.running()
        return sum(monitor_instance(s.job_id, s.run) in running for s in self.searches)


@pytest.fixture
def aftermath(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aftermath]:
    """A stack with rows and Jobs of searches that run, and without any orchestration."""
    with Stack(tmp_path_factory.mktemp("aftermath"), fresh=True) as stack:
        ports = {"app": _port(stack, "api"), "blob": _port(stack, "blob_endpoint"), "queue": 1}
        ports |= {"table": _port(stack, "table_endpoint"), "arm": _port(stack, "arm")}
        settings = read_settings(app_settings(ports, stack.identity))
        clients = AzureClients(settings)
        assert settings.cluster is not None
        access = KubeAccess(stack.stack_json["kubernetes"], "", "")
        kube = KubeClient(access, settings.namespace, lambda: stack.identity.cluster_token)
        searches = [_a_search(number, settings.cluster) for number in range(SEARCHES)]
        clients.clusters.remember(settings.cluster)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            written = list(pool.map(lambda search: _put(search, clients, kube), searches))
        yield Aftermath(stack, clients, written)


def _port(stack: Stack, name: str) -> int:
    port = urlsplit(str(stack.stack_json[name])).port
    assert port is not None
    return port


def _a_search(number: int, cluster: ClusterRef) -> Search:
    """A search of an hour ago whose one Job was made; each a second older than the one before."""
    began = datetime.now(UTC) - timedelta(seconds=3600 + number)
    return Search(
        job_id=new_job_id(int(began.timestamp() * 1000), os.urandom(10)),
        owner=OWNER,
        program="blastn",
        database="resfinder",
        cluster=cluster,
        created_at=began,
        attempt_started_at=began,
        phase=Phase.RUNNING,
        expected_jobs=1,
        jobs_created_at=began,
        plan={"batches": 1, "shards": 1},
    )


def _put(search: Search, clients: AzureClients, kube: KubeClient) -> Search:
    """Its row, and its Job: suspended, so that it is there and costs no pod."""
    written, _ = clients.searches.create(search)
    name = blast_job_name(search.program, search.database, 0, 0, search.job_id, search.attempt)
    labels = {"app": "blast", "elb-job-id": search.job_id, "elb-attempt": "1", "shard": "00", "batch": "000"}
    labels["app.kubernetes.io/managed-by"] = "elb-control-plane"
    container = {"name": "blast", "image": "none", "command": ["true"]}
    template = {"metadata": {"labels": labels}, "spec": {"restartPolicy": "Never", "containers": [container]}}
    spec = {"suspend": True, "template": template}
    kube.create("jobs", {"metadata": {"name": name, "labels": labels}, "spec": spec})
    return written


@pytest.mark.proves("F6")
def test_a_killed_host_loses_no_search(aftermath: Aftermath, capsys: pytest.CaptureFixture[str]) -> None:
    began = time.monotonic()
    aftermath.reconcile()
    wait_for(lambda: len(aftermath.running()) > 0 or None, 60, "the first orchestration")
    aftermath.stack.kill_host()
    aftermath.stack.wait_ready()
    killed = time.monotonic()
    ticks = 1
    while aftermath.monitored() < SEARCHES and ticks < TICKS:
        aftermath.turn()
        ticks += 1
    turned = time.monotonic()
    wait_for(lambda: aftermath.monitored() == SEARCHES or None, 120, "a live monitor of every search")
    ended = time.monotonic()
    rows = aftermath.clients.searches.unfinished_rows(aftermath.searches[0].cluster.key)
    assert {(row.phase, row.run, row.attempt) for row in rows} == {(Phase.RUNNING, 1, 1)}
    assert {row.job_id for row in rows} == {search.job_id for search in aftermath.searches}
    with capsys.disabled():
        print(
            f"\n{SEARCHES} searches without orchestrations: host killed and up again after {killed - began:.1f} s, "
            f"{ticks} ticks by {turned - began:.1f} s, every search with a live monitor after {ended - began:.1f} s"
        )
