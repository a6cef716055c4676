"""The command line client on the whole stack, as a process of its own: the results are the API's, byte for byte."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from elb.api import Api
from elb.clock import Clock
from elb.queries import open_query, send_query
from tests.e2e.product import DATABASE, QUERIES, Product, wait_for

REPOSITORY = Path(__file__).parents[2]
SEARCH = [
    "--program",
    "blastn",
    "--db",
    DATABASE,
    "--task",
    "megablast",
    "--outfmt",
    "6 std",
    "--max-target-seqs",
    "20",
]


def elb(product: Product, *words: str, code: int = 0) -> Any:
    """What the client prints as JSON, when it ends with this code: of ``watch`` the lines."""
    command = [sys.executable, "-m", "elb", *words, "--json", "--api", product.stack.api]
    bare = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    done = subprocess.run(command, cwd=REPOSITORY, env=bare, capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done.stderr
    if words[0] == "watch":
        return [json.loads(line) for line in done.stdout.splitlines()]
    return json.loads(done.stdout or "null")


def test_a_search_from_the_command_line(product: Product, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    words = ["submit", str(QUERIES), *SEARCH, "--batch-len", "20000", "--title", "by the client", "--out", str(folder)]
    done = elb(product, *words)
    job_id = done["job_id"]
    (file,) = done["files"]
    content = Path(file["path"]).read_bytes()
    assert content == product.result(job_id)
    assert content == product.unsharded("-task", "megablast", "-outfmt", "6 std", "-max_target_seqs", "20")
    assert content.count(b"\n") > 100
    assert done["search"]["status"] == "completed"

    assert elb(product, "watch", job_id)[-1]["status"] == "completed"
    assert elb(product, "results", job_id) == product.http.get(f"/blast/jobs/{job_id}/results").json()
    (again,) = elb(product, "results", job_id, "--out", str(folder))["files"]
    assert again["state"] == "present"
    (folder / "results.tsv").unlink()
    (folder / f".results.tsv.{file['sha256'][:16]}.part").write_bytes(content[:1000])
    (resumed,) = elb(product, "results", job_id, "--out", str(folder))["files"]
    assert (resumed["state"], Path(file["path"]).read_bytes()) == ("resumed", content)
    hits = elb(product, "hits", job_id, "--all")["items"]
    assert len(hits) == content.count(b"\n")
    assert [f"{hit['query']}\t{hit['subject']}" for hit in hits] == [
        "\t".join(line.split("\t")[:2]) for line in content.decode().splitlines()
    ]
    assert elb(product, "events", job_id)["items"][-1]["kind"] == "submitted"
    assert elb(product, "logs", job_id)["jobs_total"] == 8
    assert job_id in [item["job_id"] for item in elb(product, "jobs", "--title", "by the client")["items"]]
    assert elb(product, "delete", job_id, "--wait")["status"] == "deleted"
    elb(product, "show", job_id, code=4)


@pytest.fixture
def slow_pods(product: Product) -> Iterator[Callable[[], None]]:
    """BLAST takes 60 s, until this is called or the test ends."""
    product.control("/pace", {"label_selector": "app=blast", "delay_seconds": 60})

    def usual() -> None:
        product.control("/pace", {"label_selector": "app=blast", "delay_seconds": 0})

    yield usual
    usual()


def test_a_search_is_cancelled_and_tried_again(product: Product, slow_pods: Callable[[], None]) -> None:
    job_id = elb(product, "submit", str(QUERIES), *SEARCH)["job_id"]
    wait_for(lambda: product.detail(job_id)["phase"] == "running" or None, 60, "a running pod")
    elb(product, "watch", job_id, "--timeout", "1s", code=7)
    assert elb(product, "cancel", job_id, "--reason", "a test", "--wait")["status"] == "cancelled"
    slow_pods()
    assert elb(product, "watch", job_id, code=3)[-1]["status"] == "cancelled"
    assert elb(product, "retry", job_id, "--wait")["attempt"] == 2
    elb(product, "retry", job_id, code=8)


def test_the_three_ways_of_a_query_are_one_search(product: Product, tmp_path: Path) -> None:
    packed = tmp_path / "queries.fasta.gz"
    packed.write_bytes(gzip.compress(QUERIES.read_bytes()))
    plain = elb(product, "submit", str(QUERIES), *SEARCH, "--wait")["search"]
    whole = elb(product, "submit", str(packed), *SEARCH, "--wait")["search"]
    api = Api(product.stack.api, lambda: None, Clock())
    with open_query(str(packed)) as query:
        sent = send_query(api, query, {"program": "blastn"}, lambda _: None, body_bytes=100)
    api.close()
    blocks = product.submit(query_fasta=None, batch_len=None, **sent)
    product.wait_end(blocks)
    assert plain["query"] == whole["query"]
    assert product.result(plain["job_id"]) == product.result(whole["job_id"]) == product.result(blocks)


def test_what_a_search_runs_on(product: Product) -> None:
    assert elb(product, "me")["owner"] == "dev@localhost"
    assert DATABASE in [item["name"] for item in elb(product, "databases")["items"]]
    assert elb(product, "cluster", "status")["items"][0]["lifecycle_state"] == "running"
    assert elb(product, "warm", DATABASE, "--wait")["output"]["status"] == "succeeded"
    assert elb(product, "validate", str(QUERIES), *SEARCH)["ok"]
    assert not elb(product, "validate", str(QUERIES), "--program", "blastn", "--db", "nothing", code=8)["ok"]
