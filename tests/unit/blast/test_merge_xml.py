"""Merging format 5."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as ET

import pytest

from shared.domain.errors import PermanentError
from shared.domain.merge import MergeSummary, concatenate_batches, merge_batch
from shared.domain.outfmt import parse_outfmt

FMT = parse_outfmt("5")
HEADER = """<?xml version="1.0"?>
<BlastOutput>
  <BlastOutput_db>db_02_00</BlastOutput_db>
<BlastOutput_iterations>
"""
END = "</BlastOutput_iterations>\n</BlastOutput>\n\n"
NO_HITS = "  <Iteration_message>No hits found</Iteration_message>\n"


def hit(number: int, name: str, evalues: Sequence[str] = ("1e-05",), score: int = 50) -> str:
    hsps = "".join(
        f"    <Hsp>\n      <Hsp_score>{score}</Hsp_score>\n      <Hsp_evalue>{evalue}</Hsp_evalue>\n    </Hsp>\n"
        for evalue in evalues
    )
    return (
        f"<Hit>\n  <Hit_num>{number}</Hit_num>\n  <Hit_id>{name}</Hit_id>\n  <Hit_hsps>\n{hsps}  </Hit_hsps>\n</Hit>\n"
    )


def iteration(number: int, query: str, *hits: str, sequences: int = 10) -> str:
    return (
        f"<Iteration>\n  <Iteration_iter-num>{number}</Iteration_iter-num>\n"
        f"  <Iteration_query-ID>Query_{number}</Iteration_query-ID>\n"
        f"  <Iteration_query-def>{query} text</Iteration_query-def>\n"
        f"<Iteration_hits>\n{''.join(hits)}</Iteration_hits>\n  <Iteration_stat>\n    <Statistics>\n"
        f"      <Statistics_db-num>{sequences}</Statistics_db-num>\n"
        f"      <Statistics_db-len>{sequences * 100}</Statistics_db-len>\n"
        f"      <Statistics_eff-space>777</Statistics_eff-space>\n    </Statistics>\n  </Iteration_stat>\n"
        f"{'' if hits else NO_HITS}</Iteration>\n"
    )


def document(*iterations: str) -> list[bytes]:
    return (HEADER + "".join(iterations) + END).encode().splitlines(keepends=True)


def merge(
    *shards: list[bytes], limit: int = 10, ids: Sequence[str] = ("q1",), summary: MergeSummary | None = None
) -> bytes:
    return b"".join(merge_batch(FMT, ids, shards, limit, database="a&b", summary=summary))


def test_hits_are_ranked_and_numbered_and_sizes_added_up() -> None:
    summary = MergeSummary()
    first = document(iteration(1, "q1", hit(1, "a", ("1e-09", "0.1")), hit(2, "b"), sequences=10))
    second = document(iteration(1, "q1", hit(1, "c"), hit(2, "d", score=40), sequences=7))
    merged = merge(first, second, limit=3, summary=summary)
    expected = iteration(1, "q1", hit(1, "a", ("1e-09", "0.1")), hit(2, "c"), hit(3, "b"), sequences=17)
    assert merged.decode() == HEADER.replace("db_02_00", "a&amp;b") + expected + END
    assert summary == MergeSummary(queries=1, queries_with_hits=1, subjects=3, rows=4)
    assert ET.fromstring(merged).findtext("BlastOutput_db") == "a&b"  # noqa: S314 - made three lines above


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_no_hits_is_said_only_if_no_shard_has_any(order: tuple[int, int]) -> None:
    shards = [document(iteration(1, "q1")), document(iteration(1, "q1", hit(1, "a")))]
    merged = merge(*(shards[position] for position in order))
    assert b"No hits found" not in merged
    assert b"<Hit_id>a</Hit_id>" in merged


def test_no_hits_anywhere() -> None:
    merged = merge(document(iteration(1, "q1")), document(iteration(1, "q1")))
    assert merged.decode() == HEADER.replace("db_02_00", "a&amp;b") + iteration(1, "q1", sequences=20) + END


def test_query_names_are_unescaped() -> None:
    assert merge(document(iteration(1, "a&lt;b&apos;&amp;")), ids=["a<b'&"])


@pytest.mark.parametrize(
    "lines",
    [
        document(),
        document(iteration(1, "q2")),
        document(iteration(1, "q1"), iteration(2, "q2")),
        document(iteration(1, "q1"))[:-5],
        document(iteration(1, "q1", hit(1, "a")))[:12],
        [*document(iteration(1, "q1")), b"<BlastOutput>"],
        document(iteration(1, "q1", hit(1, "a", ("low",)))),
        document(iteration(1, "q1", hit(1, "a", ()))),
        document(iteration(1, "q1", "<Other>\n")),
        [],
        [b"q1\ta\t90\n"],
    ],
)
def test_invalid(lines: list[bytes]) -> None:
    with pytest.raises(PermanentError, match="shard 1") as refused:
        merge(document(iteration(1, "q1")), lines)
    assert refused.value.code == "results_invalid"


def test_batches_number_their_queries_through() -> None:
    batches = [
        b"".join(document(iteration(1, "q1", hit(1, "a")), iteration(2, "q2"))),
        b"".join(document(iteration(1, "q3"))),
    ]
    joined = b"".join(concatenate_batches(FMT, ([text[:50], text[50:]] for text in batches)))
    expected = document(iteration(1, "q1", hit(1, "a")), iteration(2, "q2"), iteration(3, "q3"))
    assert joined == b"".join(expected)


def test_a_batch_without_its_end() -> None:
    with pytest.raises(PermanentError) as refused:
        list(concatenate_batches(FMT, [document(iteration(1, "q1"))[:-3]]))
    assert refused.value.code == "results_invalid"


def test_the_best_evalue_of_a_hit_need_not_be_its_first() -> None:
    """Where statistics link HSPs."""
    first = document(iteration(1, "q1", hit(1, "a", ("1e-05",))))
    second = document(iteration(1, "q1", hit(1, "b", ("0.1", "1e-09"))))
    merged = merge(first, second).decode()
    assert merged.index("<Hit_id>b<") < merged.index("<Hit_id>a<")


@pytest.mark.parametrize(("name", "ordinal"), [("gnl|BL_ORD_ID|17", True), ("gb|BL_ORD_ID|", False)])
def test_subjects_named_by_their_number_in_the_shard_are_told(name: str, ordinal: bool) -> None:
    summary = MergeSummary()
    merge(document(iteration(1, "q1", hit(1, name))), summary=summary)
    assert summary.ordinal_ids is ordinal


def test_a_shard_is_read_on_behind_the_cut() -> None:
    shard = document(iteration(1, "q1", hit(1, "a"), hit(2, "b"), hit(3, "c")), iteration(2, "q2", hit(1, "d")))
    merged = merge(shard, limit=1, ids=("q1", "q2")).decode()
    assert merged.count("<Hit>") == merged.count("</Iteration_hits>") == 2


@pytest.mark.parametrize(
    ("name", "definition"),
    [
        ("q1;size=2;", "q1;size=2"),
        ("q1.", "q1"),
        ("q1", "q1, text"),
        ("q1,,x", "q1, x"),
        ("(", "(text"),
    ],
)
def test_a_header_that_blast_tidies_in_xml_is_still_its_query(name: str, definition: str) -> None:
    """As BLAST+ 2.12 wrote them; clustering programs end their headers with a semicolon."""
    text = iteration(1, definition, hit(1, "a")).replace(" text</Iteration_query-def>", "</Iteration_query-def>")
    shard = document(text)
    assert f">{definition}<".encode() in merge(shard, ids=[name])


@pytest.mark.parametrize(("name", "definition"), [("q1", "q10"), ("q1;", "q2"), ("q1;size=2;", "q1;size=3")])
def test_another_query_is_not_taken_for_a_tidied_one(name: str, definition: str) -> None:
    with pytest.raises(PermanentError, match="queries are not those of the batch"):
        merge(document(iteration(1, definition, hit(1, "a"))), ids=[name])
