"""Cutting queries into batches."""

from __future__ import annotations

import pytest

from shared.domain import fasta_parts
from shared.domain.batching import batch_chunks, count_batches, split_batches
from shared.domain.errors import InvalidInputError, PermanentError

TWO = (range(2), range(2, 3))
FILE = [b">a x\r\n", b"AC\r\n", b"\n", b"GT\n", b">b\n", b"A\n", b">c\n", b"C"]


@pytest.mark.parametrize(
    ("lengths", "batch_length", "sizes"),
    [
        ([10, 25, 5, 5], 20, [1, 1, 2]),
        ([20, 20], 20, [1, 1]),
        ([15, 10, 5, 15], 20, [1, 2, 1]),
        ([], 20, []),
        ([100], 20, [1]),
        ([100, 1], 20, [1, 1]),
        ([10, 10], 20, [2]),
        ([10, 11], 20, [1, 1]),
        ([1, 1, 1], 1, [1, 1, 1]),
        ([21, 0, 20], 20, [1, 2]),
    ],
)
def test_greedy_in_input_order(lengths: list[int], batch_length: int, sizes: list[int]) -> None:
    batches = split_batches(lengths, batch_length)
    assert [len(batch) for batch in batches] == sizes
    assert [position for batch in batches for position in batch] == list(range(len(lengths)))
    assert count_batches(lengths, batch_length) == len(sizes)


@pytest.mark.parametrize("batch_length", [0, -1])
def test_batch_length_must_be_positive(batch_length: int) -> None:
    with pytest.raises(InvalidInputError) as refused:
        split_batches([1], batch_length)
    assert refused.value.code == "invalid_batch_length"


def test_chunks_carry_their_batch_and_unix_line_ends() -> None:
    texts = {0: b"", 1: b""}
    for index, chunk in batch_chunks(FILE, TWO):
        texts[index] += chunk
    assert texts == {0: b">a x\nAC\nGT\n>b\nA\n", 1: b">c\nC\n"}


@pytest.mark.parametrize("size", [1, 3, 10, 11, 1000])
def test_long_lines_come_in_pieces(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fasta_parts, "WINDOW_BYTES", 10)
    text = b">a\r\n" + b"ACGT" * 10 + b"\r\n\r\nAC\n>b\n" + b"GT" * 20 + b"\n>c\nT"
    blocks = [text[start : start + size] for start in range(0, len(text), size)]
    texts = {0: b"", 1: b""}
    for index, chunk in batch_chunks(blocks, TWO):
        texts[index] += chunk
        assert len(chunk) < 40, "no piece has a whole line"
    assert texts == {0: b">a\n" + b"ACGT" * 10 + b"\nAC\n>b\n" + b"GT" * 20 + b"\n", 1: b">c\nT\n"}


@pytest.mark.parametrize(
    ("lines", "batches"),
    [(FILE, (range(2),)), (FILE, (range(2), range(2, 4))), ([b"ACGT"], (range(1),)), ([], (range(1),))],
)
def test_another_file_than_planned(lines: list[bytes], batches: tuple[range, ...]) -> None:
    with pytest.raises(PermanentError) as refused:
        list(batch_chunks(lines, batches))
    assert refused.value.code == "queries_changed"
