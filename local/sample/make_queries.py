"""Makes ``queries.fasta``: whole genes, fragments, mutated fragments, several HSPs per subject, and one without a hit.

The file is committed; a test compares it with what this makes::

    python -m local.sample.make_queries > local/sample/queries.fasta
"""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Final

from local.sample.genes import Gene, fasta, read_genes

QUERIES: Final = Path(__file__).with_name("queries.fasta")
_SEED: Final = 2
_COMPLEMENT: Final = str.maketrans("ACGT", "TGCA")


def make_queries() -> str:
    """The text of ``queries.fasta``."""
    # Reproducible test data, nothing secret.
    chance = random.Random(_SEED)  # noqa: S311
    genes = [gene for gene in read_genes() if set(gene.sequence) <= set("ACGT")]
    records = [
        *(_whole(gene) for gene in chance.sample(genes, 12)),
        *(_fragment(chance, gene) for gene in chance.sample(genes, 14)),
        *(_mutated(chance, gene) for gene in chance.sample(genes, 10)),
        *(_rearranged(gene) for gene in chance.sample([g for g in genes if len(g.sequence) > 800], 3)),
        ("random_without_hit synthetic, 300 nt", "".join(chance.choices("ACGT", k=300))),
    ]
    chance.shuffle(records)
    return "".join(fasta(name, sequence) for name, sequence in records)


def _whole(gene: Gene) -> tuple[str, str]:
    return f"whole_{gene.id} {gene.resistance}", gene.sequence


def _fragment(chance: random.Random, gene: Gene) -> tuple[str, str]:
    length = min(chance.randint(60, 1000), len(gene.sequence))
    start = chance.randint(0, len(gene.sequence) - length)
    name = f"fragment_{gene.id} {gene.resistance}, {start + 1}-{start + length}"
    return name, gene.sequence[start : start + length]


def _mutated(chance: random.Random, gene: Gene) -> tuple[str, str]:
    """A fragment in which about one letter in twenty was replaced."""
    _, fragment = _fragment(chance, gene)
    letters = [chance.choice("ACGT") if chance.random() < 1 / 15 else letter for letter in fragment]
    return f"mutated_{gene.id} {gene.resistance}, about 5 % of the letters replaced", "".join(letters)


def _rearranged(gene: Gene) -> tuple[str, str]:
    """Two pieces of a gene, in the wrong order and one of them on the other strand: two HSPs for each subject."""
    first, last = gene.sequence[:300], gene.sequence[-300:]
    return f"rearranged_{gene.id} {gene.resistance}, two pieces", last + first.translate(_COMPLEMENT)[::-1]


if __name__ == "__main__":
    sys.stdout.write(make_queries())
