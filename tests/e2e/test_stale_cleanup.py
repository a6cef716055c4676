"""The clean-up before a submit, against the cluster: only finished Jobs of ended searches over 30 minutes go."""

from __future__ import annotations

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.e2e.product import Product, wait_for


def foreign_job(name: str, command: str) -> dict[str, Any]:
    """A Job of somebody else's; it carries no id, or it would make a search that is active until its results decide."""
    labels = {"app": "blast"}
    container = {"name": "blast", "image": "ncbi/elb:1.4.0", "command": ["sh", "-c", command]}
    pod = {
        "restartPolicy": "Never",
        "containers": [container],
        "tolerations": [{"key": "workload", "operator": "Exists"}],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": labels},
        "spec": {"backoffLimit": 0, "template": {"metadata": {"labels": labels}, "spec": pod}},
    }


def create(product: Product, minutes_ago: int, *jobs: dict[str, Any]) -> None:
    """Create Jobs as if it were then."""
    product.control("/clock", {"skew_seconds": -60 * minutes_ago})
    try:
        command = ["kubectl", "--kubeconfig", str(product.stack.home.kubeconfig), "create", "-f", "-"]
        for job in jobs:
            subprocess.run(command, input=json.dumps(job), text=True, check=True, capture_output=True, timeout=30)
    finally:
        product.control("/clock", {"skew_seconds": 0})


def names(product: Product, *states: str) -> set[str]:
    listed = json.loads(product.kubectl("get", "jobs", "-l", "app=blast", "-o", "json"))["items"]
    found = {}
    for job in listed:
        conditions = [c["type"] for c in job.get("status", {}).get("conditions", ()) if c["status"] == "True"]
        found[job["metadata"]["name"]] = "finished" if {"Complete", "Failed"} & set(conditions) else "running"
    return {name for name, state in found.items() if name.startswith("old-") and (not states or state in states)}


@pytest.mark.proves("S4")
def test_two_submits_at_once_remove_only_what_is_finished_and_old(product: Product) -> None:
    for minutes in (29, 31, 400):
        create(
            product,
            minutes,
            foreign_job(f"old-{minutes}-done", "true"),
            foreign_job(f"old-{minutes}-failed", "false"),
            foreign_job(f"old-{minutes}-runs", "sleep 600"),
        )
    try:
        wait_for(lambda: len(names(product, "finished")) == 6 or None, 30, "six finished Jobs")
        with ThreadPoolExecutor(2) as pool:
            first, second = pool.map(lambda _: product.submit(), range(2))
        for job_id in (first, second):
            shown = product.wait_end(job_id)
            assert (shown["status"], shown["progress"]["succeeded"]) == ("completed", 8)
        assert names(product) == {"old-29-done", "old-29-failed", "old-29-runs", "old-31-runs", "old-400-runs"}
    finally:
        for name in names(product):
            product.kubectl("delete", "job", name)
