"""Downloads of published results: whole, in parts, by a link, and not at all."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import azure.functions as func
import pytest

from shared import responses
from shared.domain.results import RESULTS_CONTAINER
from shared.domain.search import Search
from shared.domain.states import Phase
from tests.activities.fakes import World
from tests.activities.worlds import JOB_ID, Json, put_search
from triggers import results

CONTENT = bytes(range(256)) * 4
ETAG = f'"{hashlib.sha256(CONTENT).hexdigest()}"'
MOST = 2000


@pytest.fixture(autouse=True)
def signed_in(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests come from the development user, who may see everything."""
    monkeypatch.setattr(responses, "settings", lambda: world.settings)


def publish(world: World, content: bytes, **fields: Any) -> Search:
    """A completed search with one published file."""
    world.settings = replace(world.settings, download_limit_bytes=MOST)
    search = put_search(world, phase=Phase.COMPLETED, **fields)
    sha256 = hashlib.sha256(content).hexdigest()
    file = {"name": "results.tsv", "size": len(content), "sha256": sha256, "content_type": "text/csv"}
    world.store.blobs[RESULTS_CONTAINER, f"{JOB_ID}/results.tsv"] = content
    world.store.blobs[RESULTS_CONTAINER, f"{JOB_ID}/manifest.json"] = json.dumps({"manifest": [file]}).encode()
    return search


def ask(name: str = "results.tsv", headers: Json | None = None, **params: str) -> func.HttpResponse:
    """Ask for the file; header names with _ for -."""
    given = {"Host": "localhost:7071"} | {k.replace("_", "-"): v for k, v in (headers or {}).items()}
    route = {"id": JOB_ID, "name": name}
    request = func.HttpRequest(
        "GET", "http://localhost:7071/api", headers=given, route_params=route, params=params, body=b""
    )
    answer: func.HttpResponse = results.download_result(request)
    return answer


class TestWhole:
    def test_a_small_one_through_the_app(self, world: World) -> None:
        publish(world, CONTENT)
        answer = ask()
        assert (answer.status_code, answer.get_body(), answer.mimetype) == (200, CONTENT, "text/csv")
        assert answer.headers["ETag"] == ETAG
        assert answer.headers["Accept-Ranges"] == "bytes"
        assert answer.headers["Content-Disposition"] == 'attachment; filename="results.tsv"'

    def test_an_empty_one(self, world: World) -> None:
        publish(world, b"")
        assert (ask().status_code, ask().get_body()) == (200, b"")

    @pytest.mark.proves("Q4")
    @pytest.mark.parametrize(("size", "status"), [(MOST, 200), (MOST + 1, 302)])
    def test_up_to_the_limit_and_just_beyond_it(self, world: World, size: int, status: int) -> None:
        publish(world, bytes(size))
        answer = ask()
        assert answer.status_code == status
        assert len(answer.get_body()) == (size if status == 200 else 0)
        assert ("Location" in answer.headers) is (status == 302)

    def test_what_the_caller_has_is_not_sent_again(self, world: World) -> None:
        publish(world, CONTENT)
        answer = ask(headers={"If_None_Match": f'"x", {ETAG}'})
        assert (answer.status_code, answer.get_body(), answer.headers["ETag"]) == (304, b"", ETAG)
        assert ask(headers={"If_None_Match": '"x"'}).status_code == 200

    @pytest.mark.parametrize("name", ["manifest.json", "hits.index", "other.tsv", "../x", "a\r\nX: y", ""])
    def test_only_what_the_manifest_names(self, world: World, name: str) -> None:
        publish(world, CONTENT)
        answer = ask(name)
        assert (answer.status_code, json.loads(answer.get_body())["error"]["code"]) == (404, "result_not_found")

    @pytest.mark.parametrize("wanted", ["0-", "-2", "-1"])
    def test_a_blob_that_is_shorter_than_it_was_is_not_sent(self, world: World, wanted: str) -> None:
        publish(world, CONTENT)
        world.store.blobs[RESULTS_CONTAINER, f"{JOB_ID}/results.tsv"] = CONTENT[:-1]
        answer = ask(range=wanted)
        assert (answer.status_code, json.loads(answer.get_body())["error"]["code"]) == (409, "results_changed")

    @pytest.mark.proves("Q4")
    def test_no_more_is_read_than_the_manifest_says(self, world: World) -> None:
        publish(world, CONTENT)
        world.store.blobs[RESULTS_CONTAINER, f"{JOB_ID}/results.tsv"] = CONTENT * 100
        assert ask().get_body() == CONTENT


