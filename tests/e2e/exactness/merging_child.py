"""Merges made-up output of shards, which no disk holds, and prints by how much the process's memory grew.

    python -m tests.e2e.exactness.merging_child KIND MEGABYTES

Output: one line of JSON with ``read`` and ``written`` (bytes) and ``grown`` (bytes of the largest resident set).
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from shared.clients.gzip_streams import gunzip
from shared.domain.merge import concatenate_batches, merge_batch, split_lines
from shared.domain.outfmt import parse_outfmt

SHARDS = 8
BLOCK_BYTES = 4 << 20
"""In which storage gives a piece."""
SUBJECTS = 500
ROW = "{q}\tgb|{s}|\t98.123\t400\t12\t0\t1\t400\t1201\t1600\t{e}\t680\t{q}\tgb|{s}|\t{score}\n"
HIT = """<Hit>
  <Hit_num>{n}</Hit_num>
  <Hit_id>gb|{s}|</Hit_id>
  <Hit_def>a protein of somebody</Hit_def>
  <Hit_accession>{s}</Hit_accession>
  <Hit_len>1600</Hit_len>
  <Hit_hsps>
    <Hsp>
      <Hsp_num>1</Hsp_num>
      <Hsp_bit-score>680.3</Hsp_bit-score>
      <Hsp_score>{score}</Hsp_score>
      <Hsp_evalue>{e}</Hsp_evalue>
      <Hsp_qseq>{letters}</Hsp_qseq>
      <Hsp_hseq>{letters}</Hsp_hseq>
    </Hsp>
  </Hit_hsps>
</Hit>
"""


def subject(shard: int, number: int) -> dict[str, object]:
    """What differs between subjects; they get worse."""
    return {"s": f"S{shard}_{number:06d}.1", "e": f"{number % 9 + 1}e-{170 - number // 9}", "score": 9000 - number}


def table(shard: int, size: int) -> Iterator[bytes]:
    """Format 6: as many queries as it takes, each with all subjects."""
    rows = "".join(ROW.format(q="@@", **subject(shard, n)) for n in range(SUBJECTS)).encode()
    for query in range(queries_of(size)):
        yield rows.replace(b"@@", b"q%06d" % query)


def queries_of(size: int) -> int:
    """How many queries of a table make that many bytes of a shard."""
    return -(-size // len("".join(ROW.format(q="q000000", **subject(0, n)) for n in range(SUBJECTS))))


def one_subject(shard: int, size: int) -> Iterator[bytes]:
    """Format 7: a chromosome against others, one query with two subjects that have HSPs without end."""
    half = size // 2 // len(ROW.format(q="q0", **subject(shard, 0))) + 1
    yield b"# BLASTN 2.12.0+\n# Query: q0\n# Database: d\n# Fields: query, and others, a, b, c\n"
    yield b"# %d hits found\n" % (2 * half)
    for number in range(2):
        row = ROW.format(q="q0", **subject(shard, number)).encode()
        for start in range(0, half, 1000):
            yield row * min(1000, half - start)
    yield b"# BLAST processed 1 queries\n"


def xml(shard: int, size: int) -> Iterator[bytes]:
    """Format 5: one query after another with all subjects."""
    hits = "".join(HIT.format(n=n + 1, letters="ACGT" * 100, **subject(shard, n)) for n in range(SUBJECTS)).encode()
    yield b'<?xml version="1.0"?>\n<BlastOutput>\n  <BlastOutput_db>d</BlastOutput_db>\n<BlastOutput_iterations>\n'
    for query in range(-(-size // len(hits))):
        yield b"<Iteration>\n  <Iteration_query-def>q%06d</Iteration_query-def>\n<Iteration_hits>\n" % query
        yield hits
        yield b"</Iteration_hits>\n  <Iteration_stat>\n  </Iteration_stat>\n</Iteration>\n"
    yield b"</BlastOutput_iterations>\n</BlastOutput>\n"


KINDS: dict[str, tuple[str, Callable[[int, int], Iterator[bytes]]]] = {
    "table": ("6 std", table),
    "one-subject": ("7 std", one_subject),
    "xml": ("5", xml),
}


def packed(content: Iterator[bytes], read: list[int]) -> Iterator[bytes]:
    """Gzip in blocks, one member per piece; ``read`` gets the bytes before packing."""
    members: list[bytes] = []
    for chunk in content:
        read[0] += len(chunk)
        members.append(gzip.compress(chunk, 1, mtime=0))
        if sum(map(len, members)) >= BLOCK_BYTES:
            block = b"".join(members)
            members.clear()
            yield block
    yield b"".join(members)


def peak() -> int:
    """Bytes of the largest resident set so far."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) << 10


def main() -> None:
    outfmt, content = KINDS[sys.argv[1]]
    size = (int(sys.argv[2]) << 20) // SHARDS
    fmt = parse_outfmt(outfmt)
    names = {"table": [f"q{query:06d}" for query in range(queries_of(size))], "one-subject": ["q0"]}.get(sys.argv[1])
    if names is None:
        names = [f"q{query:06d}" for query in range(sum(b"<Iteration>" in chunk for chunk in xml(0, size)))]
    read, written, before = [0], 0, peak()
    shards = [split_lines(gunzip(packed(content(shard, size), read), f"piece {shard}")) for shard in range(SHARDS)]
    merged = merge_batch(fmt, names, shards, SUBJECTS, database="d")
    for chunk in concatenate_batches(fmt, [merged]):
        written += len(chunk)
    print(json.dumps({"read": read[0], "written": written, "grown": peak() - before}))


if __name__ == "__main__":
    main()
