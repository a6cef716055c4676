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

#: What the merge must know of a row: whose it is, which subject, and the two keys of BLAST's order.
MERGE_COLUMNS: Final = ("qseqid", "sseqid", "evalue", "score")

#: Between the columns of a shard's row. BLAST writes no tab inside a column (``makeblastdb`` makes spaces of tabs in
#: titles), whereas a title may well have a comma.
SHARD_DELIMITER: Final = "\t"


class OutputKind(IntEnum):
    """The formats that can be merged exactly, by BLAST's own numbers."""

    XML = 5
    TABULAR = 6
    TABULAR_WITH_COMMENTS = 7
    CSV = 10


_EXTENSIONS: Final = {
    OutputKind.XML: "xml",
    OutputKind.TABULAR: "tsv",
    OutputKind.TABULAR_WITH_COMMENTS: "tsv",
    OutputKind.CSV: "csv",
}
_CONTENT_TYPES: Final = {"xml": "application/xml", "tsv": "text/tab-separated-values", "csv": "text/csv"}


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """A format that can be merged.

    Attributes:
        kind: BLAST's number.
        columns: the columns in the order in which BLAST prints them, ``std`` written out; none for XML.
        delimiter: between the columns of the user's rows; empty for XML.
    """

    kind: OutputKind
    columns: tuple[str, ...] = ()
    delimiter: str = ""

    @property
    def extra_columns(self) -> tuple[str, ...]:
        """The columns that the merge needs and the user did not ask for; they are the last of a shard's row."""
        if self.kind is OutputKind.XML:
            return ()
        return tuple(column for column in MERGE_COLUMNS if column not in self.columns)

    @property
    def shard_columns(self) -> tuple[str, ...]:
        """The columns of a shard's row."""
        return self.columns + self.extra_columns

    @property
    def extension(self) -> str:
        """File name extension of a result, without the dot."""
        return _EXTENSIONS[self.kind]

    @property
    def content_type(self) -> str:
        """Media type of a result."""
        return _CONTENT_TYPES[self.extension]

    def for_shard(self) -> str:
        """The ``-outfmt`` argument of the Jobs.

        CSV is asked for as tabular, because a comma in a title would make its columns ambiguous.
        """
        if self.kind is OutputKind.XML:
            return "5"
        number = OutputKind.TABULAR if self.kind is OutputKind.CSV else self.kind
        return f"{number:d} {' '.join(self.shard_columns)}"

    def text(self) -> str:
        """What the user asked for, in one way of writing it that BLAST understands."""
        if self.kind is OutputKind.XML:
            return "5"
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
    """Understand an ``-outfmt`` argument for a search on a sharded database.

    Args:
        text: as on BLAST's command line; empty means `DEFAULT_OUTFMT`.

    Raises:
        InvalidInputError: ``outfmt_not_mergeable`` for a format whose pieces cannot be put together,
            ``unknown_column``, ``invalid_outfmt`` for what is no output format at all.
    """
    words = text.split() or DEFAULT_OUTFMT.split()
    kind = _kind(words.pop(0))
    if kind is OutputKind.XML:
        if words:
            raise InvalidInputError(
                "invalid_outfmt", f"format 5 (XML) takes no columns, got '{words[0]}'", field=_FIELD
            )
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
    return OutputFormat(kind, _columns(words), delimiter)


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
            "outfmt_not_mergeable",
            f"results in format {int(word)} of a sharded database cannot be put together exactly",
            "Use 5 (XML), 6 (tabular), 7 (tabular with comments) or 10 (comma-separated).",
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
