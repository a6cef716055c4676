"""Hits of results in XML (format 5), read line by line: BLAST writes one element per line in a fixed layout.

The numbers are those of the XML, which has more digits of the E-value and the bit score than a table shows. What a
table has and the XML has not is worked out as BLAST does: percent identity to three decimals, mismatches, openings of
gaps, and the order of start and end of a match on the other strand.
"""

from __future__ import annotations

import math
import re
from typing import Final
from xml.sax.saxutils import unescape

from shared.domain.fasta import query_id
from shared.domain.hits import Hit, Place

_ELEMENT: Final = re.compile(rb"\s*<([A-Za-z_-]+)>(.*)</\1>\s*", re.DOTALL)
_ENTITIES: Final = {"&quot;": '"', "&apos;": "'"}
_GAP: Final = re.compile(rb"-+")
_SUBJECT_LINES: Final = 5
"""From ``<Hit>`` to ``<Hit_accession>``."""
_KEPT: Final = frozenset({b"Hit_id", b"Hit_def", b"Hit_accession"})


class XmlReader:
    """Reads format 5; a `HitReader`."""

    def __init__(self) -> None:
        self.place = Place(0)
        self._query: str | None = None
        self._query_at = self._subject_at = -1
        self._subject: dict[bytes, str] = {}
        self._hsp: dict[bytes, bytes] | None = None

    def has(self, field: str) -> bool:  # noqa: ARG002 - XML has every field
        """Whether the hits of this result have that field: all of them."""
        return True

    def context(self, place: Place) -> tuple[tuple[int, int], ...]:
        """The lines that name the query and the subject."""
        wanted = ((place.query_at, 1), (place.subject_at, _SUBJECT_LINES))
        return tuple((at, lines) for at, lines in wanted if at >= 0)

    def read(self, line: bytes, offset: int) -> Hit | None:
        """Take the next line; the hit that ends with it, if one does."""
        text = line.strip()
        if text == b"<Hsp>":
            self._hsp = {}
            self.place = Place(offset, self._query_at, self._subject_at)
        elif text == b"</Hsp>" and self._hsp is not None:
            hit, self._hsp = self._hit(self._hsp), None
            self.place = Place(offset + len(line), self._query_at, self._subject_at)
            return hit
        elif text == b"<Hit>":
            self._subject, self._subject_at = {}, offset
            self.place = Place(offset, self._query_at)
        elif text == b"<Iteration>":
            self._query, self._query_at, self._subject_at = None, -1, -1
            self.place = Place(offset)
        else:
            self._element(line, offset)
        return None

    def _element(self, line: bytes, offset: int) -> None:
        found = _ELEMENT.fullmatch(line)
        if found is None:
            return
        name, content = found.groups()
        if self._hsp is not None:
            self._hsp[name] = content
        elif name == b"Iteration_query-def":
            self._query, self._query_at = query_id(_text(content).encode()) or None, offset
        elif name in _KEPT:
            self._subject[name] = _text(content)

    def _hit(self, hsp: dict[bytes, bytes]) -> Hit:
        length, identical, gaps = (_int(hsp.get(name)) for name in (b"Hsp_align-len", b"Hsp_identity", b"Hsp_gaps"))
        known = (length, identical) if length and identical is not None else None
        aligned = hsp.get(b"Hsp_qseq"), hsp.get(b"Hsp_hseq")
        query_start, query_end = _span(hsp, b"query")
        subject_start, subject_end = _span(hsp, b"hit")
        return Hit(
            query=self._query,
            subject=_accession(self._subject),
            title=self._subject.get(b"Hit_def"),
            identity=round(100 * known[1] / known[0], 3) if known else None,
            length=length,
            mismatches=known[0] - known[1] - (gaps or 0) if known else None,
            gap_opens=None if None in aligned else sum(len(_GAP.findall(text)) for text in aligned if text),
            query_start=query_start,
            query_end=query_end,
            subject_start=subject_start,
            subject_end=subject_end,
            evalue=_float(hsp.get(b"Hsp_evalue")),
            bit_score=_float(hsp.get(b"Hsp_bit-score")),
        )


def _span(hsp: dict[bytes, bytes], side: bytes) -> tuple[int | None, int | None]:
    """Start and end as a table has them: the start behind the end on the other strand."""
    start, end, frame = (_int(hsp.get(b"Hsp_" + side + part)) for part in (b"-from", b"-to", b"-frame"))
    if start is not None and end is not None and frame is not None and frame < 0 and start < end:
        return end, start
    return start, end


def _accession(subject: dict[bytes, str]) -> str | None:
    """The id that a table shows: with its version, and of a database without ids the title's first word."""
    whole, accession = subject.get(b"Hit_id", ""), subject.get(b"Hit_accession", "")
    if whole.startswith("gnl|BL_ORD_ID|"):
        return next(iter(subject.get(b"Hit_def", "").split()), None)
    parts = [part for part in whole.split("|") if part == accession or part.startswith(f"{accession}.")]
    return (parts[0] if parts and accession else accession or whole) or None


def _text(content: bytes) -> str:
    return unescape(content.decode("utf-8", "replace"), _ENTITIES)


def _int(content: bytes | None) -> int | None:
    value = (content or b"").strip()
    return int(value) if re.fullmatch(rb"-?\d{1,18}", value) else None


def _float(content: bytes | None) -> float | None:
    try:
        value = float((content or b"").strip())
    except ValueError:
        return None
    return value if math.isfinite(value) else None
