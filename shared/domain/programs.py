"""What differs between the five BLAST programs: alphabets, database types, tasks, batch lengths.

Everything that must know what kind of sequence a program reads or searches asks here: the FASTA check, the choice of
database files, the plan of a search.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from shared.domain.errors import InvalidInputError


class Program(StrEnum):
    """The BLAST+ programs that the product runs; the value is the command's name."""

    BLASTN = "blastn"
    BLASTP = "blastp"
    BLASTX = "blastx"
    TBLASTN = "tblastn"
    TBLASTX = "tblastx"


class DatabaseType(StrEnum):
    """The type of a BLAST database; the value is what ``-dbtype`` of the BLAST+ tools takes."""

    NUCL = "nucl"
    PROT = "prot"

    @property
    def letter(self) -> str:
        """First letter of the extensions of the database's files: ``.nin`` or ``.pin``."""
        return self.value[0]


# IUPAC codes that BLAST+ reads without a warning. It skips gaps ("-") and digits with a warning only, which changes
# the query unseen; they are therefore not in the alphabet.
NUCLEOTIDES: Final = frozenset(b"ACGTUNRYSWKMBDHV")
AMINO_ACIDS: Final = frozenset(b"ABCDEFGHIKLMNPQRSTVWXYZJOU*")

_NUCLEOTIDE_QUERY: Final = frozenset({Program.BLASTN, Program.BLASTX, Program.TBLASTX})
_PROTEIN_DATABASE: Final = frozenset({Program.BLASTP, Program.BLASTX})

#: Allowed values of ``-task``, the program's own default first. tblastx has no ``-task``.
#: "rmblastn" is left out: it searches nothing without a matrix file of its own.
TASKS: Final[dict[Program, tuple[str, ...]]] = {
    Program.BLASTN: ("megablast", "blastn", "blastn-short", "dc-megablast"),
    Program.BLASTP: ("blastp", "blastp-fast", "blastp-short"),
    Program.BLASTX: ("blastx", "blastx-fast"),
    Program.TBLASTN: ("tblastn", "tblastn-fast"),
    Program.TBLASTX: (),
}

#: Letters of query per batch by (program, task); ``None`` stands for every task not listed. The lengths are those of
#: ElasticBLAST.
DEFAULT_BATCH_LENGTH: Final[dict[tuple[Program, str | None], int]] = {
    (Program.BLASTN, "megablast"): 5_000_000,
    (Program.BLASTN, None): 1_000_000,
    (Program.BLASTP, None): 10_000,
    (Program.BLASTX, None): 20_004,
    (Program.TBLASTN, None): 20_000,
    (Program.TBLASTX, None): 100_000,
}


def query_alphabet(program: Program) -> frozenset[int]:
    """The upper-case letters, as byte values, that a query of this program may have."""
    return NUCLEOTIDES if program in _NUCLEOTIDE_QUERY else AMINO_ACIDS


def database_type(program: Program) -> DatabaseType:
    """The type of database that the program searches."""
    return DatabaseType.PROT if program in _PROTEIN_DATABASE else DatabaseType.NUCL


def default_task(program: Program) -> str | None:
    """The task that the program runs without ``-task``; None for tblastx, which has no tasks."""
    tasks = TASKS[program]
    return tasks[0] if tasks else None


def check_task(program: Program, task: str | None) -> None:
    """Refuse a task that the program does not have.

    Raises:
        InvalidInputError: ``unknown_task``.
    """
    if task is None or task in TASKS[program]:
        return
    known = ", ".join(TASKS[program])
    hint = f"Use one of: {known}." if known else f"Leave the task out: {program} has none."
    raise InvalidInputError("unknown_task", f"{program} has no task '{task}'", hint, field="options.task")


def tabular_order_is_exact(program: Program, task: str | None = None) -> bool:
    """Whether the E-values that tables show are enough to put the shards' subjects in the order of an unsharded search.

    For blastn, megablast and dc-megablast the E-value is a function of the score. Elsewhere it depends on the subject's
    length and composition (blastp, blastx, tblastn), on links between HSPs (tblastx) or on the strand (blastn-short),
    and tables show three digits of it: of subjects whose printed E-values are equal, those of different shards may come
    in another order. `shared.domain.blast_options.BlastOptions.needs_full_evalues` says who asks for more digits. XML
    prints six.
    """
    return program is Program.BLASTN and (task or default_task(program)) != "blastn-short"


def default_batch_length(program: Program, task: str | None = None) -> int:
    """Letters of query that one batch holds when the caller does not say.

    Args:
        task: value of ``-task``; None means the program's default task.
    """
    named = DEFAULT_BATCH_LENGTH.get((program, task or default_task(program)))
    return DEFAULT_BATCH_LENGTH[program, None] if named is None else named
