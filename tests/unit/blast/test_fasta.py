"""Reading and refusing FASTA."""

from __future__ import annotations

import itertools
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.domain import fasta_parts
from shared.domain.errors import InvalidInputError, TooLargeError
from shared.domain.fasta import NUCLEOTIDE_LOOKING_LENGTH, QuerySet, iter_ids, query_id, scan_fasta
from shared.domain.fasta_parts import WINDOW_BYTES, iter_parts
from shared.domain.programs import Program
from shared.domain.query_types import Misfit, SequenceType

PROTEIN = "MKVLAAGIVGLLLAQTLA"


def scan(text: str | bytes, program: str | None = "blastn") -> QuerySet:
    raw = text.encode() if isinstance(text, str) else text
    return scan_fasta(lambda: raw.splitlines(keepends=True), Program(program) if program else None)


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
        (">a\nACGT\r\r\n", (4,), ("a",)),
        (">a\nACGT \x0c\n \t\n", (4,), ("a",)),
        (">" + "x" * 5000 + "\nACGT\n", (4,), ("x" * 5000,)),
    ],
)
def test_accepted(text: str, lengths: tuple[int, ...], ids: tuple[str, ...]) -> None:
    found = scan(text)
    assert (tuple(found.lengths), found.misfits) == (lengths, {})
    assert tuple(iter_ids([text.encode()])) == ids


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
        (">a\nA\n>\x01b\nACGT\n", "blastn", "not_fasta", "line 3 "),
        ("> \x1fb\nACGT\n", "blastn", "not_fasta", "line 1 "),
        (b">a\xe9\nACGT\n", "blastn", "invalid_header", "line 1 "),
        (">a\nA\n>b \u00e9\nACGT\n", "blastn", "invalid_header", "line 3 "),
        (">a\nAC\rGT\n", "blastn", "invalid_letter", "line 2 has 'byte 0x0d'"),
        (">a\nACGT\n>b\nAC\n\n GT>c\nAC\n", "blastn", "invalid_letter", "line 6 has '>'"),
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


@pytest.mark.parametrize("repeat", [1, 200_000], ids=["short", "longer than a window"])
def test_old_macintosh_line_ends(repeat: int) -> None:
    with pytest.raises(InvalidInputError, match="carriage returns") as refused:
        scan_fasta(lambda: [b">a\rACGT\r>b\rACGT\r" * repeat], Program.BLASTN)
    assert refused.value.code == "not_fasta"


def test_protein_for_blastn_names_the_programs_that_take_it() -> None:
    with pytest.raises(InvalidInputError) as refused:
        scan(f">a\n{PROTEIN}\n")
    assert "blastp or tblastn" in refused.value.hint


@pytest.mark.parametrize("program", ["blastp", "tblastn"])
def test_proteins_are_accepted(program: str) -> None:
    assert scan(f">a\n{PROTEIN}*BZXUOJ\n", program).letters == len(PROTEIN) + 7


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


def test_a_duplicate_is_named_by_both_lines_however_many_there_are() -> None:
    text = b"".join(b">r%d\nACGT\n" % (number if number != 29_999 else 7) for number in range(30_000))
    with pytest.raises(InvalidInputError) as refused:
        scan(text)
    assert refused.value.message == "line 59999 has the id 'r7' of line 15"


def test_a_hash_that_two_ids_share_makes_no_duplicate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.domain.fasta.hash", len, raising=False)
    assert scan(">a\nA\n>b\nA\n>c\nA\n").sequences == 3
    with pytest.raises(InvalidInputError, match="line 5 has the id 'a' of line 1"):
        scan(">a\nA\n>b\nA\n>a\nA\n")


@pytest.mark.parametrize(("sequences", "most", "refused"), [(3, 3, False), (4, 3, True)])
def test_most_sequences(sequences: int, most: int, refused: bool) -> None:
    text = [b">%d\nA\n" % number for number in range(sequences)]
    if refused:
        with pytest.raises(TooLargeError) as error:
            scan_fasta(lambda: text, most_sequences=most)
        assert error.value.code == "too_many_sequences"
    else:
        assert scan_fasta(lambda: text, most_sequences=most).sequences == sequences


