"""A sharded search gives what unsharded BLAST+ gives, byte for byte: rows, E-values, bit scores and order."""

from __future__ import annotations

import pytest

from tests.e2e.exactness.conftest import Blast

EVALUE = ("-evalue", "0.01")

#: How many rows each search has at least, so that two empty results never count as equal ones.
LEAST_ROWS = {("megablast", 5): 120, ("blastn", 5): 150}


@pytest.mark.parametrize("task", ["megablast", "blastn"])
@pytest.mark.parametrize("limit", [5, 20, 500])
def test_tabular(blast: Blast, task: str, limit: int) -> None:
    options = ("-task", task, *EVALUE)
    expected = blast.unsharded("6 std", limit, options)
    merged, summary = blast.sharded("6 std", limit, options)
    assert merged == expected
    assert summary.rows == expected.count(b"\n") >= LEAST_ROWS[task, 5] * {5: 1, 20: 2, 500: 8}[limit]
    assert summary.queries == 40


@pytest.mark.parametrize(
    ("task", "outfmt"),
    [
        ("blastn", "7"),
        ("megablast", "7 qseqid sseqid score evalue"),
        ("megablast", "7 delim=; pident stitle"),
        ("megablast", "10"),
        ("megablast", "10 qlen slen stitle bitscore"),
        ("blastn", "6 pident length sstrand qcovs"),
        ("megablast", "6 delim=@ score std"),
        ("blastn", "5"),
        ("megablast", "5"),
    ],
)
def test_other_formats(blast: Blast, task: str, outfmt: str) -> None:
    options = ("-task", task, *EVALUE)
    expected = blast.unsharded(outfmt, 20, options)
    merged, summary = blast.sharded(outfmt, 20, options)
    assert merged == expected
    assert summary.rows > 300


def test_queries_without_hits_are_listed(blast: Blast) -> None:
    merged, summary = blast.sharded("7", 5, ("-task", "blastn", *EVALUE))
    assert b"# Query: random_without_hit synthetic, 300 nt\n# Database: resfinder\n# 0 hits found\n" in merged
    assert merged.endswith(b"# BLAST processed 40 queries\n")
    assert summary.queries_with_hits < summary.queries == 40


def test_several_hsps_of_a_subject_stay_together(blast: Blast) -> None:
    _, summary = blast.sharded("6 std", 5, ("-task", "blastn", *EVALUE))
    assert summary.rows > summary.subjects


@pytest.mark.parametrize(
    "options", [("-max_hsps", "1"), ("-perc_identity", "95"), ("-strand", "plus"), ("-dust", "no")]
)
def test_options_that_look_at_one_subject_at_a_time(blast: Blast, options: tuple[str, ...]) -> None:
    options = ("-task", "megablast", *EVALUE, *options)
    merged, summary = blast.sharded("6 std", 20, options)
    assert merged == blast.unsharded("6 std", 20, options)
    assert summary.rows > 100
