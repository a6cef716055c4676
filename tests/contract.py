"""Holds real answers, and what handlers really read, against the document that the API serves of itself.

The document lets later releases add fields. Here it is closed: a field that it does not name is a difference.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import jsonschema_rs

from triggers.contract.document import OPERATIONS, build
from triggers.contract.operation import Operation

Json = dict[str, Any]
BY_NAME = {operation.name: operation for operation in OPERATIONS}


@cache
def closed_document() -> Json:
    """The document with no further field allowed in any object that does not say so."""
    document = build("dev")
    schemas = document["components"]["schemas"]
    for schema in schemas.values():
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
    return document


def find_operation(method: str, path: str) -> Operation | None:
    """The operation of a request; None where the path is none of the API's, or has another method.

    A literal is taken before a variable.
    """
    found = [
        operation
        for operation in OPERATIONS
        if operation.method == method and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", operation.path), path)
    ]
    return min(found, key=lambda operation: operation.path.count("{"), default=None)


def differences(operation: Operation, status: int, headers: Mapping[str, str], body: bytes) -> list[str]:
    """What an answer has that the document does not say, or lacks that it does say."""
    document = closed_document()
    described = document["paths"][operation.path][operation.method.lower()]["responses"].get(str(status))
    if described is None:
        return [f"{operation.name} answered {status}, which it is not said to: {body[:300]!r}"]
    name = None
    if "$ref" in described:
        name = described["$ref"].rpartition("/")[2]
        described = document["components"]["responses"][name]
    lower = {header.lower(): value for header, value in headers.items()}
    missing = [header for header in described.get("headers", ()) if header.lower() not in lower]
    content = described.get("content")
    where = f"{operation.name} {status}"
    found = [f"{where}: no header {header}" for header in missing]
    if content is None:
        return found + ([f"{where}: a body of {len(body)} bytes that is not described"] if body else [])
    media = lower.get("content-type", "").split(";")[0]
    if media not in content:
        return [*found, f"{where}: content type {media!r} is not among {sorted(content)}"]
    if "schema" not in content[media]:
        return found
    errors = _validator(json.dumps(content[media]["schema"])).iter_errors(json.loads(body))
    return found + [f"{where}: {error.message} at {list(error.instance_path)}" for error in errors]


@cache
def _validator(schema: str) -> Any:
    whole = json.loads(schema) | {"components": closed_document()["components"]}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


def undeclared(operation: Operation, where: str, name: str) -> bool:
    """Whether a route does not say that it reads a parameter of the query or a header."""
    declared = {(p.where, p.name.lower()) for p in operation.parameters}
    if operation.access == "job":
        declared.add(("header", "x-elb-token"))
    return (where, name.lower()) not in declared