class TestWithoutAProgram:
    @pytest.mark.parametrize(
        ("text", "programs"),
        [
            (">a\n" + "ACGT" * 10 + "\n", "blastn blastx tblastx"),
            (f">a\n{PROTEIN}\n", "blastp tblastn"),
            (">a\nACGT\n", "blastn blastp blastx tblastn tblastx"),
            (">a\nACGTRYKM\n>b\n" + "ACGU" * 5, "blastn blastx tblastx"),
            (f">a\n{PROTEIN}U*\n", "blastp tblastn"),
        ],
    )
    def test_what_it_can_be(self, text: str, programs: str) -> None:
        assert " ".join(scan(text, None).programs) == programs

    @pytest.mark.parametrize("program", list(Program))
    @pytest.mark.parametrize("text", [">a\nAC\n>b\n" + "ACGT" * 10, f">a\nAC\n>b\nAC\n{PROTEIN}\n"])
    def test_a_later_check_says_what_an_earlier_one_would_have(self, text: str, program: Program) -> None:
        def outcome(check: object) -> object:
            try:
                check()  # type: ignore[operator]
            except InvalidInputError as error:
                return error.to_dict()
            return None

        found = scan(text, None)
        assert outcome(lambda: found.check(program)) == outcome(lambda: scan(text, program.value))
        assert (outcome(lambda: found.check(program)) is None) == (program in found.programs)

    @pytest.mark.parametrize(
        ("text", "code", "message"),
        [
            (">a\nACG7\n", "invalid_letter", "line 2 has '7', which is neither a nucleotide nor an amino acid"),
            (
                ">a\n" + "ACGT" * 10 + "\n>b\nAC-GT\n",
                "invalid_letter",
                "line 4 has '-', which is neither a nucleotide nor an amino acid",
            ),
            (
                f">a\n{PROTEIN}\n>b\nMK?\n",
                "invalid_letter",
                "line 4 has '?', which is neither a nucleotide nor an amino acid",
            ),
            (
                f">p\n{PROTEIN}\n>n\n{'ACGT' * 10}\n",
                "wrong_query_type",
                "the sequence 'n' in line 3 is a nucleotide sequence, and line 2 has 'L', which is not a nucleotide",
            ),
        ],
    )
    def test_what_fits_no_program_is_refused(self, text: str, code: str, message: str) -> None:
        with pytest.raises(InvalidInputError) as refused:
            scan(text, None)
        assert (refused.value.code, refused.value.message) == (code, message)
        assert refused.value.hint

    def test_a_misfit_survives_its_record(self) -> None:
        for misfit in (Misfit(3, 65), Misfit(7, sequence="x")):
            assert Misfit.from_dict(misfit.to_dict() | {"later": 1}) == misfit
        assert scan(">a\nACGTACGTACGTACGTACGT\n", None).misfits == {SequenceType.PROTEIN: Misfit(1, sequence="a")}


class TestPieces:
    """The same text gives the same answer, however it comes and whatever the lengths of its lines are."""

    TOKENS = (b">a\n", b">b x\r\n", b">c\n", b"\n", b"\r\n", b"ACGT", b"acgt\n", b"MKV", b"-", b" ", b"\t", b"1")

    @pytest.mark.parametrize("seed", range(300))
    def test_of_any_size(self, seed: int) -> None:
        choose = random.Random(seed)  # noqa: S311 - the same in every run
        text = b">z\n" + b"".join(choose.choices(self.TOKENS, k=choose.randint(0, 12)))
        size = choose.choice([1, 2, 3, 7])
        pieces = [text[start : start + size] for start in range(0, len(text), size)]
        assert self.outcome([text]) == self.outcome(pieces)

    def outcome(self, blocks: list[bytes]) -> object:
        try:
            return list(scan_fasta(lambda: blocks).lengths)
        except InvalidInputError as error:
            return error.to_dict()

    def test_lines_longer_than_a_window(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fasta_parts, "WINDOW_BYTES", 10)
        text = b">a x\r\n" + b"ACGTACG" * 7 + b"\r\nAC\r\n\r\n>b\n" + b"GT" * 31
        for size in (1, 4, 9, 10, 11, 1000):
            blocks = [text[start : start + size] for start in range(0, len(text), size)]
            assert list(scan_fasta(lambda blocks=blocks: blocks).lengths) == [51, 62]  # type: ignore[misc]
            parts = list(iter_parts(blocks))
            cleaned = b"".join(part.clean_body() for part in parts)
            assert cleaned == b"ACGTACG" * 7 + b"\nAC\n" + b"GT" * 31 + b"\n"
            assert [part.line for part in parts if part.header is not None] == [1, 5]

    def test_a_header_has_a_limit(self) -> None:
        fits = b">" + b"x" * (WINDOW_BYTES - 2)
        assert scan(fits + b"\nACGT\n").letters == 4
        with pytest.raises(InvalidInputError) as refused:
            scan_fasta(lambda: itertools.repeat(fits, 3))
        assert (refused.value.code, len(refused.value.message) < 200) == ("not_fasta", True)


def test_scanning_keeps_no_sequence() -> None:
    def lines() -> Iterator[bytes]:
        yield b">a\n"
        for _ in range(200):
            yield b"ACGT" * 1000 + b"\n"

    assert list(scan_fasta(lines, Program.BLASTN).lengths) == [800_000]


ODD_IDS = (
    "gi|5|x", "lcl|1", "gnl|a|b", "ref|NM_1.1|", "a,b", "a;b", "#x", "a=b", "-", "*", "a>b", "a<b&c", "a\"b", "a'b",
    "~", "a\\b", "%s%n", "1", "Query_1", "[x]", "a:1-5", "a\x7fb", "x" * 2000,
)  # fmt: skip


def test_blast_prints_the_ids_that_are_read(tmp_path: Path) -> None:
    """Odd ids, with the real program: each in the results as it stands, in the order of the input."""
    if shutil.which("blastn") is None:
        pytest.skip("BLAST+ is not installed (Debian: ncbi-blast+)")
    sequence = "".join(random.Random(1).choices("ACGT", k=60))  # noqa: S311 - the same in every run
    text = "".join(f">{name} some text\n{sequence}\n" for name in ODD_IDS).encode()
    assert scan(text).sequences == len(ODD_IDS)
    assert tuple(iter_ids([text])) == ODD_IDS
    query, subject = tmp_path / "query.fa", tmp_path / "subject.fa"
    query.write_bytes(text)
    subject.write_text(f">s\n{sequence}\n")
    command = ["blastn", "-query", str(query), "-subject", str(subject), "-outfmt", "6 qseqid"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert tuple(printed.splitlines()) == ODD_IDS
