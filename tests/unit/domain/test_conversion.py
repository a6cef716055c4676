"""Tables with a header, and with quotation marks where CSV needs them."""

from __future__ import annotations

import csv
import io

import pytest

from shared.domain.conversion import TableFormat, convert_table
from shared.domain.errors import ConflictError
from shared.domain.outfmt import parse_outfmt

ROWS = b'q1\t99.500\tone, "two"\nq2\t 7\tthree\n'
TABLE = [["qaccver", "pident", "stitle"], ["q1", "99.500", 'one, "two"'], ["q2", " 7", "three"]]


@pytest.mark.parametrize(
    ("outfmt", "content"),
    [
        ("6 qaccver pident stitle", ROWS),
        ("7 qaccver pident stitle", b"# BLASTN\n# Query: q1\n" + ROWS + b"# BLAST processed 2 queries\n"),
        ("10 qaccver pident stitle", ROWS.replace(b"\t", b",")),
        ("6 delim=; qaccver pident stitle", ROWS.replace(b"\t", b";")),
    ],
)
@pytest.mark.parametrize(("target", "delimiter"), [(TableFormat.CSV, ","), (TableFormat.TSV, "\t")])
def test_every_table_gives_the_same(outfmt: str, content: bytes, target: TableFormat, delimiter: str) -> None:
    converted = convert_table(parse_outfmt(outfmt), content.splitlines(keepends=True), target)
    assert list(csv.reader(io.StringIO(converted.decode()), delimiter=delimiter)) == TABLE


def test_without_hits_there_is_the_header() -> None:
    assert convert_table(parse_outfmt("6 qaccver evalue"), [], TableFormat.CSV) == b"qaccver,evalue\n"


@pytest.mark.parametrize(
    ("outfmt", "line"),
    [
        ("5", b""),
        (None, b""),
        ("10 qaccver evalue", b"q,1,2\n"),
        ("10 stitle sscinames", b"a,b,c\n"),
        ("6 std", b"q\n"),
    ],
)
def test_what_cannot_be_told_apart_is_refused(outfmt: str | None, line: bytes) -> None:
    fmt = None if outfmt is None else parse_outfmt(outfmt)
    with pytest.raises(ConflictError, match="not_convertible"):
        convert_table(fmt, [line], TableFormat.CSV)
