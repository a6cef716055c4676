"""Hits of a published result as JSON: pages, filters, sorting, and how little of a large result is read."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import azure.functions as func
import pytest

from activities import publishing
from activities.publishing import publish_results
from activities.results import merge_search_batch
from shared import responses
from shared.domain.hits import SCAN_BYTES
from shared.domain.hits_index import RECORD_BYTES, IndexBuilder
from shared.domain.outfmt import parse_outfmt
from shared.domain.results import RESULTS_CONTAINER, published_blob
from shared.domain.search import Search
from shared.domain.states import Phase
from tests.activities.fakes import World
from tests.activities.worlds import JOB_ID, Json, put_finished_search, put_search, ref
from triggers import hits

FIELDS = {
    "query", "subject", "title", "identity", "length", "mismatches", "gap_opens", "query_start", "query_end",
    "subject_start", "subject_end", "evalue", "bit_score", "columns",
}  # fmt: skip


@pytest.fixture(autouse=True)
def signed_in(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests come from the development user, who may see everything."""
    monkeypatch.setattr(responses, "settings", lambda: world.settings)


def ask(world: World, **params: str) -> tuple[int, Json]:
    """Status and body."""
    request = func.HttpRequest(
        "GET",
        "http://localhost:7071/api",
        headers={"Host": "localhost:7071"},
        route_params={"id": JOB_ID},
        params=params,
        body=b"",
    )
    answer: func.HttpResponse = hits.show_hits(request)
    body: Json = json.loads(answer.get_body())
    return answer.status_code, body


def all_pages(world: World, **params: str) -> list[Json]:
    """The items of all pages."""
    items: list[Json] = []
    cursor: str | None = ""
    while cursor is not None:
        status, page = ask(world, **params, **({"cursor": cursor} if cursor else {}))
        assert status == 200, page
        items += page["items"]
        cursor = page["next_cursor"]
    return items


def code_of(answer: tuple[int, Json]) -> tuple[int, str]:
    """Status and error code."""
    return answer[0], answer[1]["error"]["code"]


def publish(world: World, content: bytes, outfmt: str = "6 std", *, indexed: bool = False, **fields: Any) -> Search:
    """A completed search with a result."""
    search = put_search(world, phase=Phase.COMPLETED, **({"options": {"outfmt": outfmt}} | fields))
    fmt = parse_outfmt(outfmt)
    name = f"results.{fmt.extension}"
    sha256 = hashlib.sha256(content).hexdigest()
    file = {"name": name, "size": len(content), "sha256": sha256, "content_type": fmt.content_type}
    manifest: Json = {"manifest": [file]}
    world.store.blobs[RESULTS_CONTAINER, published_blob(JOB_ID, name)] = content
    if indexed:
        builder = IndexBuilder(fmt)
        for _ in builder.through([content]):
            pass
        world.store.blobs[RESULTS_CONTAINER, published_blob(JOB_ID, "hits.index")] = b"".join(builder.content())
        manifest["index"] = {"records": builder.records}
    world.store.blobs[RESULTS_CONTAINER, published_blob(JOB_ID, "manifest.json")] = json.dumps(manifest).encode()
    return search


def rows(queries: int, subjects: int) -> bytes:
    """A result of format ``6 std``, the better hits of a query first."""
    return b"".join(
        b"q%d\ts%d\t%.3f\t%d\t1\t0\t1\t100\t5\t104\t%.1e\t%d\n" % (q, s, 99.5 - s, 100 + s, 10.0 ** (s - 50), 200 - s)
        for q in range(queries)
        for s in range(subjects)
    )


