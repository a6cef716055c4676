"""A search of an uploaded query, by body and by link to storage, gives what the same query inline gives."""

from __future__ import annotations

import gzip
import hashlib
from typing import Any

import httpx
import pytest

from tests.e2e.product import QUERIES, Product, submit_body

OPTIONS = ("-task", "megablast", "-outfmt", "6 std", "-max_target_seqs", "20")


def stored(answer: httpx.Response, *status: int) -> dict[str, Any]:
    """The answer's body, which is that of the sample queries."""
    assert answer.status_code in status, answer.text
    body: dict[str, Any] = answer.json()
    assert (body["sequences"], body["sha256"]) == (40, hashlib.sha256(QUERIES.read_bytes()).hexdigest())
    assert body["programs"] == ["blastn", "blastx", "tblastx"]
    return body


def by_body(product: Product) -> str:
    """Packed, as a large one would be sent."""
    packed = gzip.compress(QUERIES.read_bytes())
    answer = product.http.post("/blast/queries", content=packed, headers={"Content-Encoding": "gzip"})
    blob = str(stored(answer, 201, 200)["query_blob"])  # 200 where another test has sent the same
    again = product.http.post("/blast/queries", content=QUERIES.read_bytes(), params={"program": "blastn"})
    assert stored(again, 200)["query_blob"] == blob
    return blob


def by_link(product: Product) -> str:
    """Straight to storage, then the commit, twice."""
    begun = product.http.post("/blast/queries/uploads")
    assert begun.status_code == 201, begun.text
    upload = begun.json()
    commit = upload["commit_url"].removeprefix("/api")
    too_early = product.http.post(commit)
    assert (too_early.status_code, too_early.json()["error"]["code"]) == (404, "upload_not_found")
    link = {"url": upload["upload_url"], "headers": {"x-ms-blob-type": "BlockBlob"}}
    httpx.put(content=b">a\nAC1T\n", **link).raise_for_status()
    wrong = product.http.post(commit)
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (422, "invalid_letter")
    httpx.put(content=QUERIES.read_bytes(), **link).raise_for_status()
    first = stored(product.http.post(commit), 200)
    httpx.put(content=b">other\nACGT\n", **link).raise_for_status()
    assert stored(product.http.post(commit), 200) == first
    assert first["query_blob"] == upload["query_blob"]
    return str(first["query_blob"])


@pytest.mark.parametrize("way", [by_body, by_link])
def test_the_results_are_those_of_the_same_query_inline(product: Product, way: Any) -> None:
    blob = way(product)
    body = submit_body(query_fasta=None, query_blob=blob)
    checks = product.http.post("/blast/jobs/validate", json=body).json()
    assert checks["ok"], checks
    assert checks["plan"]["batches"] == 2
    job_id = product.submit(query_fasta=None, query_blob=blob)
    assert product.wait_end(job_id)["status"] == "completed"
    assert product.result(job_id) == product.unsharded(*OPTIONS)


def test_a_wrong_body_leaves_nothing(product: Product) -> None:
    before = product.everything_kept()
    answer = product.http.post("/blast/queries", content=QUERIES.read_bytes() + b">x\nAC?T\n")
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_letter")
    assert product.everything_kept() == before
