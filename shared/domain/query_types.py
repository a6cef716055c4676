"""Nucleotides or amino acids: which of them a query file has, and why it does not fit a program.

A file that is uploaded before its program is known is checked for both, and what was found is kept with it
(`shared.clients.uploads`): a submit then needs no second look at the text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from shared.domain.errors import InvalidInputError
from shared.domain.programs import AMINO_ACIDS, NUCLEOTIDES, Program, query_alphabet


class SequenceType(StrEnum):
    """What the letters of a query stand for."""

    NUCLEOTIDE = "nucleotide"
    PROTEIN = "protein"

    @property
    def letter_name(self) -> str:
        """What one letter stands for."""
        return "nucleotide" if self is SequenceType.NUCLEOTIDE else "amino acid"


ALPHABETS: Final[Mapping[SequenceType, frozenset[int]]] = {
    SequenceType.NUCLEOTIDE: NUCLEOTIDES,
    SequenceType.PROTEIN: AMINO_ACIDS,
}
"""Every nucleotide's letter is an amino acid's as well."""


def sequence_type(program: Program) -> SequenceType:
    """What the queries of a program are made of."""
    return SequenceType.NUCLEOTIDE if query_alphabet(program) is NUCLEOTIDES else SequenceType.PROTEIN


@dataclass(frozen=True, slots=True)
class Misfit:
    """The first thing in a file that keeps it from being of a type.

    Attributes:
        line: where it is, from 1.
        letter: the byte that is not in the alphabet; None where a whole sequence is of the other type.
        sequence: id of that sequence.
    """

    line: int
    letter: int | None = None
    sequence: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the record of an upload."""
        return {"line": self.line, "letter": self.letter, "sequence": self.sequence}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Misfit:
        """Read plain data; unknown fields are ignored."""
        return cls(int(data["line"]), data.get("letter"), str(data.get("sequence", "")))

    def error(self, program: Program, field: str) -> InvalidInputError:
        """Why the file is no query of the program: ``invalid_letter`` or ``wrong_query_type``."""
        kind = sequence_type(program)
        if self.letter is None:
            return InvalidInputError(
                "wrong_query_type",
                f"{_sequence(self)}, and {program} takes proteins",
                "Use blastn, blastx or tblastx, or translate the sequence.",
                field=field,
            )
        hint = f"Allowed are the IUPAC {kind.letter_name} codes {_listed(kind)}."
        if self.letter == ord("-"):
            hint = "Remove the gaps: BLAST does not read aligned sequences as queries. " + hint
        elif kind is SequenceType.NUCLEOTIDE and _is_amino_acid(self.letter):
            hint += f" For protein queries use blastp or tblastn instead of {program}."
        return InvalidInputError("invalid_letter", f"{_letter(self)}, which is not {_one(kind)}", hint, field=field)


def fits_no_program(misfits: Mapping[SequenceType, Misfit], field: str) -> InvalidInputError:
    """The error of a file that is of neither type."""
    protein, nucleotide = misfits[SequenceType.PROTEIN], misfits[SequenceType.NUCLEOTIDE]
    for misfit in (protein, nucleotide):
        if misfit.letter is not None and not _is_amino_acid(misfit.letter):
            hint = misfit.error(Program.BLASTP, field).hint
            message = f"{_letter(misfit)}, which is neither a nucleotide nor an amino acid"
            return InvalidInputError("invalid_letter", message, hint, field=field)
    return InvalidInputError(
        "wrong_query_type",
        f"{_sequence(protein)}, and {_letter(nucleotide)}, which is not a nucleotide",
        "Give nucleotide sequences or proteins, not both in one file.",
        field=field,
    )


def _is_amino_acid(letter: int) -> bool:
    return bytes((letter,)).upper()[0] in AMINO_ACIDS


def _sequence(misfit: Misfit) -> str:
    return f"the sequence '{misfit.sequence[:80]}' in line {misfit.line} is a nucleotide sequence"


def _letter(misfit: Misfit) -> str:
    letter = misfit.letter or 0
    shown = chr(letter) if 0x20 < letter < 0x7F else f"byte 0x{letter:02x}"
    return f"line {misfit.line} has '{shown}'"


def _one(kind: SequenceType) -> str:
    return "a nucleotide" if kind is SequenceType.NUCLEOTIDE else "an amino acid"


def _listed(kind: SequenceType) -> str:
    return bytes(sorted(ALPHABETS[kind])).decode()
