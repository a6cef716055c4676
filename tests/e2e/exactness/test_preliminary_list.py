"""The one known difference, in which the sharded search is the better one.

BLAST sorts a list of about max(2k, k + 50) subjects by their preliminary scores and aligns only those to the end. With
a small ``-max_target_seqs`` a subject whose score rises in the final alignment may be lost. Each shard has a list of
its own, so that fewer are lost. Measured on the sample database with 200 whole genes as queries, E-value 0.01, four
shards: megablast never differed; blastn differed for 0, 2, 1, 2, 5, 15, 20 and 0 queries at k = 1, 5, 10, 20, 50, 100,
200 and 500. Against the first k subjects of a search without a limit, the sharded answer was wrong for 0, 2, 2, 2, 6,
7, 0, 0 queries, the unsharded one for 0, 3, 3, 4, 8, 16, 20, 0.
"""

from __future__ import annotations

from pathlib import Path

from local.sample.genes import fasta, read_genes
from tests.e2e.exactness.conftest import Blast, prepare

OPTIONS = ("-task", "blastn", "-evalue", "0.01")
UNLIMITED = 3144


def first_subjects(rows: bytes, limit: int) -> list[bytes]:
    """The rows of the first subjects of a search for one query."""
    lines = rows.splitlines(keepends=True)
    kept = list(dict.fromkeys(line.split(b"\t")[1] for line in lines))[:limit]
    return [line for line in lines if line.split(b"\t")[1] in kept]


def test_shards_keep_what_an_unsharded_search_loses(blast: Blast, tmp_path: Path) -> None:
    gene = next(gene for gene in read_genes() if gene.id == "blaOXA-281_1_APON01000041")
    query = tmp_path / "query.fa"
    query.write_text(fasta(gene.id, gene.sequence))
    search = prepare(blast.program, blast.whole / blast.database, query, tmp_path, 5_000_000)

    truth = first_subjects(search.unsharded("6 std score", UNLIMITED, OPTIONS), 20)
    unsharded = search.unsharded("6 std score", 20, OPTIONS).splitlines(keepends=True)
    sharded = search.sharded("6 std score", 20, OPTIONS)[0].splitlines(keepends=True)

    assert sharded == truth
    assert unsharded != truth
    lost = next(line for line in truth if line not in unsharded)
    assert lost.split(b"\t")[1] == b"blaOXA-335_1_KF203109"
