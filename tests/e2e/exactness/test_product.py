"""A search whose Jobs add all digits of E-values, through the whole product: pods, storage, merge, provenance."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from local.sample.genes import fasta, read_genes
from tests.e2e.exactness.test_proteins import translate
from tests.e2e.product import Product


@pytest.mark.parametrize("outfmt", ["6 std", "7 std"])
def test_a_table_of_tblastn_is_exact(product: Product, sample_database: Path, tmp_path: Path, outfmt: str) -> None:
    genes = [gene for gene in read_genes() if gene.resistance == "beta-lactam"][::150]
    queries = tmp_path / "queries.fa"
    queries.write_text("".join(fasta(gene.id, translate(gene.sequence)) for gene in genes))
    options = {"evalue": 0.01, "outfmt": outfmt, "max_target_seqs": 500}
    job_id = product.submit(program="tblastn", query_fasta=queries.read_text(), options=options, batch_len=2000)
    assert product.wait_end(job_id, 120)["status"] == "completed"
    command = ["tblastn", "-db", "resfinder", "-query", str(queries), "-outfmt", outfmt]
    wanted = subprocess.run(
        [*command, "-evalue", "0.01", "-max_target_seqs", "500"],
        cwd=sample_database,
        capture_output=True,
        check=True,
    ).stdout
    assert product.result(job_id) == wanted
    assert wanted.count(b"\n") > 500
    assert product.http.get(f"/blast/jobs/{job_id}/results").json()["provenance"]["exact"] is True
