"""`Table` answers: without one, kubectl shows names only. Used by lists, gets and watches."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from local.cluster.columns import COLUMNS, DEFAULT_COLUMNS
from local.cluster.kinds import Kind

Json = dict[str, Any]


def wants_table(accept: str) -> bool:
    """Whether the Accept header's first choice is a Table."""
    return "as=Table" in accept.split(",")[0]


def wants_metadata(accept: str) -> bool:
    """Whether the Accept header asks for metadata only."""
    return "as=PartialObjectMetadata" in accept.split(",")[0]


def metadata_only(obj: Json) -> Json:
    """The object as PartialObjectMetadata."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}


def table(kind: Kind, objects: list[Json], list_meta: Json, include: str, now: datetime, header: bool = True) -> Json:
    """The Table of some objects; `include` is the query's includeObject: Metadata (default), Object or None."""
    columns = COLUMNS.get(kind, DEFAULT_COLUMNS)
    definitions = [
        {
            "name": column.name,
            "type": column.kind,
            "format": "name" if column.name == "Name" else "",
            "description": column.name,
            "priority": 1 if column.wide else 0,
        }
        for column in columns
    ]
    rows = []
    for obj in objects:
        row: Json = {"cells": [column.value(obj, now) for column in columns]}
        if include != "None":
            row["object"] = obj if include == "Object" else metadata_only(obj)
        rows.append(row)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": list_meta,
        "columnDefinitions": definitions if header else None,
        "rows": rows,
    }
