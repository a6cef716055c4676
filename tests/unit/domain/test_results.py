"""The results gate, the names of blobs and the summary."""

from __future__ import annotations

import gzip

import pytest

from shared.domain.results import (
    MINIMUM_GZIP_BYTES,
    MergedBatch,
    ResultFile,
    batch_blob,
    merged_blob,
    piece_blob,
    published_blob,
    query_blob,
    results_gate,
    summarize,
)

ALL = [(piece_blob("job-a", batch, shard), 100) for batch in range(2) for shard in range(3)]


class TestGate:
    def test_open_when_every_piece_is_there(self) -> None:
        assert results_gate("job-a", 2, 3, ALL).is_open
        assert results_gate("job-a", 2, 3, [*ALL, ("job-a/pieces/other", 0)]).is_open

    @pytest.mark.parametrize("missing", range(6))
    def test_closed_while_any_is_missing(self, missing: int) -> None:
        gate = results_gate("job-a", 2, 3, [piece for i, piece in enumerate(ALL) if i != missing])
        assert not gate.is_open
        assert (gate.missing, gate.empty) == ((ALL[missing][0],), ())

    @pytest.mark.parametrize(("size", "is_open"), [(0, False), (19, False), (20, True)])
    def test_closed_while_any_is_smaller_than_any_gzip(self, size: int, is_open: bool) -> None:
        gate = results_gate("job-a", 2, 3, [(ALL[0][0], size), *ALL[1:]])
        assert gate.is_open is is_open
        assert gate.empty == (() if is_open else (ALL[0][0],))

    def test_another_search_s_pieces_are_not_ours(self) -> None:
        gate = results_gate("job-a", 1, 1, [(piece_blob("job-b", 0, 0), 100)])
        assert gate.missing == (piece_blob("job-a", 0, 0),)

    def test_nothing_listed(self) -> None:
        assert len(results_gate("job-a", 2, 3, []).missing) == 6

    def test_no_gzip_is_smaller(self) -> None:
        assert len(gzip.compress(b"")) == MINIMUM_GZIP_BYTES


def test_names_begin_with_the_job_id_and_are_all_different() -> None:
    names = [query_blob("j"), published_blob("j", "manifest.json")]
    names += [make("j", batch) for make in (batch_blob, merged_blob) for batch in (0, 1, 999, 1000)]
    names += [piece_blob("j", batch, shard) for batch in (0, 1000) for shard in (0, 9, 100)]
    assert len(set(names)) == len(names)
    assert all(name.startswith("j/") for name in names)


def test_the_summary_counts_all_batches() -> None:
    batches = [MergedBatch(0, 10, 8, 100), MergedBatch(1, 5, 0, 0)]
    assert summarize(batches) == {"queries": 15, "queries_with_hits": 8, "hits": 100}
    assert summarize([]) == {"queries": 0, "queries_with_hits": 0, "hits": 0}
    assert [MergedBatch.from_dict({**batch.to_dict(), "later": 1}) for batch in batches] == batches


def test_a_result_file() -> None:
    assert ResultFile("r.tsv", 5, "abc", "text/plain").to_dict() == {
        "name": "r.tsv",
        "size": 5,
        "sha256": "abc",
        "content_type": "text/plain",
    }
