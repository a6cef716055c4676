"""From pieces to published results: the gate, the merge of each batch, the manifest that comes last."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator

import pytest

from activities.publishing import program_version, publish_results
from activities.results import check_results, merge_search_batch
from shared.domain.errors import PermanentError
from shared.domain.results import RESULTS_CONTAINER, merged_blob, piece_blob
from shared.domain.search import Search
from tests.activities.fakes import World
from tests.activities.worlds import JOB_ID, Json, hit, put_finished_search, put_piece, put_raw_piece, ref

MERGED = [{"batch": 0, "queries": 2, "queries_with_hits": 1, "hits": 2}, {"batch": 1, "queries": 1}]
EMPTY = gzip.compress(b"", mtime=0)


@pytest.fixture
def search(world: World) -> Search:
    """Two batches in two shards, all four pieces written."""
    return put_finished_search(world)


def merged(world: World, batch: int) -> str:
    """A merged batch."""
    return world.store.read(RESULTS_CONTAINER, merged_blob(JOB_ID, batch)).decode()


def left(world: World) -> list[tuple[int, int]]:
    """Batch and shard of the pieces that are there."""
    places = [(batch, shard) for batch in range(2) for shard in range(4)]
    return [place for place in places if (RESULTS_CONTAINER, piece_blob(JOB_ID, *place)) in world.store.blobs]


@pytest.mark.proves("T3")
class TestGate:
    def test_open_when_every_piece_is_there(self, world: World, search: Search) -> None:
        assert check_results(ref(search)) == {"open": True, "batches": 2, "missing": [], "empty": []}

    def test_closed_while_one_is_missing(self, world: World, search: Search) -> None:
        name = piece_blob(JOB_ID, 1, 0)
        del world.store.blobs[RESULTS_CONTAINER, name]
        assert check_results(ref(search)) == {"open": False, "batches": 2, "missing": [name], "empty": []}

    @pytest.mark.parametrize(("size", "is_open"), [(0, False), (19, False), (20, True)])
    def test_closed_while_one_is_smaller_than_the_smallest_gzip_file(
        self, world: World, search: Search, size: int, is_open: bool
    ) -> None:
        put_raw_piece(world, search, 0, 1, b"x" * size)
        gate = check_results(ref(search))
        assert gate["open"] is is_open
        assert gate["empty"] == ([] if is_open else [piece_blob(JOB_ID, 0, 1)])

    def test_pieces_of_another_search_do_not_count(self, world: World, search: Search) -> None:
        name = piece_blob(JOB_ID, 0, 0)
        other = name.replace(JOB_ID, f"{JOB_ID[:-1]}2")
        world.store.blobs[RESULTS_CONTAINER, other] = world.store.blobs.pop((RESULTS_CONTAINER, name))
        assert check_results(ref(search))["missing"] == [name]

    def test_five_names_of_many_are_enough(self, world: World) -> None:
        search = put_finished_search(world)
        search = world.searches.update("anna", JOB_ID, lambda row: _with_plan(row, batches=100))
        assert len(check_results(ref(search))["missing"]) == 5


def _with_plan(search: Search, **plan: int) -> Search:
    from dataclasses import replace

    return replace(search, plan={**search.plan, **plan})


class TestMerge:
    def test_the_shards_of_a_batch_in_blasts_order(self, world: World, search: Search) -> None:
        counts = merge_search_batch(ref(search, batch=0))
        assert merged(world, 0) == "q1\tb\t90\nq1\ta\t90\n"
        assert counts == {"batch": 0, "queries": 2, "queries_with_hits": 1, "hits": 2, "exact": True}

    def test_a_batch_without_hits(self, world: World, search: Search) -> None:
        for shard in range(2):
            put_raw_piece(world, search, 1, shard, EMPTY)
        assert merge_search_batch(ref(search, batch=1)) == {
            "batch": 1,
            "queries": 1,
            "queries_with_hits": 0,
            "hits": 0,
            "exact": True,
        }
        assert merged(world, 1) == ""

    def test_a_piece_of_several_gzip_members(self, world: World, search: Search) -> None:
        content = gzip.compress(hit("q1", "c", 90)) + gzip.compress(hit("q2", "d"))
        put_raw_piece(world, search, 0, 0, content)
        merge_search_batch(ref(search, batch=0))
        assert merged(world, 0) == "q1\tc\t90\nq1\tb\t90\nq2\td\t90\n"

    @pytest.mark.proves("T3")
    @pytest.mark.parametrize(
        "content",
        [
            gzip.compress(hit("q1", "a") * 100)[:-9],
            gzip.compress(hit("q1", "a"))[:-1],
            b"",
            b"q1\ta\t90\t1e-5\t50\n",
            gzip.compress(hit("q1", "a")) + b"more",
            gzip.compress(b"")[:-4] + b"\x01\x00\x00\x00",
            gzip.compress(b"not a row of BLAST's\n"),
            gzip.compress(hit("q9", "a")),
        ],
        ids=["cut", "one byte short", "empty", "not gzip", "more behind it", "checksum", "no row", "foreign query"],
    )
    def test_a_damaged_piece_is_never_merged(self, world: World, search: Search, content: bytes) -> None:
        put_raw_piece(world, search, 0, 1, content)
        with pytest.raises(PermanentError, match="results_invalid") as caught:
            merge_search_batch(ref(search, batch=0))
        assert caught.value.message.endswith(f"not valid: {piece_blob(JOB_ID, 0, 1)}")
        assert (RESULTS_CONTAINER, merged_blob(JOB_ID, 0)) not in world.store.blobs
        assert left(world) == [(0, 0), (1, 0), (1, 1)], "what is valid stays"

    @pytest.mark.proves("T3")
    def test_of_several_damaged_ones_none_is_left_to_be_found_later(self, world: World) -> None:
        search = put_finished_search(world)
        search = world.searches.update("anna", JOB_ID, lambda row: _with_plan(row, shards=4))
        put_piece(world, search, 0, 2, [hit("q2", "c")])
        put_raw_piece(world, search, 0, 1, gzip.compress(hit("q1", "b"))[:-1])
        put_raw_piece(world, search, 0, 3, gzip.compress(b"not a row of BLAST's\n"))
        with pytest.raises(PermanentError, match="results_invalid") as caught:
            merge_search_batch(ref(search, batch=0))
        assert caught.value.message.endswith(f"{piece_blob(JOB_ID, 0, 1)}, {piece_blob(JOB_ID, 0, 3)}")
        assert left(world) == [(0, 0), (0, 2), (1, 0), (1, 1)]

    @pytest.mark.proves("T3")
    def test_one_that_was_replaced_since_it_was_read_stays(
        self, world: World, search: Search, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Somebody writes it again between the merge and the search for the culprit."""
        whole = world.store.blobs[RESULTS_CONTAINER, piece_blob(JOB_ID, 0, 1)]
        put_raw_piece(world, search, 0, 1, whole[:-1])
        reads = list[str]()
        stream = world.store.stream

        def replacing(container: str, name: str) -> Iterator[bytes]:
            if name == piece_blob(JOB_ID, 0, 0) and name in reads:
                world.store.blobs[RESULTS_CONTAINER, piece_blob(JOB_ID, 0, 1)] = whole
            reads.append(name)
            yield from stream(container, name)

        monkeypatch.setattr(world.store, "stream", replacing)
        with pytest.raises(PermanentError, match="none any more"):
            merge_search_batch(ref(search, batch=0))
        assert left(world) == [(0, 0), (0, 1), (1, 0), (1, 1)]
        merge_search_batch(ref(search, batch=0))

    def test_a_missing_piece_is_never_merged(self, world: World, search: Search) -> None:
        del world.store.blobs[RESULTS_CONTAINER, piece_blob(JOB_ID, 0, 1)]
        with pytest.raises(PermanentError, match="blob_not_found"):
            merge_search_batch(ref(search, batch=0))
        assert (RESULTS_CONTAINER, merged_blob(JOB_ID, 0)) not in world.store.blobs


