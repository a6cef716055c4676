"""Parameters that several routes have."""

from __future__ import annotations

from typing import Any

from shared.domain.programs import Program
from shared.domain.states import Status
from triggers.contract.operation import Parameter
from triggers.paging import DEFAULT_LIMIT, MAX_LIMIT
from triggers.requests import ClusterFields

_ETAG = '(W/)?"[!#-~]*"'
JOB_ID = Parameter(
    "id", "path", "The search: its job_id or an alias.", {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,100}$"}
)
INSTANCE_ID = Parameter(
    "instance_id", "path", "The id that the start gave.", {"type": "string", "pattern": "^[0-9a-zA-Z-]{1,100}$"}
)
LIMIT = Parameter(
    "limit",
    "query",
    "Items at most.",
    {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
)
CURSOR = Parameter(
    "cursor", "query", "The `next_cursor` of the page before; it is opaque.", {"type": "string", "maxLength": 1000}
)
IDEMPOTENCY_KEY = Parameter(
    "Idempotency-Key",
    "header",
    "Same key and same body: the same work, at once or later. Same key, other body: 409 `idempotency_key_reused`.",
    {"type": "string", "pattern": "^[!-~]([ -~]{0,198}[!-~])?$"},
)
IF_MATCH = Parameter(
    "If-Match",
    "header",
    "The `ETag` of what the caller has seen; 412 when it is not that any more.",
    {"type": "string", "pattern": rf"^([*]|{_ETAG}(, ?{_ETAG})*)$", "examples": ["*", '"unsaved"']},
)
STATUS = Parameter(
    "status",
    "query",
    "Only searches of this status; of any, where it is empty.",
    {"type": "string", "enum": [*map(str, Status), ""]},
)

PROGRAMS = {"enum": [program.value for program in Program]}
"""Schema of a parameter that names a program."""


def cluster_query() -> tuple[Parameter, ...]:
    """Which cluster is meant, in the query of a GET; the default one where it is not said."""
    fields: dict[str, Any] = ClusterFields.model_json_schema()["properties"]
    return tuple(
        Parameter(name, "query", "Of the cluster that is meant; left out: the default one's.", _of(field))
        for name, field in fields.items()
    )


def _of(field: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in field.items() if key not in ("title", "default")}


def text(name: str, description: str, **schema: Any) -> Parameter:
    """A parameter of the query that is a string."""
    return Parameter(name, "query", description, {"type": "string", **schema})
