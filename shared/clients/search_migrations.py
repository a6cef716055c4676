"""Rows of searches that an older version of the app wrote, brought to the present schema while they are read.

A row is migrated in memory when it is read and written whole, with its new schema, when it is changed for the first
time. A row of a newer schema is read as it is: a change writes only the columns it names, and leaves its schema.

Schemas:
    1: the first one.
    2: the last look's outcome in the row; the error in short for lists; freshness moved to the cluster's row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

SCHEMA = 2
Columns = dict[str, Any]


def _to_2(row: Columns) -> Columns:
    """What schema 1 did not keep is as if no look had been taken yet: the next one writes it."""
    return {name: value for name, value in row.items() if name != "stale_reason"} | {"outcome": "", "seen_digest": ""}


_STEPS: Mapping[int, Callable[[Columns], Columns]] = {1: _to_2}


def migrated(row: Mapping[str, Any]) -> Columns:
    """The columns of a row as the present schema has them; ``schema`` stays what the row was written with."""
    columns = dict(row)
    written = int(columns.get("schema", SCHEMA))
    for version in range(written, SCHEMA):
        columns = _STEPS[version](columns)
    return columns
