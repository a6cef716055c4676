"""A search by the command-line engine, from the submit to its results, as a user sees it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator

import pytest

from local.elastic_blast.install import install
from local.elastic_blast.openapi import NAME, openapi_pod, sign
from local.stack.identity import STORAGE_ACCOUNT
from tests.e2e.product import Product, wait_for

UNSHARDED = ("-task", "megablast", "-outfmt", "6 std", "-max_target_seqs", "20")


@pytest.fixture
def deploy(product: Product) -> Iterator[Callable[[str], None]]:
    """Put a pod in the place of elb-openapi, told what to do wrong."""
    install(product.stack.home.tools)

    def apply(faults: str) -> None:
        product.kubectl("delete", "pod", NAME, "--ignore-not-found", "--wait=true")
        identity = product.stack.identity
        signature = sign(STORAGE_ACCOUNT, identity.storage_key)
        pod = openapi_pod(product.stack.stack_json["kubernetes"], identity.cluster_token, signature, faults=faults)
        command = ["kubectl", "--kubeconfig", str(product.stack.home.kubeconfig), "create", "-f", "-"]
        subprocess.run(command, input=json.dumps(pod), text=True, check=True, capture_output=True)
        product.kubectl("wait", "--for=condition=Ready", f"pod/{NAME}", "--timeout=20s")

    yield apply
    product.kubectl("delete", "pod", NAME, "--ignore-not-found", "--wait=true")


def test_it_completes_with_the_rows_of_plain_blastn(product: Product, deploy: Callable[[str], None]) -> None:
    deploy("")
    job_id = product.submit(engine="cli")
    shown = product.wait_end(job_id, 90)
    assert (shown["status"], shown["error"]) == ("completed", None)
    assert product.result(job_id) == product.unsharded(*UNSHARDED)
    steps = {step["name"]: step["status"] for step in shown["steps"]}
    assert (steps["warming_up"], steps["submitting"], steps["exporting"]) == ("skipped", "completed", "completed")
    results = product.http.get(f"/blast/jobs/{job_id}/results").json()
    assert results["summary"] == {"queries": 40, "queries_with_hits": 39, "hits": product.result(job_id).count(b"\n")}


@pytest.mark.proves("S8")
def test_without_elb_openapi_it_says_what_deploys_it(product: Product) -> None:
    job_id = product.submit(engine="cli")
    shown = product.wait_end(job_id)
    assert (shown["status"], shown["error"]["code"]) == ("failed", "openapi_missing")
    assert "POST /api/aks/openapi/deploy" in shown["error"]["message"]


def test_a_failing_command_fails_the_search_with_its_log(product: Product, deploy: Callable[[str], None]) -> None:
    deploy("exit=1")
    job_id = product.submit(engine="cli")
    shown = product.wait_end(job_id)
    assert shown["status"] == "failed"
    assert shown["error"]["log_tail"]
    assert shown["error"]["hint"]


def test_a_cancel_leaves_no_helper_and_no_job(product: Product, deploy: Callable[[str], None]) -> None:
    deploy("")
    product.control("/pace", {"label_selector": "app=blast", "delay_seconds": 20})
    try:
        job_id = product.submit(engine="cli")
        wait_for(lambda: product.kubectl("get", "jobs", "-l", f"elb-job-id={job_id}", "-o", "name") or None, 30, "Jobs")
        assert product.http.post(f"/blast/jobs/{job_id}/cancel", json={}).status_code == 202
        assert product.wait_end(job_id)["status"] == "cancelled"
    finally:
        product.control("/pace", {"label_selector": "app=blast", "delay_seconds": 0})
    assert product.kubectl("get", "jobs,pods", "-l", f"elb-job-id={job_id}", "-o", "name").split() == []