class TestRows:
    def test_one_object_whatever_the_columns(self, world: World) -> None:
        publish(world, b"q\tname, of it\t9;10\t5\n", "6 qaccver stitle staxids score")
        [item] = ask(world)[1]["items"]
        assert set(item) == FIELDS
        assert (item["query"], item["title"], item["columns"]) == (
            "q",
            "name, of it",
            {"staxids": "9;10", "score": "5"},
        )
        assert item["evalue"] is None

    def test_of_a_search_that_was_really_merged_and_published(self, world: World) -> None:
        search = put_finished_search(world)
        counts = [merge_search_batch(ref(search, batch=batch)) for batch in range(2)]
        publish_results(ref(search, merged=counts))
        world.searches.put(replace(world.searches.get("anna", JOB_ID), phase=Phase.COMPLETED))
        found = [(item["query"], item["subject"], item["bit_score"]) for item in all_pages(world, limit="1")]
        assert found == [("q1", "b", 90), ("q1", "a", 90), ("q3", "b", 90), ("q3", "a", 90)]

    def test_a_result_without_hits(self, world: World) -> None:
        publish(world, b"")
        assert ask(world) == (200, {"items": [], "next_cursor": None})

    @pytest.mark.parametrize("limit", ["1", "7", "500"])
    @pytest.mark.parametrize("indexed", [False, True])
    def test_filters_and_pages(self, world: World, limit: str, indexed: bool) -> None:
        publish(world, rows(9, 5), indexed=indexed)
        assert len(all_pages(world, limit=limit)) == 45
        of_one = all_pages(world, limit=limit, query="q3")
        assert [(item["query"], item["subject"]) for item in of_one] == [("q3", f"s{s}") for s in range(5)]
        assert len(all_pages(world, limit=limit, query="q3", min_identity="97.5")) == 3
        assert len(all_pages(world, limit=limit, max_evalue="1e-49")) == 18
        assert all_pages(world, limit=limit, query="none") == []

    @pytest.mark.parametrize("params", [{}, {"query": "q0"}, {"sort": "evalue"}])
    def test_a_full_page_that_is_the_last_one_has_no_successor(self, world: World, params: Json) -> None:
        publish(world, rows(1, 4), indexed=True)
        assert ask(world, limit="3", **params)[1]["next_cursor"] is not None
        assert ask(world, limit="4", **params)[1]["next_cursor"] is None

    def test_as_much_is_sorted_as_is_looked_through(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        publish(world, rows(3, 4))
        monkeypatch.setattr(hits, "SCAN_BYTES", len(rows(3, 4)))
        assert ask(world, sort="evalue")[0] == 200
        monkeypatch.setattr(hits, "SCAN_BYTES", len(rows(3, 4)) - 1)
        assert code_of(ask(world, sort="evalue")) == (422, "sort_too_large")

    def test_identity_may_be_asked_for_up_to_all_of_it(self, world: World) -> None:
        publish(world, b"q\t100.000\nq\t99.999\n", "6 qaccver pident")
        assert [item["identity"] for item in ask(world, min_identity="100")[1]["items"]] == [100]
        assert code_of(ask(world, min_identity="100.001")) == (400, "invalid_min_identity")

    @pytest.mark.parametrize("indexed", [False, True])
    def test_sorted(self, world: World, indexed: bool) -> None:
        publish(world, rows(3, 4), indexed=indexed)
        for limit in ("1", "5", "500"):
            lengths = [item["length"] for item in all_pages(world, sort="-length", limit=limit)]
            assert lengths == sorted(lengths, reverse=True)
            of_one = all_pages(world, sort="identity", query="q1", limit=limit)
            assert [item["subject"] for item in of_one] == ["s3", "s2", "s1", "s0"]


class TestRefused:
    @pytest.mark.parametrize(
        ("params", "status", "code"),
        [
            ({"limit": "0"}, 400, "invalid_limit"),
            ({"limit": "501"}, 400, "invalid_limit"),
            ({"query": ""}, 400, "invalid_query"),
            ({"query": "q" * 1001}, 400, "invalid_query"),
            ({"min_identity": "nan"}, 400, "invalid_min_identity"),
            ({"min_identity": "101"}, 400, "invalid_min_identity"),
            ({"min_identity": "-1"}, 400, "invalid_min_identity"),
            ({"max_evalue": "inf"}, 400, "invalid_max_evalue"),
            ({"max_evalue": "1e999"}, 400, "invalid_max_evalue"),
            ({"max_evalue": "1_0"}, 400, "invalid_max_evalue"),
            ({"max_evalue": ""}, 400, "invalid_max_evalue"),
            ({"sort": "title"}, 422, "unknown_sort"),
            ({"cursor": "x"}, 400, "invalid_cursor"),
        ],
    )
    def test_what_cannot_be_meant(self, world: World, params: dict[str, str], status: int, code: str) -> None:
        publish(world, rows(1, 1))
        assert code_of(ask(world, **params)) == (status, code)

    def test_a_column_that_is_not_there(self, world: World) -> None:
        publish(world, b"s\n", "6 saccver")
        assert code_of(ask(world, query="q")) == (422, "column_missing")
        assert code_of(ask(world, sort="evalue")) == (422, "column_missing")

    def test_a_cursor_holds_for_its_filters_only(self, world: World) -> None:
        publish(world, rows(2, 2))
        cursor = ask(world, limit="1")[1]["next_cursor"]
        assert code_of(ask(world, cursor=cursor, query="q1")) == (400, "invalid_cursor")
        assert ask(world, cursor=cursor, limit="2")[0] == 200, "pages may have another size"

    def test_a_result_that_was_published_anew_between_two_pages(self, world: World) -> None:
        publish(world, rows(2, 2))
        cursor = ask(world, limit="1")[1]["next_cursor"]
        publish(world, rows(2, 3))
        assert code_of(ask(world, cursor=cursor)) == (409, "results_changed")

    @pytest.mark.parametrize("options", [{"outfmt": "0"}, {"outfmt": "99"}, {"outfmt": "6 nonsense"}])
    def test_a_format_that_is_not_taken_apart(self, world: World, options: Json) -> None:
        publish(world, b"", options=options)
        assert code_of(ask(world)) == (409, "hits_not_available")

    def test_results_of_a_search_that_was_begun_outside(self, world: World) -> None:
        publish(world, b"", engine="external", options={})
        assert code_of(ask(world)) == (409, "hits_not_available")

    def test_a_search_that_is_not_completed(self, world: World) -> None:
        put_search(world, phase=Phase.RUNNING)
        assert code_of(ask(world)) == (409, "results_not_ready")


class LargeBlob:
    """A result of any size that is made where it is read; notes how much that is."""

    def __init__(self, world: World, line: bytes, size: int) -> None:
        self._read, self._line, self._size = world.store.stream, line, size
        self.bytes_read = 0
        self.calls = 0

    def stream(
        self, container: str, name: str, offset: int = 0, length: int | None = None, *, etag: str = ""
    ) -> Iterator[bytes]:
        """Instead of the fake's."""
        if not name.endswith("results.tsv"):
            yield from self._read(container, name, offset, length, etag=etag)
            return
        end = min(self._size, offset + (self._size if length is None else length))
        self.calls += 1
        self.bytes_read += end - offset
        first = offset // len(self._line)
        lines = self._line * ((end - first * len(self._line)) // len(self._line) + 1)
        yield lines[offset - first * len(self._line) :][: end - offset]


def publish_large(world: World, line: bytes, size: int, outfmt: str = "6 std") -> LargeBlob:
    """A completed search with a result of that size, all of one line."""
    publish(world, b"", outfmt)
    key = RESULTS_CONTAINER, published_blob(JOB_ID, "manifest.json")
    manifest = json.loads(world.store.blobs[key])
    manifest["manifest"][0]["size"] = size
    world.store.blobs[key] = json.dumps(manifest).encode()
    made = LargeBlob(world, line, size)
    world.store.stream = made.stream  # type: ignore[method-assign]
    return made


GROWTH = """
import resource
from shared import responses
from shared.clients.provider import use
from tests.activities import test_hits as tests
from tests.activities.worlds import new_world

world = new_world()
responses.settings = lambda: world.settings
with use(world):
    tests.publish_large(world, tests.rows(1, 1), SIZE)
    tests.ask(world, limit="1")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    status, page = tests.ask(world, **PARAMS)
    assert status == 200, page
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.proves("Q4")
@pytest.mark.parametrize(("size", "params"), [(10**10, {"max_evalue": "0"}), (SCAN_BYTES, {"sort": "evalue"})])
def test_a_small_instance_survives_the_dearest_calls(size: int, params: dict[str, str]) -> None:
    """In a process of its own: what it grows by is its memory's highest mark."""
    line = len(rows(1, 1))
    program = GROWTH.replace("SIZE", str(size // line * line)).replace("PARAMS", repr(params))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 64 * 1024, "kibibytes"


@pytest.mark.proves("Q4")
class TestLargeResult:
    LINE = rows(1, 1)[:-1] + b"\t" + b"a title " * 60 + b"\n"
    SIZE = 10**10 // len(LINE) * len(LINE)

    @pytest.fixture
    def large(self, world: World) -> LargeBlob:
        """Ten gigabytes."""
        return publish_large(world, self.LINE, self.SIZE, "6 std stitle")

    def test_a_page_costs_what_the_page_costs(self, world: World, large: LargeBlob) -> None:
        _, page = ask(world, limit="50")
        assert len(page["items"]) == 50
        assert (large.bytes_read, large.calls) == (65_536, 1)
        _, page = ask(world, limit="50", cursor=page["next_cursor"])
        assert (len(page["items"]), large.bytes_read) == (50, 2 * 65_536)

    def test_a_filter_looks_through_so_much_and_no_more(self, world: World, large: LargeBlob) -> None:
        status, page = ask(world, max_evalue="0")
        assert (status, page["items"], large.bytes_read) == (200, [], SCAN_BYTES)
        assert page["next_cursor"] is not None
        ask(world, max_evalue="0", cursor=page["next_cursor"])
        assert 2 * SCAN_BYTES - len(self.LINE) <= large.bytes_read <= 2 * SCAN_BYTES

    def test_it_is_not_sorted_as_a_whole(self, world: World, large: LargeBlob) -> None:
        assert code_of(ask(world, sort="evalue")) == (422, "sort_too_large")
        assert large.bytes_read == 0

    def test_a_row_that_is_longer_than_what_is_looked_through(self, world: World, large: LargeBlob) -> None:
        large._line = b"q\t" + b"A" * SCAN_BYTES + b"\n"
        assert code_of(ask(world)) == (409, "hits_not_available")


class TestIndex:
    @pytest.fixture
    def published(self, world: World, monkeypatch: pytest.MonkeyPatch) -> Json:
        """The manifest of a search that was really published, with an index although it is small."""
        monkeypatch.setattr(publishing, "INDEXED_BYTES", 0)
        search = put_finished_search(world)
        counts = [merge_search_batch(ref(search, batch=batch)) for batch in range(2)]
        publish_results(ref(search, merged=counts))
        world.searches.put(replace(world.searches.get("anna", JOB_ID), phase=Phase.COMPLETED))
        manifest: Json = json.loads(world.store.blobs[RESULTS_CONTAINER, f"{JOB_ID}/manifest.json"])
        return manifest

    def test_is_written_before_the_manifest_that_names_it(self, world: World, published: Json) -> None:
        assert published["index"] == {"records": 2}
        assert world.store.written[-3:] == [f"{JOB_ID}/{n}" for n in ("results.tsv", "hits.index", "manifest.json")]
        assert len(world.store.blobs[RESULTS_CONTAINER, f"{JOB_ID}/hits.index"]) == 2 * RECORD_BYTES

    def test_is_what_the_hits_of_a_query_are_found_by(self, world: World, published: Json) -> None:
        assert [item["subject"] for item in all_pages(world, query="q3", limit="1")] == ["b", "a"]

    def test_without_it_they_are_looked_for(self, world: World, published: Json) -> None:
        del world.store.blobs[RESULTS_CONTAINER, f"{JOB_ID}/hits.index"]
        assert [item["subject"] for item in all_pages(world, query="q3", limit="1")] == ["b", "a"]

    @pytest.mark.parametrize("index", [None, {}, {"records": -1}, {"records": "2"}, []])
    def test_a_manifest_with_another_idea_of_it(self, world: World, published: Json, index: Any) -> None:
        text = json.dumps(published | {"index": index}).encode()
        world.store.blobs[RESULTS_CONTAINER, f"{JOB_ID}/manifest.json"] = text
        assert [item["subject"] for item in all_pages(world, query="q3")] == ["b", "a"]
