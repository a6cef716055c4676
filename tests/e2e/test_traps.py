"""Wrong-status traps that only the whole stack proves: a stopped cluster, clocks that differ, a damaged result."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.e2e.product import TERMINAL, Product, wait_for

OPTIONS = ("-task", "megablast", "-max_target_seqs", "20", "-outfmt", "6 std")
VERSION = {"api-version": "2025-01-01"}


class Azure:
    """The cluster as Azure Resource Manager has it."""

    def __init__(self, product: Product) -> None:
        stack = product.stack.stack_json
        self._url = (
            f"{stack['arm']}/subscriptions/{stack['subscription_id']}/resourceGroups/{stack['resource_group']}"
            f"/providers/Microsoft.ContainerService/managedClusters/{stack['cluster_name']}"
        )
        self._headers = {"Authorization": f"Bearer {product.stack.identity.arm_token}"}

    def power(self) -> str:
        answer = httpx.get(self._url, params=VERSION, headers=self._headers).raise_for_status()
        properties = answer.json()["properties"]
        return f"{properties['provisioningState']} {properties['powerState']['code']}"

    def switch(self, action: str, state: str) -> None:
        """Start or stop, and wait until it says so."""
        httpx.post(f"{self._url}/{action}", params=VERSION, headers=self._headers).raise_for_status()
        wait_for(lambda: self.power() == f"Succeeded {state}" or None, 30, f"a cluster that is {state}")


@pytest.fixture
def azure(product: Product) -> Iterator[Azure]:
    """Afterwards the cluster runs, and its pods at their usual pace."""
    made = Azure(product)
    yield made
    product.control("/pace", {"label_selector": "app=blast", "delay_seconds": 0})
    made.switch("start", "Running")
    wait_for(lambda: product.http.get("/health/ready").status_code == 200 or None, 60, "a cluster that answers")


def phases_until[T](product: Product, job_id: str, end: Callable[[dict[str, Any]], T | None], what: str) -> set[str]:
    """Every phase that was shown until ``end`` has an answer."""
    seen: set[str] = set()

    def look() -> T | None:
        shown = product.detail(job_id)
        seen.add(str(shown["phase"]))
        return end(shown)

    wait_for(look, 90, what)
    return seen


@pytest.mark.proves("T6")
def test_a_cluster_that_is_stopped_in_the_middle_fails_the_search(product: Product, azure: Azure) -> None:
    product.control("/pace", {"label_selector": "app=blast", "delay_seconds": 120})
    job_id = product.submit(title="stopped")
    wait_for(lambda: product.detail(job_id)["phase"] == "running" or None, 60, "a running pod")
    azure.switch("stop", "Stopped")
    seen = phases_until(product, job_id, lambda shown: shown["status"] in TERMINAL or None, "the end")
    assert seen <= {"running", "failed"}
    error = product.detail(job_id)["error"]
    assert (error["code"], bool(error["message"]), bool(error["hint"])) == ("cluster_stopped", True, True)
    refused = product.http.get(f"/blast/jobs/{job_id}/results")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "results_not_ready")

    product.control("/pace", {"label_selector": "app=blast", "delay_seconds": 0})
    azure.switch("start", "Running")
    assert product.http.post(f"/blast/jobs/{job_id}/retry").status_code == 202
    assert product.wait_end(job_id, 120)["status"] == "completed"
    assert product.result(job_id) == product.unsharded(*OPTIONS)


@pytest.mark.proves("T1")
@pytest.mark.parametrize("minutes", [-5, 5])
def test_a_cluster_whose_clock_differs_changes_nothing(product: Product, minutes: int) -> None:
    product.control("/clock", {"skew_seconds": 60 * minutes})
    try:
        shown = product.wait_end(job_id := product.submit(title=f"{minutes} minutes"))
    finally:
        product.control("/clock", {"skew_seconds": 0})
    assert (shown["status"], shown["progress"]["succeeded"], shown["stale"]) == ("completed", 8, False)
    assert product.result(job_id) == product.unsharded(*OPTIONS)


@pytest.mark.proves("T3")
@pytest.mark.parametrize("damage", ["empty", "cut short", "not gzip"])
def test_one_of_eight_results_that_is_damaged(product: Product, damage: str) -> None:
    """It is damaged while the last Job still runs; the grace period of this stack is 3 s."""
    product.control("/pace", {"label_selector": "app=blast,shard=03", "delay_seconds": 8})
    try:
        job_id = product.submit(title=damage)
        piece = f"{job_id}/pieces/batch_000-shard_01.out.gz"
        wait_for(lambda: product.detail(job_id)["progress"]["succeeded"] == 6 or None, 60, "six of eight results")
        with product.blobs() as service:
            blob = service.get_blob_client("results", piece)
            whole = blob.download_blob().readall()
            assert gzip.decompress(whole)
            content = {"empty": b"", "cut short": whole[:-10], "not gzip": b"<html>refused by a proxy</html>"}[damage]
            blob.upload_blob(content, overwrite=True)
        seen = phases_until(product, job_id, lambda shown: shown["status"] in TERMINAL or None, "the end")
    finally:
        product.control("/pace", {"label_selector": "app=blast,shard=03", "delay_seconds": 0})
    assert "completed" not in seen
    assert {"results_pending", "failed"} <= seen
    error = product.detail(job_id)["error"]
    assert error["code"] == ("results_lost" if damage == "empty" else "results_invalid")
    assert piece in error["message"]

    assert product.http.post(f"/blast/jobs/{job_id}/retry").status_code == 202
    assert product.wait_end(job_id)["status"] == "completed"
    assert product.result(job_id) == product.unsharded(*OPTIONS)
