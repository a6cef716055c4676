"""Real BLAST+ on the sample database, whole and in four shards, each in a folder that holds its own files only."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from local.sample.build import DATABASE, build
from local.sample.make_queries import QUERIES
from shared.domain.batching import batch_chunks, split_batches
from shared.domain.fasta import QuerySet, iter_ids, scan_fasta
from shared.domain.merge import MergeSummary, concatenate_batches, merge_batch
from shared.domain.outfmt import parse_outfmt
from shared.domain.programs import Program
from shared.domain.shards import DatabaseMetadata, ShardLayout, alias_file_name, alias_text, plan_layout
from shared.domain.volumes import DatabaseFile, group_files, parse_alias
from tests.unit.scripts.support import job_functions

SHARDS = 4
BATCH_LENGTH = 13_000


@dataclass(frozen=True)
class Blast:
    """A database, whole and in shards, with a query file, whole and in batches."""

    program: Program
    database: str
    whole: Path
    shards: tuple[Path, ...]
    layout: ShardLayout
    queries: Path
    batches: tuple[Path, ...]
    ranges: tuple[range, ...]
    ids: tuple[str, ...]

    def run(self, folder: Path, query: Path, database: str, outfmt: str, options: Sequence[str]) -> bytes:
        """One run of BLAST, as a Job makes it."""
        command = [str(self.program), "-query", str(query), "-db", database, "-outfmt", outfmt, "-num_threads", "1"]
        ended = subprocess.run([*command, *options], cwd=folder, capture_output=True)
        assert ended.returncode == 0, ended.stderr.decode()
        return ended.stdout

    def job(self, alias: Path, query: Path, outfmt: str, options: Sequence[str], full_evalues: bool) -> list[bytes]:
        """One run of BLAST by the Job's script."""
        command = [str(self.program), "-db", str(alias), "-outfmt", outfmt, "-num_threads", "1", *options]
        environment = {"PATH": os.environ["PATH"], "ELB_FULL_EVALUES": "yes" if full_evalues else ""}
        with tempfile.TemporaryDirectory() as work:
            shutil.copy(query, Path(work, "query.fa"))
            script = f'{job_functions()}\nsearch "$@"'
            ended = subprocess.run(
                ["bash", "-c", script, "search", *command], cwd=work, env=environment, capture_output=True
            )
            assert ended.returncode == 0, ended.stderr.decode()
            return Path(work, "result.out").read_bytes().splitlines(True)

    def unsharded(self, outfmt: str, limit: int, options: Sequence[str]) -> bytes:
        """What the user would get without shards and batches."""
        return self.run(self.whole, self.queries, self.database, outfmt, _with_limit(limit, options))

    def sharded(
        self, outfmt: str, limit: int, options: Sequence[str], *, full_evalues: bool = False
    ) -> tuple[bytes, MergeSummary]:
        """What the product gives.

        Args:
            full_evalues: the Jobs add the E-values of BLAST's archive to a table, as they do for proteins.
        """
        fmt = parse_outfmt(outfmt)
        summary = MergeSummary()
        merged = []
        for batch, positions in zip(self.batches, self.ranges, strict=True):
            outputs = [
                self.job(folder / shard.alias, batch, fmt.for_shard(), _with_limit(limit, options), full_evalues)
                for folder, shard in zip(self.shards, self.layout.shards, strict=True)
            ]
            ids = self.ids[positions.start : positions.stop]
            pieces = merge_batch(
                fmt, ids, outputs, limit, database=self.database, full_evalues=full_evalues, summary=summary
            )
            merged.append(list(pieces))
        return b"".join(concatenate_batches(fmt, merged)), summary


def _with_limit(limit: int, options: Sequence[str]) -> list[str]:
    return ["-max_target_seqs", str(limit), *options]


def prepare(program: Program, database: Path, queries: Path, scratch: Path, batch_length: int) -> Blast:
    """Cut a database into shards and queries into batches with the product's own rules."""
    files = group_files(database.name, [DatabaseFile(f.name, f.stat().st_size) for f in database.parent.iterdir()])
    assert files.metadata
    assert files.alias
    files.check_complete(parse_alias((database.parent / files.alias.name).read_text()))
    metadata = DatabaseMetadata.from_json((database.parent / files.metadata.name).read_text())
    layout = plan_layout(files, metadata, SHARDS)
    folders = []
    for shard in layout.shards:
        folder = scratch / shard.alias / database.name
        folder.mkdir(parents=True)
        for name, _ in shard.files:
            shutil.copy(database.parent / name, folder)
        (folder / alias_file_name(layout, shard)).write_text(alias_text(layout, shard))
        folders.append(folder)
    query_set = scan_fasta(lambda: [queries.read_bytes()], program)
    ranges, batches = _write_batches(queries, query_set, batch_length, scratch)
    ids = tuple(iter_ids([queries.read_bytes()]))
    return Blast(program, database.name, database.parent, tuple(folders), layout, queries, batches, ranges, ids)


def _write_batches(
    queries: Path, query_set: QuerySet, batch_length: int, scratch: Path
) -> tuple[tuple[range, ...], tuple[Path, ...]]:
    ranges = split_batches(query_set.lengths, batch_length)
    texts = [bytearray() for _ in ranges]
    with queries.open("rb") as lines:
        for index, chunk in batch_chunks(lines, ranges):
            texts[index] += chunk
    paths = tuple(scratch / f"batch_{index:03d}.fa" for index in range(len(ranges)))
    for path, text in zip(paths, texts, strict=True):
        path.write_bytes(text)
    return ranges, paths


@pytest.fixture(scope="session")
def blast(tmp_path_factory: pytest.TempPathFactory) -> Blast:
    """The sample database in four shards, the sample queries in two batches."""
    if shutil.which("makeblastdb") is None:
        pytest.skip("BLAST+ is not installed (Debian: ncbi-blast+)")
    if not Path("/usr/share/resfinder/db").is_dir():
        pytest.skip("the genes are not installed (Debian: resfinder-db)")
    scratch = tmp_path_factory.mktemp("exactness")
    build(scratch / "whole")
    ready = prepare(Program.BLASTN, scratch / "whole" / DATABASE, QUERIES, scratch, BATCH_LENGTH)
    assert len(ready.batches) == 2
    return ready
