"""The genes of Debian's package ``resfinder-db``: what the sample database and the sample queries are made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.domain.fasta import query_id

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
        for record in file.read_bytes().removeprefix(b">").split(b"\n>"):
            header, _, body = record.partition(b"\n")
            name, letters = query_id(header), b"".join(body.split()).decode().upper()
            gene = genes.setdefault(name, Gene(name, file.stem, letters))
            if gene.sequence != letters:
                raise ValueError(f"{file.name}: {name} differs from the gene of that name in {gene.resistance}")
    return list(genes.values())


def fasta(name: str, sequence: str, width: int = 70) -> str:
    """One record of a FASTA file."""
    lines = (sequence[start : start + width] for start in range(0, len(sequence), width))
    return "\n".join((f">{name}", *lines, ""))
