"""The formats that cannot be put together: for whom they are, and how they are asked for.

Results in any other format than 5, 6, 7 and 10 can neither be merged over shards nor be put behind one another for
several batches. They need one Job: a layout of one shard, and all queries in one batch.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from shared.domain.errors import InvalidInputError
from shared.domain.outfmt import OutputFormat, OutputKind
from shared.domain.programs import Program

MOST_LENGTHS = 10
"""How many batches of the default length one batch may hold that must not be divided: it takes that much longer."""
_FORMATS = "Use 5 (XML), 6 (tabular), 7 (tabular with comments) or 10 (comma-separated)"
_AS_IT_IS = (OutputKind.SEQALIGN_BINARY, OutputKind.ARCHIVE)


def check_layouts(fmt: OutputFormat, program: Program, layouts: Collection[int], engine: str) -> None:
    """Refuse a format that the database's shards, or the command line's batches, cannot be put together in.

    Args:
        layouts: numbers of shards of the database's layouts, any of which may be the one that is warm.

    Raises:
        InvalidInputError: ``outfmt_not_mergeable``; ``invalid_outfmt`` for SAM of another program than blastn.
    """
    if fmt.kind is OutputKind.SAM and program is not Program.BLASTN:
        raise InvalidInputError("invalid_outfmt", f"{program} does not write format 17 (SAM)", field="options.outfmt")
    if fmt.is_mergeable or (engine == "native" and set(layouts) == {1}):
        return
    raise InvalidInputError(
        "outfmt_not_mergeable",
        f"results in format {fmt.kind:d} of a database in several shards cannot be put together",
        f"{_FORMATS}; or search with the native engine in a database whose only layout has one shard.",
        field="options.outfmt",
    )


def batch_length(fmt: OutputFormat, default: int, letters: int) -> int:
    """Letters in a batch when the caller does not say: of a format that needs one batch as many as the query has.

    Args:
        default: of the program and task.
        letters: of all queries.
    """
    return default if fmt.is_mergeable else min(max(default, letters), MOST_LENGTHS * default)


def check_batches(fmt: OutputFormat, batches: int, default: int) -> None:
    """Refuse several batches in a format that needs one.

    Args:
        default: batch length of the program and task.

    Raises:
        InvalidInputError: ``outfmt_needs_one_batch``.
    """
    if fmt.is_mergeable or batches == 1:
        return
    raise InvalidInputError(
        "outfmt_needs_one_batch",
        f"results in format {fmt.kind:d} of {batches} batches cannot be put together",
        f"Leave batch_len out and send at most {MOST_LENGTHS * default} letters at a time. {_FORMATS} for more.",
        field="batch_len",
    )


def with_name(fmt: OutputFormat, lines: Iterable[bytes], searched: str, database: str) -> Iterator[bytes]:
    """The output of the one Job, with the database's name in place of the path that the Job knew.

    Args:
        searched: ``-db`` of the Job. It stays in an archive, which leads blast_formatter to the database.
    """
    old, new = searched.encode(), database.encode()
    for line in lines:
        yield line if fmt.kind in _AS_IT_IS else line.replace(old, new)
