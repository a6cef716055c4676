"""The formats that are not put together: one Job on a layout of one shard gives what BLAST on the database prints."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from shared.domain.blast_options import read_options
from shared.domain.merge import MergeSummary, concatenate_batches, merge_batch, split_lines
from shared.domain.outfmt import OutputKind
from shared.domain.programs import Program
from tests.e2e.exactness.generated import PLANS, Case, Database, build, case
from tests.e2e.exactness.test_property import job, unsharded

KINDS = [kind for kind in OutputKind if kind not in (OutputKind.XML, OutputKind.TABULAR, 7, 10)]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    """A database with a layout of one shard beside it."""
    plan = next(plan for plan in PLANS if plan.name == "mixed_n")
    made = build(plan, tmp_path_factory.mktemp("whole"))
    made.write_shards(1)
    return made


@pytest.fixture(scope="module")
def search(database: Database) -> Case:
    """A search with hits, several queries, and one of them without."""
    databases: Mapping[str, Database] = {database.plan.name: database}
    searches = (case("whole", number, databases) for number in range(0, 700, 7))
    return next(each for each in searches if each.program is Program.BLASTN and each.planted >= 2)


def seen(kind: OutputKind, content: bytes) -> bytes:
    """What must be the same: an archive and the head of SAM say how the search was asked for."""
    if kind is OutputKind.SAM:
        return re.sub(rb"^@PG.*\n", b"", content, flags=re.MULTILINE)
    return content if kind is not OutputKind.ARCHIVE else content.partition(b"results {")[2]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name.lower())
def test_one_shard_and_one_batch(kind: OutputKind, database: Database, search: Case, tmp_path: Path) -> None:
    options = read_options(
        Program.BLASTN, {"task": "blastn", "evalue": 0.01, "max_target_seqs": 20, "outfmt": str(int(kind))}
    )
    (tmp_path / "query.fa").write_bytes(search.fasta)
    shard = database.layout(1).shards[0]
    path = str(database.whole.parent / shard.alias / shard.alias)
    command = options.shard_command(Program.BLASTN, path, 1)
    lines: Iterator[bytes] = split_lines(job(command, tmp_path, full_evalues=False))
    summary = MergeSummary()
    names = [name for name, _ in search.queries]
    pieces = merge_batch(options.outfmt, names, [lines], 20, database=search.database, searched=path, summary=summary)
    merged = b"".join(concatenate_batches(options.outfmt, [pieces]))
    expected = unsharded(search, options, database, tmp_path)
    assert seen(kind, merged) == seen(kind, expected)
    assert len(seen(kind, merged)) > (100 if kind is OutputKind.ORGANISMS else 1000)
    assert summary.queries == len(names)
