"""The proof: the same search by plain BLAST on the whole database, compared byte for byte."""

from __future__ import annotations

import subprocess
from pathlib import Path

from local.demo.api import DemoError
from local.demo.search import OPTIONS
from local.sample.build import DATABASE
from local.sample.make_queries import QUERIES

# Columns of tabular output (-outfmt "6 std", BLAST Command Line Applications User Manual, appendix "Options").
_QUERY, _SUBJECT, _IDENTITY, _LENGTH, _EVALUE, _BITS = 0, 1, 2, 3, 10, 11


def run_unsharded(database: Path) -> bytes:
    """What ``blastn`` gives on the whole database with the options of the search.

    Args:
        database: the folder of the built database.

    Raises:
        DemoError: it failed.
    """
    given = [part for name, value in OPTIONS.items() for part in (f"-{name}", str(value))]
    command = ["blastn", "-query", str(QUERIES), "-db", str(database / DATABASE), *given]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode != 0:
        raise DemoError(f"blastn itself failed: {done.stderr.decode(errors='replace')[-500:]}")
    return done.stdout


def first_difference(sharded: bytes, unsharded: bytes) -> str | None:
    """None when both are the same bytes; else the first line that differs, for people."""
    if sharded == unsharded:
        return None
    ours, theirs = sharded.splitlines(), unsharded.splitlines()
    for number, (one, other) in enumerate(zip(ours, theirs, strict=False), start=1):
        if one != other:
            return f"line {number}\n  here:   {one.decode()}\n  blastn: {other.decode()}"
    return f"{len(ours)} lines here, {len(theirs)} from blastn; those that both have are equal"


def best_hits(tabular: bytes, count: int = 10) -> list[list[str]]:
    """The best hit of each query, best bit score first.

    Args:
        tabular: rows of ``-outfmt "6 std"``.
        count: how many rows at most.

    Returns:
        Rows of query, subject, identity, length, E-value, bit score.
    """
    best: dict[str, list[str]] = {}
    for line in tabular.decode().splitlines():
        columns = line.split("\t")
        # BLAST lists the best subject of a query first.
        best.setdefault(columns[_QUERY], [columns[c] for c in (_QUERY, _SUBJECT, _IDENTITY, _LENGTH, _EVALUE, _BITS)])
    return sorted(best.values(), key=lambda row: -float(row[-1]))[:count]
