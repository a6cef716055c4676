"""The formats that need one shard and one batch."""

from __future__ import annotations

import pytest

from shared.domain.errors import InvalidInputError
from shared.domain.merge import MergeSummary, merge_batch
from shared.domain.outfmt import parse_outfmt
from shared.domain.programs import Program
from shared.domain.whole_formats import batch_length, check_batches, check_layouts

OTHERS = ["0", "1", "4", "8", "9", "11", "12", "15", "16", "17", "18"]


@pytest.mark.parametrize("outfmt", ["5", "6", "7 sseqid", "10"])
@pytest.mark.parametrize(("layouts", "engine"), [([1], "native"), ([4], "native"), ([1, 8], "native"), ([], "cli")])
def test_what_can_be_merged_is_for_every_layout(outfmt: str, layouts: list[int], engine: str) -> None:
    check_layouts(parse_outfmt(outfmt), Program.BLASTP, layouts, engine)


@pytest.mark.parametrize("outfmt", OTHERS)
def test_the_others_are_for_databases_in_one_shard(outfmt: str) -> None:
    check_layouts(parse_outfmt(outfmt), Program.BLASTN, [1], "native")


@pytest.mark.parametrize("outfmt", OTHERS)
@pytest.mark.parametrize(("layouts", "engine"), [([4], "native"), ([1, 8], "native"), ([], "cli"), ([1], "cli")])
def test_elsewhere_they_are_refused_with_those_that_work(outfmt: str, layouts: list[int], engine: str) -> None:
    with pytest.raises(InvalidInputError, match=f"format {outfmt} ") as refused:
        check_layouts(parse_outfmt(outfmt), Program.BLASTN, layouts, engine)
    assert refused.value.code == "outfmt_not_mergeable"
    assert refused.value.field == "options.outfmt"
    assert all(f"{number} (" in refused.value.hint for number in (5, 6, 7, 10))


@pytest.mark.parametrize("program", [program for program in Program if program is not Program.BLASTN])
def test_sam_is_of_blastn_alone(program: Program) -> None:
    with pytest.raises(InvalidInputError, match="does not write format 17"):
        check_layouts(parse_outfmt("17"), program, [1], "native")


@pytest.mark.parametrize(
    ("outfmt", "letters", "length"),
    [
        ("6", 5_000_000, 10_000),
        ("0", 300, 10_000),
        ("0", 10_001, 10_001),
        ("0", 100_000, 100_000),
        ("0", 100_001, 100_000),
    ],
)
def test_one_batch_holds_the_whole_query_up_to_ten_times_the_default(outfmt: str, letters: int, length: int) -> None:
    assert batch_length(parse_outfmt(outfmt), 10_000, letters) == length


def test_several_batches_are_refused() -> None:
    check_batches(parse_outfmt("0"), 1, 10_000)
    check_batches(parse_outfmt("6"), 2, 10_000)
    with pytest.raises(InvalidInputError, match="of 2 batches") as refused:
        check_batches(parse_outfmt("0"), 2, 10_000)
    assert (refused.value.code, refused.value.field) == ("outfmt_needs_one_batch", "batch_len")
    assert "100000 letters" in refused.value.hint


@pytest.mark.parametrize(("outfmt", "printed"), [("15", b'"db": "nt"'), ("11", b'"db": "/blast/nt/nt_01_00"')])
def test_the_database_has_its_name(outfmt: str, printed: bytes) -> None:
    """An archive keeps the path: blast_formatter finds the database by it."""
    summary = MergeSummary()
    lines = [b'{ "db": "/blast/nt/nt_01_00",\n', b"}\n"]
    merged = merge_batch(
        parse_outfmt(outfmt), ["a", "b"], [lines], 5, database="nt", searched="/blast/nt/nt_01_00", summary=summary
    )
    assert b"".join(merged) == b"{ " + printed + b",\n}\n"
    assert summary.queries == 2
