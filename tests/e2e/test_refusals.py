"""A wrong request gets a 4xx that says what is wrong and what to do, and leaves no row, no blob and no Job."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.product import Product, submit_body

WRONG: dict[str, tuple[dict[str, Any], int, str]] = {
    "not FASTA": ({"query_fasta": "ACGT without a header"}, 422, "not_fasta"),
    "empty query": ({"query_fasta": ""}, 422, "empty_query"),
    "a protein for blastn": ({"query_fasta": ">p\nMKVLAAGIVGLLLEELPQ\n"}, 422, "invalid_letter"),
    "two queries of one id": ({"query_fasta": ">a\nACGT\n>a\nACGT\n"}, 422, "duplicate_query_id"),
    "unknown database": ({"database": "no_such_db"}, 422, "unknown_database"),
    "a path as database": ({"database": "../results"}, 422, "unknown_database"),
    "unknown program": ({"program": "blastz"}, 422, "unknown_program"),
    "wrong kind of database": (
        {"program": "blastp", "query_fasta": ">p\nMKVLAAGE\n", "options": {}},
        422,
        "wrong_database_type",
    ),
    "both queries": ({"query_blob": "uploads/x/y"}, 422, "one_query_required"),
    "no query": ({"query_fasta": None}, 422, "one_query_required"),
    "somebody else's blob": ({"query_fasta": None, "query_blob": "job-0/query.fa"}, 422, "query_not_found"),
    "a format that cannot be merged": ({"options": {"outfmt": "0"}}, 422, "outfmt_not_mergeable"),
    "a shell in the options": ({"options": {"extra": "-dust no; rm -rf /"}}, 422, "option_not_allowed"),
    "a remote search": ({"options": {"extra": "-remote"}}, 422, "option_not_allowed"),
    "an unknown task": ({"options": {"task": "hugeblast"}}, 422, "unknown_task"),
    "a misspelt field": ({"databse": "resfinder"}, 422, "invalid_request"),
    "a negative batch": ({"batch_len": -1}, 422, "invalid_request"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_submit_is_refused_and_leaves_nothing(product: Product, case: str) -> None:
    change, status, code = WRONG[case]
    before = product.everything_kept()
    answer = product.http.post("/blast/jobs", json=submit_body(**change))
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, code), error
    assert error["message"]
    assert error["hint"]
    assert product.everything_kept() == before


def test_a_body_that_is_not_json_is_malformed(product: Product) -> None:
    before = product.everything_kept()
    for body, code in ((b"{", "not_json"), (b"[]", "not_an_object"), (b"\xff", "not_json")):
        answer = product.http.post("/blast/jobs", content=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
    assert product.everything_kept() == before


def test_what_is_not_there_is_a_404_of_one_form(product: Product) -> None:
    for path in ("/blast/jobs/job-0", f"/blast/jobs/job-{'0' * 32}", "/blast/jobs/job-0/results", "/warmup/x/status"):
        answer = product.http.get(path)
        assert (answer.status_code, set(answer.json())) == (404, {"error"}), path


@pytest.mark.proves("W5")
def test_an_unknown_database_cannot_be_warmed(product: Product) -> None:
    before = product.everything_kept()
    output = product.finish(product.http.post("/warmup/start", json={"database": "no_such_db"}))
    assert output["status"] == "failed"
    assert (output["error"]["code"], output["error"]["message"]) == ("unknown_database", "unknown database no_such_db")
    assert product.everything_kept() == before


def test_a_forged_call_back_is_refused(product: Product) -> None:
    job_id = product.submit()
    for headers in ({}, {"X-Elb-Token": "0" * 64}):
        answer = product.http.post(f"/blast/jobs/{job_id}/notify", headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "wrong_token")
    assert product.wait_end(job_id)["status"] == "completed"
