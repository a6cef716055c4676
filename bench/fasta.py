"""How fast a query is checked and cut into batches: 100 MB of long sequences, short ones, one line, Windows line ends.

The processor's time, without storage: what an instance of the app with one core does at best. By how much the process
grows is a test's business (``tests/clients/test_query_memory.py``).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator

from bench.common import Figure, Section
from bench.stand import Stands
from shared.domain.batching import batch_chunks, split_batches
from shared.domain.fasta import scan_fasta

SIZE = 100_000_000
BLOCK_BYTES = 4 << 20
"""As storage gives them."""
_NUCLEOTIDES, _AMINO_ACIDS = b"ACGT", b"ACDEFGHIKLMNPQRSTVWY"


def run(stands: Stands) -> list[Section]:
    """Measure both for each kind of query."""
    size = stands.options.count(SIZE, SIZE // 100)
    checked, cut = [], []
    for kind, make in KINDS.items():
        text = make(size)
        blocks = [text[start : start + BLOCK_BYTES] for start in range(0, len(text), BLOCK_BYTES)]
        began = time.process_time()
        found = scan_fasta(lambda blocks=blocks: blocks)  # type: ignore[misc]
        checked.append(Figure(kind, [len(text) / 1e6 / max(time.process_time() - began, 1e-6)], "MB/s"))
        batches = split_batches(found.lengths, 1_000_000)
        began = time.process_time()
        written = sum(len(chunk) for _, chunk in batch_chunks(blocks, batches))
        cut.append(Figure(kind, [written / 1e6 / max(time.process_time() - began, 1e-6)], "MB/s"))
    note = f"{size / 1e6:g} MB each, in blocks of {BLOCK_BYTES >> 20} MiB; processor time"
    return [Section("Checking a query", checked, [note]), Section("Cutting it into batches, unpacked", cut, [note])]


def _records(size: int, alphabet: bytes, length: int, end: bytes) -> bytes:
    """Sequences of that many letters, 60 to a line but for short ones, up to about so many bytes."""
    letters = bytes(random.Random(1).choices(alphabet, k=2 * length))  # noqa: S311 - the same in every run
    width = 60 if length > 200 else length

    def records() -> Iterator[bytes]:
        total = number = 0
        while total < size:
            start = number * 7 % length
            lines = [letters[at : min(at + width, start + length)] for at in range(start, start + length, width)]
            record = b">query%d%b%b%b" % (number, end, end.join(lines), end)
            total, number = total + len(record), number + 1
            yield record

    return b"".join(records())


KINDS: dict[str, Callable[[int], bytes]] = {
    "one sequence on one line": lambda size: b">query\n%b\n" % (b"GATTACA" * (size // 7)),
    "sequences of 1 Mb, lines of 60": lambda size: _records(size, _NUCLEOTIDES, min(size, 1_000_000), b"\n"),
    "the same, Windows line ends": lambda size: _records(size, _NUCLEOTIDES, min(size, 1_000_000), b"\r\n"),
    "reads of 150": lambda size: _records(size, _NUCLEOTIDES, 150, b"\n"),
    "proteins of 300, lines of 60": lambda size: _records(size, _AMINO_ACIDS, 300, b"\n"),
}
