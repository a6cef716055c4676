"""One wrapper around every HTTP endpoint: who is asking, the answer as JSON, every error as the error object.

Nothing of an unexpected error reaches the caller but a correlation id, under which the log has the rest.
"""

from __future__ import annotations

import json
import logging
import traceback
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

import azure.functions as func

from shared.auth import Caller, identify
from shared.config import settings
from shared.domain.errors import ElbError, StoredValueError, TransientError
from shared.telemetry import log_event

HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
RETRY_AFTER_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. ``content`` instead of ``body`` for anything but JSON."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    content_type: str = "application/json"


def accepted(body: Mapping[str, Any], status_url: str, retry_after: int = 1) -> Reply:
    """202 for work that takes longer than a request."""
    headers = {"Location": status_url, "Retry-After": str(retry_after)}
    return Reply({**body, "status_url": status_url}, 202, headers)


def respond(reply: Reply) -> func.HttpResponse:
    """The platform's response object."""
    content = reply.content if reply.content is not None else json.dumps(reply.body).encode()
    return func.HttpResponse(
        content, status_code=reply.status, mimetype=reply.content_type, headers={**HEADERS, **reply.headers}
    )


def error_reply(error: ElbError) -> Reply:
    """The error object of the API."""
    headers = {}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"  # RFC 9110, 15.5.2 wants one; App Service takes tokens too
    if error.status in (429, 503):
        after = error.retry_after if isinstance(error, TransientError) and error.retry_after else RETRY_AFTER_SECONDS
        headers["Retry-After"] = str(max(1, round(after)))
    return Reply({"error": error.to_dict()}, error.status, headers)


def answer(handler: Callable[[], Reply], name: str) -> func.HttpResponse:
    """Run a handler and turn whatever comes out into a response."""
    try:
        return respond(handler())
    except ElbError as error:
        if error.status == 500 and not isinstance(error, StoredValueError):
            return _crashed(name)  # a wrong setting, say: nothing that the caller could mend or should read
        if error.status >= 500:
            log_event("request_failed", level=logging.WARNING, function=name, code=error.code, message=error.message)
        return respond(error_reply(error))
    except Exception:  # noqa: BLE001  # the outermost edge: logged whole, shown as an id only
        return _crashed(name)


def _crashed(name: str) -> func.HttpResponse:
    """The answer to the error that is being handled: an id, under which the log has the rest."""
    correlation = uuid.uuid4().hex
    trace = traceback.format_exc()
    log_event("request_crashed", level=logging.ERROR, function=name, correlation=correlation, trace=trace)
    message = f"something went wrong here; the log has it under {correlation}"
    return respond(Reply({"error": {"code": "internal_error", "message": message, "hint": "report this id"}}, 500))


def endpoint(function: Callable[..., Reply]) -> Callable[..., func.HttpResponse]:
    """For handlers ``(request, caller, ...) -> Reply`` that need an identity."""

    @wraps(function)
    def call(req: func.HttpRequest, *bindings: Any) -> func.HttpResponse:
        def handler() -> Reply:
            caller: Caller = identify(dict(req.headers), settings())
            return function(req, caller, *bindings)

        return answer(handler, function.__name__)

    return _as_http(call, function)


def anonymous(function: Callable[..., Reply]) -> Callable[..., func.HttpResponse]:
    """For handlers ``(request, ...) -> Reply`` that anybody may call."""

    @wraps(function)
    def call(req: func.HttpRequest, *bindings: Any) -> func.HttpResponse:
        return answer(lambda: function(req, *bindings), function.__name__)

    return _as_http(call, function)


def _as_http(call: Callable[..., func.HttpResponse], function: Callable[..., Any]) -> Callable[..., func.HttpResponse]:
    """Show the worker the parameters it binds: the request and, where there is one, the Durable client."""
    import inspect

    names = ["req", *(["client"] if "client" in inspect.signature(function).parameters else [])]
    kinds = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names]
    call.__dict__.pop("__wrapped__", None)
    call.__signature__ = inspect.Signature(kinds)  # type: ignore[attr-defined]
    call.__annotations__ = {"req": func.HttpRequest, "return": func.HttpResponse}
    return call
