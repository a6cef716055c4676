"""Reading and refusing FASTA."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shared.domain.errors import InvalidInputError
from shared.domain.fasta import NUCLEOTIDE_LOOKING_LENGTH, QuerySet, iter_records, query_id, scan_fasta
from shared.domain.programs import Program

PROTEIN = "MKVLAAGIVGLLLAQTLA"


def scan(text: str | bytes, program: str = "blastn") -> QuerySet:
    raw = text.encode() if isinstance(text, str) else text
    return scan_fasta(raw.splitlines(keepends=True), Program(program))


@pytest.mark.parametrize(
    ("text", "lengths", "ids"),
    [
        (">a\nACGT\n", (4,), ("a",)),
        (">a\nACGT", (4,), ("a",)),
        (">a desc\nACGT\nAC\n>b\nA\n", (6, 1), ("a", "b")),
        (">a\r\nACGT\r\nAC\r\n", (6,), ("a",)),
        ("\n\n>a\n\nACGT\n\nAC\n\n", (6,), ("a",)),
        (">a\nacgtRYswkmbdhvNnU\n", (17,), ("a",)),
        (">a\nAC GT\t\n", (4,), ("a",)),
        (">é ü\nACGT\n", (4,), ("é",)),
    ],
)
def test_accepted(text: str, lengths: tuple[int, ...], ids: tuple[str, ...]) -> None:
    assert scan(text) == QuerySet(lengths, ids)


def test_totals() -> None:
    queries = scan(">a\nACGT\n>b\nAC\n")
    assert (queries.sequences, queries.letters) == (2, 6)


# What BLAST+ 2.12 printed as qseqid for these headers, without -parse_deflines.
@pytest.mark.parametrize(
    ("defline", "printed"),
    [
        (b"plain desc", "plain"),
        (b"gi|129295|sp|P01013| ovalbumin", "gi|129295|sp|P01013|"),
        (b"lcl|x  foo", "lcl|x"),
        (b" lead space", "lead"),
        (b"a|b|c bar", "a|b|c"),
        (b"gnl|DB|id99 d", "gnl|DB|id99"),
        (b"q,comma x", "q,comma"),
        (b"q\ttab", "q"),
        (b"\ttabbed", "tabbed"),
        (b"a'b(c)", "a'b(c)"),
        (b"|x", "|x"),
        (b"> > y", ">"),
        (b"a\x01b c", "a"),
        (b"id:1-10 y", "id:1-10"),
        (b"", ""),
        (b" \t", ""),
    ],
)
def test_id_is_what_blast_prints(defline: bytes, printed: str) -> None:
    assert query_id(defline) == printed


@pytest.mark.parametrize(
    ("text", "program", "code", "message"),
    [
        ("", "blastn", "empty_query", "no sequence"),
        ("\n \n\r\n", "blastn", "empty_query", "no sequence"),
        ("ACGT\n", "blastn", "not_fasta", "line 1 "),
        ("\n\nACGT\n>a\nA\n", "blastn", "not_fasta", "line 3 "),
        ("{}\n", "blastn", "not_fasta", "line 1 "),
        (">a\nA\n>\nACGT\n", "blastn", "not_fasta", "line 3 "),
        (">  \nACGT\n", "blastn", "not_fasta", "line 1 "),
        (">a\nA\n>?100\nACGT\n", "blastn", "not_fasta", "line 3 "),
        (b">a\xe9\nACGT\n", "blastn", "not_fasta", "line 1 "),
        (">a\n", "blastn", "empty_sequence", "line 1 "),
        (">a\nA\n>b\n\n>c\nA\n", "blastn", "empty_sequence", "'b' in line 3 "),
        (">a\nA\n>b x\n", "blastn", "empty_sequence", "'b' in line 3 "),
        (">a\nACGT\nACXT\n", "blastn", "invalid_letter", "line 3 has 'X'"),
        (">a\nAC-GT\n", "blastn", "invalid_letter", "line 2 has '-'"),
        (">a\n1 ACGT\n", "blastn", "invalid_letter", "line 2 has '1'"),
        (">a\nAC\x00GT\n", "blastn", "invalid_letter", "line 2 has 'byte 0x00'"),
        (f">a\n{PROTEIN}\n", "blastn", "invalid_letter", "line 2 has 'L'"),
        (f">a\n{PROTEIN}\n", "blastx", "invalid_letter", "line 2 has 'L'"),
        (f">a\n{PROTEIN}1\n", "blastp", "invalid_letter", "line 2 has '1'"),
        (">a x\nA\n>b\nA\n>a y\nA\n", "blastn", "duplicate_query_id", "line 5 has the id 'a' of line 1"),
        (">p\nMKV\n>a\n" + "ACGT" * 10 + "\n", "blastp", "wrong_query_type", "'a' in line 3 "),
        (">a\n" + "acgtn" * 10 + "\n", "tblastn", "wrong_query_type", "'a' in line 1 "),
    ],
)
def test_refused_with_the_line(text: str | bytes, program: str, code: str, message: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        scan(text, program)
    assert refused.value.code == code
    assert message in refused.value.message
    assert refused.value.hint
    assert refused.value.field == "query_fasta"


def test_old_macintosh_line_ends() -> None:
    with pytest.raises(InvalidInputError, match="carriage returns") as refused:
        scan_fasta([b">a\rACGT\r>b\rACGT\r"], Program.BLASTN)
    assert refused.value.code == "not_fasta"


def test_protein_for_blastn_names_the_programs_that_take_it() -> None:
    with pytest.raises(InvalidInputError) as refused:
        scan(f">a\n{PROTEIN}\n")
    assert "blastp or tblastn" in refused.value.hint


@pytest.mark.parametrize("program", ["blastp", "tblastn"])
def test_proteins_are_accepted(program: str) -> None:
    assert scan(f">a\n{PROTEIN}*BZXUOJ\n", program).lengths == (len(PROTEIN) + 7,)


@pytest.mark.parametrize(
    ("letters", "refused"), [(NUCLEOTIDE_LOOKING_LENGTH - 1, False), (NUCLEOTIDE_LOOKING_LENGTH, True)]
)
def test_a_short_peptide_may_look_like_nucleotides(letters: int, refused: bool) -> None:
    text = ">a\n" + "GATTACA"[:7] * 10
    text = text[: 3 + letters]
    if refused:
        with pytest.raises(InvalidInputError):
            scan(text, "blastp")
    else:
        assert scan(text, "blastp").letters == letters


def test_one_other_letter_makes_a_protein() -> None:
    assert scan(">a\n" + "A" * 50 + "\nM\n", "blastp").letters == 51


def test_a_long_id_is_clipped_in_the_message_and_sequence_is_not_shown() -> None:
    with pytest.raises(InvalidInputError) as refused:
        scan(">" + "x" * 5000 + "\n>b\nACGT\n")
    assert len(refused.value.message) < 200


def test_scanning_keeps_no_sequence() -> None:
    def lines() -> Iterator[bytes]:
        yield b">a\n"
        for _ in range(200):
            yield b"ACGT" * 1000 + b"\n"

    assert scan_fasta(lines(), Program.BLASTN).lengths == (800_000,)


def test_records_are_whole_and_clean() -> None:
    records = list(iter_records([b"\n", b">a one\r\n", b"AC\r\n", b"\r\n", b"GT\r\n", b">b\n", b"A"]))
    assert [(record.id, record.defline, record.chunk) for record in records] == [
        ("a", b"a one", b">a one\nAC\nGT\n"),
        ("b", b"b", b">b\nA\n"),
    ]
    assert list(iter_records([])) == []
