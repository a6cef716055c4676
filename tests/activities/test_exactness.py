"""What a provenance says of exactness, and formats that are not put together, from the submit to the file."""

from __future__ import annotations

import gzip
import json
from typing import Any

import azure.functions as func
import pytest

from activities.publishing import publish_results
from activities.results import merge_search_batch
from activities.search_jobs import create_search_jobs
from shared import responses
from shared.domain.errors import InvalidInputError
from shared.domain.results import RESULTS_CONTAINER
from shared.domain.search import Search
from shared.domain.states import Phase
from tests.activities.fakes import World
from tests.activities.worlds import (
    DB,
    JOB_ID,
    Json,
    put_batches,
    put_database,
    put_finished_search,
    put_raw_piece,
    put_search,
    put_warm_cluster,
    ref,
)
from triggers import jobs

OUTFMT = "6 qseqid sseqid bitscore"


def options(**fields: Any) -> Json:
    return {"task": None, "evalue": 10, "max_target_seqs": 500, "outfmt": OUTFMT, "extra": "", **fields}


def put_pieces(world: World, search: Search, row: bytes) -> None:
    """Both batches' pieces in both shards, a row each."""
    for batch, query in enumerate((b"q1", b"q3")):
        for shard in range(2):
            put_raw_piece(world, search, batch, shard, gzip.compress(row.replace(b"q", query, 1), mtime=0))


def published(world: World, search: Search, batches: int = 2) -> Json:
    """The manifest, after all batches were merged and published."""
    counts = [merge_search_batch(ref(search, batch=batch)) for batch in range(batches)]
    publish_results(ref(search, merged=counts))
    manifest: Json = json.loads(world.store.read(RESULTS_CONTAINER, f"{JOB_ID}/manifest.json"))
    return manifest


class TestProvenance:
    @pytest.mark.parametrize(
        ("program", "chosen", "row", "exact"),
        [
            ("blastn", {}, b"q\ta\t90\t1e-5\t50\n", True),
            ("blastp", {}, b"q\ta\t90\t1e-5\t50\t1001e-8\n", True),
            ("blastp", {}, b"q\ta\t90\t1e-5\t50\n", False),
            ("blastx", {}, b"q\ta\t90\t1e-5\t50\t1001e-8\n", True),
            ("tblastn", {"task": "tblastn-fast"}, b"q\ta\t90\t1e-5\t50\t1001e-8\n", True),
            ("blastn", {"task": "blastn-short"}, b"q\ta\t90\t1e-5\t50\n", False),
            ("tblastx", {}, b"q\ta\t90\t1e-5\t50\n", False),
            ("blastn", {"task": "blastn", "extra": "-ungapped"}, b"q\ta\t90\t1e-5\t50\n", False),
        ],
    )
    def test_exact(self, world: World, program: str, chosen: Json, row: bytes, exact: bool) -> None:
        search = put_finished_search(world, program=program, options=options(**chosen))
        put_pieces(world, search, row)
        assert published(world, search)["provenance"]["exact"] is exact
        content = world.store.read(RESULTS_CONTAINER, f"{JOB_ID}/results.tsv")
        assert content == b"q1\ta\t90\nq1\ta\t90\nq3\ta\t90\nq3\ta\t90\n"

    def test_one_piece_without_all_digits_is_enough(self, world: World) -> None:
        """The others were made by a newer version, or on nodes with another image."""
        search = put_finished_search(world, program="blastp", options=options())
        put_pieces(world, search, b"q\ta\t90\t1e-5\t50\t1e-5\n")
        put_raw_piece(world, search, 1, 1, gzip.compress(b"q3\ta\t90\t1e-5\t50\n", mtime=0))
        assert published(world, search)["provenance"]["exact"] is False

    def test_a_batch_that_an_older_version_merged_does_not_count_as_exact(self, world: World) -> None:
        search = put_finished_search(world)
        merged = [merge_search_batch(ref(search, batch=batch)) for batch in range(2)]
        del merged[1]["exact"]
        publish_results(ref(search, merged=merged))
        manifest = json.loads(world.store.read(RESULTS_CONTAINER, f"{JOB_ID}/manifest.json"))
        assert manifest["provenance"]["exact"] is False


