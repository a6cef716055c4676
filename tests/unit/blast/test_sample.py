"""The committed sample queries are what the script makes, and what the documentation says of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from local.sample.genes import PACKAGE_FOLDER, fasta, read_genes
from local.sample.make_queries import QUERIES, make_queries
from shared.domain.fasta import iter_ids, scan_fasta
from shared.domain.programs import Program

needs_genes = pytest.mark.skipif(not PACKAGE_FOLDER.is_dir(), reason="Debian's package resfinder-db is not installed")


@needs_genes
def test_the_committed_file_is_what_the_script_makes() -> None:
    assert QUERIES.read_text() == make_queries()


@needs_genes
def test_genes_of_the_package() -> None:
    genes = read_genes()
    assert len(genes) == len({gene.id for gene in genes}) == 3144
    assert sum(len(gene.sequence) for gene in genes) == 2_896_327


def test_kinds_of_queries() -> None:
    text = [QUERIES.read_bytes()]
    queries = scan_fasta(lambda: text, Program.BLASTN)
    kinds = Counter(name.partition("_")[0] for name in iter_ids(text))
    assert kinds == {"whole": 12, "fragment": 14, "mutated": 10, "rearranged": 3, "random": 1}
    assert min(queries.lengths) >= 60


class TestGenes:
    def test_a_gene_in_two_files_counts_once(self, tmp_path: Path) -> None:
        (tmp_path / "b.fsa").write_text(">x\nACGT\n>y\nAC\n")
        (tmp_path / "a.fsa").write_text(">x \nac\ngt\n")
        assert [(gene.id, gene.resistance, gene.sequence) for gene in read_genes(tmp_path)] == [
            ("x", "a", "ACGT"),
            ("y", "b", "AC"),
        ]

    def test_one_id_with_two_sequences_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "a.fsa").write_text(">x\nACGT\n")
        (tmp_path / "b.fsa").write_text(">x\nACGA\n")
        with pytest.raises(ValueError, match="x differs"):
            read_genes(tmp_path)

    def test_a_missing_package_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match="resfinder-db"):
            read_genes(tmp_path)

    def test_fasta_is_wrapped(self) -> None:
        assert fasta("a", "ACGTA", width=2) == ">a\nAC\nGT\nA\n"
