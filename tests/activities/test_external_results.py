"""What becomes of searches begun outside: their results are published where they lie, and what is others' stays."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from dataclasses import replace
from typing import Any

import azure.functions as func
import pytest

from activities.external_results import register_results
from activities.registry import errors_as_data
from activities.removal import delete_search_blobs, remove_search_objects
from activities.results import check_results
from activities.search_jobs import stop_search_jobs
from shared import responses
from shared.clients import gzip_streams
from shared.clients.gzip_streams import gunzip
from shared.domain.progress import Progress
from shared.domain.results import QUERIES_CONTAINER, RESULTS_CONTAINER
from shared.domain.states import Phase
from tests.activities.external_worlds import ID, PIECES, put_external, put_outside, put_results
from tests.activities.fakes import World
from tests.activities.worlds import ref
from triggers import changes, results


class TestResults:
    def test_the_gate_counts_the_jobs_that_were_seen(self, world: World) -> None:
        search = put_external(world)
        assert check_results(ref(search))["missing"] == [f"3 of 3 results in results/{ID}/"]
        put_results(world)
        assert check_results(ref(search))["open"]

    def test_or_those_that_the_command_says_it_made(self, world: World) -> None:
        search = put_external(world, progress=Progress())
        put_results(world)
        assert check_results(ref(search))["missing"] == ["the number of Jobs"]
        world.store.blobs[RESULTS_CONTAINER, f"{ID}/metadata/num_jobs_submitted.txt"] = b"4"
        assert check_results(ref(search))["missing"] == [f"1 of 4 results in results/{ID}/"]
        world.store.blobs[RESULTS_CONTAINER, f"{ID}/metadata/num_jobs_submitted.txt"] = b"3\n"
        assert check_results(ref(search))["open"]

    def test_an_empty_one_shuts_it(self, world: World) -> None:
        search = put_external(world)
        put_results(world, batch_001=b"")
        shut = check_results(ref(search))
        assert (shut["open"], shut["empty"]) == (False, [f"{ID}/batch_001-blastn-nt.out.gz"])

    def test_they_are_published_where_they_lie(self, world: World) -> None:
        search = put_external(world)
        put_results(world)
        before = dict(world.store.blobs)
        done = register_results(ref(search))
        assert done == {"files": 3, "bytes": sum(map(len, PIECES.values()))}
        assert register_results(ref(search)) == done
        manifest = world.store.blobs.pop((RESULTS_CONTAINER, f"{ID}/manifest.json"))
        assert world.store.blobs == before
        assert json.loads(manifest)["manifest"] == [
            {
                "name": name,
                "size": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
                "content_type": "application/gzip",
                "blob": f"{ID}/{name}",
            }
            for name, content in PIECES.items()
        ]

    @pytest.mark.parametrize("broken", [b"x" * 100, PIECES["batch_002-blastn-nt.out.gz"][:-1]], ids=["not gzip", "cut"])
    def test_a_piece_that_is_not_whole_is_no_result(self, world: World, broken: bytes) -> None:
        search = put_external(world)
        put_results(world, batch_001=broken)
        error = errors_as_data(register_results)(ref(search))["error"]
        assert error["code"] == "results_invalid"
        assert "batch_001" in error["message"]
        assert "outside" in error["hint"]
        assert (RESULTS_CONTAINER, f"{ID}/manifest.json") not in world.store.blobs

    def test_another_run_writes_nothing(self, world: World) -> None:
        search = put_external(world, run=2)
        put_results(world)
        assert register_results(ref(search, run=1)) == {"files": 0, "bytes": 0}
        assert world.store.written == []


class TestUnpacking:
    """What others wrote may unpack to anything."""

    @pytest.mark.parametrize("size", [0, 1, 999, 1000, 1001, 5000])
    def test_it_comes_out_in_blocks(self, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
        monkeypatch.setattr(gzip_streams, "MOST_BYTES", 1000)
        content = bytes(size)
        packed = gzip.compress(content) + gzip.compress(b"end")
        blocks = list(gunzip([packed], "x"))
        assert b"".join(blocks) == content + b"end"
        assert max(map(len, blocks)) <= 1000

    def test_however_it_is_cut(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(gzip_streams, "MOST_BYTES", 7)
        content = bytes(range(256)) * 20
        packed = gzip.compress(content)
        for length in (1, 2, 50, len(packed)):
            cut = (packed[start : start + length] for start in range(0, len(packed), length))
            assert b"".join(gunzip(cut, "x")) == content

    def test_a_thousandfold_stream_needs_no_thousandfold_memory(self) -> None:
        pack = zlib.compressobj(9, wbits=zlib.MAX_WBITS | 16)
        packed = b"".join(pack.compress(bytes(1 << 20)) for _ in range(20)) + pack.flush()
        assert len(packed) < 1 << 20
        assert max(len(block) for block in gunzip([packed], "x")) == gzip_streams.MOST_BYTES


class TestWhatIsTheirs:
    def test_a_failure_stops_no_job_of_others(self, world: World) -> None:
        search = put_external(world, phase=Phase.FAILED)
        put_outside(world, "a", state="failed")
        put_outside(world, "b", state="running")
        assert stop_search_jobs(ref(search)) == {"deleted": 0}
        assert world.cluster.deleted == []

    @pytest.mark.proves("X1")
    def test_a_cancel_removes_all_of_them(self, world: World) -> None:
        search = put_external(world, phase=Phase.CANCELLING)
        for name, app in (("b", "blast"), ("s", "setup"), ("f", "finalizer")):
            put_outside(world, name, labels={"app": app})
        put_outside(world, "other", job_id="another")
        assert remove_search_objects(ref(search)) == {"left": 3}
        assert world.cluster.names("jobs") == ["other"]

    def test_a_delete_takes_its_folder_of_results_and_no_other(self, world: World) -> None:
        """An id that others chose may be the name of any folder: of everybody's uploaded queries, say."""
        uploads = put_external(world, phase=Phase.DELETING)
        world.searches.rows = {(uploads.owner, "uploads"): replace(uploads, job_id="uploads")}
        world.store.blobs.clear()
        for container in (QUERIES_CONTAINER, RESULTS_CONTAINER):
            world.store.blobs[container, "uploads/anna/query.fa"] = b"x"
        assert delete_search_blobs({**ref(uploads), "job_id": "uploads"}) == {"deleted": 1}
        assert list(world.store.blobs) == [(QUERIES_CONTAINER, "uploads/anna/query.fa")]


