"""Hits of a published result over HTTP: pages of JSON, read from where the last page ended.

A page reads the result in parts and looks through 8 MiB at most, so that no result is too large for the app. The hits
of one query are found by the index that was published beside the result; where there is none, by looking through it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import azure.functions as func

from shared.auth import Caller
from shared.clients.provider import clients
from shared.clients.published import manifest_of, read_part, windows_from
from shared.domain.errors import ConflictError, InvalidInputError, MalformedError, NotFoundError
from shared.domain.hits import (
    SCAN_BYTES,
    Hit,
    HitQuery,
    HitReader,
    Place,
    go_to,
    number_lines,
    read_page,
    read_sort,
    sorted_page,
)
from shared.domain.hits_cursor import HitCursor, read_hit_cursor, write_hit_cursor
from shared.domain.hits_index import RECORD_BYTES, find_query
from shared.domain.hits_tabular import TabularReader
from shared.domain.hits_xml import XmlReader
from shared.domain.outfmt import OutputFormat, OutputKind
from shared.domain.published import PublishedFile, find_file, readable_format
from shared.domain.ranges import Part
from shared.domain.results import HITS_INDEX, published_blob
from shared.domain.search import Search
from shared.responses import Reply, endpoint
from triggers.blueprint import http
from triggers.jobs import find_own
from triggers.paging import read_limit

MAX_QUERY_CHARACTERS = 1000
_NUMBER = re.compile(r"\d{1,20}(\.\d{1,20})?([eE][-+]?\d{1,3})?", re.ASCII)


@http("api/blast/jobs/{id}/hits", "GET", name="blast_jobs_hits")
@endpoint
def show_hits(req: func.HttpRequest, caller: Caller) -> Reply:
    """A page of hits: in the order of the result, or sorted where that is bounded."""
    search = find_own(req, caller)
    limit, wanted = read_limit(req), _read_query(req)
    manifest = manifest_of(search)
    fmt = _format_of(search)
    file = find_file(search, manifest, f"results.{fmt.extension}")
    source = _Source(search, file)
    reader: HitReader = XmlReader() if fmt.kind is OutputKind.XML else TabularReader(fmt)
    wanted.check(reader)
    start, end = _range_of(search, manifest, file, wanted)
    secret = clients().settings.callback_secret
    cursor = HitCursor(Place(start))
    if text := req.params.get("cursor"):
        cursor = read_hit_cursor(text, secret, search.job_id, file.sha256, wanted.key())
    if wanted.sort:
        hits, after = _sorted(reader, source, start, end, wanted, cursor, limit)
    else:
        hits, after = _in_order(reader, source, end, wanted, cursor, limit)
    following = write_hit_cursor(after, secret, search.job_id, file.sha256, wanted.key()) if after else None
    return Reply({"items": [hit.to_dict() for hit in hits], "next_cursor": following})


@dataclass(frozen=True, slots=True)
class _Source:
    """A published file as lines."""

    search: Search
    file: PublishedFile

    def lines(self, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        """The lines from one byte to another, each with its byte; the last one only if it ends there."""
        windows = windows_from(self.search, self.file, start, end)
        yield from number_lines(windows, start, is_end=end >= self.file.size)


def _in_order(
    reader: HitReader, source: _Source, end: int, wanted: HitQuery, cursor: HitCursor, limit: int
) -> tuple[list[Hit], HitCursor | None]:
    start = cursor.place.offset
    go_to(reader, cursor.place, lambda at: source.lines(at, min(end, at + SCAN_BYTES)))
    hits, is_full = read_page(reader, source.lines(start, min(end, start + SCAN_BYTES)), wanted, limit)
    if reader.place.offset >= end or (not is_full and start + SCAN_BYTES >= end):
        return hits, None
    if reader.place.offset == start:
        raise ConflictError(
            "hits_not_available",
            f"the hit at byte {start} of the result is longer than {SCAN_BYTES} bytes",
            "download the result: GET .../results",
        )
    return hits, HitCursor(reader.place)


def _sorted(
    reader: HitReader, source: _Source, start: int, end: int, wanted: HitQuery, cursor: HitCursor, limit: int
) -> tuple[list[Hit], HitCursor | None]:
    if end - start > SCAN_BYTES:
        raise InvalidInputError(
            "sort_too_large",
            f"{end - start} bytes of hits are too many to be sorted; {SCAN_BYTES} can be",
            "name one query, or leave sort out: the hits of each query are in BLAST's order, the best first",
            field="sort",
        )
    content = b"".join(windows_from(source.search, source.file, start, end))
    is_end = end >= source.file.size

    def lines(at: int) -> Iterator[tuple[int, bytes]]:
        yield from number_lines([content[at - start :]], at, is_end=is_end)

    hits, after = sorted_page(reader, lines, start, wanted, cursor.first, limit)
    return hits, None if after is None else HitCursor(Place(start), after)


def _range_of(search: Search, manifest: Mapping[str, Any], file: PublishedFile, wanted: HitQuery) -> tuple[int, int]:
    """From which byte to which the wanted hits stand: all of the result, unless the index says where the query is."""
    index = manifest.get("index")
    records = index.get("records") if isinstance(index, dict) else None
    if wanted.query is None or not isinstance(records, int) or records < 0:
        return 0, file.size
    size = records * RECORD_BYTES
    table = PublishedFile(HITS_INDEX, size, "", "", published_blob(search.job_id, HITS_INDEX))
    try:
        found = find_query(wanted.query, records, lambda at, length: read_part(search, table, Part(at, length)))
    except NotFoundError:  # somebody removed the index: without it the result is looked through
        return 0, file.size
    start, end = found or (0, 0)
    return min(start, file.size), min(end, file.size)


def _format_of(search: Search) -> OutputFormat:
    """Raises ConflictError ``hits_not_available`` for results that are not taken apart."""
    fmt = readable_format(search)
    if fmt is None:
        outside = "it was begun outside" if search.engine == "external" else "its format is another one"
        message = f"the result of the search is not taken apart into hits, because {outside}"
        raise ConflictError("hits_not_available", message, "download the result: GET .../results")
    return fmt


def _read_query(req: func.HttpRequest) -> HitQuery:
    """``?query=``, ``?min_identity=``, ``?max_evalue=`` and ``?sort=``."""
    query = req.params.get("query")
    if query is not None and not 0 < len(query) <= MAX_QUERY_CHARACTERS:
        raise MalformedError(
            "invalid_query", f"query is not the id of a query, of at most {MAX_QUERY_CHARACTERS} characters", "name one"
        )
    sort, descending = read_sort(req.params["sort"]) if "sort" in req.params else ("", False)
    return HitQuery(query, _number(req, "min_identity", 100), _number(req, "max_evalue", math.inf), sort, descending)


def _number(req: func.HttpRequest, name: str, most: float) -> float | None:
    text = req.params.get(name)
    if text is None:
        return None
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not math.isfinite(value) or value > most:
        limit = " from 0 to 100" if most == 100 else ", 0 or more"
        raise MalformedError(f"invalid_{name}", f"{name} is not a number{limit}", "write it as 97.5 or 1e-10")
    return value
