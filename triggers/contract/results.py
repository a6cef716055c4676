"""Answers about results, hits and logs."""

from __future__ import annotations

from typing import Literal

from shared.domain.snapshot import JobState
from triggers.contract.base import Shown, Time, maybe


class ResultFile(Shown):
    """A published file."""

    name: str
    size: int
    """Bytes."""
    sha256: str
    content_type: str
    url: str
    blob: str = maybe()
    """Where it lies, for a search begun outside."""


class Provenance(Shown):
    """What was run on what, by whom and when. Null is what nobody told."""

    program: str | None
    program_version: str | None = maybe()
    image: str | None
    command_line: list[str] | None
    database: str | None
    database_version: str | None
    database_sequences: int | None
    database_letters: int | None
    shards: int | None
    batches: int | None
    query_sha256: str | None
    owner: str | None
    job_id: str | None
    attempt: int | None
    created_at: Time | None
    started_at: Time | None = maybe()
    published_at: Time | None
    engine: str | None
    exact: bool | None
    """Whether the answer is the one of the unsharded database to the byte."""


class Summary(Shown):
    """Counts over all queries; null where the format does not tell."""

    queries: int | None
    queries_with_hits: int | None
    hits: int | None


class Results(Shown):
    """What a completed search has published."""

    manifest: list[ResultFile]
    provenance: Provenance
    summary: Summary


class Hit(Shown):
    """One row of the result (one HSP), the same whatever the format; null is what the format's columns lack."""

    query: str | None
    subject: str | None
    title: str | None
    identity: float | None
    """Percent."""
    length: int | None
    mismatches: int | None
    gap_opens: int | None
    query_start: int | None
    query_end: int | None
    subject_start: int | None
    subject_end: int | None
    evalue: float | None
    bit_score: float | None
    columns: dict[str, str]
    """The other columns, as they stand in the file."""


class HitPage(Shown):
    """Rows of the result. A page may be short, or empty, and still have a cursor."""

    items: list[Hit]
    next_cursor: str | None


class Log(Shown):
    """The end of what one container has written."""

    job: str
    shard: int | None
    batch: int | None
    state: JobState
    pod: str | None
    container: str | None
    source: Literal["pod", "stored", "none"]
    """Read from the pod now, kept with the search's error, or neither."""
    reason: str | None
    """Why there is none."""
    text: str
    truncated: bool


class Logs(Shown):
    """Log tails of a search's Jobs."""

    items: list[Log]
    jobs_total: int
    truncated: bool
    """Whether Jobs are left out; `job` asks for one of them."""
    observed_at: Time | None
    stale: bool
    stale_reason: str | None
