"""Names of a search's blobs, the gate that opens when all of them are there, and the manifest that is published."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

QUERIES_CONTAINER = "queries"
RESULTS_CONTAINER = "results"
DATABASES_CONTAINER = "blast-db"
MANIFEST = "manifest.json"
HITS_INDEX = "hits.index"
"""Beside the results, not among them: where each query stands (``shared.domain.hits_index``)."""
MINIMUM_GZIP_BYTES = 20
"""Bytes of the smallest gzip member there is (RFC 1952: 10 header, 2 empty deflate block, 8 trailer)."""


def query_blob(job_id: str) -> str:
    """The query as it was given, in the container of queries."""
    return f"{job_id}/query.fa"


def batch_blob(job_id: str, batch: int) -> str:
    """One batch of the query, gzip, in the container of queries."""
    return f"{job_id}/batch_{batch:03d}.fa.gz"


def piece_blob(job_id: str, batch: int, shard: int) -> str:
    """What one Job wrote: one batch in one shard, gzip, in the container of results."""
    return f"{job_id}/pieces/batch_{batch:03d}-shard_{shard:02d}.out.gz"


def merged_blob(job_id: str, batch: int) -> str:
    """One batch, merged over its shards."""
    return f"{job_id}/merged/batch_{batch:03d}.out"


def published_blob(job_id: str, name: str) -> str:
    """A file of the published results."""
    return f"{job_id}/{name}"


@dataclass(frozen=True, slots=True)
class Gate:
    """What is missing of the expected pieces; open when nothing is."""

    missing: tuple[str, ...]
    empty: tuple[str, ...]

    @property
    def is_open(self) -> bool:
        """Whether every expected piece is listed and not empty."""
        return not self.missing and not self.empty


def results_gate(job_id: str, batches: int, shards: int, listed: Iterable[tuple[str, int]]) -> Gate:
    """Compare the expected pieces with a listing.

    Args:
        listed: ``(blob name, bytes)`` of the search's pieces.
    """
    sizes = dict(listed)
    expected = [piece_blob(job_id, b, s) for b in range(batches) for s in range(shards)]
    return Gate(
        missing=tuple(name for name in expected if name not in sizes),
        empty=tuple(name for name in expected if 0 <= sizes.get(name, MINIMUM_GZIP_BYTES) < MINIMUM_GZIP_BYTES),
    )


@dataclass(frozen=True, slots=True)
class ResultFile:
    """One published file."""

    name: str
    size: int
    sha256: str
    content_type: str

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the manifest blob; the API adds the file's URL."""
        return {"name": self.name, "size": self.size, "sha256": self.sha256, "content_type": self.content_type}


@dataclass(frozen=True, slots=True)
class MergedBatch:
    """What merging one batch gave: counts for the summary, never the rows."""

    batch: int
    queries: int
    queries_with_hits: int | None
    hits: int | None
    """None where the format does not tell: the command line's other formats are not taken apart."""
    exact: bool = False
    """The merge had all that it needs to give what an unsharded search prints; batches of older versions do not say."""

    def to_dict(self) -> dict[str, int | None]:
        """Plain data for the durable boundary."""
        return {
            "batch": self.batch,
            "queries": self.queries,
            "queries_with_hits": self.queries_with_hits,
            "hits": self.hits,
            "exact": self.exact,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> MergedBatch:
        """Read plain data; unknown fields are ignored."""
        batch, queries = (int(data.get(k, 0)) for k in ("batch", "queries"))
        with_hits, hits = (_count(data.get(k, 0)) for k in ("queries_with_hits", "hits"))
        return cls(batch, queries, with_hits, hits, bool(data.get("exact")))


def _count(value: Any) -> int | None:
    return None if value is None else int(value)


def _sum(counts: Iterable[int | None]) -> int | None:
    known = list(counts)
    return None if None in known else sum(count for count in known if count is not None)


def summarize(batches: Iterable[MergedBatch]) -> dict[str, int | None]:
    """The summary object of the results; None for what no batch could count."""
    all_batches = list(batches)
    return {
        "queries": sum(b.queries for b in all_batches),
        "queries_with_hits": _sum(b.queries_with_hits for b in all_batches),
        "hits": _sum(b.hits for b in all_batches),
    }
