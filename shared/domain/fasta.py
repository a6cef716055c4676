"""Reading FASTA as BLAST+ reads it, and refusing what BLAST+ would read otherwise than its author meant.

The submit checks every query with `scan_fasta` before anything is started. Reading streams: a query file may be larger
than the memory of the app, and only the ids and lengths of its sequences are kept.

What BLAST+ 2.12 makes of a header (found by running it, without ``-parse_deflines``): ``qseqid`` is the text after
``>`` and any blanks, up to the next blank or control character, whatever it looks like (``gi|129295|sp|P01013|``,
``lcl|x`` and ``a|b`` are printed as they stand). A header without a word is printed as ``Query_<n>``, n counting within
the file that BLAST reads, which is the batch and not the user's file; a header that begins with ``>?`` is a gap in the
sequence before it. Both are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from shared.domain.errors import InvalidInputError
from shared.domain.programs import AMINO_ACIDS, NUCLEOTIDES, Program, query_alphabet

_FIELD: Final = "query_fasta"
_WORD: Final = re.compile(rb"[^\x00-\x20]+")
_BLANKS: Final = b" \t"

#: A protein of this many letters or more that is made of A, C, G, T, U and N alone is taken for a nucleotide sequence.
#: Those letters make up about a quarter of real proteins: by chance this happens once in 10^11 sequences.
NUCLEOTIDE_LOOKING_LENGTH: Final = 20
_NUCLEOTIDE_LOOKING: Final = b"ACGTUNacgtun"


@dataclass(frozen=True, slots=True)
class QuerySet:
    """The sequences of one query file, without their letters.

    Attributes:
        lengths: letters of each sequence, in input order.
        ids: the id of each sequence as BLAST prints it, in the same order.
    """

    lengths: tuple[int, ...]
    ids: tuple[str, ...]

    @property
    def sequences(self) -> int:
        """Number of sequences."""
        return len(self.lengths)

    @property
    def letters(self) -> int:
        """Letters of all sequences together."""
        return sum(self.lengths)


@dataclass(frozen=True, slots=True)
class Record:
    """One sequence of a FASTA file.

    Attributes:
        id: as BLAST prints it; empty for a header without a word.
        defline: the header line, without ``>`` and line end.
        chunk: the record's text, header included, blank lines left out, each line ended by one newline.
    """

    id: str
    defline: bytes
    chunk: bytes


def query_id(defline: bytes) -> str:
    """The id that BLAST prints for a header line; empty if it has none.

    Args:
        defline: the header line without ``>``.
    """
    word = _WORD.search(defline)
    return word.group().decode("utf-8", "replace") if word else ""


def iter_records(lines: Iterable[bytes]) -> Iterator[Record]:
    """Yield the records of a FASTA file, holding one at a time.

    The file is taken as it is; `scan_fasta` is the one that checks. Lines before the first header are left out.
    """
    defline: bytes | None = None
    chunk: list[bytes] = []
    for line in lines:
        text = line.rstrip()
        if text.startswith(b">"):
            if defline is not None:
                yield Record(query_id(defline), defline, b"".join(chunk))
            defline, chunk = text[1:], []
        if text:
            chunk.append(text + b"\n")
    if defline is not None:
        yield Record(query_id(defline), defline, b"".join(chunk))


def scan_fasta(lines: Iterable[bytes], program: Program) -> QuerySet:
    """Check a query file and return the ids and lengths of its sequences.

    Blank lines, lower case, blanks within a sequence line and Windows line ends are accepted.

    Args:
        lines: the file's lines, with or without their line ends.
        program: says which letters a query may have.

    Raises:
        InvalidInputError: ``empty_query``, ``not_fasta``, ``empty_sequence``, ``invalid_letter``,
            ``duplicate_query_id`` or ``wrong_query_type``; the message names the line.
    """
    scanner = _Scanner(program)
    for number, line in enumerate(lines, start=1):
        scanner.take(number, line.rstrip())
    return scanner.end()


class _Scanner:
    """The state of one pass over a file: the sequences so far and the one being read."""

    def __init__(self, program: Program) -> None:
        self._program = program
        alphabet = query_alphabet(program)
        self._allowed = bytes(sorted(alphabet | {ord(chr(letter).lower()) for letter in alphabet}))
        self._protein = alphabet is AMINO_ACIDS
        self._lengths: list[int] = []
        self._line_of_id: dict[str, int] = {}
        self._header_line = 0
        self._id = ""
        self._length = 0
        self._not_nucleotide = 0

    def take(self, number: int, text: bytes) -> None:
        """Read one line, without its line end."""
        if not text:
            return
        if text.startswith(b">"):
            self._close()
            self._open(number, text[1:])
        elif not self._header_line:
            raise _invalid(
                "not_fasta",
                f"line {number} is not FASTA: the first line must be a header that begins with '>'",
                "Give each sequence a header line such as '>query1', followed by its letters.",
            )
        else:
            self._letters(number, text)

    def end(self) -> QuerySet:
        """The sequences, once every line was read."""
        self._close()
        if not self._lengths:
            raise _invalid("empty_query", "the query has no sequence", "Give at least one sequence in FASTA format.")
        return QuerySet(tuple(self._lengths), tuple(self._line_of_id))

    def _open(self, number: int, defline: bytes) -> None:
        self._header_line = number
        if b"\r" in defline:
            raise _invalid(
                "not_fasta",
                f"line {number} has carriage returns but no newline",
                "Save the file with Unix or Windows line ends.",
            )
        try:
            defline.decode()
        except UnicodeDecodeError:
            raise _invalid(
                "not_fasta", f"the header in line {number} is not UTF-8 text", "Save the file as UTF-8."
            ) from None
        self._id = query_id(defline)
        if not self._id or defline.startswith(b"?"):
            raise _invalid(
                "not_fasta",
                f"the header in line {number} does not begin with an id",
                "Write a name of its own for each sequence after '>', such as '>query1'.",
            )
        earlier = self._line_of_id.get(self._id)
        if earlier is not None:
            raise _invalid(
                "duplicate_query_id",
                f"line {number} has the id '{self._id[:80]}' of line {earlier}",
                "Give each sequence an id of its own: hits are attributed to queries by the id.",
            )
        self._line_of_id[self._id] = number
        self._length = 0
        self._not_nucleotide = 0

    def _letters(self, number: int, text: bytes) -> None:
        wrong = text.translate(None, self._allowed + _BLANKS)
        if wrong:
            raise self._invalid_letter(number, wrong)
        letters = text.translate(None, _BLANKS)
        self._length += len(letters)
        if self._protein:
            self._not_nucleotide += len(letters.translate(None, _NUCLEOTIDE_LOOKING))

    def _invalid_letter(self, number: int, wrong: bytes) -> InvalidInputError:
        letter = chr(wrong[0]) if 0x20 < wrong[0] < 0x7F else f"byte 0x{wrong[0]:02x}"
        kind = "amino acid" if self._protein else "nucleotide"
        hint = f"Allowed are the IUPAC {kind} codes {_listed(query_alphabet(self._program))}."
        if letter == "-":
            hint = "Remove the gaps: BLAST does not read aligned sequences as queries. " + hint
        elif not self._protein and chr(wrong[0]).upper().encode() in {bytes([a]) for a in AMINO_ACIDS - NUCLEOTIDES}:
            hint += f" For protein queries use blastp or tblastn instead of {self._program}."
        return _invalid("invalid_letter", f"line {number} has '{letter}', which is not a {kind}", hint)

    def _close(self) -> None:
        if not self._header_line:
            return
        if not self._length:
            raise _invalid(
                "empty_sequence",
                f"the sequence '{self._id[:80]}' in line {self._header_line} has no letters",
                "Remove the header or add its sequence.",
            )
        if self._protein and not self._not_nucleotide and self._length >= NUCLEOTIDE_LOOKING_LENGTH:
            raise _invalid(
                "wrong_query_type",
                f"the sequence '{self._id[:80]}' in line {self._header_line} is a nucleotide sequence, "
                f"and {self._program} takes proteins",
                "Use blastn, blastx or tblastx, or translate the sequence.",
            )
        self._lengths.append(self._length)


def _listed(alphabet: frozenset[int]) -> str:
    return bytes(sorted(alphabet)).decode()


def _invalid(code: str, message: str, hint: str) -> InvalidInputError:
    return InvalidInputError(code, message, hint, field=_FIELD)
