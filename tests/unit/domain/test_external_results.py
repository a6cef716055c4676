"""Results of searches begun outside: what counts as one, when all are there, and under which names they are shown."""

from __future__ import annotations

from typing import Any

import pytest

from shared.domain.external_results import (
    external_gate,
    external_manifest,
    gather,
    is_within,
    published_names,
    read_count,
)
from shared.domain.progress import Progress
from shared.domain.search import Search
from tests.unit.domain.objects import NOW, search

ID = "blast-7"
PIECES = [(f"{ID}/batch_{number:03d}-blastn-db.out.gz", 100) for number in range(3)]
OTHERS = [
    (f"{ID}/query_batches/batch_000.fa", 50),
    (f"{ID}/metadata/num_jobs_submitted.txt", 1),
    (f"{ID}/batch_000-blastn-db.out", 9),
    ("another/batch_003-blastn-db.out.gz", 100),
    (f"{ID}x/batch_004-blastn-db.out.gz", 100),
    (f"{ID}/other/batch_005-blastn-db.out.gz", 100),
]


def row(seen: int = 0, **fields: Any) -> Search:
    return search(job_id=ID, engine="external", expected_jobs=None, progress=Progress(total=seen), **fields)


def gate(listed: list[tuple[str, int]], seen: int, said: int = 0) -> dict[str, Any]:
    one = row(seen)
    answer = external_gate(one, gather(one, listed), said)
    assert "results/blast-7/" in answer.pop("hint")
    return answer


class TestGather:
    def test_pieces_in_the_search_s_own_folder(self) -> None:
        gathered = gather(row(), [*OTHERS, *reversed(PIECES)])
        assert [piece.name for piece in gathered.pieces] == [name for name, _ in PIECES]
        assert gathered.empty == ()
        assert gathered.counts == (f"{ID}/metadata/num_jobs_submitted.txt",)

    @pytest.mark.parametrize(("size", "empty"), [(0, 1), (19, 1), (20, 0)])
    def test_one_that_cannot_be_gzip_is_empty(self, size: int, empty: int) -> None:
        gathered = gather(row(), [(PIECES[0][0], size), *PIECES[1:]])
        assert (len(gathered.pieces), len(gathered.empty)) == (3 - empty, empty)

    @pytest.mark.parametrize(("size", "counts"), [(0, 0), (1, 1), (20, 1), (21, 0), (1 << 30, 0)])
    def test_what_says_how_many_is_short(self, size: int, counts: int) -> None:
        assert len(gather(row(), [(f"{ID}/metadata/num_jobs_submitted.txt", size)]).counts) == counts

    def test_the_folder_of_an_alias_is_its_own_too(self) -> None:
        one = row(aliases=("other",))
        gathered = gather(one, [*PIECES, ("other/batch_009-blastn-db.out.gz", 100)])
        assert [piece.batch for piece in gathered.pieces] == [0, 1, 2, 9]

    @pytest.mark.parametrize(
        ("blob", "own"),
        [
            (f"{ID}/x", True),
            ("other/x", True),
            ("other/shard_01/x", True),
            (f"{ID}x/x", False),
            (ID, False),
            (f"{ID}/", False),
            (f"{ID}/../job-1/x", False),
            (f"{ID}/./x", False),
            (f"{ID}//x", False),
            ("job-1/results.tsv", False),
            ("", False),
        ],
    )
    def test_no_other_folder_is(self, blob: str, own: bool) -> None:
        assert is_within(row(aliases=("other",)), blob) is own


@pytest.mark.parametrize(
    ("text", "number"),
    [(b"3", 3), (b" 12\n", 12), (b"", 0), (b"-1", 0), (b"1e3", 0), (b"\xb2", 0), ("٣".encode(), 0), (b"x", 0)],
)
def test_the_number_that_the_command_wrote(text: bytes, number: int) -> None:
    assert read_count(text) == number


@pytest.mark.proves("T3")
class TestGate:
    @pytest.mark.parametrize(("seen", "said"), [(3, 0), (0, 3), (3, 3), (2, 3), (3, 2), (1, 1)])
    def test_open(self, seen: int, said: int) -> None:
        assert gate(PIECES, seen, said) == {"open": True, "batches": 3, "missing": [], "empty": []}

    @pytest.mark.parametrize(("seen", "said"), [(4, 0), (0, 4), (4, 3), (3, 4)])
    def test_each_job_that_was_seen_or_said_has_a_result(self, seen: int, said: int) -> None:
        shut = gate(PIECES, seen, said)
        assert (shut["open"], shut["missing"]) == (False, ["1 of 4 results in results/blast-7/"])

    def test_nobody_knows_how_many(self) -> None:
        assert gate(PIECES, 0) == {"open": False, "batches": 3, "missing": ["the number of Jobs"], "empty": []}

    def test_an_empty_one_is_named_and_not_called_missing(self) -> None:
        name = PIECES[0][0]
        shut = gate([(name, 3), *PIECES[1:]], 3)
        assert (shut["open"], shut["missing"], shut["empty"]) == (False, [], [name])

    def test_an_empty_one_more_than_expected_is_not_passed_over(self) -> None:
        assert not gate([*PIECES, (f"{ID}/batch_003-blastn-db.out.gz", 0)], 3)["open"]

    def test_of_many_empty_ones_five_are_named(self) -> None:
        assert len(gate([(f"{ID}/batch_{n:03d}-x.out.gz", 0) for n in range(9)], 9)["empty"]) == 5


class TestNames:
    def names(self, *blobs: str) -> dict[str, str]:
        one = row()
        return published_names(gather(one, [(f"{ID}/{blob}", 100) for blob in blobs]).pieces, one)

    def test_a_name_is_one_segment(self) -> None:
        assert self.names("batch_000-blastn-db.out.gz", "shard_01/batch_000-blastn-db.out.gz") == {
            "batch_000-blastn-db.out.gz": f"{ID}/batch_000-blastn-db.out.gz",
            "shard_01-batch_000-blastn-db.out.gz": f"{ID}/shard_01/batch_000-blastn-db.out.gz",
        }

    def test_what_a_header_or_a_path_cannot_have_is_replaced(self) -> None:
        [name] = self.names('batch_000-a"b\r\nc d\\é?.out.gz')
        assert name == "batch_000-a_b__c_d___.out.gz"

    def test_no_two_are_the_same(self) -> None:
        names = self.names("batch_000-a b.out.gz", "batch_000-a_b.out.gz", "batch_000-a'b.out.gz")
        assert len(names) == 3
        assert len(set(names.values())) == 3


def test_the_manifest_says_what_is_known_and_null_for_the_rest() -> None:
    one = row()
    content = external_manifest(one, [{"name": "a", "blob": "b"}], NOW)
    assert content["manifest"] == [{"name": "a", "blob": "b"}]
    assert content["summary"] == {"queries": None, "queries_with_hits": None, "hits": None}
    known = {name: value for name, value in content["provenance"].items() if value is not None}
    assert known == {
        "program": "blastn",
        "database": "resfinder",
        "owner": "ada",
        "job_id": ID,
        "attempt": 1,
        "created_at": "2026-03-04T11:54:00.000Z",
        "published_at": "2026-03-04T12:00:00.000Z",
        "engine": "external",
    }
