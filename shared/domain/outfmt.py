"""The ``-outfmt`` of a search: what the user asked for, and what each shard is asked for so that it can be merged.

The submit parses the user's text with `parse_outfmt`; each Job runs BLAST with `OutputFormat.for_shard`; the merge
turns the rows of the shards back into the user's format.

What BLAST+ 2.12 does with the text (found by running it): it is split at spaces; the number comes first; ``std`` is
replaced by its columns; a column named twice is printed once, at its first place; ``-column`` removes a column; an
unknown name is ignored without a word, and if no name is left the columns are ``std``; ``delim=`` must come right after
the number and goes between the columns of a row, not between the names of format 7's ``# Fields:`` line. A misspelt
column silently missing from a result is not what anybody wants: unknown names are refused here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from shared.domain.errors import InvalidInputError

_FIELD: Final = "options.outfmt"

DEFAULT_OUTFMT: Final = "6 std"

STANDARD_COLUMNS: Final = (
    "qaccver", "saccver", "pident", "length", "mismatch", "gapopen", "qstart", "qend", "sstart", "send", "evalue",
    "bitscore",
)  # fmt: skip

#: The column names of ``blastn -help``, BLAST+ 2.12.
COLUMNS: Final = frozenset({
    "qseqid", "qgi", "qacc", "qaccver", "qlen", "sseqid", "sallseqid", "sgi", "sallgi", "sacc", "saccver",
    "sallacc", "slen", "qstart", "qend", "sstart", "send", "qseq", "sseq", "evalue", "bitscore", "score",
    "length", "pident", "nident", "mismatch", "positive", "gapopen", "gaps", "ppos", "frames", "qframe", "sframe",
    "btop", "staxid", "ssciname", "scomname", "sblastname", "sskingdom", "staxids", "sscinames", "scomnames",
    "sblastnames", "sskingdoms", "stitle", "salltitles", "sstrand", "qcovs", "qcovhsp", "qcovus",
})  # fmt: skip

#: Columns with several values, by what BLAST puts between these; it refuses such a delimiter (found by running it).
SEPARATED: Final = {
    ";": frozenset({"sallseqid", "staxids", "sscinames", "scomnames", "sblastnames", "sskingdoms"}),
    "/": frozenset({"frames"}),
}

#: What the merge must know of a row: whose it is, which subject, and the two keys of BLAST's order.
MERGE_COLUMNS: Final = ("qseqid", "sseqid", "evalue", "score")

#: Between the columns of a shard's row. BLAST writes no tab inside a column (``makeblastdb`` makes spaces of tabs in
#: titles), whereas a title may well have a comma.
SHARD_DELIMITER: Final = "\t"


class OutputKind(IntEnum):
    """The formats by BLAST's own numbers. 13 and 14 are not among them: they are a file for each query."""

    PAIRWISE = 0
    ANCHORED_IDENTITIES = 1
    ANCHORED = 2
    FLAT_ANCHORED_IDENTITIES = 3
    FLAT_ANCHORED = 4
    XML = 5
    TABULAR = 6
    TABULAR_WITH_COMMENTS = 7
    SEQALIGN_TEXT = 8
    SEQALIGN_BINARY = 9
    CSV = 10
    ARCHIVE = 11
    SEQALIGN_JSON = 12
    JSON = 15
    XML2 = 16
    SAM = 17
    ORGANISMS = 18


