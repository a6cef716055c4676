"""What was published of a search: its manifest, read with the distrust that a stored text deserves. Pure.

The manifest of a search that was begun outside lies in a folder that others write to: a name, a size or a media type
in it is checked before it goes into a path, a header or an amount of memory.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from shared.domain.errors import ConflictError, ElbError, GoneError, NotFoundError, StoredValueError
from shared.domain.external_results import is_within
from shared.domain.outfmt import OutputFormat, OutputKind, parse_outfmt
from shared.domain.results import published_blob
from shared.domain.search import Search
from shared.domain.states import Phase
from shared.domain.times import format_time

RESULTS_EXPIRED: Final = "results_expired"
"""The error's code, and the event's kind in the history of the search."""
MANIFEST_BYTES: Final = 8_000_000
"""A longer manifest is not one of ours: 2,000 files take 500,000."""
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,1023}", re.ASCII)
_SHA256: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_MEDIA_TYPE: Final = re.compile(r"(application|text)/[a-z0-9.+-]{1,60}", re.ASCII)
_ACTIVE: Final = frozenset({"text/html", "application/xhtml+xml", "text/javascript", "application/javascript"})
_READABLE: Final = (OutputKind.XML, OutputKind.TABULAR, OutputKind.TABULAR_WITH_COMMENTS, OutputKind.CSV)
_UNKNOWN_TYPE: Final = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """A file of the manifest.

    Attributes:
        blob: where it lies, in the container of results.
    """

    name: str
    size: int
    sha256: str
    content_type: str
    blob: str

    @property
    def etag(self) -> str:
        """The value of the header ``ETag``."""
        return f'"{self.sha256}"'


def check_available(search: Search, now: datetime) -> None:
    """Refuse where there are no results to read.

    Raises:
        ConflictError: ``results_not_ready``.
        GoneError: ``results_expired``.
    """
    if search.phase is not Phase.COMPLETED:
        raise ConflictError(
            "results_not_ready", f"the search is {search.status}; it has no results", "wait for status completed"
        )
    if has_expired(search, now):
        raise GoneError(
            RESULTS_EXPIRED,
            f"the results were kept until {format_time(search.results_expire_at)}",
            "submit the search again, with its queries",
        )


def has_expired(search: Search, now: datetime) -> bool:
    """Whether the results of a search are not kept any more: from just after ``results_expire_at``."""
    expires_at = search.results_expire_at
    return search.results_removed_at is not None or (expires_at is not None and now > expires_at)


def without_results(search: Search, at: datetime) -> Search:
    """The results of a completed search were removed; it stays completed. Any other search stays as it is."""
    if search.phase is not Phase.COMPLETED or search.results_expire_at is None or search.results_removed_at is not None:
        return search
    return replace(search, results_removed_at=at)


def read_manifest(text: bytes) -> dict[str, Any]:
    """The content of a manifest blob.

    Raises:
        StoredValueError: ``manifest_unreadable``.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict) or not isinstance(content.get("manifest"), list):
        raise StoredValueError(
            "manifest_unreadable", "the manifest of the results cannot be read", "somebody replaced it in storage"
        )
    return content


def listed_files(search: Search, manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The files as the manifest has them; those of which it says what cannot be true are left out."""
    files = [file for file in manifest["manifest"] if isinstance(file, dict)]
    return [file for file in files if _checked(search, file) is not None]


def find_file(search: Search, manifest: Mapping[str, Any], name: str) -> PublishedFile:
    """A file by its name.

    Raises:
        NotFoundError: ``result_not_found``: there is none, or what the manifest says of it cannot be true.
    """
    found = [file for file in listed_files(search, manifest) if file.get("name") == name]
    file = _checked(search, found[0]) if found else None
    if file is None:
        raise NotFoundError("result_not_found", "the search has no such result file", "GET .../results lists them")
    return file


def readable_format(search: Search) -> OutputFormat | None:
    """The format of a search's result, where it is one that is taken apart: 5, 6, 7 or 10, and ours.

    None also for what a newer or older version of the app calls a format.
    """
    if search.engine == "external":
        return None
    try:
        fmt = parse_outfmt(str(search.options.get("outfmt") or ""))
    except ElbError:
        return None
    return fmt if fmt.kind in _READABLE else None


def _checked(search: Search, file: Mapping[str, Any]) -> PublishedFile | None:
    name, size, sha256 = str(file.get("name") or ""), file.get("size"), str(file.get("sha256"))
    blob = str(file.get("blob") or published_blob(search.job_id, name))
    kind = str(file.get("content_type"))
    if not isinstance(size, int) or size < 0 or not _NAME.fullmatch(name) or not _SHA256.fullmatch(sha256):
        return None
    if not is_within(search, blob):
        return None
    safe = _MEDIA_TYPE.fullmatch(kind) and kind not in _ACTIVE
    return PublishedFile(name, size, sha256, kind if safe else _UNKNOWN_TYPE, blob)
