"""Reading FASTA as BLAST+ reads it, and refusing what BLAST+ would read otherwise than its author meant.

Every query is checked with `scan_fasta` before anything is started. Reading streams: a query file may be larger than
the memory of the app, and what is kept of a sequence is 12 bytes, its length and a hash of its id.

What BLAST+ 2.12 makes of a header (found by running it, without ``-parse_deflines``): ``qseqid`` is the text after
``>`` and any blanks, up to the next blank or control character, whatever it looks like (``gi|129295|sp|P01013|``,
``lcl|x`` and ``a|b`` are printed as they stand) and however long it is. A header without a word is printed as
``Query_<n>``, n counting within the file that BLAST reads, which is the batch and not the user's file; a header that
begins with ``>?`` is a gap in the sequence before it. Both are refused. So is a header with anything but ASCII: of many
such BLAST+ cannot write XML ("Source string is not in UTF8 format") and ends without a result. And one that begins with
a control character, which is part of the ``qseqid`` in tables and a ``#`` in XML.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from shared.domain.errors import InvalidInputError, TooLargeError
from shared.domain.fasta_parts import Part, carriage_returns, iter_parts
from shared.domain.programs import AMINO_ACIDS, NUCLEOTIDES, Program
from shared.domain.query_types import Misfit, SequenceType, fits_no_program, sequence_type

_FIELD: Final = "query_fasta"
_WORD: Final = re.compile(rb"[^\x00-\x20]+")

#: A protein of this many letters or more that is made of A, C, G, T, U and N alone is taken for a nucleotide sequence.
#: Those letters make up about a quarter of real proteins: by chance this happens once in 10^11 sequences.
NUCLEOTIDE_LOOKING_LENGTH: Final = 20
_BLANKS: Final = b" \t\n"
_PLAIN: Final = b"ACGTUNacgtun" + _BLANKS
_ODD_ENDS: Final = (b"\r", b"\x0b", b"\x0c")
_BUCKETS: Final = 256


def _in_both_cases(alphabet: frozenset[int]) -> bytes:
    letters = bytes(sorted(alphabet))
    return letters + letters.lower() + _BLANKS


_ALLOWED: Final[Mapping[SequenceType, bytes]] = {
    SequenceType.NUCLEOTIDE: _in_both_cases(NUCLEOTIDES),
    SequenceType.PROTEIN: _in_both_cases(AMINO_ACIDS),
}


@dataclass(frozen=True, slots=True)
class QuerySet:
    """The sequences of one query file, without their letters.

    Attributes:
        lengths: letters of each sequence, in input order.
        misfits: by type, why the file is not of it; a type that is not here it is of, as far as it was asked for.
    """

    lengths: Sequence[int]
    misfits: Mapping[SequenceType, Misfit] = field(default_factory=dict)

    @property
    def sequences(self) -> int:
        """Number of sequences."""
        return len(self.lengths)

    @property
    def letters(self) -> int:
        """Letters of all sequences together."""
        return sum(self.lengths)

    @property
    def programs(self) -> tuple[Program, ...]:
        """The programs whose queries these can be."""
        return tuple(program for program in Program if sequence_type(program) not in self.misfits)

    def check(self, program: Program, field: str = _FIELD) -> None:
        """Refuse a file of another type than the program's.

        Raises:
            InvalidInputError: ``invalid_letter`` or ``wrong_query_type``.
        """
        misfit = self.misfits.get(sequence_type(program))
        if misfit is not None:
            raise misfit.error(program, field)


def query_id(defline: bytes) -> str:
    """The id that BLAST prints for a header line; empty if it has none.

    Args:
        defline: the header line without ``>``.
    """
    word = _WORD.search(defline)
    return word.group().decode("utf-8", "replace") if word else ""


def iter_ids(blocks: Iterable[bytes]) -> Iterator[str]:
    """Yield the ids of a file's sequences, in input order; the text comes in pieces of any size and is not checked."""
    return (query_id(part.header) for part in iter_parts(blocks) if part.header is not None)


def scan_fasta(
    source: Callable[[], Iterable[bytes]],
    program: Program | None = None,
    *,
    most_sequences: int | None = None,
    field: str = _FIELD,
) -> QuerySet:
    """Check a query file and return the lengths of its sequences.

    Blank lines, lower case, blanks within a sequence line and Windows line ends are accepted.

    Args:
        source: gives the file's text, in pieces of any size; asked again only to name the lines of an id that is there
            twice.
        program: says which letters a query may have; without it the file may be of nucleotides or of proteins, and
            ``misfits`` says which it is not of.
        most_sequences: how many sequences the file may have.
        field: of the request, for the error.

    Raises:
        InvalidInputError: ``empty_query``, ``not_fasta``, ``invalid_header``, ``empty_sequence``, ``invalid_letter``,
            ``duplicate_query_id`` or ``wrong_query_type``; the message names the line.
        TooLargeError: ``too_many_sequences``.
    """
    scanner = _Scanner(program, most_sequences, field)
    for part in iter_parts(source()):
        scanner.take(part)
    found = scanner.end()
    if suspects := scanner.suspects():
        _refuse_duplicate(source(), suspects, field)
    return found


