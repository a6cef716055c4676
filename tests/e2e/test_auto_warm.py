"""Auto-warm on the whole stack: nobody but the timer does anything, whoever starts the cluster and whatever it loses.

The timer is made to fire through the host's admin endpoint, so that no test waits for its minute. The cluster is looked
at with kubectl, past the app: no page is open.
"""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.stack.stack import Stack
from shared.domain.residency import RESIDENT_SHARE
from tests.e2e.product import DATABASE, Product, wait_for

TIMER = "reconcile_auto_warm"
SHARDS = 4
PREFERENCE = "/warmup/auto-preference"


class Warming:
    """A stack whose database is cut into shards and on no node."""

    def __init__(self, product: Product) -> None:
        self.product = product

    def fire(self) -> dict[str, int]:
        """One whole run of the timer, as if its minute had come; what it did."""
        return self.product.fire(TIMER)

    def arm(self, method: str, tail: str = "") -> dict[str, Any]:
        """Call ARM as ``az aks`` does, past the app."""
        said = self.product.stack.stack_json
        path = f"/subscriptions/{said['subscription_id']}/resourceGroups/{said['resource_group']}"
        path += f"/providers/Microsoft.ContainerService/managedClusters/{said['cluster_name']}{tail}"
        headers = {"Authorization": f"Bearer {self.product.stack.identity.arm_token}"}
        answer = httpx.request(method, said["arm"] + path, params={"api-version": "2025-05-01"}, headers=headers)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json() if answer.content else {}
        return found

    def switch(self, verb: str, power: str) -> None:
        """Start or stop the cluster behind the product's back, and wait until that has ended."""
        self.arm("POST", f"/{verb}")

        def there() -> bool | None:
            properties = self.arm("GET")["properties"]
            ended = properties["provisioningState"] == "Succeeded"
            return True if ended and properties["powerState"]["code"] == power else None

        wait_for(there, 30, f"the cluster to be {power}")

    def jobs(self) -> dict[str, dict[str, Any]]:
        """The database's warmup Jobs, by shard."""
        listed = self.product.kubectl("get", "jobs", "-l", f"app=elb-db-warmup,db={DATABASE}", "-o", "json")
        return {job["metadata"]["labels"]["shard"]: job for job in json.loads(listed)["items"]}

    def wait_warm(self, without: str = "") -> dict[str, dict[str, Any]]:
        """Wait until all shards are on nodes, and none on one node; their Jobs."""

        def warm() -> dict[str, dict[str, Any]] | None:
            jobs = self.jobs()
            ended = [job for job in jobs.values() if job.get("status", {}).get("succeeded")]
            elsewhere = without not in map(node_of, ended)
            return jobs if len(ended) == SHARDS and elsewhere else None

        return wait_for(warm, 60, "the database in memory")

    def want(self, *databases: str) -> None:
        """Save a preference that was never saved before, so that no try of another test is in the way."""
        names = [*databases, f"absent-{uuid.uuid4().hex}"]
        saved = self.product.http.put(PREFERENCE, json={"databases": names, "enabled": True})
        assert (saved.status_code, saved.json()["status"]) == (200, "saved")

    def shown(self) -> dict[str, Any]:
        """The database's row as the API shows it; empty when it has none."""
        answer = self.product.http.get("/monitor/aks/warmup-status", params={"database": DATABASE}).json()
        row: dict[str, Any] = answer["items"][0] if answer["items"] else {}
        return row

    def status(self) -> str:
        """How warm the database is, as the API shows it."""
        return str(self.shown().get("status", "unknown"))


