"""Understanding -outfmt as BLAST+ does."""

from __future__ import annotations

import pytest

from shared.domain.errors import InvalidInputError
from shared.domain.outfmt import COLUMNS, STANDARD_COLUMNS, parse_outfmt

STD = " ".join(STANDARD_COLUMNS)


@pytest.mark.parametrize(
    ("text", "normalised", "for_shard"),
    [
        ("", "6 std", f"6 {STD} qseqid sseqid score"),
        ("6", "6 std", f"6 {STD} qseqid sseqid score"),
        ("6 std", "6 std", f"6 {STD} qseqid sseqid score"),
        (" 06   std ", "6 std", f"6 {STD} qseqid sseqid score"),
        ("6 std std", "6 std", f"6 {STD} qseqid sseqid score"),
        ("6 std staxids", "6 std staxids", f"6 {STD} staxids qseqid sseqid score"),
        (
            "6 evalue std",
            f"6 evalue {STD.replace(' evalue', '')}",
            f"6 evalue {STD.replace(' evalue', '')} qseqid sseqid score",
        ),
        ("6 std score qseqid sseqid", "6 std score qseqid sseqid", f"6 {STD} score qseqid sseqid"),
        ("6 pident", "6 pident", "6 pident qseqid sseqid evalue score"),
        ("6 qseqid qseqid evalue", "6 qseqid evalue", "6 qseqid evalue sseqid score"),
        ("7", "7 std", f"7 {STD} qseqid sseqid score"),
        ("7 delim=; pident", "7 delim=; pident", "7 pident qseqid sseqid evalue score"),
        ("10", "10 std", f"6 {STD} qseqid sseqid score"),
        ("10 qseqid stitle", "10 qseqid stitle", "6 qseqid stitle sseqid evalue score"),
        ("6 delim=@ qseqid", "6 delim=@ qseqid", "6 qseqid sseqid evalue score"),
        ("6 delim=,", "6 delim=, std", f"6 {STD} qseqid sseqid score"),
        ("10 delim=, std", "10 std", f"6 {STD} qseqid sseqid score"),
        ("5", "5", "5"),
    ],
)
def test_mergeable(text: str, normalised: str, for_shard: str) -> None:
    fmt = parse_outfmt(text)
    assert fmt.text() == normalised
    assert fmt.for_shard() == for_shard
    assert parse_outfmt(fmt.text()) == fmt


@pytest.mark.parametrize("number", [n for n in range(19) if n not in (5, 6, 7, 10, 13, 14)])
def test_other_formats_take_no_columns_and_are_not_put_together(number: int) -> None:
    fmt = parse_outfmt(str(number))
    assert (fmt.text(), fmt.for_shard()) == (str(number), str(number))
    assert not fmt.is_mergeable
    assert not fmt.is_tabular
    assert fmt.content_type
    with pytest.raises(InvalidInputError, match="takes no columns"):
        parse_outfmt(f"{number} std")


@pytest.mark.parametrize("number", [13, 14])
def test_a_file_for_each_query_is_refused(number: int) -> None:
    with pytest.raises(InvalidInputError, match="a file for each query") as refused:
        parse_outfmt(str(number))
    assert refused.value.code == "invalid_outfmt"


@pytest.mark.parametrize("outfmt", ["6 delim=; staxids", "10 delim=; std sallseqid", "7 delim=/ frames"])
def test_a_delimiter_that_stands_within_a_column(outfmt: str) -> None:
    with pytest.raises(InvalidInputError, match="cannot be the delimiter too"):
        parse_outfmt(outfmt)
    assert parse_outfmt(outfmt.replace("delim=/", "delim=;").replace("staxids", "staxid").replace("sallseqid", "sacc"))


@pytest.mark.parametrize("column", ["foo", "STD", "-evalue", "qseqid,score", '"qseqid"', "delim=;", "$(id)"])
def test_unknown_column(column: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        parse_outfmt(f"6 std {column}")
    assert refused.value.code == "unknown_column"
    assert f"'{column}'" in refused.value.message
    assert refused.value.field == "options.outfmt"


@pytest.mark.parametrize(
    "text", ["tabular", "6std", "19", "-6", "6,std", "5 std", "6 delim=", "6 delim=ab", "6 delim=é", "²"]
)
def test_no_output_format(text: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        parse_outfmt(text)
    assert refused.value.code == "invalid_outfmt"


@pytest.mark.parametrize(
    ("text", "extension", "content_type"),
    [
        ("5", "xml", "application/xml"),
        ("6", "tsv", "text/tab-separated-values"),
        ("7", "tsv", "text/tab-separated-values"),
        ("10", "csv", "text/csv"),
    ],
)
def test_files(text: str, extension: str, content_type: str) -> None:
    fmt = parse_outfmt(text)
    assert (fmt.extension, fmt.content_type) == (extension, content_type)


@pytest.mark.parametrize("column", sorted(COLUMNS))
def test_every_column_of_blast_is_known(column: str) -> None:
    fmt = parse_outfmt(f"6 {column}")
    assert fmt.columns == (column,)
    assert set(fmt.shard_columns) >= {"qseqid", "sseqid", "evalue", "score"}
    assert len(set(fmt.shard_columns)) == len(fmt.shard_columns)
