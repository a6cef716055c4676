"""Protein searches are exact: XML by the digits that it prints, tables by those that the Jobs add.

The E-value of a protein search depends on the subject's length and composition, and tables show three digits of it. By
these alone the order among equal printed E-values differed for 14 of 29 queries of blastp, 7 of 27 of blastx and 18 of
29 of tblastn at k = 500 (translated genes, E-value 0.01, four shards); with all digits for none.
"""

from __future__ import annotations

import json
import subprocess
from itertools import groupby, product

import pytest

from local.sample.genes import fasta, read_genes
from shared.domain.programs import Program
from tests.e2e.exactness.conftest import Blast, prepare

BASES = "TCAG"
AMINO_ACIDS = "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"
CODONS = {"".join(codon): amino for codon, amino in zip(product(BASES, repeat=3), AMINO_ACIDS, strict=True)}
OPTIONS = ("-evalue", "0.01")


def translate(sequence: str) -> str:
    """The protein of the first reading frame; what is no sense codon is X."""
    codons = (sequence[start : start + 3] for start in range(0, len(sequence) - 2, 3))
    return "".join(CODONS.get(codon, "X") for codon in codons).rstrip("*").replace("*", "X")


@pytest.fixture(scope="module")
def blastp(blast: Blast, tmp_path_factory: pytest.TempPathFactory) -> Blast:
    """The beta-lactamases as a protein database in four shards, six of them as queries in batches."""
    scratch = tmp_path_factory.mktemp("proteins")
    folder = scratch / "whole"
    folder.mkdir()
    proteins = [(g.id, translate(g.sequence)) for g in read_genes() if g.resistance == "beta-lactam"]
    command = ["makeblastdb", "-dbtype", "prot", "-parse_seqids", "-title", "proteins", "-out", "proteins"]
    subprocess.run(
        [*command, "-max_file_sz", "100KB"],
        input="".join(fasta(*protein) for protein in proteins),
        text=True,
        cwd=folder,
        capture_output=True,
        check=True,
    )
    metadata = {
        "dbname": "proteins",
        "dbtype": "Protein",
        "number-of-sequences": len(proteins),
        "number-of-letters": sum(len(sequence) for _, sequence in proteins),
        "last-updated": "2022-05-24T00:00:00",
    }
    (folder / "proteins-prot-metadata.json").write_text(json.dumps(metadata))
    queries = scratch / "queries.fa"
    queries.write_text("".join(fasta(*protein) for protein in proteins[::300]))
    return prepare(Program.BLASTP, folder / "proteins", queries, scratch, 1000)


def by_printed_evalue(rows: bytes) -> list[tuple[tuple[bytes, bytes], list[bytes]]]:
    """Rows (qseqid, evalue, ...) grouped by query and printed E-value, sorted within the group."""
    lines = rows.splitlines()
    return [(key, sorted(group)) for key, group in groupby(lines, key=lambda line: tuple(line.split(b"\t")[:2]))]


def test_xml_is_exact(blastp: Blast) -> None:
    merged, summary = blastp.sharded("5", 50, OPTIONS)
    assert merged == blastp.unsharded("5", 50, OPTIONS)
    assert summary.rows > 200


@pytest.mark.parametrize("outfmt", ["6", "7 qseqid evalue sseqid", "10 bitscore sseqid pident"])
def test_tables_are_exact(blastp: Blast, outfmt: str) -> None:
    merged, summary = blastp.sharded(outfmt, 500, OPTIONS, full_evalues=True)
    assert merged == blastp.unsharded(outfmt, 500, OPTIONS)
    assert summary.rows > 1000
    assert not summary.as_printed


def test_tables_without_all_digits_differ_among_equal_evalues_at_most(blastp: Blast) -> None:
    """Pieces of an older version, and of an image without blast_formatter; their result does not say it is exact."""
    outfmt = "6 qseqid evalue sseqid score bitscore pident length sstart"
    options = (*OPTIONS, "-max_hsps", "1")
    merged, summary = blastp.sharded(outfmt, 3000, options)
    expected = blastp.unsharded(outfmt, 3000, options)
    assert by_printed_evalue(merged) == by_printed_evalue(expected)
    assert merged != expected
    assert summary.rows > 1000
    assert summary.as_printed