_MERGEABLE: Final = (OutputKind.XML, OutputKind.TABULAR, OutputKind.TABULAR_WITH_COMMENTS, OutputKind.CSV)
_EXTENSIONS: Final = {
    OutputKind.XML: "xml",
    OutputKind.TABULAR: "tsv",
    OutputKind.TABULAR_WITH_COMMENTS: "tsv",
    OutputKind.CSV: "csv",
    OutputKind.SEQALIGN_TEXT: "asn",
    OutputKind.SEQALIGN_BINARY: "bin",
    OutputKind.ARCHIVE: "asn",
    OutputKind.SEQALIGN_JSON: "json",
    OutputKind.JSON: "json",
    OutputKind.XML2: "xml",
    OutputKind.SAM: "sam",
}
_CONTENT_TYPES: Final = {
    "xml": "application/xml",
    "tsv": "text/tab-separated-values",
    "csv": "text/csv",
    "json": "application/json",
    "bin": "application/octet-stream",
    "txt": "text/plain",
    "asn": "text/plain",
    "sam": "text/plain",
}


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """What a search prints.

    Attributes:
        kind: BLAST's number.
        columns: of a table, in the order in which BLAST prints them, ``std`` written out.
        delimiter: between the columns of a table's rows, else empty.
    """

    kind: OutputKind
    columns: tuple[str, ...] = ()
    delimiter: str = ""

    @property
    def is_tabular(self) -> bool:
        """Whether a result has a row for each HSP."""
        return self.kind in _MERGEABLE and self.kind is not OutputKind.XML

    @property
    def is_mergeable(self) -> bool:
        """Whether results of shards and batches can be put together."""
        return self.kind in _MERGEABLE

    @property
    def extra_columns(self) -> tuple[str, ...]:
        """The columns that the merge needs and the user did not ask for; they are the last of a shard's row."""
        if not self.is_tabular:
            return ()
        return tuple(column for column in MERGE_COLUMNS if column not in self.columns)

    @property
    def shard_columns(self) -> tuple[str, ...]:
        """The columns of a shard's row."""
        return self.columns + self.extra_columns

    @property
    def extension(self) -> str:
        """File name extension of a result, without the dot."""
        return _EXTENSIONS.get(self.kind, "txt")

    @property
    def content_type(self) -> str:
        """Media type of a result."""
        return _CONTENT_TYPES[self.extension]

    def for_shard(self) -> str:
        """The ``-outfmt`` argument of the Jobs.

        CSV is asked for as tabular, because a comma in a title would make its columns ambiguous.
        """
        if not self.is_tabular:
            return str(int(self.kind))
        number = OutputKind.TABULAR if self.kind is OutputKind.CSV else self.kind
        return f"{number:d} {' '.join(self.shard_columns)}"

    def text(self) -> str:
        """What the user asked for, in one way of writing it that BLAST understands."""
        if not self.is_tabular:
            return str(int(self.kind))
        words = [f"{self.kind:d}"]
        if self.delimiter != _default_delimiter(self.kind):
            words.append(f"delim={self.delimiter}")
        standard = len(STANDARD_COLUMNS)
        if self.columns[:standard] == STANDARD_COLUMNS:
            words += ["std", *self.columns[standard:]]
        else:
            words += self.columns
        return " ".join(words)


def parse_outfmt(text: str = DEFAULT_OUTFMT) -> OutputFormat:
    """Understand an ``-outfmt`` argument.

    Args:
        text: as on BLAST's command line; empty means `DEFAULT_OUTFMT`.

    Raises:
        InvalidInputError: ``unknown_column``; ``invalid_outfmt`` for what is no output format, or one of several files.
    """
    words = text.split() or DEFAULT_OUTFMT.split()
    kind = _kind(words.pop(0))
    if kind is OutputKind.XML or kind not in _MERGEABLE:
        if words:
            message = f"format {kind:d} takes no columns, got '{words[0]}'"
            raise InvalidInputError("invalid_outfmt", message, field=_FIELD)
        return OutputFormat(kind)
    delimiter = _default_delimiter(kind)
    if words and words[0].startswith("delim="):
        delimiter = words.pop(0).removeprefix("delim=")
        if len(delimiter) != 1 or not delimiter.isascii() or not delimiter.isprintable():
            raise InvalidInputError(
                "invalid_outfmt",
                f"the delimiter '{delimiter}' is not one printable ASCII character",
                "Write for example 'delim=;', or leave it out.",
                field=_FIELD,
            )
    columns = _columns(words)
    if used := sorted(SEPARATED.get(delimiter, frozenset()).intersection(columns)):
        raise InvalidInputError(
            "invalid_outfmt",
            f"'{delimiter}' stands within the column {used[0]} and cannot be the delimiter too",
            "Choose another delimiter, or leave the column out.",
            field=_FIELD,
        )
    return OutputFormat(kind, columns, delimiter)


def _kind(word: str) -> OutputKind:
    if not (word.isascii() and word.isdigit() and int(word) <= 18):
        raise InvalidInputError(
            "invalid_outfmt",
            f"'{word}' is not a BLAST output format",
            "Begin with the number of a format, for example '6 std staxids'.",
            field=_FIELD,
        )
    try:
        return OutputKind(int(word))
    except ValueError:
        raise InvalidInputError(
            "invalid_outfmt",
            f"format {int(word)} is a file for each query, and a search has one result",
            "Use 15 (JSON) or 16 (XML) instead: the same in one file.",
            field=_FIELD,
        ) from None


def _columns(words: Iterable[str]) -> tuple[str, ...]:
    columns: list[str] = []
    for word in words:
        if word == "std":
            columns += STANDARD_COLUMNS
        elif word in COLUMNS:
            columns.append(word)
        else:
            raise InvalidInputError(
                "unknown_column",
                f"'{word}' is not a column of BLAST's tabular output",
                f"Columns are: std, {', '.join(sorted(COLUMNS))}.",
                field=_FIELD,
            )
    return tuple(dict.fromkeys(columns)) or STANDARD_COLUMNS


def _default_delimiter(kind: OutputKind) -> str:
    return "," if kind is OutputKind.CSV else "\t"
