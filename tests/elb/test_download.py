"""Downloads: resumed by Range, checked, in place only when whole, and never outside the folder."""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from elb.download import file_name
from tests.elb.conftest import JOB, Run
from tests.elb.fake_api import Answer, Asked, FakeApi, Script, refusal

CONTENT = b"".join(hashlib.sha256(b"%d" % n).digest() for n in range(100_000))
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PART = f".r.tsv.{SHA256[:16]}.part"


def offer(api: FakeApi, *answers: Answer | Script, **change: Any) -> None:
    """A manifest with one file, and what is answered for it."""
    row = {"name": "r.tsv", "size": len(CONTENT), "sha256": SHA256, "url": "/api/files/r.tsv", **change}
    api.on("GET /api/blast/jobs/{id}/results", Answer(body={"manifest": [row], "summary": {"hits": 1}}))
    api.on("GET /api/files/r.tsv", *answers)


def ranged(asked: Asked, cut: int | None = None) -> Answer:
    """An answer by the Range of the request; cut off after some bytes."""
    wanted = re.fullmatch(r"bytes=(\d+)-", asked.headers.get("Range", ""))
    if wanted is None:
        return Answer(body=CONTENT, cut=cut)
    first = int(wanted[1])
    header = {"Content-Range": f"bytes {first}-{len(CONTENT) - 1}/{len(CONTENT)}"}
    return Answer(206, CONTENT[first:], header, cut=cut)


def ranges(api: FakeApi) -> list[str | None]:
    return [asked.headers.get("Range") for asked in api.requests("GET /api/files/r.tsv")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "out"


def test_a_broken_connection_is_resumed_where_it_broke(api: FakeApi, run: Run, folder: Path) -> None:
    offer(api, lambda a: ranged(a, cut=1_000_000), lambda a: ranged(a, cut=500_000), ranged)
    ran = run("results", JOB, "--out", str(folder), "--json")
    assert (ran.code, (folder / "r.tsv").read_bytes()) == (0, CONTENT)
    first, *later = ranges(api)
    assert first is None
    begins = [int(str(header).removeprefix("bytes=").removesuffix("-")) for header in later]
    assert 0 < begins[0] <= 1_000_000
    assert begins[0] < begins[1] <= 1_500_000
    assert [item.name for item in folder.iterdir()] == ["r.tsv"]


def test_a_second_run_goes_on_where_the_first_ended(api: FakeApi, run: Run, folder: Path) -> None:
    offer(api, lambda a: ranged(a, cut=1_000_000), Answer(lost=True))
    ran = run("results", JOB, "--out", str(folder))
    assert (ran.code, (folder / "r.tsv").exists()) == (6, False)
    assert "goes on where it ended" in ran.err
    have = (folder / PART).stat().st_size
    assert 0 < have <= 1_000_000
    offer(api, ranged)
    before = len(ranges(api))
    assert run("results", JOB, "--out", str(folder), "--json").json()["files"][0]["state"] == "resumed"
    assert ranges(api)[before:] == [f"bytes={have}-"]
    assert (folder / "r.tsv").read_bytes() == CONTENT


def test_a_beginning_of_something_else_is_found_out(api: FakeApi, run: Run, folder: Path) -> None:
    folder.mkdir()
    (folder / PART).write_bytes(b"x" * 1000)
    offer(api, ranged)
    assert run("results", JOB, "--out", str(folder)).code == 0
    assert ranges(api) == ["bytes=1000-", None]
    assert (folder / "r.tsv").read_bytes() == CONTENT


def test_a_server_without_ranges_is_read_from_the_beginning(api: FakeApi, run: Run, folder: Path) -> None:
    folder.mkdir()
    (folder / PART).write_bytes(CONTENT[:1000])
    offer(api, Answer(body=CONTENT))
    assert run("results", JOB, "--out", str(folder)).code == 0
    assert (folder / "r.tsv").read_bytes() == CONTENT


@pytest.mark.parametrize(
    "odd",
    [
        Answer(416, b"", {"Content-Range": f"bytes */{len(CONTENT)}"}),
        Answer(206, CONTENT, {"Content-Range": f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}"}),
        Answer(206, CONTENT[1000:]),
    ],
    ids=["416", "another range", "no range said"],
)
def test_an_odd_answer_to_a_range_begins_anew(odd: Answer, api: FakeApi, run: Run, folder: Path) -> None:
    folder.mkdir()
    (folder / PART).write_bytes(CONTENT[:1000])
    offer(api, odd, ranged)
    assert run("results", JOB, "--out", str(folder)).code == 0
    assert ranges(api) == ["bytes=1000-", None]
    assert (folder / "r.tsv").read_bytes() == CONTENT


def test_another_content_than_promised_is_not_kept(api: FakeApi, run: Run, folder: Path) -> None:
    offer(api, Answer(body=CONTENT[:-1] + b"\n" if CONTENT[-1:] != b"\n" else CONTENT[:-1] + b"x"))
    ran = run("results", JOB, "--out", str(folder), "--json")
    assert (ran.code, ran.error()["error"]["code"]) == (9, "checksum_mismatch")
    assert list(folder.iterdir()) == []


def test_more_than_promised_is_not_read_to_its_end(api: FakeApi, run: Run, folder: Path) -> None:
    offer(api, Answer(body=CONTENT * 3))
    ran = run("results", JOB, "--out", str(folder), "--json")
    assert (ran.code, ran.error()["error"]["code"]) == (9, "too_long")
    assert not (folder / "r.tsv").exists()


def test_less_than_promised_is_given_up_after_some_attempts(api: FakeApi, run: Run, folder: Path) -> None:
    offer(api, Answer(body=b""))
    ran = run("results", JOB, "--out", str(folder), "--json")
    assert (ran.code, ran.error()["error"]["code"]) == (9, "too_short")
    assert len(ranges(api)) == 6


def test_not_now_is_waited_for(api: FakeApi, run: Run, folder: Path) -> None:
    not_now = refusal(503, "storage_busy")
    not_now.headers["Retry-After"] = "9"
    offer(api, not_now, ranged)
    assert run("results", JOB, "--out", str(folder)).code == 0
    assert run.clock.slept == [9]


def test_an_empty_file_is_a_file(api: FakeApi, run: Run, folder: Path) -> None:
    offer(api, Answer(body=b""), size=0, sha256=hashlib.sha256(b"").hexdigest())
    assert run("results", JOB, "--out", str(folder)).code == 0
    assert (folder / "r.tsv").read_bytes() == b""


def test_what_is_there_is_not_brought_again(api: FakeApi, run: Run, folder: Path) -> None:
    offer(api, ranged)
    run("results", JOB, "--out", str(folder))
    asked = len(ranges(api))
    assert run("results", JOB, "--out", str(folder), "--json").json()["files"][0]["state"] == "present"
    assert len(ranges(api)) == asked


def test_another_file_of_the_name_is_not_overwritten_unasked(api: FakeApi, run: Run, folder: Path) -> None:
    folder.mkdir()
    (folder / "r.tsv").write_text("mine")
    offer(api, ranged)
    ran = run("results", JOB, "--out", str(folder), "--json")
    assert (ran.code, ran.error()["error"]["code"]) == (9, "file_exists")
    assert (folder / "r.tsv").read_text() == "mine"
    assert run("results", JOB, "--out", str(folder), "--force").code == 0
    assert (folder / "r.tsv").read_bytes() == CONTENT


def test_a_submit_does_not_begin_when_its_results_have_no_place(api: FakeApi, run: Run, folder: Path) -> None:
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    ran = run("submit", "--program", "blastn", "--db", "d", "q.fasta", "--out", str(folder), "--json")
    assert (ran.code, ran.error()["error"]["code"], api.asked) == (2, "folder_not_empty", [])


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("r.tsv", "r.tsv"),
        ("../../evil.tsv", "evil.tsv"),
        ("/etc/passwd", "passwd"),
        ("a/b/c.gz", "c.gz"),
        ("..\\..\\evil.tsv", "evil.tsv"),
        ("C:\\evil.tsv", "evil.tsv"),
    ],
)
def test_a_name_from_outside_chooses_no_folder(given: str, name: str) -> None:
    assert file_name(given) == name


