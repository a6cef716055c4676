"""What of the databases is in the nodes' memory, as the residency probe of each node last said.

The probe (``shared/scripts/probe.sh``) prints one line of JSON a minute; ``shared.clients.residency`` reads the last
one of each node. What is not measured, or not lately, is unknown; it is never taken for "not in memory".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from shared.domain.times import parse_time

MAX_AGE = timedelta(minutes=3)
"""A line that is older says nothing: the probe prints one a minute, so that it has missed two."""
RESIDENT_SHARE = 0.9
"""Part of a shard's bytes that must be in memory for it to be warm. Not all of them: the kernel takes back single pages
that nobody reads (headers of sequences that were never hit, say), and a search does not feel that. A volume that was
pushed out is a larger part than this leaves."""


@dataclass(frozen=True, slots=True)
class ShardResidency:
    """One shard on its node.

    Attributes:
        bytes: of its files that are on the disk.
        resident_bytes: of these in memory; None when that could not be measured in time.
        missing: number of its files that are not on the disk.
        version: source version of its marker.
        at: when the measurement began.
    """

    bytes: int
    resident_bytes: int | None
    missing: int
    version: str
    at: datetime

    @property
    def is_resident(self) -> bool | None:
        """Whether it is in memory, but for ``RESIDENT_SHARE``; None when that is not known."""
        if self.missing:
            return False
        if self.resident_bytes is None:
            return None
        return self.resident_bytes >= RESIDENT_SHARE * self.bytes


@dataclass(frozen=True, slots=True)
class DatabaseResidency:
    """One database on one node; ``shards`` by (layout, shard)."""

    bytes: int
    resident_bytes: int | None
    shards: Mapping[tuple[int, int], ShardResidency] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NodeResidency:
    """One node's last line; ``databases`` by name."""

    at: datetime
    databases: Mapping[str, DatabaseResidency] = field(default_factory=dict)

    @property
    def resident_bytes(self) -> int | None:
        """Bytes of all databases in memory; None when one could not be measured in time."""
        found = [database.resident_bytes for database in self.databases.values()]
        known = [size for size in found if size is not None]
        return sum(known) if len(known) == len(found) else None


@dataclass(frozen=True, slots=True)
class Residency:
    """The nodes that were measured lately, and why the others were not.

    Attributes:
        nodes: by name.
        unknown: node -> why there is no measurement of it.
        reason: why there is none at all; empty when the probes could be asked.
    """

    nodes: Mapping[str, NodeResidency] = field(default_factory=dict)
    unknown: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""

    def of_shard(self, node: str, database: str, layout: int, shard: int) -> ShardResidency | None:
        """One shard on a node; None when it was not measured there."""
        measured = self.nodes.get(node)
        found = measured.databases.get(database) if measured else None
        return found.shards.get((layout, shard)) if found else None

    def of_database(self, node: str, database: str) -> int:
        """Bytes of a database that were measured to be in a node's memory; 0 where nothing was measured."""
        measured = self.nodes.get(node)
        found = measured.databases.get(database) if measured else None
        return (found.resident_bytes or 0) if found else 0

    def why_unknown(self, node: str) -> str:
        """Why a node's shard was not measured."""
        if node in self.nodes and self.nodes[node].resident_bytes is None:
            return f"node {node} could not be measured in time"
        return self.reason or self.unknown.get(node) or ("" if node in self.nodes else f"no probe runs on node {node}")


def read_probe(log: str, now: datetime) -> NodeResidency | str:
    """The last whole line of a probe's log.

    Args:
        log: the tail.
        now: the app's time.

    Returns:
        What it says, or why it says nothing: no line, or one that is older than ``MAX_AGE``. A line from the future is
        as bad as an old one: the node's clock is wrong then, and what was measured after what cannot be told.
    """
    for line in reversed(log.splitlines()):
        found = _read_line(line)
        if found is None:
            continue
        age = now - found.at
        if abs(age) > MAX_AGE:
            return f"the probe's last line is {age.total_seconds():.0f} s old"
        return found
    return "the probe has printed no measurement yet"


def _read_line(line: str) -> NodeResidency | None:
    """One line; None when it is no measurement (a message of the shell, or a line that the tail's limit has cut)."""
    try:
        data = json.loads(line)
        at = parse_time(data["at"])
        if at is None:
            return None
        return NodeResidency(at, {str(d["database"]): _read_database(d, at) for d in data["databases"]})
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _read_database(data: Mapping[str, Any], at: datetime) -> DatabaseResidency:
    shards = {
        (int(s["layout"]), int(s["shard"])): ShardResidency(
            bytes=int(s["bytes"]),
            resident_bytes=_measured(s["resident"]),
            missing=int(s.get("missing", 0)),
            version=str(s.get("version", "")),
            at=at,
        )
        for s in data.get("shards", ())
    }
    return DatabaseResidency(int(data["bytes"]), _measured(data["resident"]), shards)


def _measured(value: object) -> int | None:
    return value if isinstance(value, int) else None
