"""Searches begun with kubectl alone: they appear by themselves, complete with their results, and can be removed."""

from __future__ import annotations

import gzip
import json
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from local.elastic_blast.install import install
from local.elastic_blast.jobs import Submission
from local.elastic_blast.openapi import sign
from local.stack.identity import CLUSTER, RESOURCE_GROUP, STORAGE_ACCOUNT
from tests.e2e.product import DATABASE, QUERIES, Product, wait_for

APPEARS_WITHIN = 60
OPTIONS = ("-task", "megablast", "-outfmt", "6 std", "-max_target_seqs", "20")
BATCHES = 2


@dataclass(frozen=True)
class Outside:
    """Somebody who knows the cluster, the storage and what the command line makes, and nothing of the product."""

    product: Product

    def submission(self) -> Submission:
        """What ``elastic-blast submit`` would make; the id is not of the product's form."""
        stack, identity = self.product.stack.stack_json, self.product.stack.identity
        job_id = f"run.{uuid.uuid4().hex[:12]}"
        return Submission(
            job_id=job_id,
            program="blastn",
            db=DATABASE,
            db_url=f"{stack['blob_endpoint']}/blast-db/{DATABASE}/{DATABASE}",
            results=f"{stack['blob_endpoint']}/results/{job_id}",
            options="-task megablast -outfmt '6 std' -max_target_seqs 20",
            memory_request="0.5G",
            memory_limit="2G",
            cluster_name=CLUSTER,
            resource_group=RESOURCE_GROUP,
            access={
                "ELB_STAND_IN_KUBERNETES": stack["kubernetes"],
                "ELB_STAND_IN_TOKEN": identity.cluster_token,
                "ELB_STAND_IN_SAS": sign(STORAGE_ACCOUNT, identity.storage_key),
            },
        )

    def create(self, *jobs: dict[str, Any]) -> None:
        """``kubectl create -f -``."""
        command = ["kubectl", "--kubeconfig", str(self.product.stack.home.kubeconfig), "create", "-f", "-"]
        documents = "\n".join(map(json.dumps, jobs))
        subprocess.run(command, input=documents, text=True, check=True, capture_output=True, timeout=60)

    def prepare(self, submission: Submission) -> None:
        """Cut the query, and bring the database to the nodes: what the command does before its BLAST Jobs."""
        records = [f">{record}" for record in QUERIES.read_text().split(">")[1:]]
        half = len(records) // BATCHES
        with self.product.blobs() as service:
            for batch, part in enumerate((records[:half], records[half:])):
                name = f"{submission.job_id}/query_batches/batch_{batch:03d}.fa"
                service.get_blob_client("results", name).upload_blob("".join(part))
        nodes = self.product.kubectl("get", "nodes", "-l", "kubernetes.azure.com/mode!=system", "-o", "name").split()
        self.create(*(submission.setup_job(n, node.removeprefix("node/")) for n, node in enumerate(nodes)))
        selector = f"app=setup,elb-job-id={submission.job_id}"
        self.product.kubectl("wait", "--for=condition=Complete", "job", "-l", selector, "--timeout=30s")

    def jobs_of(self, submission: Submission) -> list[str]:
        """Jobs and pods that are there, by their names, whatever they are labelled."""
        listed = self.product.kubectl("get", "jobs,pods", "-o", "name").split()
        return [name for name in listed if submission.short_id in name]

    def listed(self, job_id: str) -> dict[str, Any] | None:
        """The item of the list; None while there is none."""
        answer = self.product.http.get("/blast/jobs", params={"limit": 500})
        assert answer.status_code == 200, answer.text
        return next((item for item in answer.json()["items"] if item["job_id"] == job_id), None)

    def blobs_of(self, job_id: str) -> list[str]:
        """Names of what lies in the search's folder of results."""
        with self.product.blobs() as service:
            return [blob.name for blob in service.get_container_client("results").list_blobs(f"{job_id}/")]


@pytest.fixture
def outside(product: Product) -> Iterator[Outside]:
    """Pods find the stand-in for elastic-blast in their PATH."""
    install(product.stack.home.tools)
    yield Outside(product)
    product.control("/pace", {"label_selector": "app=blast", "delay_seconds": 0})


