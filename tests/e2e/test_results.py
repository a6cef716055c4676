"""What can be done with the results of a search: hits, parts of files, logs; over HTTP, with real BLAST and storage."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from tests.e2e.product import Product


@pytest.fixture(scope="module")
def searches(product: Product) -> dict[str, str]:
    """The sample queries in three formats: format -> job id."""
    formats = {"6 std stitle": "table", "5": "xml", "7 std": "commented"}
    ids = {
        name: product.submit(options={"task": "blastn", "outfmt": text, "max_target_seqs": 50})
        for text, name in formats.items()
    }
    for job_id in ids.values():
        assert product.wait_end(job_id, 120)["status"] == "completed"
    return ids


def get(product: Product, path: str, **params: Any) -> Any:
    """The body of a good answer."""
    answer = product.http.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def hits(product: Product, job_id: str, **params: Any) -> list[dict[str, Any]]:
    """The hits of all pages."""
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page = get(product, f"/blast/jobs/{job_id}/hits", **params, **({"cursor": cursor} if cursor else {}))
        found += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


def test_hits_are_those_of_the_file_in_every_format(product: Product, searches: dict[str, str]) -> None:
    rows = [line.split(b"\t") for line in product.result(searches["table"]).splitlines()]
    expected = [(row[0].decode(), row[1].decode(), int(row[6]), int(row[8]), row[12].decode()) for row in rows]
    assert len(expected) > 1000
    for name in searches:
        found = hits(product, searches[name], limit=500)
        places = [(hit["query"], hit["subject"], hit["query_start"], hit["subject_start"]) for hit in found]
        assert places == [row[:4] for row in expected]
    assert [hit["title"] for hit in hits(product, searches["table"], limit=500)] == [row[4] for row in expected]


@pytest.mark.parametrize("name", ["table", "xml", "commented"])
def test_the_hits_of_one_query_filtered_and_sorted(product: Product, searches: dict[str, str], name: str) -> None:
    with product.blobs() as service:
        index = service.get_blob_client("results", f"{searches[name]}/hits.index").get_blob_properties()
    assert index.size > 0, "the result is large enough to have an index"
    every = hits(product, searches[name], limit=500)
    query = every[len(every) // 2]["query"]
    own = [hit for hit in every if hit["query"] == query]
    assert hits(product, searches[name], query=query, limit=7) == own
    best = [hit for hit in own if hit["identity"] >= 90]
    assert hits(product, searches[name], query=query, min_identity=90) == best
    by_length = hits(product, searches[name], query=query, sort="-length", limit=7)
    assert by_length == sorted(own, key=lambda hit: -hit["length"])


def test_a_file_in_parts(product: Product, searches: dict[str, str]) -> None:
    content = product.result(searches["table"])
    url = f"/blast/jobs/{searches['table']}/results/results.tsv"
    etag = f'"{hashlib.sha256(content).hexdigest()}"'
    for answer in (
        product.http.get(url, headers={"Range": "bytes=10-99"}),
        product.http.get(url, params={"range": "10-99"}),
    ):
        assert (answer.status_code, answer.content) == (206, content[10:100])
        assert answer.headers["Content-Range"] == f"bytes 10-99/{len(content)}"
        assert (answer.headers["ETag"], answer.headers["Accept-Ranges"]) == (etag, "bytes")
    beyond = product.http.get(url, headers={"Range": f"bytes={len(content)}-"})
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, f"bytes */{len(content)}")
    same = product.http.get(url, headers={"If-None-Match": etag})
    assert (same.status_code, same.content) == (304, b"")


def test_the_provenance_names_the_program_that_ran(product: Product, searches: dict[str, str]) -> None:
    said = {
        get(product, f"/blast/jobs/{job_id}/results")["provenance"]["program_version"] for job_id in searches.values()
    }
    (version,) = said
    url = f"/blast/jobs/{searches['xml']}/results/results.xml"
    beginning = product.http.get(url, params={"range": "0-999"}).text
    assert f"<BlastOutput_version>BLASTN {version}</BlastOutput_version>" in beginning


def test_logs_of_each_job(product: Product, searches: dict[str, str]) -> None:
    logs = get(product, f"/blast/jobs/{searches['table']}/logs")
    assert (logs["stale"], logs["jobs_total"], len(logs["items"])) == (False, 8, 8)
    for item in logs["items"]:
        assert (item["source"], item["container"]) == ("pod", "blast")
        assert "BLAST ended after" in item["text"]
        assert "sig=" not in item["text"]
    one = get(product, f"/blast/jobs/{searches['table']}/logs", job=logs["items"][3]["job"], tail=1)
    (item,) = one["items"]
    assert (item["text"].count("\n"), item["truncated"]) == (1, True)
