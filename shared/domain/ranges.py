"""Parts of a file, as the header ``Range`` and the query parameter ``range`` ask for them (RFC 9110, 14).

One part at a time: a server may ignore the header (14.2), and does so here for several parts, for other units than
bytes and for what is malformed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SPEC = re.compile(r"(\d{0,30})-(\d{0,30})", re.ASCII)
_HEADER = re.compile(r"bytes[ \t]*=[ \t]*([^,]*?)[ \t]*", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes of a file.

    Attributes:
        start: of the first byte.
        length: in bytes, at least 1.
    """

    start: int
    length: int

    def header(self, size: int) -> str:
        """The value of ``Content-Range``."""
        return f"bytes {self.start}-{self.start + self.length - 1}/{size}"


@dataclass(frozen=True, slots=True)
class PartAsked:
    """What was asked for: from ``first`` to ``last`` inclusive; without ``first`` the last so many bytes."""

    first: int | None
    last: int | None

    def of(self, size: int, most: int) -> Part | None:
        """What that is of a file; None when nothing of it is there.

        Args:
            size: bytes of the file.
            most: bytes that are given at once; of a longer part the beginning (RFC 9110, 15.3.7).
        """
        if self.first is None:
            start = max(0, size - (self.last or 0))
            end = size
        else:
            start = self.first
            end = size if self.last is None else min(size, self.last + 1)
        return Part(start, min(end - start, most)) if start < end else None


def parse_part(text: str) -> PartAsked | None:
    """Read ``start-end``, ``start-`` or ``-length``; None for anything else."""
    found = _SPEC.fullmatch(text)
    if found is None:
        return None
    first, last = (int(digits) if digits else None for digits in found.groups())
    if (first is None and last is None) or (first is not None and last is not None and last < first):
        return None
    return PartAsked(first, last)


def parse_header(text: str) -> PartAsked | None:
    """Read the header ``Range``; None where it is to be ignored."""
    found = _HEADER.fullmatch(text.strip(" \t"))
    return parse_part(found[1]) if found else None


def no_part(size: int) -> str:
    """The value of ``Content-Range`` where nothing of what was asked for is there."""
    return f"bytes */{size}"


def names_it(header: str, etag: str) -> bool:
    """Whether ``If-None-Match`` names a file, by the weak comparison (RFC 9110, 13.1.2).

    Args:
        etag: of the file, with its quotation marks.
    """
    tags = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return "*" in tags or etag in tags