class TestEndpoints:
    @pytest.fixture(autouse=True)
    def app(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(responses, "settings", lambda: world.settings)

    def ask(self, function: Any, *bindings: Any, **route: str) -> func.HttpResponse:
        headers = {"Host": "localhost:7071"}
        request = func.HttpRequest("POST", "http://localhost:7071", headers=headers, route_params=route, body=b"{}")
        answer: func.HttpResponse = function(request, *bindings)
        return answer

    @pytest.mark.parametrize(
        ("function", "code"), [(changes.retry_search, "not_retryable"), (changes.clone_search, "not_cloneable")]
    )
    def test_what_needs_its_queries_is_refused(self, world: World, function: Any, code: str) -> None:
        search = put_external(world, phase=Phase.FAILED)
        answer = self.ask(function, world.durable, id=ID)
        error = json.loads(answer.get_body())["error"]
        assert (answer.status_code, error["code"]) == (409, code)
        assert "outside" in error["message"]
        assert "submit it here" in error["hint"]
        assert (world.searches.find(ID), world.durable.started) == (search, {})

    def test_results_are_listed_and_downloaded(self, world: World) -> None:
        search = put_external(world, phase=Phase.COMPLETED)
        put_results(world)
        register_results(ref(search))
        listed = json.loads(self.ask(results.show_results, id=ID).get_body())
        assert [file["url"] for file in listed["manifest"]] == [f"/api/blast/jobs/{ID}/results/{n}" for n in PIECES]
        for name, content in PIECES.items():
            answer = self.ask(results.download_result, id=ID, name=name)
            assert (answer.status_code, answer.get_body()) == (200, content)
            assert answer.headers["ETag"] == f'"{hashlib.sha256(content).hexdigest()}"'

    def test_a_larger_one_by_a_link_to_where_it_lies(self, world: World) -> None:
        world.settings = replace(world.settings, download_limit_bytes=1)
        search = put_external(world, phase=Phase.COMPLETED, aliases=("alias",))
        world.store.blobs[RESULTS_CONTAINER, "alias/shard_01/batch_000-x.out.gz"] = PIECES["batch_001-blastn-nt.out.gz"]
        register_results(ref(search))
        answer = self.ask(results.download_result, id=ID, name="shard_01-batch_000-x.out.gz")
        assert answer.status_code == 302
        assert "/results/alias/shard_01/batch_000-x.out.gz?" in answer.headers["Location"]

    @pytest.mark.parametrize("blob", ["job-of-anna/results.tsv", f"{ID}/../job-of-anna/results.tsv"])
    @pytest.mark.proves("Q2")
    def test_a_manifest_that_others_wrote_leads_nowhere_else(self, world: World, blob: str) -> None:
        put_external(world, phase=Phase.COMPLETED)
        world.store.blobs[RESULTS_CONTAINER, "job-of-anna/results.tsv"] = b"secret"
        world.store.blobs[RESULTS_CONTAINER, blob] = b"secret"
        file = {"name": "x", "size": 6, "sha256": "0" * 64, "content_type": "text/plain", "blob": blob}
        manifest = json.dumps({"manifest": [file]}).encode()
        world.store.blobs[RESULTS_CONTAINER, f"{ID}/manifest.json"] = manifest
        assert self.ask(results.download_result, id=ID, name="x").status_code == 404