class _Scanner:
    """The state of one pass over a file: the sequences so far and the one being read."""

    def __init__(self, program: Program | None, most: int | None, field: str) -> None:
        self._program, self._most, self._field = program, most, field
        self._open = list(SequenceType) if program is None else [sequence_type(program)]
        self._misfits: dict[SequenceType, Misfit] = {}
        self._lengths = array("I")  # BLAST+ itself takes no sequence of 2^31 letters
        self._hashes = [array("q") for _ in range(_BUCKETS)]
        self._header_line = 0
        self._id = b""
        self._length = 0
        self._looks_like_nucleotides = True

    def take(self, part: Part) -> None:
        """Read one part."""
        line = part.line
        if part.header is not None:
            self._close()
            self._begin(line, part.header)
            line += 1
        if not part.body:
            return
        if self._header_line:
            self._letters(line, part)
        elif part.body.strip():
            blank = part.body[: len(part.body) - len(part.body.lstrip())].count(b"\n")
            raise self._invalid(
                "not_fasta",
                f"line {line + blank} is not FASTA: the first line must be a header that begins with '>'",
                "Give each sequence a header line such as '>query1', followed by its letters.",
            )

    def end(self) -> QuerySet:
        """The sequences, once every part was read."""
        self._close()
        if not self._lengths:
            hint = "Give at least one sequence in FASTA format."
            raise self._invalid("empty_query", "the query has no sequence", hint)
        return QuerySet(self._lengths, self._misfits)

    def suspects(self) -> frozenset[int]:
        """Hashes that more than one id has: the ids are the same, but for one file of a million in thirty million."""
        found: set[int] = set()
        for hashes in self._hashes:
            if len(set(hashes)) == len(hashes):
                continue
            seen: set[int] = set()
            for each in hashes:
                (found if each in seen else seen).add(each)
        return frozenset(found)

    def _begin(self, line: int, header: bytes) -> None:
        header = header.rstrip()
        if b"\r" in header:
            raise carriage_returns(line, self._field)
        if not header.isascii():
            raise self._invalid(
                "invalid_header",
                f"the header in line {line} has letters that are not ASCII",
                "Write headers in plain ASCII: of others BLAST+ cannot write XML.",
            )
        word = _WORD.search(header)
        if word is None or header.startswith(b"?") or header[: word.start()].strip(b" \t"):
            raise self._invalid(
                "not_fasta",
                f"the header in line {line} does not begin with an id",
                "Write a name of its own for each sequence after '>', such as '>query1'.",
            )
        if self._most is not None and len(self._lengths) >= self._most:
            raise TooLargeError(
                "too_many_sequences",
                f"the query has more than {self._most} sequences",
                "Send it in several files, as several searches.",
            )
        self._header_line, self._id = line, word.group()
        hashed = hash(self._id)
        self._hashes[hashed % _BUCKETS].append(hashed)
        self._length, self._looks_like_nucleotides = 0, True

    def _letters(self, line: int, part: Part) -> None:
        body = part.body
        others = body.translate(None, _PLAIN)
        if others:
            if any(each in others for each in _ODD_ENDS):
                *lines, last = body.split(b"\n")  # the last one is empty, or goes on
                body = b"\n".join([*(text.rstrip() for text in lines), last])
                others = body.translate(None, _PLAIN)
            if others:
                self._looks_like_nucleotides = False
                self._check_types(line, body, others)
        self._length += len(body) - body.count(b"\n") - body.count(b" ") - body.count(b"\t")

    def _check_types(self, line: int, body: bytes, others: bytes) -> None:
        for kind in list(self._open):
            if others.translate(None, _ALLOWED[kind]):
                self._does_not_fit(kind, _first_wrong_letter(line, body, _ALLOWED[kind]))

    def _does_not_fit(self, kind: SequenceType, misfit: Misfit) -> None:
        self._misfits[kind] = misfit
        self._open.remove(kind)
        if not self._open:
            raise (
                misfit.error(self._program, self._field)
                if self._program
                else fits_no_program(self._misfits, self._field)
            )

    def _close(self) -> None:
        if not self._header_line:
            return
        if not self._length:
            raise self._invalid(
                "empty_sequence",
                f"the sequence '{self._id[:80].decode()}' in line {self._header_line} has no letters",
                "Remove the header or add its sequence.",
            )
        if (
            self._looks_like_nucleotides
            and self._length >= NUCLEOTIDE_LOOKING_LENGTH
            and SequenceType.PROTEIN in self._open
        ):
            self._does_not_fit(SequenceType.PROTEIN, Misfit(self._header_line, sequence=self._id[:80].decode()))
        self._lengths.append(self._length)

    def _invalid(self, code: str, message: str, hint: str) -> InvalidInputError:
        return InvalidInputError(code, message, hint, field=self._field)


def _first_wrong_letter(line: int, body: bytes, allowed: bytes) -> Misfit:
    """Where a body that has a letter beyond the allowed ones has the first of them."""
    for number, text in enumerate(body.split(b"\n"), start=line):
        wrong = text.translate(None, allowed)
        if wrong:
            return Misfit(number, wrong[0])
    raise ValueError("every letter is allowed")


def _refuse_duplicate(blocks: Iterable[bytes], suspects: frozenset[int], field: str) -> None:
    """Compare the ids themselves. Raises InvalidInputError ``duplicate_query_id``."""
    lines: dict[bytes, int] = {}
    for part in iter_parts(blocks):
        word = _WORD.search(part.header) if part.header is not None else None
        if word is None or hash(word.group()) not in suspects:
            continue
        earlier = lines.setdefault(word.group(), part.line)
        if earlier != part.line:
            raise InvalidInputError(
                "duplicate_query_id",
                f"line {part.line} has the id '{word.group()[:80].decode()}' of line {earlier}",
                "Give each sequence an id of its own: hits are attributed to queries by the id.",
                field=field,
            )
