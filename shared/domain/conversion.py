"""A table of hits as other programs like to read it: with the names of its columns, and with quotation marks where CSV
needs them. The values stay as BLAST printed them.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from enum import StrEnum

from shared.domain.errors import ConflictError
from shared.domain.hits_tabular import COMMENT, TabularReader
from shared.domain.outfmt import OutputFormat, OutputKind


class TableFormat(StrEnum):
    """What a table can be converted to; the value is the file name's extension."""

    CSV = "csv"
    TSV = "tsv"

    @property
    def content_type(self) -> str:
        """Media type (RFC 4180, and what IANA has for tabs)."""
        return "text/csv" if self is TableFormat.CSV else "text/tab-separated-values"


def convert_table(fmt: OutputFormat | None, lines: Iterable[bytes], target: TableFormat) -> bytes:
    """Convert a result in format 6, 7 or 10.

    Args:
        fmt: of the result; None where it is not known.
        lines: of the result, with their ends.

    Raises:
        ConflictError: ``not_convertible``: another format, or a row that can be taken apart in more than one way.
    """
    if fmt is None or fmt.kind is OutputKind.XML:
        raise not_convertible("the result is no table")
    reader = TabularReader(fmt)
    text = io.StringIO(newline="")
    delimiter = "," if target is TableFormat.CSV else "\t"
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_MINIMAL)
    writer.writerow(fmt.columns)
    for number, line in enumerate(lines, 1):
        if fmt.kind is OutputKind.TABULAR_WITH_COMMENTS and line.startswith(COMMENT):
            continue
        named = reader.named(line)
        if len(named) != len(fmt.columns):
            raise not_convertible(f"line {number} has the delimiter inside a value, and nobody can tell in which")
        writer.writerow([named[column] for column in fmt.columns])
    return text.getvalue().encode()


def not_convertible(message: str) -> ConflictError:
    """The error for what stays as it is."""
    return ConflictError("not_convertible", message, "download it without format, or read GET .../hits as JSON")