@pytest.mark.proves("F7")
@pytest.mark.proves("T7")
def test_it_appears_and_completes_with_its_results(product: Product, outside: Outside) -> None:
    submission = outside.submission()
    job_id = submission.job_id
    outside.prepare(submission)
    began = time.monotonic()
    outside.create(*map(submission.blast_job, range(BATCHES)), submission.finalizer_job())
    item = wait_for(lambda: outside.listed(job_id), APPEARS_WITHIN, "the search in the list")
    assert time.monotonic() - began < APPEARS_WITHIN
    assert (item["source"], item["program"], item["database"]) == ("external", "blastn", DATABASE)
    shown = product.wait_end(job_id, 60)
    assert (shown["status"], shown["error"], shown["job_id"]) == ("completed", None, job_id)
    assert (shown["progress"]["succeeded"], shown["progress"]["total"]) == (BATCHES, BATCHES)
    steps = {step["name"]: (step["status"], step["detail"]) for step in shown["steps"]}
    assert steps["submitting"] == ("skipped", "begun outside")
    assert (steps["running"][0], steps["exporting"][0]) == ("completed", "completed")
    assert product.http.get(f"/blast/jobs/{job_id}/events").json()["items"][-1]["kind"] == "registered"

    results = product.http.get(f"/blast/jobs/{job_id}/results").json()
    names = [f"batch_{batch:03d}-blastn-{DATABASE}.out.gz" for batch in range(BATCHES)]
    files = {file["name"]: file["blob"] for file in results["manifest"]}
    assert files == {name: f"{job_id}/{name}" for name in names}
    parts = [product.http.get(file["url"].removeprefix("/api")).content for file in results["manifest"]]
    assert b"".join(map(gzip.decompress, parts)) == product.unsharded(*OPTIONS)

    for refused, code in (("retry", "not_retryable"), ("clone", "not_cloneable")):
        answer = product.http.post(f"/blast/jobs/{job_id}/{refused}", json={})
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, code)
    assert product.http.delete(f"/blast/jobs/{job_id}").status_code == 202
    wait_for(lambda: outside.listed(job_id) is None or None, 30, "the end of the row")
    assert product.http.get(f"/blast/jobs/{job_id}").status_code == 404
    assert (outside.jobs_of(submission), outside.blobs_of(job_id)) == ([], [])


@pytest.mark.proves("F7")
@pytest.mark.proves("T7")
def test_it_can_be_cancelled_and_every_id_leads_to_it(product: Product, outside: Outside) -> None:
    """Its Jobs carry one id as their label and another one in the environment of their pods, which is the search's."""
    submission = outside.submission()
    job_id, label = submission.job_id, f"label-of-{submission.short_id}"
    outside.prepare(submission)
    product.control("/pace", {"label_selector": "app=blast", "delay_seconds": 120})
    jobs = [*map(submission.blast_job, range(BATCHES)), submission.finalizer_job()]
    for job in jobs[:BATCHES]:
        for metadata in (job["metadata"], job["spec"]["template"]["metadata"]):
            metadata["labels"] = metadata["labels"] | {"elb-job-id": label}
    outside.create(*jobs)
    # A look that sees a Job before its pod knows the label alone; the other id becomes an alias then.
    item = wait_for(lambda: outside.listed(job_id) or outside.listed(label), APPEARS_WITHIN, "the search in the list")

    def both() -> dict[str, Any] | None:
        answers = [product.http.get(f"/blast/jobs/{any_id}") for any_id in (job_id, label)]
        running = all(answer.status_code == 200 and answer.json()["phase"] == "running" for answer in answers)
        return dict(answers[0].json()) if running and answers[0].json() == answers[1].json() else None

    shown = wait_for(both, 30, "both ids")
    assert (shown["job_id"], shown["progress"]["total"]) == (item["job_id"], BATCHES)
    assert {shown["job_id"], *shown["aliases"]} == {job_id, label}

    answer = product.http.post(f"/blast/jobs/{label}/cancel", json={"reason": "not mine"})
    assert (answer.status_code, answer.json()["phase"]) == (202, "cancelling")
    assert product.wait_end(job_id)["status"] == "cancelled"
    assert outside.jobs_of(submission) == []
    assert product.http.delete(f"/blast/jobs/{job_id}").status_code == 202
    wait_for(lambda: outside.listed(item["job_id"]) is None or None, 30, "the end of the row")
    assert [product.http.get(f"/blast/jobs/{any_id}").status_code for any_id in (job_id, label)] == [404, 404]
