"""The genes of Debian's package ``resfinder-db``: what the sample database and the sample queries are made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.domain.fasta import iter_records

PACKAGE_FOLDER: Final = Path("/usr/share/resfinder/db")


@dataclass(frozen=True, slots=True)
class Gene:
    """A gene: its id (``blaTEM-1B_1_AY458016``), class of resistance (``beta-lactam``) and letters in upper case."""

    id: str
    resistance: str
    sequence: str


def read_genes(folder: Path = PACKAGE_FOLDER) -> list[Gene]:
    """All genes, file by file in the order of the files' names.

    Nine genes act against more than one class and are in a file for each; the first one counts.

    Raises:
        FileNotFoundError: the package is not installed.
        ValueError: one id has two different sequences.
    """
    files = sorted(folder.glob("*.fsa"))
    if not files:
        raise FileNotFoundError(f"no genes in {folder}: install Debian's package resfinder-db")
    genes: dict[str, Gene] = {}
    for file in files:
        with file.open("rb") as lines:
            for record in iter_records(lines):
                letters = b"".join(record.chunk.splitlines()[1:]).decode().upper()
                gene = genes.setdefault(record.id, Gene(record.id, file.stem, letters))
                if gene.sequence != letters:
                    raise ValueError(
                        f"{file.name}: {record.id} differs from the gene of that name in {gene.resistance}"
                    )
    return list(genes.values())


def fasta(name: str, sequence: str, width: int = 70) -> str:
    """One record of a FASTA file."""
    lines = (sequence[start : start + width] for start in range(0, len(sequence), width))
    return "\n".join((f">{name}", *lines, ""))