class TestPublish:
    @pytest.fixture
    def published(self, world: World, search: Search) -> Json:
        """The manifest after both batches were merged and published."""
        counts = [merge_search_batch(ref(search, batch=batch)) for batch in range(2)]
        world.store.written.clear()
        self.answer = publish_results(ref(search, merged=counts))
        manifest: Json = json.loads(world.store.read(RESULTS_CONTAINER, f"{JOB_ID}/manifest.json"))
        return manifest

    def test_the_manifest_comes_last(self, world: World, published: Json) -> None:
        assert world.store.written == [f"{JOB_ID}/results.tsv", f"{JOB_ID}/manifest.json"]

    def test_batches_in_the_order_of_the_input(self, world: World, published: Json) -> None:
        content = world.store.read(RESULTS_CONTAINER, f"{JOB_ID}/results.tsv")
        assert content == b"q1\tb\t90\nq1\ta\t90\nq3\tb\t90\nq3\ta\t90\n"

    def test_sizes_and_checksums_are_those_of_the_file(self, world: World, published: Json) -> None:
        content = world.store.read(RESULTS_CONTAINER, f"{JOB_ID}/results.tsv")
        [file] = published["manifest"]
        assert file["name"] == "results.tsv"
        assert file["size"] == len(content) == self.answer["bytes"]
        assert file["sha256"] == hashlib.sha256(content).hexdigest()

    def test_the_summary_adds_the_batches_up(self, published: Json) -> None:
        assert published["summary"] == {"queries": 3, "queries_with_hits": 2, "hits": 4}

    def test_the_provenance_says_what_was_run_on_what(self, published: Json) -> None:
        provenance = published["provenance"]
        assert provenance["program"] == "blastn"
        assert (provenance["database"], provenance["database_version"]) == ("db", "v1")
        assert (provenance["batches"], provenance["shards"]) == (2, 2)
        assert (provenance["job_id"], provenance["owner"]) == (JOB_ID, "anna")

    @pytest.mark.parametrize(
        ("said", "version"),
        [
            (["2.12.0+"] * 4, "2.12.0+"),
            (["2.12.0+", "2.12.0+", "2.13.0+", "2.12.0+"], "2.12.0+, 2.13.0+"),
            (["2.12.0+", "2.12.0+", "2.12.0+", ""], None),
            (["2.12.0+"], None),
            ([], None),
        ],
    )
    def test_the_version_is_what_every_job_said_and_never_a_guess(
        self, world: World, search: Search, said: list[str], version: str | None
    ) -> None:
        pieces = [piece_blob(JOB_ID, batch, shard) for batch in range(2) for shard in range(2)]
        for name, each in zip(pieces, said, strict=False):
            world.store.metadata[RESULTS_CONTAINER, name] = {"blast_version": each}
        counts = [merge_search_batch(ref(search, batch=batch)) for batch in range(2)]
        publish_results(ref(search, merged=counts))
        manifest = json.loads(world.store.read(RESULTS_CONTAINER, f"{JOB_ID}/manifest.json"))
        assert manifest["provenance"]["program_version"] == version

    @pytest.mark.parametrize(
        ("head", "version"),
        [
            (b"# BLASTN 2.12.0+\n# Query: q\n", "2.12.0+"),
            (b"# TBLASTX 2.9.0\n", "2.9.0"),
            (b"<BlastOutput_version>BLASTP 2.15.0+</BlastOutput_version>", "2.15.0+"),
            (b"q1\tBLASTN 2.12.0+\n", None),
            (b"", None),
        ],
    )
    def test_where_no_job_said_it_the_result_may(
        self, world: World, search: Search, head: bytes, version: str | None
    ) -> None:
        assert program_version(search, world.store, head) == version

    def test_nothing_is_published_without_every_batch(self, world: World, search: Search) -> None:
        merge_search_batch(ref(search, batch=0))
        with pytest.raises(PermanentError, match="blob_not_found"):
            publish_results(ref(search, merged=MERGED))
        assert (RESULTS_CONTAINER, f"{JOB_ID}/manifest.json") not in world.store.blobs

    def test_the_order_of_the_pieces_in_storage_does_not_matter(self, world: World, search: Search) -> None:
        put_piece(world, search, 0, 0, [hit("q2", "z"), hit("q2", "y")])
        put_piece(world, search, 0, 1, [hit("q1", "x")])
        merge_search_batch(ref(search, batch=0))
        assert merged(world, 0) == "q1\tx\t90\nq2\tz\t90\nq2\ty\t90\n"