class TestParts:
    @pytest.mark.parametrize(
        ("text", "part"),
        [("0-0", slice(0, 1)), ("10-19", slice(10, 20)), ("1000-", slice(1000, None)), ("-7", slice(-7, None))],
    )
    def test_by_the_parameter_as_by_the_header(self, world: World, text: str, part: slice) -> None:
        publish(world, CONTENT)
        for answer in (ask(range=text), ask(headers={"Range": f"bytes={text}"})):
            assert (answer.status_code, answer.get_body()) == (206, CONTENT[part])
            start, end, _ = part.indices(len(CONTENT))
            assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(CONTENT)}"
            assert answer.headers["ETag"] == ETAG

    @pytest.mark.parametrize("text", ["1024-", "5000-6000", "-0"])
    def test_what_is_not_there(self, world: World, text: str) -> None:
        publish(world, CONTENT)
        for answer in (ask(range=text), ask(headers={"Range": f"bytes={text}"})):
            assert answer.status_code == 416
            assert answer.headers["Content-Range"] == "bytes */1024"
            assert json.loads(answer.get_body())["error"]["code"] == "range_not_satisfiable"

    @pytest.mark.parametrize("text", ["", "x", "5-4", "1-2,4-5", "bytes=0-1", "-"])
    def test_a_malformed_parameter_is_refused(self, world: World, text: str) -> None:
        publish(world, CONTENT)
        answer = ask(range=text)
        assert (answer.status_code, json.loads(answer.get_body())["error"]["code"]) == (400, "invalid_range")
        assert ask(range=text, headers={"If-None-Match": "*"}).status_code == 400

    @pytest.mark.parametrize("text", ["x", "bytes=5-4", "bytes=1-2,4-5", "lines=0-1", "bytes=-"])
    def test_a_malformed_header_is_ignored(self, world: World, text: str) -> None:
        publish(world, CONTENT)
        answer = ask(headers={"Range": text})
        assert (answer.status_code, answer.get_body()) == (200, CONTENT)

    @pytest.mark.parametrize(
        ("condition", "status"), [(ETAG, 206), ('"x"', 200), (f"W/{ETAG}", 200), ("Sun, 06 Nov 1994 08:49:37 GMT", 200)]
    )
    def test_only_of_the_version_that_the_caller_has(self, world: World, condition: str, status: int) -> None:
        publish(world, CONTENT)
        assert ask(headers={"Range": "bytes=0-9", "If_Range": condition}).status_code == status

    @pytest.mark.proves("Q4")
    def test_of_a_large_file_through_the_app_up_to_the_limit(self, world: World) -> None:
        content = CONTENT * 5
        publish(world, content)
        first = ask(range="0-")
        assert (first.status_code, first.get_body()) == (206, content[:MOST])
        assert first.headers["Content-Range"] == f"bytes 0-{MOST - 1}/{len(content)}"
        read = b"".join(ask(range=f"{at}-").get_body() for at in range(0, len(content), MOST))
        assert read == content

    def test_the_header_of_a_large_file_is_for_storage_to_honour(self, world: World) -> None:
        publish(world, CONTENT * 5)
        assert ask(headers={"Range": "bytes=0-9"}).status_code == 302


class TestConversion:
    ROWS = b"q1\ta, b\nq2\tc\n"

    def test_with_a_header_and_a_name_and_an_etag_of_its_own(self, world: World) -> None:
        publish(world, self.ROWS, options={"outfmt": "6 qaccver stitle"})
        answer = ask(format="csv")
        assert (answer.status_code, answer.mimetype) == (200, "text/csv")
        assert answer.get_body() == b'qaccver,stitle\nq1,"a, b"\nq2,c\n'
        assert answer.headers["Content-Disposition"] == 'attachment; filename="results.csv"'
        etag = answer.headers["ETag"]
        assert etag not in (ask().headers["ETag"], ask(format="tsv").headers["ETag"])
        assert ask(format="csv", headers={"If_None_Match": etag}).status_code == 304

    @pytest.mark.parametrize("params", [{"format": "json"}, {"format": ""}, {"format": "csv", "range": "0-1"}])
    def test_another_format_or_a_part_of_one(self, world: World, params: Json) -> None:
        publish(world, self.ROWS)
        answer = ask(**params)
        assert (answer.status_code, json.loads(answer.get_body())["error"]["code"]) == (400, "invalid_format")

    @pytest.mark.proves("Q4")
    @pytest.mark.parametrize(("rows", "status"), [(MOST // 4, 200), (MOST // 4 + 1, 409)])
    def test_up_to_the_limit_of_a_download(self, world: World, rows: int, status: int) -> None:
        publish(world, b"q\ts\n" * rows, options={"outfmt": "6 qaccver saccver"})
        assert ask(format="tsv").status_code == status

    @pytest.mark.parametrize("fields", [{"options": {"outfmt": "5"}}, {"engine": "external"}])
    def test_only_of_tables(self, world: World, fields: Json) -> None:
        publish(world, b"x\n", **fields)
        answer = ask(format="csv")
        assert (answer.status_code, json.loads(answer.get_body())["error"]["code"]) == (409, "not_convertible")