@pytest.mark.parametrize(
    ("program", "outfmt", "asked"),
    [("blastp", OUTFMT, "yes"), ("blastn", OUTFMT, ""), ("blastp", "5", ""), ("tblastx", OUTFMT, "")],
)
def test_jobs_are_asked_for_all_digits_where_it_helps(world: World, program: str, outfmt: str, asked: str) -> None:
    put_warm_cluster(world)
    search = put_search(world, program=program, options=options(outfmt=outfmt), plan={"batches": 1, "sequences": 3})
    create_search_jobs(ref(search))
    made = [job for name, job in world.cluster.objects["jobs"].items() if not name.startswith("warm-")]
    assert len(made) == 2
    for job in made:
        [container] = job["spec"]["template"]["spec"]["containers"]
        assert {"name": "ELB_FULL_EVALUES", "value": asked} in container["env"]


class TestOtherFormats:
    @pytest.fixture(autouse=True)
    def app(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """The app with a database in one shard."""
        monkeypatch.setattr(responses, "settings", lambda: world.settings)
        put_database(world, shards=1)

    def submit(self, world: World, *, sequence: str = "ACGTACGTAC", **fields: Any) -> tuple[int, Json]:
        fasta = f">q1\n{sequence}\n>q2\n{sequence}\n"
        body = {"program": "blastn", "database": DB, "query_fasta": fasta, "options": {"outfmt": 0}, **fields}
        request = func.HttpRequest(
            "POST",
            "http://localhost:7071/api/blast/jobs",
            headers={"Host": "localhost:7071"},
            body=json.dumps(body).encode(),
        )
        answer = jobs.submit_search(request, world.durable)
        return answer.status_code, json.loads(answer.get_body())

    def test_are_taken_for_a_database_in_one_shard(self, world: World) -> None:
        status, body = self.submit(world)
        assert status == 202
        assert world.searches.find(body["job_id"]).options["outfmt"] == "0"

    def test_all_queries_are_one_batch(self, world: World) -> None:
        """Of a program whose batches have 20,000 letters if nothing else is said."""
        _, body = self.submit(world, program="tblastn", sequence="MKVLAW" * 4000)
        assert world.searches.find(body["job_id"]).query["batch_len"] == 48_000

    def test_are_refused_where_batches_are_asked_for(self, world: World) -> None:
        status, body = self.submit(world, batch_len=10)
        assert (status, body["error"]["code"]) == (422, "outfmt_needs_one_batch")

    def test_are_refused_where_another_layout_may_be_warm(self, world: World) -> None:
        put_database(world, shards=2)
        status, body = self.submit(world)
        assert (status, body["error"]["code"]) == (422, "outfmt_not_mergeable")
        assert "only layout has one shard" in body["error"]["hint"]

    def test_are_refused_for_the_command_line_engine(self, world: World) -> None:
        status, body = self.submit(world, engine="cli")
        assert (status, body["error"]["code"]) == (422, "outfmt_not_mergeable")

    def test_no_jobs_on_a_layout_of_several_shards(self, world: World) -> None:
        """One that was prepared, and made warm, after the submit."""
        put_warm_cluster(world)
        search = put_search(world, options=options(outfmt="0"), plan={"batches": 1, "sequences": 3})
        with pytest.raises(InvalidInputError, match="cannot be put together"):
            create_search_jobs(ref(search))
        assert all(name.startswith("warm-") for name in world.cluster.names("jobs"))

    def test_the_result_is_the_one_piece_with_the_database_s_name(self, world: World) -> None:
        plan = {"batches": 1, "shards": 1, "source_version": "v1"}
        search = put_search(world, phase=Phase.EXPORTING, options=options(outfmt="15"), plan=plan, expected_jobs=1)
        put_batches(world, search, [["q1", "q2", "q3"]])
        written = b'{ "db": "/blast/blastdb/%b/%b_01_00" }\n' % (DB.encode(), DB.encode())
        put_raw_piece(world, search, 0, 0, gzip.compress(written, mtime=0))
        manifest = published(world, search, batches=1)
        assert world.store.read(RESULTS_CONTAINER, f"{JOB_ID}/results.json") == b'{ "db": "%b" }\n' % DB.encode()
        assert manifest["summary"] == {"queries": 3, "queries_with_hits": None, "hits": None}
        assert manifest["manifest"][0]["content_type"] == "application/json"
        assert manifest["provenance"]["exact"] is True
