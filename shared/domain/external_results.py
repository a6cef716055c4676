"""Results of searches begun outside: which blobs they are, whether all are there, and how they are published. Pure.

They lie where the command line puts them, in a folder of the search's id in the container of results, and stay there.
Nothing outside of that folder is ever taken for a result, whatever the Jobs say: a Job's environment is anybody's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.domain.cli_results import Piece, jobs_submitted, pieces
from shared.domain.observation import ids_of
from shared.domain.provenance import origin
from shared.domain.results import RESULTS_CONTAINER
from shared.domain.search import Search

CONTENT_TYPE = "application/gzip"
COUNT_BYTES = 20
"""Bytes that a number of Jobs may have as text; a longer blob of that name is none."""
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


@dataclass(frozen=True, slots=True)
class Gathered:
    """What a listing of a search's folders has.

    Attributes:
        pieces: the results that are not empty, by batch and shard.
        empty: names of those that are.
        counts: names of the blobs that may say how many Jobs the command made.
    """

    pieces: tuple[Piece, ...]
    empty: tuple[str, ...]
    counts: tuple[str, ...]


def gather(search: Search, listed: Iterable[tuple[str, int]]) -> Gathered:
    """Sort a listing.

    Args:
        listed: ``(blob name, bytes)`` below every id of the search.
    """
    blobs = list(listed)
    found: list[Piece] = []
    every: list[Piece] = []
    for elb_id in sorted(ids_of(search)):
        found += pieces(elb_id, blobs)
        every += pieces(elb_id, blobs, least=0)
    empty = tuple(piece.name for piece in every if piece not in found)
    names = {jobs_submitted(elb_id) for elb_id in ids_of(search)}
    counts = sorted(name for name, size in blobs if name in names and 0 < size <= COUNT_BYTES)
    return Gathered(tuple(sorted(found)), empty, tuple(counts))


def read_count(text: bytes) -> int:
    """The number of Jobs that the command says it made; 0 for what is no number."""
    digits = text.decode("ascii", "replace").strip()
    return int(digits) if digits.isdecimal() and digits.isascii() else 0


def external_gate(search: Search, gathered: Gathered, said: int) -> dict[str, Any]:
    """Whether the results of all Jobs are there, each Job's one piece.

    Args:
        said: number of Jobs that the command says it made; 0 where it does not say. More may have been seen.

    Returns:
        As ``check_results``, and the ``hint`` for when it stays shut.
    """
    expected, found = max(said, search.progress.total), len(gathered.pieces)
    missing = [] if expected else ["the number of Jobs"]
    if found + len(gathered.empty) < expected:
        lost = expected - found - len(gathered.empty)
        missing.append(f"{lost} of {expected} results in {RESULTS_CONTAINER}/{search.job_id}/")
    where = f"{RESULTS_CONTAINER}/{search.job_id}/"
    hint = f"results of a search begun outside are looked for in {where}; see there, then begin it again outside"
    shut = bool(missing or gathered.empty)
    empty = list(gathered.empty[:5])
    return {"open": not shut, "batches": found, "missing": missing, "empty": empty, "hint": hint}


def published_names(found: Iterable[Piece], search: Search) -> dict[str, str]:
    """Name under which each piece is published -> its blob.

    A name is one segment of a path and of a header, whatever characters the blob has; no two are the same.
    """
    names: dict[str, str] = {}
    for piece in found:
        prefix = next(f"{elb_id}/" for elb_id in sorted(ids_of(search)) if piece.name.startswith(f"{elb_id}/"))
        name = _UNSAFE.sub("_", piece.name.removeprefix(prefix).replace("/", "-"))
        while name in names:
            name = f"_{name}"
        names[name] = piece.name
    return names


def is_within(search: Search, blob: str) -> bool:
    """Whether a blob lies in one of the search's own folders."""
    folder, *path = blob.split("/")
    return folder in ids_of(search) and bool(path) and not {"", ".", ".."} & set(path)


def external_manifest(search: Search, files: Iterable[Mapping[str, Any]], at: datetime) -> dict[str, Any]:
    """The content of the published manifest. What only who began the search knows is null."""
    about_database = ("database_version", "database_sequences", "database_letters")
    nobody_knows = ("program_version", "image", "command_line", *about_database, "shards")
    provenance = {
        "program": search.program,
        "database": search.database,
        **dict.fromkeys((*nobody_knows, "batches", "query_sha256", "exact")),
        **origin(search, at),
    }
    summary = dict.fromkeys(("queries", "queries_with_hits", "hits"))
    return {"manifest": [dict(file) for file in files], "provenance": provenance, "summary": summary}