def node_of(job: dict[str, Any]) -> str:
    """The node that a Job is pinned to."""
    affinity = job["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]
    [term] = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    [name] = term["matchFields"][0]["values"]
    return str(name)


def evict(folder: Path) -> None:
    """Push a folder's files out of memory: pages that are not on the disk yet would stay."""
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
    subprocess.run(["vmtouch", "-qe", str(folder)], check=True)


@pytest.fixture(scope="module")
def warming(tmp_path_factory: pytest.TempPathFactory, sample_database: Path) -> Iterator[Warming]:
    """A stack of its own, because its cluster is stopped and loses a node."""
    with Stack(tmp_path_factory.mktemp("auto-warm"), fresh=True) as stack:
        product = Product(stack, sample_database)
        product.upload_database()
        cut = product.finish(product.http.post(f"/blast/databases/{DATABASE}/shards", json={"shards": SHARDS}))
        assert cut["status"] == "succeeded", cut
        yield Warming(product)
        product.close()


@pytest.mark.proves("W8", "W9")
def test_started_behind_the_products_back_and_after_a_lost_node_it_gets_warm_by_itself(warming: Warming) -> None:
    product = warming.product
    warming.want(DATABASE)
    product.kubectl("delete", "jobs", "-l", f"app=elb-db-warmup,db={DATABASE}")
    warming.switch("stop", "Stopped")
    assert warming.fire()["not_ready"] == 1

    warming.switch("start", "Running")
    wait_for(lambda: warming.fire().get("started") or None, 20, "a turn that sees the cluster ready")
    before = warming.wait_warm()
    wait_for(lambda: warming.fire().get("warm") or None, 30, "a turn that sees it warm")
    assert len(warming.jobs()) == SHARDS

    lost = node_of(before["02"])
    product.control(f"/nodes/{lost}", {"action": "replace", "new_name": f"{lost}-new"})
    assert warming.status() == "stale"
    wait_for(lambda: warming.fire().get("started") or None, 20, "a turn that sees the loss")
    after = warming.wait_warm(without=lost)
    anew = {shard for shard in before if after[shard]["metadata"]["uid"] != before[shard]["metadata"]["uid"]}
    assert anew == {shard for shard in before if node_of(before[shard]) == lost}
    assert {shard for shard in before if node_of(after[shard]) != node_of(before[shard])} == anew
    wait_for(lambda: True if warming.status() == "ready" else None, 30, "a database that is shown as ready")


@pytest.mark.proves("W8")
def test_ten_turns_at_once_begin_one_warmup(warming: Warming) -> None:
    product = warming.product
    closed = {"not_ready", "under_way"}  # a try whose end is not known yet holds up the next one
    wait_for(lambda: True if closed.isdisjoint(warming.fire()) else None, 30, "a cluster that is ready, and idle")
    product.kubectl("delete", "jobs", "-l", f"app=elb-db-warmup,db={DATABASE}")
    warming.want(DATABASE)
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda _: warming.fire(), range(10)))
    jobs = warming.wait_warm()
    made_by = {job["metadata"]["annotations"]["elb-control/made-by"] for job in jobs.values()}
    item = product.http.get(PREFERENCE).json()["items"][0]
    assert (item["tries"], {item["last_instance_id"]}) == (1, made_by)


@pytest.mark.proves("W6", "W8")
def test_what_was_pushed_out_of_memory_is_touched_again(warming: Warming) -> None:
    def ready() -> bool | None:
        return True if warming.status() == "ready" else None

    warming.want(DATABASE)
    warming.fire()
    wait_for(ready, 60, "the database in memory")
    wait_for(lambda: warming.fire().get("warm") or None, 30, "a turn that sees it warm")

    def cooled() -> bool | None:
        for folder in (warming.product.stack.home.root / "state").rglob(f"blast/{DATABASE}"):
            evict(folder)  # each time: a page that somebody reads just now stays
        shards = warming.shown()["pod_statuses"]
        known = [shard for shard in shards if shard["bytes"] and shard["resident_bytes"] is not None]
        # Of every node: one that is measured after the next warmup was planned has no part in that.
        out = [shard for shard in known if shard["resident_bytes"] < RESIDENT_SHARE * shard["bytes"]]
        return True if len(out) == SHARDS else None

    before = {job["metadata"]["uid"] for job in warming.jobs().values()}
    wait_for(cooled, 60, "a measurement on every node")

    def warm_again() -> bool | None:
        if warming.status() == "ready":
            return True
        warming.want(DATABASE)  # also when the minute's own turn came first and saw a part of it only
        warming.fire()
        return None

    wait_for(warm_again, 90, "the database in memory again")
    assert before.isdisjoint(job["metadata"]["uid"] for job in warming.jobs().values())


@pytest.mark.proves("W7")
def test_a_hundred_saves_at_once_over_http_are_all_there(warming: Warming) -> None:
    product = warming.product
    product.http.put(PREFERENCE, json={"databases": []}).raise_for_status()

    def save(number: int) -> int:
        return product.http.put(PREFERENCE, json={"add": [f"db{number:03d}"]}).status_code

    with ThreadPoolExecutor(50) as pool:
        assert set(pool.map(save, range(100))) == {200}
    assert sorted(product.http.get(PREFERENCE).json()["databases"]) == [f"db{n:03d}" for n in range(100)]
