"""Counts of hits in each format."""

from __future__ import annotations

import pytest

from shared.domain.hit_counts import HitCounter
from shared.domain.outfmt import parse_outfmt

XML = b"""<BlastOutput>
<Iteration>
<Hit>
      <Hsp>
      <Hsp>
<Hit>
      <Hsp>
<Iteration>
<Iteration_hits></Iteration_hits>
<Iteration>
<Hit>
      <Hsp>
"""
COMMENTED = b"""# BLASTN 2.12.0+
# Query: a
# 2 hits found
s\t1
s\t2
# BLASTN 2.12.0+
# Query: b
# 0 hits found
# BLAST processed 2 queries
"""


@pytest.mark.parametrize(
    ("outfmt", "content", "queries", "rows"),
    [
        ("6 qaccver evalue", b"a\t1\na\t2\nb\t1\n", 2, 3),
        ("6 evalue qseqid", b"1\ta\n", 1, 1),
        ("6 evalue", b"1\n2\n", None, 2),
        ("10 qacc evalue", b"a,1\nb,1\n", 2, 2),
        ("10 qacc evalue", b"", 0, 0),
        ("10 stitle qacc", b"one, two,a\nthree,a\n", None, 2),
        ("6 stitle qacc", b"one, two\ta\nthree\ta\n", 1, 2),
        ("7 saccver evalue", COMMENTED, 1, 2),
        ("7 std", COMMENTED, 1, 2),
        ("5", XML, 2, 4),
        ("5", b"", 0, 0),
    ],
)
def test_queries_with_hits_and_rows(outfmt: str, content: bytes, queries: int | None, rows: int) -> None:
    counter = HitCounter(parse_outfmt(outfmt))
    assert b"".join(counter.through(content.splitlines(keepends=True))) == content
    assert (counter.queries, counter.rows) == (queries, rows)
