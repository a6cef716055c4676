"""Which Jobs of a search are worth reading, and what is shown of what they wrote. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from shared.domain.masking import mask_secrets
from shared.domain.search import Search

DEFAULT_LINES: Final = 100
MOST_LINES: Final = 1000
MOST_BYTES: Final = 64 << 10
"""Bytes of one container's log that are shown at most."""
MOST_JOBS: Final = 20
"""Jobs that one call reads; a search may have 2,000."""
_ORDER: Final = {"failed": 0, "running": 1, "pending": 2, "succeeded": 3}


@dataclass(frozen=True, slots=True)
class JobLog:
    """What one container of a Job wrote last.

    Attributes:
        source: ``pod``; ``stored``, kept with the error of the search; ``none`` where nobody can tell.
        reason: why there is no text, or why it is the stored one.
        truncated: whether the container wrote more than is shown.
    """

    job: str
    shard: int | None = None
    batch: int | None = None
    state: str | None = None
    pod: str | None = None
    container: str | None = None
    source: str = "none"
    reason: str | None = None
    text: str = ""
    truncated: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The object of the API."""
        return {name: getattr(self, name) for name in self.__slots__}


def jobs_of(search: Search) -> list[JobLog]:
    """All Jobs that are known of a search, those first whose logs tell most: failed, running, waiting, succeeded."""
    known = [_job(job) for job in search.jobs if job.get("name")]
    known.sort(key=lambda job: (_ORDER.get(job.state or "", len(_ORDER)), job.batch or 0, job.shard or 0, job.job))
    failed = str((search.error or {}).get("job") or "")
    if failed and failed not in {job.job for job in known}:  # a helper, or one of which the row knows nothing more
        known.insert(0, JobLog(failed, state="failed"))
    return known


def _job(job: Mapping[str, Any]) -> JobLog:
    shard, batch = (value if isinstance(value, int) else None for value in (job.get("shard"), job.get("batch")))
    return JobLog(str(job["name"]), shard, batch, str(job["state"]) if job.get("state") else None)


def stored_log(search: Search, job: JobLog, reason: str, known_secrets: Iterable[str]) -> JobLog:
    """What is kept of a Job whose pods cannot be read: the last lines of the one that the search failed of."""
    error = search.error or {}
    text = str(error.get("log_tail") or "")
    if not text or error.get("job") != job.job:
        return replace(job, reason=reason)
    return replace(job, source="stored", reason=reason, text=mask_secrets(text, known_secrets), truncated=True)


def shown_tail(text: str, lines: int, most_bytes: int, known_secrets: Iterable[str]) -> tuple[str, bool]:
    """The last lines of a text, without secrets, and whether there was more.

    Args:
        text: a line and a byte more than are wanted, where there are so many.
        most_bytes: in UTF-8. The beginning of a line that was cut goes, too: it may be the half of a secret.
    """
    kept = text.splitlines(keepends=True)
    truncated = len(kept) > lines
    text = "".join(kept[-lines:])
    data = text.encode("utf-8", "replace")
    if len(data) > most_bytes:
        text, truncated = data[-most_bytes:].decode("utf-8", "ignore"), True
        if data[-most_bytes - 1 : -most_bytes] != b"\n":
            newline = text.find("\n")
            text = text[newline + 1 :] if 0 <= newline < len(text) - 1 else text.partition(" ")[2]
    return mask_secrets(text, known_secrets), truncated