@pytest.mark.parametrize("given", ["", ".", "..", "/", "a/..", "a\x00b", "a\nb", "\x1b[2J"])
def test_a_name_that_is_none_is_refused(given: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011  # its text is the name itself
        file_name(given)
    assert refused.value.args == (given,)


@pytest.mark.parametrize("change", [{"sha256": "short"}, {"size": None}, {"size": -1}, {"name": ".."}, {"url": None}])
def test_a_manifest_that_cannot_be_checked_is_refused(
    change: dict[str, Any], api: FakeApi, run: Run, folder: Path
) -> None:
    offer(api, refusal(404, "x"), **change)
    assert run("results", JOB, "--out", str(folder)).code == 9
    assert not api.requests("GET /api/files/r.tsv")


def test_one_file_of_several(api: FakeApi, run: Run, folder: Path) -> None:
    empty = {"size": 0, "sha256": hashlib.sha256(b"").hexdigest()}
    files = [{"name": name, "url": f"/api/files/{name}", **empty} for name in ("a", "b")]
    api.on("GET /api/blast/jobs/{id}/results", Answer(body={"manifest": files}))
    api.on("GET /api/files/{name}", Answer(body=b""))
    assert run("results", JOB, "--out", str(folder), "--file", "b").code == 0
    assert [item.name for item in folder.iterdir()] == ["b"]
    ran = run("results", JOB, "--out", str(folder), "--file", "c", "--json")
    assert (ran.code, "a, b" in ran.error()["error"]["hint"]) == (4, True)


def test_a_token_that_ends_during_the_download_is_replaced(
    api: FakeApi, run: Run, folder: Path, tmp_path: Path
) -> None:
    count = tmp_path / "count"
    program = f"import pathlib; p = pathlib.Path('{count}'); p.open('a').write('x'); print('t' + str(p.stat().st_size))"

    def by_token(asked: Asked) -> Answer:
        return ranged(asked) if asked.headers["Authorization"] == "Bearer t2" else refusal(401, "token_expired")

    offer(api, by_token)
    command = f'{sys.executable} -c "{program}"'
    assert run("results", JOB, "--out", str(folder), "--token-command", command).code == 0
    assert (folder / "r.tsv").read_bytes() == CONTENT
    offer(api, refusal(401, "token_expired"))
    assert run("results", JOB, "--out", str(folder), "--force", "--token-command", "echo same").code == 0, "present"
    (folder / "r.tsv").unlink()
    before = len(api.requests("GET /api/files/r.tsv"))
    assert run("results", JOB, "--out", str(folder), "--token-command", "echo same").code == 5
    assert len(api.requests("GET /api/files/r.tsv")) == before + 1


def test_tokens_that_are_always_new_and_always_refused_come_to_an_end(api: FakeApi, run: Run, folder: Path) -> None:
    offer(api, refusal(401, "token_expired"))
    command = f'{sys.executable} -c "import uuid; print(uuid.uuid4())"'
    assert run("results", JOB, "--out", str(folder), "--token-command", command).code == 5
    assert len(api.requests("GET /api/files/r.tsv")) == 2
