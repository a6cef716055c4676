"""A property: whatever the search, shards and batches put together are what one BLAST on the whole database prints.

Bytes are compared, XML's as well. The search is made as the product makes it: its options, its layout of shards and
their aliases, its batches, the command of a Job, the part of the Job's script that runs it, and its merge. Where the
whole database's search is one of those that lose subjects to BLAST's preliminary list (ADR 0025), which it shows by
printing something else when it may keep every subject, the truth is the search that may.

A failure names the case. ``ELB_EXACTNESS_SEED`` makes other searches.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from shared.domain.batching import batch_chunks, split_batches
from shared.domain.blast_options import BlastOptions, read_options
from shared.domain.fasta import iter_ids, scan_fasta
from shared.domain.merge import MergeSummary, concatenate_batches, merge_batch
from tests.e2e.exactness.generated import MOST_SHARDS, PLANS, Case, Database, build, case
from tests.unit.scripts.support import job_functions

SEED = os.environ.get("ELB_EXACTNESS_SEED", "1")
CASES = 210
PARTS = 10
AT_ONCE = 2
MOST_LOST = 1
"""Cases of a part in which BLAST's preliminary list shows."""
ROOM_FOR_ALL = 1000
ORDINAL_ID = re.compile(rb"(?<=<Hit_id>)gnl\|BL_ORD_ID\|\d+|(?<=<Hit_accession>)\d+")
FUNCTIONS = job_functions()


@dataclass(frozen=True)
class Prepared:
    """A database with its shards, by how many there are."""

    database: Database
    shards: Mapping[int, tuple[Path, ...]]


@dataclass(frozen=True)
class Outcome:
    """What came of a case."""

    case: Case
    rows: int
    is_equal: bool
    is_explained: bool
    """The whole database's search lost a subject, and the shards have what it prints with room for all."""
    is_told: bool
    """The provenance says exact, or the opposite: without ids in the database, or with a filter behind BLAST's list."""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Prepared]:
    """All databases, each cut into one to seven shards."""
    scratch = tmp_path_factory.mktemp("generated")
    found = {}
    for plan in PLANS:
        database = build(plan, scratch)
        found[plan.name] = Prepared(database, {n: database.write_shards(n) for n in range(1, MOST_SHARDS + 1)})
    return found


def ended_well(command: list[str], folder: Path, environment: Mapping[str, str] | None = None) -> None:
    """Run a program."""
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
    assert ended.returncode == 0, f"{' '.join(command)}: {ended.stderr}"


def job(command: list[str], folder: Path, *, full_evalues: bool) -> Iterator[bytes]:
    """What a Job's script runs in its working folder, where the query is ``query.fa``."""
    environment = {"PATH": os.environ["PATH"], "ELB_FULL_EVALUES": "yes" if full_evalues else ""}
    ended_well(["bash", "-c", f'{FUNCTIONS}\nsearch "$@"', "search", *command], folder, environment)
    with (folder / "result.out").open("rb") as lines:
        yield from lines


def sharded(
    search: Case, options: BlastOptions, prepared: Prepared, scratch: Path, *, room: int = 0
) -> tuple[bytes, MergeSummary]:
    """The product's answer.

    Args:
        room: how many subjects BLAST itself may keep, if not as many as the search asks for.
    """
    asked = replace(options, max_target_seqs=room or options.max_target_seqs)
    layout = prepared.database.layout(search.shards)
    full_evalues = options.needs_full_evalues(search.program)
    lengths = scan_fasta(lambda: [search.fasta], search.program).lengths
    batches = split_batches(lengths, search.batch_length)
    texts = [bytearray() for _ in batches]
    for index, chunk in batch_chunks([search.fasta], batches):
        texts[index] += chunk
    summary, merged = MergeSummary(), []
    for batch, text in enumerate(texts):
        outputs = []
        for shard, files in zip(layout.shards, prepared.shards[search.shards], strict=True):
            folder = scratch / f"{room}-{batch}-{shard.index}"
            folder.mkdir()
            (folder / "query.fa").write_bytes(text)
            command = asked.shard_command(search.program, str(files / shard.alias), 1)
            outputs.append(list(job(command, folder, full_evalues=full_evalues)))
        ids = list(iter_ids([bytes(text)]))
        pieces = merge_batch(
            options.outfmt,
            ids,
            outputs,
            options.max_target_seqs,
            database=search.database,
            full_evalues=full_evalues,
            summary=summary,
        )
        merged.append(list(pieces))
    return b"".join(concatenate_batches(options.outfmt, merged)), summary


def unsharded(search: Case, options: BlastOptions, database: Database, scratch: Path) -> bytes:
    """One BLAST on the whole database."""
    (scratch / "all.fa").write_bytes(search.fasta)
    command = options.unsharded_command(search.program, search.database)
    out = scratch / "whole.out"
    ended_well([*command, "-query", str(scratch / "all.fa"), "-out", str(out)], database.whole)
    return out.read_bytes()


def outcome(search: Case, prepared: Prepared, scratch: Path) -> Outcome:
    """Search both ways."""
    scratch.mkdir()
    options = read_options(search.program, search.options)
    merged, summary = sharded(search, options, prepared, scratch)
    expected = unsharded(search, options, prepared.database, scratch)
    exact = options.is_exact(search.program, summary)
    filtered = "-perc_identity" in options.extra
    ordinal = summary.ordinal_ids and not prepared.database.plan.has_ids
    if ordinal:  # a shard counts its own subjects; everything else is compared
        merged, expected = ORDINAL_ID.sub(b"", merged), ORDINAL_ID.sub(b"", expected)
    is_explained = False
    if merged != expected:
        truth, _ = sharded(replace(search, shards=1), options, prepared, scratch, room=ROOM_FOR_ALL)
        is_explained = merged == truth != expected
    return Outcome(search, summary.rows, merged == expected, is_explained, exact != (ordinal or filtered))


@pytest.mark.parametrize("part", range(PARTS))
def test_shards_and_batches_are_what_one_search_prints(
    part: int, prepared: Mapping[str, Prepared], tmp_path: Path
) -> None:
    databases = {name: each.database for name, each in prepared.items()}
    searches = [case(SEED, number, databases) for number in range(part, CASES, PARTS)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = list(
            pool.map(lambda each: outcome(each, prepared[each.database], tmp_path / str(each.number)), searches)
        )
    lost = [each.case.number for each in outcomes if each.is_explained]
    print(f"seed {SEED}, subjects lost by the whole database's search in: {lost}")
    assert len(lost) <= MOST_LOST
    different = [each for each in outcomes if not each.is_equal and not each.is_explained]
    assert not different, "\n".join(map(str, different))
    assert all(each.is_told for each in outcomes)
    poor = [each for each in outcomes if each.rows < each.case.planted]
    assert not poor, "\n".join(map(str, poor))
