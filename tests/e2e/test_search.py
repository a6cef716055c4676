"""One search through everything, as the demo does it, and what a user can ask about it."""

from __future__ import annotations

import hashlib

import pytest

from tests.e2e.product import Product, submit_body

STEPS = ["preparing", "warming_up", "configuring", "staging_db", "submitting", "running", "exporting"]


def test_a_search_completes_and_tells_what_it_did(product: Product) -> None:
    job_id = product.submit(title="run 7", labels={"project": "x"})
    shown = product.wait_end(job_id)
    assert (shown["status"], shown["phase"], shown["error"]) == ("completed", "completed", None)
    assert shown["progress"] == {"total": 8, "pending": 0, "running": 0, "succeeded": 8, "failed": 0, "pct": 100.0}
    assert [step["name"] for step in shown["steps"]] == STEPS
    assert {step["status"] for step in shown["steps"]} == {"completed", "skipped"}
    assert all(step["seconds"] >= 0 for step in shown["steps"])
    assert {(job["batch"], job["shard"], job["state"]) for job in shown["kubernetes"]["jobs"]} == {
        (batch, shard, "succeeded") for batch in range(2) for shard in range(4)
    }
    assert (shown["title"], shown["labels"], shown["owner"]) == ("run 7", {"project": "x"}, "dev@localhost")


@pytest.mark.proves("T7")
def test_one_id_in_list_detail_labels_and_blobs(product: Product) -> None:
    job_id = product.submit()
    product.wait_end(job_id)
    listed = product.http.get("/blast/jobs").json()["items"]
    assert job_id in [item["job_id"] for item in listed]
    assert product.detail(job_id)["job_id"] == job_id
    labels = product.kubectl("get", "jobs", "-l", f"elb-job-id={job_id}", "-o", "jsonpath={.items[*].metadata.labels}")
    assert labels.count(job_id) == 8
    with product.blobs() as service:
        names = [blob.name for blob in service.get_container_client("results").list_blobs(name_starts_with=job_id)]
    assert f"{job_id}/manifest.json" in names


def test_the_list_is_newest_first_and_pages(product: Product) -> None:
    ids = [product.submit(title=f"page {n}") for n in range(3)]
    for job_id in ids:
        product.wait_end(job_id)
    first = product.http.get("/blast/jobs", params={"limit": 2}).json()
    second = product.http.get("/blast/jobs", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [item["job_id"] for item in first["items"] + second["items"]][:3] == ids[::-1]


@pytest.mark.parametrize("task", ["megablast", "blastn"])
@pytest.mark.parametrize("subjects", [5, 20, 500])
def test_sharded_equals_unsharded_byte_for_byte(product: Product, task: str, subjects: int) -> None:
    options = {"task": task, "outfmt": "6 std", "max_target_seqs": subjects}
    job_id = product.submit(options=options)
    assert product.wait_end(job_id)["status"] == "completed"
    wanted = product.unsharded("-task", task, "-outfmt", "6 std", "-max_target_seqs", str(subjects))
    assert product.result(job_id) == wanted
    assert wanted.count(b"\n") > 35 * min(subjects, 5)


def test_results_say_what_they_are(product: Product) -> None:
    job_id = product.submit()
    product.wait_end(job_id)
    results = product.http.get(f"/blast/jobs/{job_id}/results").json()
    content = product.result(job_id)
    (file,) = results["manifest"]
    assert (file["size"], file["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert results["summary"]["hits"] == content.count(b"\n")
    assert results["summary"]["queries"] == 40
    assert results["summary"]["queries_with_hits"] == len({line.split(b"\t")[0] for line in content.splitlines()})
    provenance = results["provenance"]
    assert (provenance["database_sequences"], provenance["shards"], provenance["batches"]) == (3144, 4, 2)


def test_a_repeated_submit_with_one_key_is_one_search(product: Product) -> None:
    headers = {"Idempotency-Key": "the very same"}
    answers = [product.http.post("/blast/jobs", json=submit_body(), headers=headers) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {202}
    (job_id,) = {answer.json()["job_id"] for answer in answers}
    product.wait_end(job_id)
    assert len(product.kubectl("get", "jobs", "-l", f"elb-job-id={job_id}", "-o", "name").split()) == 8
    other = product.http.post("/blast/jobs", json=submit_body(title="another"), headers=headers)
    assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_key_reused")


def test_health_ready_and_me(product: Product) -> None:
    assert product.http.get("/health").status_code == 200
    ready = product.http.get("/health/ready")
    assert (ready.status_code, ready.json()["ready"]) == (200, True)
    assert product.http.get("/me").json()["owner"] == "dev@localhost"
    foreign = product.http.get("/me", headers={"Host": "evil.example"})
    assert (foreign.status_code, foreign.json()["error"]["code"]) == (401, "not_signed_in")
