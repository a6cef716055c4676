"""What the host asked of storage, ARM and Kubernetes: each request as a value, and the pattern that it belongs to.

A pattern is what is left of a request when everything is taken out that differs from search to search, so that the
requests of one search can be enumerated. Used by the proxies, which record, and by the tests, which read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

_JOB_ID = re.compile(r"job-[0-9a-f]{32}")
# A search's row and its index rows have the inverted id as their key, which sorts newest first.
_ROW_KEY = re.compile(r"(?:s:|RowKey=')([0-9a-f]{32})")
_DROPPED = ("api-version", "timeout", "limit", "blockid", "$select", "$top", "$format")
_REPLACED = (
    (_JOB_ID, "{job}"),
    (re.compile(r"(?<=s:)[0-9a-f]{32}|(?<=RowKey=')[0-9a-f]{32}"), "{row}"),
    (re.compile(r"(?<=i:)[0-9a-f]{32}"), "{key}"),
    (re.compile(r"(?<=PartitionKey=')[0-9a-f]{32}"), "{owner}"),
    (re.compile(r"(?<=PartitionKey=')\d{4}-\d\d-\d\dT\d\d"), "{hour}"),
    (re.compile(r"[a-z0-9-]+-b\d{3}-s\d{2}-[0-9a-f]{10}"), "{job name}"),
    (re.compile(r"(?<=batch_)\d{3}"), "{batch}"),
    (re.compile(r"(?<=shard_)\d{2}"), "{shard}"),
    (re.compile(r"(?:(?<=payload-)|(?<=ended\|)|(?<=submitted\|)|(?<=registered\|))[0-9a-f]{32}"), "{digest}"),
    (re.compile(r"[0-9a-f]{8}(?:%..|-)[0-9a-f]{4}(?:-[0-9a-f]{4}){2}-[0-9a-f]{12}"), "{subscription}"),
)


@dataclass(slots=True)
class Call:
    """One request of the host.

    Args:
        service: ``blob``, ``table``, ``arm``, ``kubernetes``, or ``pod`` for what a pod asks of storage.
        method: of HTTP.
        path: with the query string, percent-decoded.
        body: as text, one character per byte.
        status: what the upstream answered; 0 when it was not asked.
        answered_bytes: length of a pod's answer; of the host's they are not counted.

    Attributes:
        job_id: the search that the request names, by its id or by its row's key.
        pattern: service, method and path without what differs from search to search.
    """

    service: str
    method: str
    path: str
    body: str = field(repr=False, default="")
    status: int = 0
    answered_bytes: int = 0
    job_id: str | None = field(init=False)
    pattern: str = field(init=False)

    def __post_init__(self) -> None:
        """Read the request once: many tripwires ask."""
        self.job_id = _job_id(self.path) or _job_id(self.body)
        self.pattern = f"{self.service} {self.method} {_pattern(self.path)}"


def _job_id(text: str) -> str | None:
    if found := _JOB_ID.search(text):
        return found[0]
    if found := _ROW_KEY.search(text):
        return f"job-{(1 << 128) - 1 - int(found[1], 16):032x}"
    return None


def _pattern(path: str) -> str:
    parts = urlsplit(path)
    query = [f"{name}={value}" for name, value in parse_qsl(parts.query, True) if name not in _DROPPED]
    text = parts.path + (f"?{'&'.join(query)}" if query else "")
    for expression, placeholder in _REPLACED:
        text = expression.sub(placeholder, text)
    return text


def decoded(raw_path: str) -> str:
    """A request's target as a person reads it."""
    return unquote(raw_path)
