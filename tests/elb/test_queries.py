"""The three ways of a query, by its size; files, standard input, pipes, gzip."""

from __future__ import annotations

import gzip
import io
import os
import re
import sys
import threading
from pathlib import Path

import pytest

from elb.queries import BLOCK_BYTES, BODY_BYTES, INLINE_BYTES
from tests.elb.conftest import JOB, Run, accepted
from tests.elb.fake_api import Answer, Asked, FakeApi, refusal

SUBMIT = ["submit", "--program", "blastn", "--db", "d"]
FASTA = b">q1\nACGT\n"


@pytest.fixture
def jobs(api: FakeApi) -> FakeApi:
    """An API that accepts searches, and queries sent whole."""
    api.on("POST /api/blast/jobs", accepted())
    api.on("POST /api/blast/queries", Answer(201, {"query_blob": "uploads/me/abc"}))
    return api


def submitted(api: FakeApi) -> dict[str, object]:
    (asked,) = api.requests("POST /api/blast/jobs")
    body: dict[str, object] = asked.json()
    return body


def long_query(size: int) -> bytes:
    return b">q\n" + b"A" * (size - 4) + b"\n"


def test_a_small_one_travels_in_the_submit(jobs: FakeApi, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "q"
    file.write_bytes(long_query(INLINE_BYTES))
    assert run(*SUBMIT, str(file)).code == 0
    assert submitted(jobs) == {"program": "blastn", "database": "d", "query_fasta": file.read_text()}


def test_a_larger_one_is_sent_before(jobs: FakeApi, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "q"
    file.write_bytes(long_query(INLINE_BYTES + 1))
    assert run(*SUBMIT, str(file), "--storage-account", "acc").code == 0
    (sent,) = jobs.requests("POST /api/blast/queries")
    assert sent.body == file.read_bytes()
    assert sent.headers["Content-Length"] == str(INLINE_BYTES + 1)
    assert sent.params == {"program": "blastn", "storage_account": "acc"}
    assert submitted(jobs)["query_blob"] == "uploads/me/abc"
    assert "query_fasta" not in submitted(jobs)


@pytest.mark.parametrize("content", [gzip.compress(FASTA), b">q\xff\nACGT\n"], ids=["gzip", "not UTF-8"])
def test_what_is_no_text_is_sent_as_it_is(content: bytes, jobs: FakeApi, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "q"
    file.write_bytes(content)
    assert run(*SUBMIT, str(file)).code == 0
    assert jobs.requests("POST /api/blast/queries")[0].body == content


def test_one_whose_answer_was_lost_is_sent_again_whole(jobs: FakeApi, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "q"
    file.write_bytes(long_query(INLINE_BYTES + 1))
    jobs.on("POST /api/blast/queries", Answer(lost=True), Answer(200, {"query_blob": "uploads/me/abc"}))
    assert run(*SUBMIT, str(file)).code == 0
    assert [len(asked.body) for asked in jobs.requests("POST /api/blast/queries")] == [INLINE_BYTES + 1] * 2


def test_the_largest_go_to_storage_in_blocks(
    jobs: FakeApi, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELB_TOKEN", "secret-token")
    file = tmp_path / "q"
    with file.open("wb") as content:  # sparse: what is between is not on the disk
        content.truncate(BODY_BYTES + 1)
        content.write(b">q1 the beginning\n")
        content.seek(0, io.SEEK_END)
        content.write(b"the end\n")
    size = file.stat().st_size
    blocks: dict[str, tuple[int, bytes, bytes]] = {}
    busy = {"left": 1}

    def put(asked: Asked) -> Answer:
        assert "Authorization" not in asked.headers
        assert asked.params["sig"] == "a+b/c="
        if asked.params["comp"] == "block":
            if len(blocks) == 3 and busy["left"]:
                busy["left"] = 0
                return Answer(503, b"<Error/>")
            blocks[asked.params["blockid"]] = (len(asked.body), asked.body[:18], asked.body[-8:])
        else:
            assert re.findall("<Latest>(.*?)</Latest>", asked.body.decode()) == list(blocks)
        return Answer(201, b"")

    with FakeApi() as storage:
        storage.on("PUT /acc/queries/blob", put)
        upload = {
            "upload_id": "u",
            "upload_url": f"{storage.address}/acc/queries/blob?sv=1&sig=a%2Bb%2Fc%3D",
            "query_blob": "uploads/me/u",
            "commit_url": "/api/blast/queries/uploads/u/commit?storage_account=acc",
        }
        jobs.on("POST /api/blast/queries/uploads", Answer(201, upload))
        jobs.on("POST /api/blast/queries/uploads/u/commit", Answer(body={"query_blob": "uploads/me/u"}))
        assert run(*SUBMIT, str(file), "--storage-account", "acc").code == 0
        assert [asked.params["comp"] for asked in storage.asked].count("blocklist") == 1
    assert [length for length, _, _ in blocks.values()] == [BLOCK_BYTES] * (size // BLOCK_BYTES) + [size % BLOCK_BYTES]
    assert next(iter(blocks.values()))[1] == b">q1 the beginning\n"
    assert list(blocks.values())[-1][2] == b"the end\n"
    (commit,) = jobs.requests("POST /api/blast/queries/uploads/u/commit")
    assert commit.params == {"storage_account": "acc", "program": "blastn"}
    assert submitted(jobs)["query_blob"] == "uploads/me/u"


def test_a_link_that_has_ended_is_not_shown(jobs: FakeApi, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "q"
    with file.open("wb") as content:
        content.truncate(BODY_BYTES + 1)
    with FakeApi() as storage:
        storage.on("PUT /blob", Answer(403, b"<Error/>"))
        upload = {"upload_url": f"{storage.address}/blob?sig=secret", "commit_url": "x"}
        jobs.on("POST /api/blast/queries/uploads", Answer(201, upload))
        ran = run(*SUBMIT, str(file), "--json")
    assert (ran.code, ran.error()["error"]["code"]) == (6, "storage_refused")
    assert "secret" not in ran.err


def test_what_is_wrong_with_it_is_the_api_s_word(jobs: FakeApi, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "q"
    file.write_bytes(gzip.compress(b"no fasta"))
    jobs.on("POST /api/blast/queries", refusal(422, "not_fasta"))
    ran = run(*SUBMIT, str(file))
    assert (ran.code, "what not_fasta says" in ran.err) == (8, True)
    assert not jobs.requests("POST /api/blast/jobs")


class _Input(io.TextIOWrapper):
    """Standard input that is no terminal."""


@pytest.mark.parametrize("words", [["-"], []], ids=["-", "nothing named"])
@pytest.mark.parametrize("size", [100, INLINE_BYTES + 1])
def test_standard_input(words: list[str], size: int, jobs: FakeApi, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", _Input(io.BytesIO(long_query(size))))
    assert run(*SUBMIT, *words).code == 0
    if size > INLINE_BYTES:
        assert jobs.requests("POST /api/blast/queries")[0].body == long_query(size)
    else:
        assert submitted(jobs)["query_fasta"] == long_query(size).decode()


def test_a_pipe_under_a_name(jobs: FakeApi, run: Run, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(FASTA,))
    writer.start()
    assert run(*SUBMIT, str(pipe)).code == 0
    writer.join()
    assert submitted(jobs)["query_fasta"] == FASTA.decode()


def test_every_option_arrives(jobs: FakeApi, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "q"
    file.write_bytes(FASTA)
    words = "--task megablast --evalue 0.01 --max-target-seqs 50 --word-size 28 --title t --engine native --batch-len 7"
    where = "--subscription s --resource-group r --cluster c --storage-account acc --webhook-url https://x/"
    rest = ["--outfmt", "6 std", "--extra=-dust no", "--label", "project=x", "--label", "a=b=c"]
    assert run(*SUBMIT, str(file), *words.split(), *where.split(), *rest).code == 0
    assert submitted(jobs) == {
        "program": "blastn",
        "database": "d",
        "query_fasta": FASTA.decode(),
        "title": "t",
        "labels": {"project": "x", "a": "b=c"},
        "options": {
            "task": "megablast",
            "evalue": 0.01,
            "max_target_seqs": 50,
            "word_size": 28,
            "outfmt": "6 std",
            "extra": "-dust no",
        },
        "engine": "native",
        "batch_len": 7,
        "cluster": {"subscription_id": "s", "resource_group": "r", "cluster_name": "c", "storage_account": "acc"},
        "webhook_url": "https://x/",
    }


def test_a_clone_takes_other_queries(api: FakeApi, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "q"
    file.write_bytes(FASTA)
    api.on("POST /api/blast/jobs/{id}/clone", accepted("job-2"))
    assert run("clone", JOB, "--query", str(file)).code == 0
    assert api.requests("POST /api/blast/jobs/{id}/clone")[0].json() == {"query_fasta": FASTA.decode()}
