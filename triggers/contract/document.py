"""The OpenAPI 3.1 document of the operations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from typing import Any

from triggers.contract.base import ErrorReply
from triggers.contract.cluster_operations import CLUSTERS, DATABASES, WARMUP
from triggers.contract.operation import JSON, Access, Answer, Body, Operation, Parameter, Tag
from triggers.contract.page import render
from triggers.contract.query_operations import OPERATIONS as QUERIES
from triggers.contract.result_operations import OPERATIONS as RESULTS
from triggers.contract.schemas import body_name, component_schemas, reference
from triggers.contract.search_operations import OPERATIONS as SEARCHES
from triggers.contract.service_operations import OPERATIONS as SERVICE

VERSION = "0.1.0"
"""Of the product (``pyproject.toml``)."""
OPERATIONS: tuple[Operation, ...] = (*SEARCHES, *RESULTS, *QUERIES, *DATABASES, *WARMUP, *CLUSTERS, *SERVICE)

DESCRIPTION = (
    "Searches with BLAST+ on clusters of Azure Kubernetes Service. JSON in UTF-8; times are RFC 3339 in UTC. "
    "What takes longer than a request is answered with 202, and `status_url` says where to ask for its end."
)
_MEANINGS = {
    400: "Malformed: it could not be understood.",
    401: "Nobody is signed in, or not validly.",
    403: "The caller's role, or the token, does not allow it.",
    404: "There is no such thing, or it is not the caller's.",
    409: "It clashes with what is there.",
    410: "It was there and has been removed for good.",
    412: "It is not any more what `If-Match` names.",
    413: "More than the limit allows.",
    416: "The range lies outside the file.",
    422: "Well-formed but wrong; `details` names the fields.",
    429: "Too much at once; ask again after `Retry-After`.",
    500: "Something went wrong in the service; the log has it under the id in the message.",
    503: "Something that is needed does not answer; ask again after `Retry-After`.",
}
_TEXT = {"type": "string"}
_HEADERS: dict[str, tuple[str, Mapping[str, Any]]] = {
    "Location": ("Where to go on.", _TEXT),
    "Retry-After": ("Seconds.", {"type": "integer", "minimum": 1}),
    "WWW-Authenticate": ("How to say who it is.", {"const": "Bearer"}),
    "ETag": ("The version of the answer.", {"type": "string", "pattern": '^"[^"]*"$'}),
    "Content-Disposition": ("Under which name to save it.", _TEXT),
    "Content-Range": ("Which part of the file this is.", {"type": "string", "pattern": "^bytes "}),
    "Accept-Ranges": ("That parts may be asked for.", {"const": "bytes"}),
    "Content-Security-Policy": ("What the page may load.", _TEXT),
}
_SCHEMES: dict[str, tuple[str, Mapping[str, str]]] = {
    "easyauth": (
        "platformSession",
        {
            "type": "apiKey",
            "in": "cookie",
            "name": "AppServiceAuthSession",
            "description": "The platform's sign-in at /.auth/login/aad. The app believes only what the platform adds.",
        },
    ),
    "jwt": ("bearer", {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}),
}
_JOB_TOKEN = {
    "type": "apiKey",
    "in": "header",
    "name": "X-Elb-Token",
    "description": "HMAC of the search's id; each of its Jobs has it.",
}


def build(auth_mode: str) -> dict[str, Any]:
    """The document.

    Args:
        auth_mode: how the app learns who is asking (``AUTH_MODE``); ``dev`` has no scheme, nothing need be sent.
    """
    scheme = _SCHEMES.get(auth_mode)
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, scheme and scheme[0])
    schemes = {"jobToken": _JOB_TOKEN} | ({scheme[0]: scheme[1]} if scheme else {})
    used = {tag.value for tag in Tag} & {operation.tag.value for operation in OPERATIONS}
    return {
        "openapi": "3.1.0",
        "info": {"title": "ElasticBLAST control plane", "version": VERSION, "description": DESCRIPTION},
        "servers": [{"url": "/"}],
        "tags": [{"name": tag.value} for tag in Tag if tag.value in used],
        "paths": paths,
        "components": {
            "schemas": component_schemas(OPERATIONS, ErrorReply),
            "responses": {_error_name(status): _error(status) for status in _errors_in_use()},
            "headers": {
                name: {"description": meaning, "required": True, "schema": dict(schema)}
                for name, (meaning, schema) in _HEADERS.items()
            },
            "securitySchemes": schemes,
        },
    }


@cache
def as_json(auth_mode: str) -> bytes:
    """The document as it is served; made once per process."""
    return json.dumps(build(auth_mode)).encode()


@cache
def as_page(auth_mode: str) -> bytes:
    """The page as it is served; made once per process."""
    return render(build(auth_mode)).encode()


def _operation(operation: Operation, scheme: str | None) -> dict[str, Any]:
    responses = {str(status): _answer(answer) for status, answer in sorted(operation.answers.items())}
    for status in operation.all_errors:
        responses.setdefault(str(status), {"$ref": f"#/components/responses/{_error_name(status)}"})
    made: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.tag.value],
        "summary": operation.summary,
        "description": " ".join(part for part in (operation.description, _who(operation.access)) if part),
        "x-role": operation.access.value,
        "security": _security(operation.access, scheme),
        "parameters": [_parameter(parameter) for parameter in operation.parameters],
        "responses": dict(sorted(responses.items())),
    }
    if operation.body is not None:
        made["requestBody"] = _body(operation.body)
    return made


def _who(access: Access) -> str:
    return {
        Access.ANYBODY: "Anybody may call it.",
        Access.JOB: "Only with the search's own token.",
        Access.USER: "",
        Access.OPERATOR: "Needs the role `operator`.",
    }[access]


def _security(access: Access, scheme: str | None) -> list[dict[str, list[str]]]:
    if access is Access.JOB:
        return [{"jobToken": []}]
    if access is Access.ANYBODY or scheme is None:
        return []
    return [{scheme: [access.value]}]


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.where,
        "required": parameter.required,
        "description": parameter.description,
        "schema": dict(parameter.schema),
    }


def _body(body: Body) -> dict[str, Any]:
    description = f"{body.description} At most {body.limit_bytes:,} bytes."
    if body.model is None:
        content: dict[str, Any] = {media: {"schema": {"type": "string"}} for media in body.media}
    else:
        content = {JSON: {"schema": reference(body_name(body))}}
    if body.example is not None:
        next(iter(content.values()))["example"] = body.example
    return {"required": body.required, "description": description, "content": content}


def _answer(answer: Answer) -> dict[str, Any]:
    made: dict[str, Any] = {"description": answer.description}
    if answer.headers:
        made["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in answer.headers}
    references = [reference(model.__name__) for model in answer.models]
    if references:
        made["content"] = {JSON: {"schema": references[0] if len(references) == 1 else {"anyOf": references}}}
    elif answer.media:
        made["content"] = {media: {} for media in answer.media}
    if answer.links:
        made["links"] = {
            operation: {
                "operationId": operation,
                "parameters": {name: f"$response.body#/{field}" for name, field in parameters.items()},
            }
            for operation, parameters in answer.links.items()
        }
    return made


def _errors_in_use() -> list[int]:
    return sorted({status for operation in OPERATIONS for status in operation.all_errors})


def _error_name(status: int) -> str:
    return HTTPStatus(status).name.title().replace("_", "")


def _error(status: int) -> dict[str, Any]:
    headers: tuple[str, ...] = ("WWW-Authenticate",) if status == HTTPStatus.UNAUTHORIZED else ()
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        headers = ("Retry-After",)
    return _answer(Answer(_MEANINGS[status], (ErrorReply,), headers=headers))
