"""Cutting a query file into batches: which sequences are searched together in one Job.

The plan of a search calls `split_batches`; staging the queries writes what `batch_chunks` yields. A batch is a run of
whole sequences in input order, so that the results of the batches, one after another, are in the order of the input.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from shared.domain.errors import InvalidInputError, PermanentError
from shared.domain.fasta_parts import iter_parts


def split_batches(lengths: Sequence[int], batch_length: int) -> tuple[range, ...]:
    """Cut greedily: a new batch begins where the sum would exceed the batch length.

    A sequence longer than the batch length is a batch by itself; a sequence is never cut.

    Args:
        lengths: letters of each sequence, in input order.
        batch_length: most letters in a batch.

    Returns:
        One range of 0-based positions per batch; none for no sequences.

    Raises:
        InvalidInputError: ``invalid_batch_length`` unless the length is at least 1.
    """
    if batch_length < 1:
        raise InvalidInputError(
            "invalid_batch_length",
            f"the batch length is {batch_length}",
            "Give the number of letters in a batch, 1 or more.",
            field="batch_len",
        )
    batches: list[range] = []
    start, total = 0, 0
    for position, length in enumerate(lengths):
        if position > start and total + length > batch_length:
            batches.append(range(start, position))
            start, total = position, 0
        total += length
    if start < len(lengths):
        batches.append(range(start, len(lengths)))
    return tuple(batches)


def count_batches(lengths: Iterable[int], batch_length: int) -> int:
    """How many batches `split_batches` would make: of a million sequences without a million ranges.

    Args:
        lengths, batch_length: as there; the length is at least 1.
    """
    batches, total = 0, 0
    for length in lengths:
        if not batches or total + length > batch_length:
            batches += 1
            total = 0
        total += length
    return batches


def batch_chunks(blocks: Iterable[bytes], batches: Sequence[range]) -> Iterator[tuple[int, bytes]]:
    """Yield the text of a FASTA file, each piece with the index of its batch, without holding a sequence.

    Blank lines are left out and every line ends with one newline; nothing else is changed.

    Args:
        blocks: the text, in pieces of any size, of a file that `shared.domain.fasta.scan_fasta` accepted.
        batches: what `split_batches` made of that file's lengths.

    Raises:
        PermanentError: ``queries_changed`` if the file has more or fewer sequences than the batches.
    """
    ends = [batch.stop for batch in batches]
    position, index = -1, 0
    for part in iter_parts(blocks):
        text = part.clean_body()
        if part.header is not None:
            position += 1
            if index < len(ends) and position >= ends[index]:
                index += 1
            text = b">" + part.header.rstrip() + b"\n" + text
        if not text:
            continue
        if position < 0 or index >= len(ends):
            raise queries_changed()
        yield index, text
    if position + 1 != (ends[-1] if ends else 0):
        raise queries_changed()


def queries_changed() -> PermanentError:
    """The error of a query file that is not the one that was submitted."""
    return PermanentError(
        "queries_changed",
        "the query file does not have the sequences that the batches were planned for",
        "Submit the search again.",
    )
